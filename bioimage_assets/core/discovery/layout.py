"""A watched root becomes plates: which stores, measurements and settings belong to which partition.

The layout is the convention of the README ("Your own data"); nothing but names, sizes, change times
and the first bytes of a Zarr store's root document is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from bioimage_assets.core.discovery.kinds import (
    ARCHIVE_SUFFIXES,
    KindMemory,
    has_zarr_name,
    holds_images,
    is_plate_store,
    is_store_file,
    is_zarr,
    visible,
)
from bioimage_assets.core.discovery.tree import Entry, Tree
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import build_key_part, build_plate_key, store_stem
from bioimage_assets.core.model.reserved_folders import (
    MEASUREMENTS_FOLDER,
    RESERVED_FOLDERS,
    SHARED_FOLDERS,
)
from bioimage_assets.core.settings.dataset import DATASET_FILE

# Longest first, so that a name loses all of its format.
MEASUREMENT_SUFFIXES = (".parquet", ".csv.gz", ".sqlite", ".h5ad", ".csv", ".npz", ".db")
# Plates of a dataset whose listing is as it was: (root, dataset) to (listing, plates, findings).
DatasetMemory = MutableMapping[tuple[str, str], tuple[list["Entry"], list["FoundPlate"], list[Finding]]]


@dataclass(frozen=True, slots=True)
class FoundPlate:
    """One partition as the listing shows it; its files have not been looked at.

    ``shared`` are the dataset's settings and platemaps, a part of every plate of the dataset.
    """

    plate_key: str
    plate_name: str
    dataset: Entry
    stores: tuple[Entry, ...]
    measurements: tuple[Entry, ...]
    shared: tuple[Entry, ...]
    tree: Tree

    @property
    def dataset_name(self) -> str:
        """Name of the dataset's folder; for a lone store its stem."""
        return (
            self.dataset.name
            if self.dataset.is_folder and self.dataset not in self.stores
            else self.plate_name
        )

    @property
    def inputs(self) -> tuple[Entry, ...]:
        """What is the plate's own: stores and measurements, without loose tables of the dataset's folder."""
        return tuple(
            e for e in (*self.stores, *self.measurements) if e.path != self.dataset.path or e in self.stores
        )


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
    for entry in visible(tree.children("")):
        layout.is_empty = False
        name = store_stem(entry.name)
        if datasets is not None and datasets.isdisjoint(
            (name, entry.name, build_key_part(name), build_key_part(entry.name))
        ):
            continue
        try:
            _read_entry(tree, entry, layout, kinds, unchanged, plate_keys)
        except BioimageError as error:
            layout.unreadable_datasets |= {build_key_part(name), build_key_part(entry.name)}
            place = ascii(entry.path)[1:-1]
            layout.findings.append(Finding("unreadable-dataset", "error", place, str(error), tree.root_uri))
    _refuse_clashes(layout)
    return layout


def _read_entry(
    tree: Tree,
    entry: Entry,
    layout: RootLayout,
    kinds: KindMemory,
    unchanged: DatasetMemory,
    plate_keys: AbstractSet[str] | None,
) -> None:
    if not entry.name.isprintable():  # bytes that are no text, control characters: not to be named anywhere
        raise BioimageError(f"The name {entry.name!a} cannot be used; rename it.")
    # A folder is a dataset more often than a store: listed once, for both questions.
    children = tree.children(entry.path) if entry.is_folder and not has_zarr_name(entry) else []
    if is_store_file(entry) or (entry.is_folder and is_zarr(tree, entry, kinds, children)):
        stem = store_stem(entry.name)
        lone = FoundPlate(build_plate_key(stem, stem), stem, entry, (entry,), (), (), tree)
        layout.plates.append(lone)
    elif entry.is_folder:
        _read_dataset(tree, entry, visible(children), layout, kinds, unchanged, plate_keys)


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
    if plate_keys is not None:
        children = [child for child in children if _may_be_of(dataset, child, plate_keys)]
    folders = [child for child in children if child.is_folder and child.name == MEASUREMENTS_FOLDER]
    measured = [entry for folder in folders for entry in visible(tree.children(folder.path))]
    listing, place = [*children, *measured], (tree.root_uri, dataset.path)
    known = unchanged.get(place)
    if known is None or known[0] != listing:
        own = RootLayout()
        plates = _group_plates(tree, dataset, children, measured, own, kinds)
        known = (listing, own.plates, own.findings)
        # A folder that holds no image yet may get one in a folder below it, which the listing does not show.
        is_settled = all(
            child.version and (child.name.lower() in RESERVED_FOLDERS or child.path in plates)
            for child in children
            if child.is_folder
        )
        if time.monotonic() > kinds.deadline_s:  # some of its stores may not have been looked at
            layout.unreadable_datasets.add(build_key_part(dataset.name))
        if is_settled:
            unchanged[place] = known
        else:
            unchanged.pop(place, None)
    layout.plates += known[1]
    layout.findings += known[2]


