"""Which stores, LoadData tables and measurements in a dataset's folder belong to which plate, by the plate's name.

Source of truth: README ("Your own data").
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bioimage_assets.core.discovery.entry_kinds import (
    KindMemory,
    holds_images,
    is_plate_store,
    is_store_file,
    is_zarr,
    list_stores,
)
from bioimage_assets.core.discovery.found_plate import FoundPlate
from bioimage_assets.core.discovery.image_lists import (
    WORKSPACE_FOLDER,
    ImageLists,
    choose_lists,
    is_image_list,
    sort_image_lists,
)
from bioimage_assets.core.discovery.measurement_findings import (
    build_loose_finding,
    choose_place,
    note_images_elsewhere,
    note_not_measured,
    note_not_read,
    note_unused_lists,
)
from bioimage_assets.core.discovery.not_understood import (
    is_misplaced_settings,
    note_reserved_folder,
    note_unclaimed,
)
from bioimage_assets.core.discovery.plate_measurements import (
    Place,
    find_beside,
    holds_measurements,
    look_into_plate_folder,
    plate_of_table,
    sort_measurements,
)
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.file_kinds import ZARR_ARCHIVE_SUFFIXES, has_suffix
from bioimage_assets.core.model.identity import build_plate_key, store_stem
from bioimage_assets.core.model.reserved_folders import (
    MEASUREMENTS_FOLDER,
    NO_PLATE_FOLDERS,
    PICTURE_FOLDERS,
    SHARED_FOLDERS,
)
from bioimage_assets.core.settings.dataset import DATASET_FILE
from bioimage_assets.core.stores.tree import Entry, Tree


@dataclass(frozen=True, slots=True)
class DatasetEntries:
    """What is listed of a dataset: its folder, its ``measurements/``, and the CSVs below its LoadData folders."""

    dataset: Entry
    children: list[Entry]
    measured: list[Entry] = field(default_factory=list)
    image_lists: list[Entry] = field(default_factory=list)

    @property
    def listing(self) -> list[Entry]:
        """All of it: what stays the same where the plates do."""
        return [*self.children, *self.measured, *self.image_lists]


@dataclass(slots=True)
class DatasetPlates:
    """Plates of a dataset. ``is_settled``: they change only when the listing does."""

    plates: list[FoundPlate] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    is_settled: bool = True


def group_plates(tree: Tree, entries: DatasetEntries, kinds: KindMemory) -> DatasetPlates:
    """HCS stores, plate folders, one partition for everything else, and plates whose images are not here."""
    return _Grouping(tree, entries, kinds).build()


class _Grouping:
    """What is known of each plate of a dataset while its entries are sorted, by the plate's name."""

    def __init__(self, tree: Tree, entries: DatasetEntries, kinds: KindMemory) -> None:
        self.tree, self.kinds = tree, kinds
        self.dataset, self.entries = entries.dataset, entries
        self.stores: dict[str, list[Entry]] = {}
        self.places: dict[str, list[Place]] = {}
        self.lists = ImageLists()
        self.found = DatasetPlates()
        self.unclaimed: list[Entry] = []
        self.shared = tuple(
            child
            for child in entries.children
            if child.name == DATASET_FILE or (child.is_folder and child.name.lower() in SHARED_FOLDERS)
        )

    def build(self) -> DatasetPlates:
        self._sort_stores()
        loose_tables = self._sort_measurements()
        self._look_into_folders()
        self._sort_loose_files(loose_tables)
        for name in sorted(self.stores):
            self._add_plate(name, self.stores[name])
        # Where stores were not looked at for want of time, a plate without one may have one.
        if time.monotonic() <= self.kinds.deadline_s:
            self._add_imageless_plates()
        else:
            self.found.is_settled = False
        self._say_what_is_left()
        self.found.plates.sort(key=lambda plate: plate.plate_name)
        return self.found

    def _sort_stores(self) -> None:
        for child in self.entries.children:
            name = self._plate_of(child)
            if name is None:
                continue
            if self._is_usable(child):
                self.stores.setdefault(name, []).append(child)

    def _is_usable(self, entry: Entry) -> bool:
        if entry.name.isprintable():
            return True
        text = f"The name {entry.name!a} cannot be used; rename it."
        place = ascii(entry.path)[1:-1]
        self._note(Finding("unusable-name", "error", place, text, self.tree.uri(self.dataset.path)))
        return False

    def _plate_of(self, child: Entry) -> str | None:
        """Plate that an entry of a dataset folder belongs to, None where it holds no images."""
        tree, kinds = self.tree, self.kinds
        if child.is_folder and child.name.lower() in NO_PLATE_FOLDERS:
            self._note_reserved(child)
            return None
        if child.is_folder and is_zarr(tree, child, kinds):
            is_plate = is_plate_store(tree, child, kinds)
            return None if is_plate is None else store_stem(child.name) if is_plate else self.dataset.name
        if is_store_file(child):
            is_archive = has_suffix(child.name, ZARR_ARCHIVE_SUFFIXES)
            return store_stem(child.name) if is_archive else self.dataset.name
        return child.name if child.is_folder and holds_images(tree, child, kinds) else None

    def _note_reserved(self, folder: Entry) -> None:
        """Stores in a folder whose name says that it holds no plate: who put them there may wait for them in vain."""
        if stores := list_stores(self.tree, folder, with_tiffs=folder.name.lower() not in PICTURE_FOLDERS):
            self._note(note_reserved_folder(self.tree, folder, stores))

    def _sort_measurements(self) -> tuple[Entry, ...]:
        """Sort ``measurements/`` by plate; gives CellProfiler's tables that lie there without a plate's name."""
        by_name, loose = sort_measurements(self.entries.measured)
        for name, places in by_name.items():
            if self._is_usable(places[0].entries[0]):
                self.places[name] = places
        self.found.findings += note_not_read(self.tree, self.entries.measured)
        return loose

    def _look_into_folders(self) -> None:
        """Plates' own folders: tables beside the images, or in place of them."""
        loose = [entry for entry in self.entries.children if is_image_list(entry)]
        self.lists = sort_image_lists(self.entries.image_lists, loose)
        stored = {store.path for stores in self.stores.values() for store in stores}
        for child in self.entries.children:
            if not child.is_folder or child.name.lower() in NO_PLATE_FOLDERS:
                continue
            is_store = child.path in stored
            if is_zarr(self.tree, child, self.kinds):
                self.found.is_settled &= is_store and bool(child.version)
                continue
            inside = look_into_plate_folder(self.tree, child, self.kinds, has_images=is_store)
            has_any = bool(inside.places or inside.image_lists)
            if not (is_store or has_any):
                self.unclaimed.append(child)
            # A folder below it may get the first image or table, which the listing does not show.
            self.found.is_settled &= bool(child.version) and (is_store or has_any) and not inside.is_open
            if has_any and (is_store or self._is_usable(child)):
                self.places.setdefault(child.name, []).extend(inside.places)
                if inside.image_lists and not is_store:
                    self.lists.by_plate.setdefault(child.name, choose_lists(inside.image_lists))

    def _sort_loose_files(self, tables_of_measurements: tuple[Entry, ...]) -> None:
        """Tables beside the stores: those with the name of a plate, and those of the dataset's own images."""
        children = [child for child in self.entries.children if not is_image_list(child)]
        named = {child.path: plate_of_table(child) for child in children if not child.is_folder}
        known = self.stores.keys() | self.places.keys()
        for child in children:
            name = named.get(child.path)
            if name in known and name != self.dataset.name:
                self._add_place(name, Place(child.path, (child,)))
        others = known - {self.dataset.name}
        rest = [child for child in children if named.get(child.path) not in others]
        for place in find_beside(self.dataset, rest):
            self._add_loose(place, f"'{self.dataset.name}/'")
        if tables_of_measurements:
            self._add_loose(
                Place(tables_of_measurements[0].path, tables_of_measurements), f"'{MEASUREMENTS_FOLDER}/'"
            )

    def _add_loose(self, place: Place, where: str) -> None:
        """Tables whose place names no plate are those of the dataset's own images, or of its only plate."""
        prefix = next((n for n in self.stores if n != self.dataset.name and _begins_with(place, n)), None)
        alone = [*self.stores] if len(self.stores) == 1 and where == f"'{MEASUREMENTS_FOLDER}/'" else []
        known = self.stores.keys() | self.places.keys() | self.lists.by_plate.keys()
        if prefix or self.dataset.name in self.stores or alone or not known:
            self._add_place(prefix or (alone or [self.dataset.name])[0], place)
        elif len(place.entries) > 1 or where != f"'{self.dataset.name}/'":
            self._note(build_loose_finding(self.tree, place, where, sorted(known)))

    def _add_place(self, name: str, place: Place) -> None:
        self.places.setdefault(name, []).append(place)

    def _add_plate(
        self,
        name: str,
        stores: Sequence[Entry],
        findings: Iterable[Finding] = (),
        *,
        shares_image_list: bool = False,
    ) -> None:
        key = build_plate_key(self.dataset.name, name)
        measured, own = choose_place(self.tree, key, self.places.get(name, ()))
        findings_of_plate = (
            *findings,
            *own,
            *note_unused_lists(self.tree, key, stores, self.lists.by_plate.get(name, ())),
        )
        for finding in findings_of_plate:
            self._note(finding)
        plate = FoundPlate(
            key,
            name,
            self.dataset,
            tuple(stores),
            measured,
            self.shared,
            self.tree,
            findings_of_plate,
            shares_image_list,
        )
        self.found.plates.append(plate)

    def _add_imageless_plates(self) -> None:
        """Plates of which only measurements or a LoadData table are here."""
        idle = [name for name in self.stores if not self.places.get(name)]
        measured = [n for n in self.places if n not in self.stores and self._is_measured(n)]
        unlisted = [name for name in measured if name not in self.lists.by_plate]
        for name in sorted({*measured, *self.lists.by_plate} - self.stores.keys()):
            own = self.lists.by_plate.get(name, ())
            if own or self.lists.common:
                self._add_plate(
                    name, own or self.lists.common, shares_image_list=not own and len(unlisted) > 1
                )
            else:
                self._add_plate(name, (), note_images_elsewhere(self.tree, name, self.places[name][0], idle))
        if self.lists.common and not (unlisted or self.stores or self.lists.by_plate):
            self._add_plate(self.dataset.name, self.lists.common)

    def _say_what_is_left(self) -> None:
        """Of a dataset with plates; files beside images that lie in the dataset's own folder are the instrument's."""
        if not self.found.plates:
            return
        is_plate = self.dataset.name in self.stores
        files = [child for child in self.entries.children if not child.is_folder]
        files = [child for child in files if is_misplaced_settings(child.name)] if is_plate else files
        # LoadData tables of a workspace were looked for, and are found or said elsewhere.
        folders = [folder for folder in self.unclaimed if folder.name.lower() != WORKSPACE_FOLDER]
        self.found.findings += note_unclaimed(self.tree, self.dataset, [*folders, *files])

    def _is_measured(self, name: str) -> bool:
        """Whether a plate without images has a measurement table anywhere; a folder may still be empty."""
        entries = [entry for place in self.places[name] for entry in place.entries]
        if any(holds_measurements(self.tree, entry, self.kinds) for entry in entries):
            return True
        self.found.is_settled = False
        for entry in entries:
            self._note(note_not_measured(self.tree, entry))
        return False

    def _note(self, finding: Finding) -> None:
        self.found.findings.append(finding)


def _begins_with(place: Place, name: str) -> bool:
    return place.entries[0].name.startswith(f"{name}_")
