"""Which tool wrote a plate's measurements, and which files to read, by name and header.

Remote files are copied into the staging folder first: all readers need local files.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bioimage_assets.core.errors import MeasurementError, StoreError
from bioimage_assets.core.measurements.cellprofiler_csv import (
    CellProfilerFolder,
    find_combined_file,
    find_folders,
    find_tables,
)
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.measurements.cytotable_files import UnjoinedFolder, find_unjoined, find_warehouse
from bioimage_assets.core.measurements.folders import refuse_pipes, walk_files
from bioimage_assets.core.measurements.in_carta import is_in_carta
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.model.compartments import CELLPROFILER_TABLES
from bioimage_assets.core.model.file_kinds import MEASUREMENT_SUFFIXES, MeasurementKind, measurement_kind
from bioimage_assets.core.stores.open import local_path, open_store, split_file_uri

FoundKind = Literal[MeasurementKind, "cellprofiler-csv", "cytotable", "cytotable-warehouse", "in-carta"]
NOT_UNJOINED = UnjoinedFolder({})


@dataclass(frozen=True, slots=True)
class FoundSources:
    """What the sources of a plate are; ``names`` are the paths below the sources they came from."""

    kind: FoundKind
    paths: tuple[str, ...]
    names: tuple[str, ...] = ()
    folders: tuple[CellProfilerFolder, ...] = ()
    unjoined: UnjoinedFolder = NOT_UNJOINED


def find_sources(sources: Sequence[str], context: PlateContext) -> FoundSources:
    """Recognise the sources of a plate; reads only names and first lines.

    MeasurementError where nothing is there, nothing is recognised, or the sources are of several kinds:
    reading both would count every cell twice.
    """
    if not sources:
        raise MeasurementError(f"The plate {context.plate_key} has no measurement files.")
    local = [_localize(source, number, context) for number, source in enumerate(sources)]
    # Before each source is looked at by itself: Image.csv alone would be a table like any other.
    tables = _find_tables(local, sources, context)
    if tables is not None:
        return tables
    found = [_find(path, source, context) for path, source in zip(local, sources, strict=True)]
    kinds = dict.fromkeys(one.kind for one in found)
    if len(kinds) > 1:
        raise MeasurementError(
            f"The measurements of {context.plate_key} are of several kinds ({', '.join(kinds)}): {join_names(sources)}. Every "
            "cell would count twice; keep one kind."
        )
    kind = next(iter(kinds))
    single = kind in ("cellprofiler-sqlite", "cytotable", "cytotable-warehouse")
    paths = tuple(path for one in found for path in one.paths)
    if single and (len(found) > 1 or (len(paths) > 1 and kind == "cellprofiler-sqlite")):
        raise MeasurementError(
            f"{context.plate_key}: expected one {kind} source per plate, found {join_names(paths or sources)}."
        )
    return FoundSources(
        kind,
        paths,
        tuple(name for one in found for name in one.names),
        _name_apart(tuple(folder for one in found for folder in one.folders)),
        found[0].unjoined,
    )


def _find_tables(paths: Sequence[Path], sources: Sequence[str], context: PlateContext) -> FoundSources | None:
    """CellProfiler's CSVs of one folder given one by one, as where images lie beside them; None for anything else."""
    folders = {source.rstrip("/").rpartition("/")[0] for source in sources}
    if len(folders) > 1 or any(measurement_kind(path.name) != "csv" or not path.is_file() for path in paths):
        return None
    if len(paths) < 2 and paths[0].name.lower().partition(".")[0] not in CELLPROFILER_TABLES:
        return None
    folder = find_tables(folders.pop().rpartition("/")[2], paths[0].parent, paths)
    if folder is None:
        return None
    if context.settings.measurement_engine == "cytotable":
        folder = replace(folder, path=str(_link_together(paths, context)))
    return FoundSources("cellprofiler-csv", (), (), (folder,))


def _link_together(paths: Sequence[Path], context: PlateContext) -> Path:
    """A folder that holds these files and no others: CytoTable is given a folder."""
    folder = context.staging_dir / "tables"
    folder.mkdir(exist_ok=True)
    for path in paths:
        # Links: copies would cost the disk of a plate.
        (folder / path.name).symlink_to(path.absolute())
    return folder