def _may_be_of(dataset: Entry, child: Entry, plate_keys: AbstractSet[str]) -> bool:
    """Tell from its name whether an entry may belong to one of some plates; what is no store always may."""
    if child.name.lower() in RESERVED_FOLDERS or not (child.is_folder or is_store_file(child)):
        return True
    names = {child.name, store_stem(child.name), dataset.name}
    return any(build_plate_key(dataset.name, name) in plate_keys for name in names)


def _group_plates(
    tree: Tree,
    dataset: Entry,
    children: list[Entry],
    measured_entries: list[Entry],
    layout: RootLayout,
    kinds: KindMemory,
) -> set[str]:
    """HCS stores, plate folders, and one partition for everything else; give the paths that belong to a plate."""
    shared = [
        child
        for child in children
        if child.name == DATASET_FILE or (child.is_folder and child.name.lower() in SHARED_FOLDERS)
    ]
    measurements = _measurement_entries(measured_entries)
    grouped: dict[str, list[Entry]] = {}
    for child in children:
        plate = _plate_of(tree, dataset, child, kinds)
        if plate is not None and not child.name.isprintable():
            text = f"The name {child.name!a} cannot be used; rename it."
            place = ascii(child.path)[1:-1]
            layout.findings.append(Finding("unusable-name", "error", place, text, tree.uri(dataset.path)))
        elif plate is not None:
            grouped.setdefault(plate, []).append(child)
    loose_csvs = any(not child.is_folder and child.name.lower() == "image.csv" for child in children)
    if loose_csvs and dataset.name in grouped and dataset.name not in measurements:
        measurements[dataset.name] = [Entry(dataset.name, dataset.path, True)]
        shared.extend(child for child in children if child.name.lower().endswith(".csv"))
    together = tuple(shared)
    for plate, stores in sorted(grouped.items()):
        key = build_plate_key(dataset.name, plate)
        measured = tuple(measurements.pop(plate, ()))
        layout.plates.append(FoundPlate(key, plate, dataset, tuple(stores), measured, together, tree))
    layout.findings.extend(_unclaimed(tree, measurements))
    return {store.path for stores in grouped.values() for store in stores}


def _plate_of(tree: Tree, dataset: Entry, child: Entry, kinds: KindMemory) -> str | None:
    """Plate that an entry of a dataset folder belongs to, None where it holds no images."""
    if child.is_folder and child.name.lower() in RESERVED_FOLDERS:
        return None
    if child.is_folder and is_zarr(tree, child, kinds):
        is_plate = is_plate_store(tree, child, kinds)
        return None if is_plate is None else store_stem(child.name) if is_plate else dataset.name
    if is_store_file(child):
        return store_stem(child.name) if child.name.lower().endswith(ARCHIVE_SUFFIXES) else dataset.name
    return child.name if child.is_folder and holds_images(tree, child, kinds) else None


def _measurement_entries(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Measurement tables and folders by the name of their plate."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        suffixes = ("",) if entry.is_folder else MEASUREMENT_SUFFIXES
        suffix = next((s for s in suffixes if entry.name.lower().endswith(s)), None)
        if suffix is not None:
            found.setdefault(entry.name[: len(entry.name) - len(suffix)], []).append(entry)
    return found


def _unclaimed(tree: Tree, measurements: Mapping[str, list[Entry]]) -> list[Finding]:
    return [
        Finding(
            "unclaimed-measurements",
            "warning",
            ascii(entry.path)[1:-1],
            f"No plate is named {name!r}: expected a store '{name}.ome.zarr' or a folder '{name}/' beside "
            f"'{MEASUREMENTS_FOLDER}/'; rename the file or add the images.",
            tree.uri(entry.path),
        )
        for name, entries in sorted(measurements.items())
        for entry in entries
    ]


def _refuse_clashes(layout: RootLayout) -> None:
    """Several stores of one name in a dataset would share ids: none of them is taken, all are named."""
    by_key: dict[str, list[FoundPlate]] = {}
    for plate in layout.plates:
        by_key.setdefault(plate.plate_key, []).append(plate)
    layout.plates = []
    for key, group in by_key.items():
        first = group[0]
        if len(group) == 1 and (len(first.stores) == 1 or first.plate_name == first.dataset_name):
            layout.plates.append(first)
            continue
        uris = [plate.tree.uri(store.path) for plate in group for store in plate.stores]
        text = f"{len(uris)} stores would be plate {key!r}: {', '.join(uris)}. Rename all but one; none was taken."
        layout.findings.append(Finding("plate-name-clash", "error", key, text, uris[0]))
