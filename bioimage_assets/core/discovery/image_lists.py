"""Which plates the LoadData tables of a dataset list images of.

Layouts: ``load_data.csv`` in the dataset or in a plate's folder, ``load_data/<plate>.csv``, and the archive's own
``load_data_csv/<batch>/<plate>/load_data.csv``, also below ``workspace/``.
https://github.com/broadinstitute/cellpainting-gallery/blob/main/documentation/data_structure.md
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bioimage_assets.core.model.file_kinds import (
    LOAD_DATA_NAMES,
    LOAD_DATA_SUFFIXES,
    can_list_images,
    is_load_data_name,
    without_suffix,
)
from bioimage_assets.core.model.reserved_folders import IMAGE_LIST_FOLDERS
from bioimage_assets.core.stores.tree import Entry, Tree

WORKSPACE_FOLDER = "workspace"
_ILLUMINATION = "with_illum"
_WORDS = (_ILLUMINATION, "unprojected")


@dataclass(frozen=True, slots=True)
class ImageLists:
    """LoadData tables by the name of their plate; ``common`` are those of the whole dataset."""

    by_plate: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    common: tuple[Entry, ...] = ()


def is_image_list(entry: Entry) -> bool:
    """Tell a LoadData table by its name."""
    return not entry.is_folder and is_load_data_name(entry.name)


def lists_images(store: Entry) -> bool:
    """Tell whether a store of a plate is a LoadData table, whatever its name."""
    return not store.is_folder and can_list_images(store.name)


def list_image_lists(tree: Tree, children: Iterable[Entry]) -> list[Entry]:
    """CSVs below the folders that a dataset keeps its LoadData tables in; one listing for all plates."""
    folders = [e for e in children if e.is_folder and e.name.lower() in IMAGE_LIST_FOLDERS]
    for child in children:
        if child.is_folder and child.name.lower() == WORKSPACE_FOLDER:
            below = tree.children(child.path)
            folders += [e for e in below if e.is_folder and e.name.lower() in IMAGE_LIST_FOLDERS]
    return sorted(
        (
            entry
            for folder in folders
            for entry in tree.walk(folder.path)
            if can_list_images(entry.name) and not entry.name.startswith(".")
        ),
        key=lambda entry: entry.path,
    )


def sort_image_lists(listed: Sequence[Entry], loose: Sequence[Entry]) -> ImageLists:
    """Which plate each table is of: its own name, or that of the folder around a ``load_data.csv``.

    ``loose`` are tables that lie in the dataset's folder itself.
    """
    found: dict[str, list[Entry]] = {}
    common = list(loose)
    for entry in listed:
        folder = entry.path.rsplit("/", 2)[-2]
        if not is_image_list(entry):
            found.setdefault(entry.name[: len(_stem(entry))], []).append(entry)
        elif folder.lower() in IMAGE_LIST_FOLDERS:
            plate = _plate_in_name(entry)
            (found.setdefault(plate, []) if plate else common).append(entry)
        else:
            found.setdefault(folder, []).append(entry)
    return ImageLists({name: choose_lists(tables) for name, tables in found.items()}, choose_lists(common))


def choose_lists(tables: Sequence[Entry]) -> tuple[Entry, ...]:
    """One table names all images: ``load_data.csv``. Others name the same again, with illumination functions or planes."""
    by_stem = {_stem(entry): entry for entry in reversed(tables)}
    plain = [entry for stem, entry in by_stem.items() if _ILLUMINATION not in stem]
    exact = [entry for stem, entry in by_stem.items() if stem in LOAD_DATA_NAMES]
    chosen = exact[:1] or plain or list(by_stem.values())[:1]
    return tuple(sorted(chosen, key=lambda entry: entry.path))


def _stem(entry: Entry) -> str:
    return without_suffix(entry.name.lower().replace("-", "_"), LOAD_DATA_SUFFIXES)


def _plate_in_name(entry: Entry) -> str:
    """Plate of ``load_data_<plate>.csv``; empty where the rest of the name is a word of the archive."""
    stem = _stem(entry)
    rest = entry.name[: len(stem)]
    for name in LOAD_DATA_NAMES:
        if stem.startswith(f"{name}_") and not stem[len(name) + 1 :].startswith(_WORDS):
            return rest[len(name) + 1 :]
    return ""
