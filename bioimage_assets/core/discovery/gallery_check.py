"""Names of a gallery in, what each plate has and lacks out: images against LoadData tables, wells against platemaps, plates against barcodes.

Requests: none for names that are known already; one for each LoadData table, list of barcodes and platemap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bioimage_assets.core.discovery.found_plate import FoundPlate
from bioimage_assets.core.discovery.gallery_barcodes import GalleryPlatemaps
from bioimage_assets.core.discovery.gallery_completeness import ListedPlate, compare_images
from bioimage_assets.core.discovery.gallery_scan import read_lists
from bioimage_assets.core.discovery.layout import read_layout
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.gallery import GalleryPlate
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.stores.key_tree import KeyTree
from bioimage_assets.core.stores.tree import Entry


@dataclass(frozen=True, slots=True)
class CheckedPlate:
    """One plate. Counts are of images: in its folder (None: it is not here), named by its LoadData table (None: there is none), absent.

    ``measurements`` and ``platemap`` are what was found of them, empty where nothing is.
    """

    plate_key: str
    source: str
    batch: str
    plate: str
    image_folder: str
    image_count: int | None
    named_count: int | None
    absent_count: int
    measurements: tuple[str, ...]
    platemap: str
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True)
class GalleryCheck:
    """All plates of a gallery, and what is odd about none of them alone."""

    plates: list[CheckedPlate] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def all_findings(self) -> list[Finding]:
        """Those of plates too, each once."""
        return list(
            dict.fromkeys([*self.findings, *(one for plate in self.plates for one in plate.findings)])
        )


def check_gallery(tree: KeyTree, storage_options: Mapping[str, object] | None = None) -> GalleryCheck:
    """Check every plate of all sources below a root.

    Raises
    ------
    StoreError
        A file of a bucket cannot be asked for.
    """
    layout = read_layout(tree)
    options = ScanOptions(storage_options=dict(storage_options or {}))
    maps = GalleryPlatemaps(tree, options.storage_options)
    found = [plate for plate in layout.plates if plate.gallery is not None]
    # A root may hold other datasets, too: what is odd about them is said elsewhere.
    said = [one for one in layout.findings if one.code.startswith("gallery-") or one.severity == "error"]
    check = GalleryCheck([_check_plate(tree, plate, maps, options) for plate in found], said)
    check.findings += _find_unknown_plates(found, maps)
    return check


def _check_plate(
    tree: KeyTree, plate: FoundPlate, maps: GalleryPlatemaps, options: ScanOptions
) -> CheckedPlate:
    gallery = plate.gallery
    assert gallery is not None, "only plates of a gallery are checked"
    folder = next((entry for entry in plate.stores if entry.is_folder), None)
    files = (
        set() if folder is None else {entry.path[len(folder.path) + 1 :] for entry in tree.walk(folder.path)}
    )
    lists = read_lists(gallery.image_list_uris, options)
    platemap, wells, own = maps.read(plate, gallery)
    compared = None
    if gallery.image_list_uris and (lists.images or not lists.findings):
        listed = ListedPlate(gallery.plate, gallery.image_list_uris[0], lists.images, wells)
        compared = compare_images(listed, None if folder is None else folder.name, files)
    return CheckedPlate(
        plate.plate_key, gallery.source, gallery.batch, gallery.plate, "" if folder is None else folder.path,
        None if folder is None else len(files), None if compared is None else compared.named_count,
        0 if compared is None else compared.absent_count, tuple(_paths(plate.measurements)), platemap,
        (*plate.findings, *_note_lacking(plate, gallery), *lists.findings, *own, *(compared.findings if compared else ())),
    )  # fmt: skip


def _paths(entries: Iterable[Entry]) -> list[str]:
    return [entry.path for entry in entries]


def _note_lacking(plate: FoundPlate, gallery: GalleryPlate) -> Iterable[Finding]:
    """Parts of a plate that are not here: a copy of a part of the gallery has few of them, so none is an error."""
    here = plate.tree.uri(plate.dataset.path)
    if not any(entry.is_folder for entry in plate.stores):
        text = f"The images of plate {gallery.plate!r} are not here; the LoadData table stands for them."
        yield Finding("gallery-images-elsewhere", "info", gallery.plate, text, here)
    if not gallery.image_list_uris:
        text = f"Plate {gallery.plate!r} has no LoadData table: which images should be there is not known."
        yield Finding("gallery-no-load-data", "warning", gallery.plate, text, here)
    if not plate.measurements:
        text = f"Plate {gallery.plate!r} has neither a backend nor tables of CellProfiler in analysis."
        yield Finding("gallery-no-measurements", "info", gallery.plate, text, here)


def _find_unknown_plates(plates: Iterable[FoundPlate], maps: GalleryPlatemaps) -> Iterable[Finding]:
    """Plates that a list of barcodes has and nobody else."""
    known = {
        (plate.dataset.path, plate.gallery.batch, plate.gallery.plate) for plate in plates if plate.gallery
    }
    for (dataset, batch), listed in maps.lists.items():
        absent = [name for name in listed.maps if (dataset, batch, name) not in known]
        if absent:
            shown = ", ".join(absent[:8]) + (f" and {len(absent) - 8} more" if len(absent) > 8 else "")
            text = f"{len(absent)} plates of {listed.uri} have neither images nor a LoadData table nor measurements: {shown}."
            yield Finding("gallery-plate-absent", "warning", batch, text, listed.uri)
