"""How a watched root is laid out: which stores, measurements and settings belong to which partition.

The layout is the convention of the README ("Your own data"); nothing but names, sizes, change times
and the first bytes of a Zarr store's root document is looked at.
"""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from bioimage_assets.core.discovery.entry_kinds import (
    KindMemory,
    has_zarr_name,
    is_store_file,
    is_zarr,
    without_hidden_entries,
)
from bioimage_assets.core.discovery.found_plate import FoundPlate
from bioimage_assets.core.discovery.gallery_layout import find_gallery_sources, is_gallery_source
from bioimage_assets.core.discovery.gallery_plates import find_gallery_plates
from bioimage_assets.core.discovery.grouping import DatasetEntries, DatasetPlates, group_plates
from bioimage_assets.core.discovery.image_lists import list_image_lists, lists_images
from bioimage_assets.core.discovery.lone_files import name_lone_files, note_lone_files
from bioimage_assets.core.discovery.not_understood import note_no_plate, note_root_files
from bioimage_assets.core.discovery.plate_measurements import sort_measurements
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.gallery import project_of_dataset
from bioimage_assets.core.model.identity import build_key_part, build_plate_key, store_stem
from bioimage_assets.core.model.reserved_folders import MEASUREMENTS_FOLDER, NO_PLATE_FOLDERS
from bioimage_assets.core.stores.tree import Entry, Tree

# Plates of a dataset whose listing is as it was: (root, dataset) to (listing, plates, findings).
DatasetMemory = MutableMapping[tuple[str, str], tuple[list["Entry"], list["FoundPlate"], list[Finding]]]


@dataclass(slots=True)
class RootLayout:
    """Plates of a root, and what could not be listed: a plate of an unreadable dataset is not a plate that is gone."""

    plates: list[FoundPlate] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unreadable_datasets: set[str] = field(default_factory=set)
    is_empty: bool = True


def read_layout(
    tree: Tree,
    *,
    datasets: AbstractSet[str] | None = None,
    kinds: KindMemory | None = None,
    unchanged: DatasetMemory | None = None,
    plate_keys: AbstractSet[str] | None = None,
) -> RootLayout:
    """List a root and tell its plates; a dataset that cannot be listed is a finding.

    Parameters
    ----------
    datasets
        Look only at these datasets (names as on disk, or as in partition keys); all where None.
    kinds
        Remembers between calls which stores are plates.
    unchanged
        Remembers between calls the plates of whole datasets, as long as their listings stay the same.
    plate_keys
        Look only at stores that may belong to these plates, which saves opening all others; not to be
        used together with memories.

    Raises
    ------
    StoreError
        The root itself cannot be listed.
    """
    layout = RootLayout()
    kinds = KindMemory() if kinds is None else kinds
    unchanged = {} if unchanged is None else unchanged
    entries = without_hidden_entries(tree.children(""))
    if is_gallery_source(tree, entries):
        layout.is_empty = False
        _read_gallery(tree, Entry(store_stem(tree.root_uri), "", True), layout)
        return layout
    if datasets is None and plate_keys is None:
        layout.findings += [*note_root_files(tree, entries), *note_lone_files(tree, entries)]
    names = name_lone_files(entries)
    for entry in entries:
        layout.is_empty = False
        name = store_stem(entry.name)
        if datasets is not None and not _is_wanted(entry, name, datasets):
            continue
        try:
            _read_entry(tree, entry, names.get(entry.name, name), layout, kinds, unchanged, plate_keys)
        except BioimageError as error:
            layout.unreadable_datasets |= {build_key_part(name), build_key_part(entry.name)}
            place = ascii(entry.path)[1:-1]
            layout.findings.append(Finding("unreadable-dataset", "error", place, str(error), tree.root_uri))
    _refuse_clashes(layout)
    return layout


def _is_wanted(entry: Entry, name: str, datasets: AbstractSet[str]) -> bool:
    names = {name, entry.name, build_key_part(name), build_key_part(entry.name)}
    return not datasets.isdisjoint(names) or any(project_of_dataset(one) in names for one in datasets)


def _read_gallery(tree: Tree, dataset: Entry, layout: RootLayout) -> None:
    """Plates of one source of the Cell Painting Gallery."""
    plates, findings = find_gallery_plates(tree, dataset)
    layout.plates += plates
    layout.findings += findings


