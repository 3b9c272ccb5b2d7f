"""Plates of a source of the Cell Painting Gallery as partitions: images, LoadData tables, measurements, platemaps and batch of each.

A plate is called as in ``workspace``. Images that are here are scanned; where they are not, the LoadData table stands for them. Measurements
are those of ``backend`` (Parquet before SQLite), else CellProfiler's tables in ``analysis``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bioimage_assets.core.discovery.found_plate import FoundPlate
from bioimage_assets.core.discovery.gallery_layout import GalleryEntries, PlateFolder, read_gallery
from bioimage_assets.core.discovery.gallery_names import find_folder_in_list, name_of_folder, plate_of_folder
from bioimage_assets.core.discovery.image_lists import choose_lists, is_image_list
from bioimage_assets.core.findings import Finding, Severity
from bioimage_assets.core.model.file_kinds import PARQUET_SUFFIXES, SQLITE_SUFFIXES, has_suffix
from bioimage_assets.core.model.gallery import GalleryPlate
from bioimage_assets.core.model.identity import build_plate_key
from bioimage_assets.core.stores.tree import Entry, Tree

_MAX_NAMES = 5


def find_gallery_plates(tree: Tree, dataset: Entry) -> tuple[list[FoundPlate], list[Finding]]:
    """Plates of one source, sorted by key, and what is odd about them."""
    builder = _Builder(tree, read_gallery(tree, dataset))
    plates = builder.build()
    names = frozenset(plate.plate_name for plate in plates)
    return [replace(plate, plates_of_dataset=names) for plate in plates], builder.findings


class _Builder:
    """What is known of each plate of a source while its entries are sorted, by batch and plate."""

    def __init__(self, tree: Tree, entries: GalleryEntries) -> None:
        self.tree, self.entries = tree, entries
        self.folders: dict[PlateFolder, list[Entry]] = {}
        self.own: dict[PlateFolder, list[Finding]] = {}
        self.findings: list[Finding] = []

    def build(self) -> list[FoundPlate]:
        for entry in self.entries.batches_without_images:
            text = "A batch without a folder 'images' in it: no plate is found there."
            self._say(None, "gallery-batch-not-understood", "warning", entry, text)
        for batch, folders in self.entries.image_folders.items():
            self._sort_folders(batch, folders)
        by_name: dict[str, list[PlateFolder]] = {}
        for place in sorted({*self.folders, *self.entries.plates}):
            by_name.setdefault(place[1], []).append(place)
        plates = [
            plate
            for name, places in by_name.items()
            for number, place in enumerate(places)
            if (plate := self._build_plate(name, place, places[:number]))
        ]
        return sorted(plates, key=lambda plate: plate.plate_key)

    def _sort_folders(self, batch: str, folders: Sequence[Entry]) -> None:
        """Each folder of images to its plate; folders that fit no plate by name are asked of the LoadData tables."""
        known = {plate for of, plate in self.entries.plates if of == batch}
        left: dict[str, Entry] = {}
        for folder in folders:
            plate = plate_of_folder(folder.name, known)
            if plate is None:
                left[folder.name] = folder
            else:
                self.folders.setdefault((batch, plate), []).append(folder)
        for plate in sorted(known if left else ()):
            place = (batch, plate)
            if place in self.folders or place not in self.entries.image_lists:
                continue
            named = find_folder_in_list(self.tree, self.entries.image_lists[place]) or ""
            if named in left:
                folder = left.pop(named)
                self.folders[place] = [folder]
                text = f"The images of plate {plate!r} lie in the folder {folder.name!r}, as its LoadData table says; neither name begins with the other."
                self._say(place, "gallery-plate-name-differs", "warning", folder, text)
        self._add_unknown(batch, left.values(), is_partial=bool(known))

    def _add_unknown(self, batch: str, folders: Iterable[Entry], *, is_partial: bool) -> None:
        unknown = list(folders)
        for folder in unknown:
            self.folders.setdefault((batch, name_of_folder(folder.name)), []).append(folder)
        if unknown and is_partial:
            names = ", ".join(folder.name for folder in unknown[:_MAX_NAMES])
            text = (
                f"{len(unknown)} folder(s) of images of batch {batch!r} belong to no plate of 'workspace': {names}. Each is a plate of images alone; "
                "where it is one of the batch's plates, give both the same name."
            )
            self._say(None, "gallery-folder-without-plate", "warning", unknown[0], text)

    def _build_plate(self, name: str, place: PlateFolder, before: Sequence[PlateFolder]) -> FoundPlate | None:
        """One plate; a name that batches ``before`` have, too, goes on with the batch: the first keeps what it was called."""
        entries = self.entries
        lists = [entry for entry in entries.image_lists.get(place, ()) if is_image_list(entry)]
        folders = self._choose_folders(place, lists)
        stores = tuple(folders) or choose_lists(lists)
        measurements = self._choose_measurements(place)
        if not (stores or measurements):
            return None
        if before:
            name = f"{name}.{place[0]}"
            batches = ", ".join(batch for batch, _ in before)
            text = f"A plate {place[1]!r} is in batch {batches}, too; that of batch {place[0]} is called {name!r}."
            self._say(place, "gallery-plate-in-several-batches", "info", (stores or measurements)[0], text)
        return FoundPlate(
            build_plate_key(entries.dataset.name, name), name, entries.dataset, stores, measurements,
            self._shared(place[0]), self.tree, tuple(self.own.get(place, ())),
            gallery=GalleryPlate(
                place[1], place[0], entries.source, self._below(entries.platemaps.get(place[0])),
                self._below(next(iter(entries.external_metadata), None)),
                tuple(self.tree.uri(entry.path) for entry in choose_lists(lists)),
            ),
            image_lists=choose_lists(lists),
        )  # fmt: skip

    def _choose_folders(self, place: PlateFolder, lists: Sequence[Entry]) -> list[Entry]:
        """The folder of a plate's images. A plate that was imaged twice has two: the LoadData table says which counts, else the last."""
        folders = sorted(self.folders.get(place, ()), key=lambda entry: entry.name)
        if len(folders) < 2:
            return folders
        named = find_folder_in_list(self.tree, lists)
        used = next((folder for folder in folders if folder.name == named), folders[-1])
        others = ", ".join(folder.name for folder in folders if folder is not used)
        reason = "as its LoadData table says" if used.name == named else "the last by name"
        text = f"Plate {place[1]!r} has {len(folders)} folders of images. {used.name!r} is used, {reason}; not read: {others}."
        self._say(place, "gallery-several-folders", "warning", used, text)
        return [used]

    def _choose_measurements(self, place: PlateFolder) -> tuple[Entry, ...]:
        files = self.entries.backends.get(place, [])
        for suffixes in (PARQUET_SUFFIXES, SQLITE_SUFFIXES):
            found = [entry for entry in files if has_suffix(entry.name, suffixes)]
            named = [entry for entry in found if entry.name.rpartition(".")[0] == place[1]]
            if found:
                return tuple(named[:1] or found)
        analysis = self.entries.analyses.get(place)
        if files and analysis is None:
            text = f"There are no cells of plate {place[1]!r}: {files[0].name!r} holds wells. Expected: {place[1]}.sqlite or .parquet."
            self._say(place, "gallery-no-cells", "warning", files[0], text)
        return () if analysis is None else (analysis,)

    def _below(self, folder: Entry | None) -> str:
        """Path of a folder below the source; empty where there is none."""
        root = self.entries.dataset.path
        return "" if folder is None else folder.path[len(root) + 1 if root else 0 :]

    def _shared(self, batch: str) -> tuple[Entry, ...]:
        platemaps = self.entries.platemaps.get(batch)
        return (
            *self.entries.settings,
            *([] if platemaps is None else [platemaps]),
            *self.entries.external_metadata,
        )

    def _say(self, place: PlateFolder | None, code: str, severity: Severity, entry: Entry, text: str) -> None:
        finding = Finding(code, severity, ascii(entry.path)[1:-1], text, self.tree.uri(entry.path))
        self.findings.append(finding)
        if place is not None:
            self.own.setdefault(place, []).append(finding)
