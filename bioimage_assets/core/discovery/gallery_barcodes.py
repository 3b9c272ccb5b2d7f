"""Platemaps of a gallery: which one a plate has by ``barcode_platemap.csv``, and which wells it describes.

Source of truth: https://broadinstitute.github.io/cellpainting-gallery/data_structure.html ("metadata folder structure").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bioimage_assets.core.discovery.found_plate import FoundPlate
from bioimage_assets.core.errors import ProfilingError, StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.file_kinds import PLATEMAP_SUFFIXES, has_suffix, without_suffix
from bioimage_assets.core.model.gallery import GalleryPlate
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.open import open_store
from bioimage_assets.core.stores.tree import Tree
from bioimage_assets.core.text_files.text_table import TextTable, read_text_table

_BARCODES, _MAPS = "barcode_platemap.csv", "platemap"
_PLATE, _MAP, _WELL = "assay_plate_barcode", "plate_map_name", "well_position"


@dataclass(frozen=True, slots=True)
class BarcodeList:
    """Platemap of each plate of a batch; ``uri`` is the list."""

    uri: str
    maps: Mapping[str, str]


@dataclass(slots=True)
class GalleryPlatemaps:
    """Lists of barcodes and wells of platemaps, each read once. ``lists`` are those that were read, by source and batch."""

    tree: Tree
    storage_options: Mapping[str, object]
    lists: dict[tuple[str, str], BarcodeList] = field(default_factory=dict)
    _wells: dict[str, frozenset[str]] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)

    def read(
        self, plate: FoundPlate, gallery: GalleryPlate
    ) -> tuple[str, frozenset[str], tuple[Finding, ...]]:
        """Path of a plate's platemap, its wells, and what is odd; nothing where the batch has no platemaps."""
        if not gallery.platemap_dir:
            text = f"Batch {gallery.batch!r} has no folder of platemaps: no well of plate {gallery.plate!r} has a treatment."
            uri = plate.tree.uri(plate.dataset.path)
            return "", frozenset(), (Finding("gallery-no-platemap", "warning", gallery.batch, text, uri),)
        folder = join_path(plate.dataset.path, gallery.platemap_dir)
        try:
            listed = self._read_list((plate.dataset.path, gallery.batch), folder)
            name = listed.maps.get(gallery.plate)
            if name is None:
                text = f"Plate {gallery.plate!r} is not listed in {listed.uri}; its wells have no treatments."
                return (
                    "",
                    frozenset(),
                    (Finding("plate-not-in-barcodes", "warning", gallery.plate, text, listed.uri),),
                )
            path = self._find_map(folder, name)
            if path is None:
                text = f"{listed.uri} names the platemap {name!r} for plate {gallery.plate!r}, and there is no such file in {_MAPS}/."
                return (
                    "",
                    frozenset(),
                    (Finding("gallery-platemap-absent", "error", gallery.plate, text, listed.uri),),
                )
            return path, self._read_wells(path), ()
        except (ProfilingError, StoreError) as error:
            # Said once for all plates that need the same file.
            is_new = str(error) not in self._failed
            self._failed.add(str(error))
            found = Finding(
                "gallery-platemap-unreadable", "error", gallery.batch, str(error), self.tree.uri(folder)
            )
            return "", frozenset(), (found,) if is_new else ()

    def _read_list(self, place: tuple[str, str], folder: str) -> BarcodeList:
        known = self.lists.get(place)
        if known is None:
            table = self._read_table(f"{folder}/{_BARCODES}")
            plates, maps = (table.column(_find(table, name)) for name in (_PLATE, _MAP))
            named = {plate: name for plate, name in zip(plates, maps, strict=True) if plate and name}
            known = self.lists[place] = BarcodeList(table.uri, named)
        return known

    def _find_map(self, folder: str, name: str) -> str | None:
        for entry in self.tree.children(f"{folder}/{_MAPS}"):
            is_it = name in (entry.name, without_suffix(entry.name, PLATEMAP_SUFFIXES))
            if is_it and has_suffix(entry.name, PLATEMAP_SUFFIXES):
                return entry.path
        return None

    def _read_wells(self, path: str) -> frozenset[str]:
        known = self._wells.get(path)
        if known is None:
            table = self._read_table(path)
            wells = (normalize_well(value) for value in table.column(_find(table, _WELL)))
            known = self._wells[path] = frozenset(well for well in wells if well is not None)
        return known

    def _read_table(self, path: str) -> TextTable:
        folder, _, name = path.rpartition("/")
        store = open_store(self.tree.uri(folder), storage_options=self.storage_options)
        try:
            return read_text_table(store, name)
        finally:
            store.close()


def _find(table: TextTable, name: str) -> int:
    lowered = [column.lower() for column in table.names]
    if name not in lowered:
        raise ProfilingError(f"{table.uri} has no column {name!r}; found {list(table.names)}.")
    return lowered.index(name)