def _read_entry(
    tree: Tree,
    entry: Entry,
    name: str,
    layout: RootLayout,
    kinds: KindMemory,
    unchanged: DatasetMemory,
    plate_keys: AbstractSet[str] | None,
) -> None:
    if not entry.name.isprintable():  # bytes that are not text, control characters: not to be named anywhere
        raise BioimageError(f"The name {entry.name!a} cannot be used; rename it.")
    # A folder is a dataset more often than a store: listed once, for both questions.
    children = tree.children(entry.path) if entry.is_folder and not has_zarr_name(entry) else []
    if is_store_file(entry) or (entry.is_folder and is_zarr(tree, entry, kinds, children)):
        lone = FoundPlate(build_plate_key(name, name), name, entry, (entry,), (), (), tree)
        layout.plates.append(lone)
    elif entry.is_folder and (sources := find_gallery_sources(tree, entry, children)):
        for source in sources:
            _read_gallery(tree, source, layout)
    elif entry.is_folder:
        _read_dataset(tree, entry, without_hidden_entries(children), layout, kinds, unchanged, plate_keys)


def _read_dataset(
    tree: Tree,
    dataset: Entry,
    children: list[Entry],
    layout: RootLayout,
    kinds: KindMemory,
    unchanged: DatasetMemory,
    plate_keys: AbstractSet[str] | None,
) -> None:
    """Plates of one dataset folder, as they were where nothing that is listed of it changed."""
    folders = [child for child in children if child.is_folder and child.name.lower() == MEASUREMENTS_FOLDER]
    measured = [entry for folder in folders for entry in without_hidden_entries(tree.children(folder.path))]
    entries = DatasetEntries(dataset, children, measured, list_image_lists(tree, children))
    place = (tree.root_uri, dataset.path)
    known = unchanged.get(place)
    if known is None or known[0] != entries.listing:
        found = _group_wanted(tree, entries, kinds, plate_keys)
        has_looked = plate_keys is None and time.monotonic() <= kinds.deadline_s
        if has_looked and not (found.plates or found.findings):
            found.findings += note_no_plate(tree, dataset, children)
        beside = _name_stores(children)
        plates = [replace(plate, plates_of_dataset=beside) for plate in found.plates]
        known = (entries.listing, plates, found.findings)
        if time.monotonic() > kinds.deadline_s:  # some of its stores may not have been looked at
            layout.unreadable_datasets.add(build_key_part(dataset.name))
        if found.is_settled:
            unchanged[place] = known
        else:
            unchanged.pop(place, None)
    layout.plates += known[1]
    layout.findings += known[2]


def _name_stores(children: list[Entry]) -> frozenset[str]:
    """Names of a dataset's stores and folders of images, as far as names tell: nothing is opened for it."""
    return frozenset(
        store_stem(child.name)
        for child in children
        if is_store_file(child) or (child.is_folder and child.name.lower() not in NO_PLATE_FOLDERS)
    )


def _group_wanted(
    tree: Tree, entries: DatasetEntries, kinds: KindMemory, plate_keys: AbstractSet[str] | None
) -> DatasetPlates:
    """Plates of a dataset; where only some are wanted, without opening the stores of the others.

    What is said about a plate without images, and of which plate nameless tables are, depends on all stores.
    """
    if plate_keys is None or sort_measurements(entries.measured)[1]:
        return group_plates(tree, entries, kinds)
    kept = [child for child in entries.children if _may_be_of(entries.dataset, child, plate_keys)]
    found = group_plates(tree, replace(entries, children=kept), kinds)
    lacks_images = any(
        plate.plate_key in plate_keys and all(lists_images(store) for store in plate.stores)
        for plate in found.plates
    )
    return group_plates(tree, entries, kinds) if lacks_images else found


def _may_be_of(dataset: Entry, child: Entry, plate_keys: AbstractSet[str]) -> bool:
    """Tell from its name whether an entry may belong to one of some plates; what is not a store always may."""
    if child.name.lower() in NO_PLATE_FOLDERS or not (child.is_folder or is_store_file(child)):
        return True
    names = {child.name, store_stem(child.name), dataset.name}
    return any(build_plate_key(dataset.name, name) in plate_keys for name in names)


def _refuse_clashes(layout: RootLayout) -> None:
    """Several stores of one name in a dataset would share ids: none of them is taken, all are named."""
    by_key: dict[str, list[FoundPlate]] = {}
    for plate in layout.plates:
        by_key.setdefault(plate.plate_key, []).append(plate)
    layout.plates = []
    for key, group in by_key.items():
        first = group[0]
        is_one = len(first.stores) < 2 or first.plate_name == first.dataset_name
        if len(group) == 1 and (is_one or all(lists_images(store) for store in first.stores)):
            layout.plates.append(first)
            continue
        # The stores, or where a name has none its measurements.
        uris = [p.tree.uri(entry.path) for p in group for entry in p.stores or p.measurements]
        text = f"{len(uris)} stores would be plate {key!r}: {', '.join(uris)}. Rename all but one; none was taken."
        layout.findings.append(Finding("plate-name-clash", "error", key, text, uris[0]))