def _name_apart(folders: tuple[CellProfilerFolder, ...]) -> tuple[CellProfilerFolder, ...]:
    """Folders of equal names get their whole path as name, since object ids are built from it."""
    names = [folder.name for folder in folders]
    if len(set(names)) == len(names):
        return folders
    return tuple(
        CellProfilerFolder(folder.path.strip("/"), folder.path, folder.objects, folder.image_csv)
        for folder in folders
    )


def _find(path: Path, source: str, context: PlateContext) -> FoundSources:
    if not path.exists():
        raise MeasurementError(f"The measurements of {context.plate_key} are not there: {source}.")
    refuse_pipes([path])
    if path.is_file():
        kind = measurement_kind(path.name)
        if kind is None:
            raise MeasurementError(
                f"{source}: expected one of {', '.join(MEASUREMENT_SUFFIXES)}, or a folder of CellProfiler CSVs."
            )
        # By its two header rows, which a table of another tool does not have.
        combined = find_combined_file(path) if kind == "csv" else ()
        if combined:
            return FoundSources("cellprofiler-csv", (), (), combined)
        return FoundSources(_refine(kind, [path]), (str(path),), (path.name,))
    # The most particular layout first: a warehouse holds Parquet files, and CytoTable's folders may hold CSVs.
    catalog = find_warehouse(path)
    if catalog is not None:
        return FoundSources("cytotable-warehouse", (str(catalog),))
    folders = find_folders(path)
    if folders:
        return FoundSources("cellprofiler-csv", (), (), folders)
    unjoined = find_unjoined(path, context.settings.compartments)
    if unjoined is not None:
        return FoundSources("cytotable", (), (), (), unjoined)
    return _find_files(path, source, context)


def _find_files(folder: Path, source: str, context: PlateContext) -> FoundSources:
    """All measurement files below a folder, which must be of one kind."""
    files = [path for path in walk_files(folder) if measurement_kind(path.name) is not None]
    kinds = dict.fromkeys(measurement_kind(path.name) for path in files)
    kind = next(iter(kinds), None)
    if kind is None:
        raise MeasurementError(f"{source}: no measurement files of {context.plate_key} in this folder.")
    if len(kinds) > 1:
        raise MeasurementError(
            f"{source}: measurement files of several kinds ({', '.join(map(str, kinds))}) in one folder; every cell would count "
            "twice. Keep one kind."
        )
    names = tuple(path.relative_to(folder).as_posix() for path in files)
    return FoundSources(_refine(kind, files), tuple(map(str, files)), names)


def _refine(kind: FoundKind, files: Sequence[Path]) -> FoundKind:
    return "in-carta" if kind == "csv" and all(is_in_carta(str(path)) for path in files) else kind


def copy_path(source: str, number: int, context: PlateContext) -> Path:
    """Where the copy of a remote source is."""
    return context.staging_dir / f"copy-{number}" / source.rstrip("/").rpartition("/")[2]


def _localize(source: str, number: int, context: PlateContext) -> Path:
    """Local path of a source; a remote file or folder is copied below the staging folder first."""
    local = local_path(source)
    if local is not None:
        return Path(local)
    target = copy_path(source, number, context)
    target.parent.mkdir()
    try:
        if measurement_kind(target.name) is not None:
            folder, name = split_file_uri(source)
            _copy(folder, {name: target}, context)
        else:
            store = open_store(source, storage_options=context.storage_options)
            keys = {item.key: target / item.key for item in store.list("")}
            store.close()
            _copy(source, keys, context)
    except StoreError as error:
        raise MeasurementError(f"The measurements of {context.plate_key} cannot be read: {error}") from error
    return target


def _copy(uri: str, files: dict[str, Path], context: PlateContext) -> None:
    store = open_store(uri, storage_options=context.storage_options)
    try:
        for key, target in files.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            with store.open_file(key) as remote, target.open("wb") as local:
                # In pieces of a MiB, whatever the size of the file.
                shutil.copyfileobj(remote, local, 1 << 20)
    finally:
        store.close()
