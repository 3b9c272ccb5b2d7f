"""Where a plate's measurements are: tables by the name of their plate, and CellProfiler's tables.

Names alone tell: CellProfiler (ExportToSpreadsheet) writes ``Image.csv`` and one CSV per object, all with the same
prefix (``MyExpt_`` by default, or none).
https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/fileprocessing.html#exporttospreadsheet
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bioimage_assets.core.discovery.entry_kinds import KindMemory, without_hidden_entries
from bioimage_assets.core.discovery.image_lists import is_image_list
from bioimage_assets.core.model.compartments import IMAGE_TABLE, NO_OBJECT_TABLES, OBJECT_TABLES
from bioimage_assets.core.model.file_kinds import (
    COMMA_SUFFIXES,
    MEASUREMENT_SUFFIXES,
    PARQUET_SUFFIXES,
    SQLITE_BESIDE_IMAGES,
    has_suffix,
    measurement_kind,
    without_suffix,
)
from bioimage_assets.core.model.reserved_folders import MEASUREMENTS_FOLDER
from bioimage_assets.core.stores.tree import Entry, Tree

_FOLDER_DEPTH = 4  # CellProfiler's output below one folder per site of one per plate is three deep
# Folders of a bucket have no change time: whether tables lie in one is asked anew after so long.
_ASK_AGAIN_AFTER_S = 600


@dataclass(frozen=True, slots=True)
class Place:
    """One of the places where measurements of a plate lie; ``path`` is the file or folder to name in messages."""

    path: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class PlateFolder:
    """What is in a plate's own folder: measurements, best place first, and LoadData tables.

    ``is_open``: tables or images may come to lie below it without a change of the folder itself.
    """

    places: tuple[Place, ...] = ()
    image_lists: tuple[Entry, ...] = ()
    is_open: bool = False


def plate_of_table(entry: Entry) -> str | None:
    """Name of the plate that an entry of ``measurements/`` is of, None where it is not a measurement.

    Engines that write a table in parts give its folder the name of a file.
    """
    if entry.is_folder or measurement_kind(entry.name):
        return without_suffix(entry.name, MEASUREMENT_SUFFIXES)
    return None


def take_cellprofiler_tables(entries: Iterable[Entry]) -> dict[str, tuple[Entry, ...]]:
    """CellProfiler's CSVs that lie directly among the entries, by the prefix of their names ("" for none).

    Without an image table they are known by their plain names alone: ``P1_Cells.csv`` is a table like any other. There
    are none where nothing but images was measured, as by a pipeline for their quality.
    """
    tables = [(_csv_stem(entry), entry) for entry in entries if _csv_stem(entry) and not is_image_list(entry)]
    prefixes = {
        stem[: -len(IMAGE_TABLE)]
        for stem, _ in tables
        if stem.lower() == IMAGE_TABLE or stem.lower().endswith(f"_{IMAGE_TABLE}")
    }
    if not prefixes and any(stem.lower() in OBJECT_TABLES for stem, _ in tables):
        prefixes = {""}
    found: dict[str, tuple[Entry, ...]] = {}
    left = tables
    for prefix in sorted(prefixes, key=len, reverse=True):
        own = [(stem, entry) for stem, entry in left if stem.startswith(prefix)]
        left = [item for item in left if item not in own]
        if any(stem[len(prefix) :].lower() not in NO_OBJECT_TABLES for stem, _ in own):
            found[prefix.removesuffix("_")] = tuple(entry for _, entry in own)
    return found


def sort_measurements(entries: Sequence[Entry]) -> tuple[dict[str, list[Place]], tuple[Entry, ...]]:
    """What ``measurements/`` holds by the name of its plate, and CellProfiler tables whose names tell no plate.

    A table and a folder of one name are the same cells in two forms: Parquet, which needs no conversion, comes first.
    """
    tables = take_cellprofiler_tables(entries)
    loose = tables.pop("", ())
    taken = {entry.path for of_plate in (*tables.values(), loose) for entry in of_plate}
    found: dict[str, list[Place]] = {}
    for entry in sorted(entries, key=lambda entry: not has_suffix(entry.name, PARQUET_SUFFIXES)):
        name = plate_of_table(entry)
        if name is not None and entry.path not in taken:
            found.setdefault(name, []).append(Place(entry.path, (entry,)))
    for name, of_plate in tables.items():
        found.setdefault(name, []).append(Place(of_plate[0].path, of_plate))
    return found, loose


def look_into_plate_folder(tree: Tree, folder: Entry, kinds: KindMemory, *, has_images: bool) -> PlateFolder:
    """Look for ``measurements/`` in a folder, CellProfiler's CSVs, a table with its name, a lone SQLite file.

    A folder of images in which nothing of that was is listed again only when it has changed.
    """
    question = (tree.uri(folder.path), "tables")
    version = folder.version or _bucket_version(question[0])
    if has_images and kinds.get(question) == (version, False):
        return PlateFolder()
    entries = without_hidden_entries(tree.children(folder.path))
    below = [e for e in entries if e.is_folder and e.name.lower() == MEASUREMENTS_FOLDER]
    lists = tuple(entry for entry in entries if is_image_list(entry))
    measured = [Place(f"{e.path}/", (e,)) for e in below if holds_measurements(tree, e, kinds)]
    places = (*measured, *find_beside(folder, entries))
    kinds[question] = (version, bool(places or lists or below))
    is_open = len(measured) < len(below) or (not has_images and any(e.is_folder for e in entries))
    return PlateFolder(places, lists, is_open)


def find_beside(folder: Entry, entries: Sequence[Entry]) -> list[Place]:
    """Measurements among the files of a folder of images, best first."""
    files = [entry for entry in entries if not entry.is_folder]
    tables = take_cellprofiler_tables(files)
    order = sorted(tables, key=lambda prefix: (prefix != "", prefix != folder.name, prefix))
    places = [Place(tables[prefix][0].path, tables[prefix]) for prefix in order]
    taken = {entry.path for place in places for entry in place.entries}
    rest = [entry for entry in files if entry.path not in taken]
    named = [entry for entry in rest if plate_of_table(entry) == folder.name]
    databases = [entry for entry in rest if has_suffix(entry.name, SQLITE_BESIDE_IMAGES)]
    single = dict.fromkeys([*named, *(databases if len(databases) == 1 else [])])
    return [*places, *(Place(entry.path, (entry,)) for entry in single)]


def holds_measurements(tree: Tree, entry: Entry, kinds: KindMemory) -> bool:
    """Tell whether a file is a measurement table, or whether one is in a folder or the few levels below it."""
    if not entry.is_folder:
        return plate_of_table(entry) is not None
    question = (tree.uri(entry.path), "measurements")
    if question in kinds:
        return True
    pending = [(entry, 0)]
    while pending:
        current, depth = pending.pop()
        for child in without_hidden_entries(tree.children(current.path)):
            if child.is_folder and depth < _FOLDER_DEPTH:
                pending.append((child, depth + 1))
            elif not child.is_folder and plate_of_table(child) is not None:
                kinds[question] = (entry.version, True)
                return True
    return False


def _csv_stem(entry: Entry) -> str:
    """Name of a CSV without its suffix; empty for anything else."""
    is_csv = not entry.is_folder and has_suffix(entry.name, COMMA_SUFFIXES)
    return without_suffix(entry.name, COMMA_SUFFIXES) if is_csv else ""


def _bucket_version(uri: str) -> str:
    """Changes after a while, at another moment for each folder, so that few of them are listed in one look."""
    return str(int(time.monotonic() + hash(uri) % _ASK_AGAIN_AFTER_S) // _ASK_AGAIN_AFTER_S)
