"""Scanned images of a plate in a gallery in, what its LoadData table names and lacks out; one request for the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from bioimage_assets.core.discovery.gallery_completeness import ListedPlate, compare_images
from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.plate_folders.load_data import LoadDataImage, is_load_data
from bioimage_assets.core.formats.plate_folders.load_data_source import read_table
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions


@dataclass(frozen=True, slots=True)
class ImageLists:
    """The LoadData tables of a plate: images that they name, and what could not be read of them."""

    images: tuple[LoadDataImage, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_lists(uris: Sequence[str], options: ScanOptions) -> ImageLists:
    """Read tables, one request each; one that cannot be read is a finding."""
    images: list[LoadDataImage] = []
    findings: list[Finding] = []
    for uri in uris:
        log = FindingLog(uri)
        try:
            images += read_table(uri, options, log).images
        except StoreError as error:
            findings.append(Finding("gallery-load-data-unreadable", "error", "", str(error), uri))
        findings += (replace(finding, store_uri=uri) for finding in log.findings())
    return ImageLists(tuple(images), tuple(findings))


def find_list_gaps(source: PlateSource, images: pa.Table, lists: ImageLists) -> tuple[Finding, ...]:
    """Compare the files of scanned images with the LoadData tables of their plate; nothing where there are none, or in no gallery."""
    if source.gallery is None or not source.gallery.image_list_uris:
        return ()
    if lists.findings and not lists.images:
        return lists.findings
    folder = next((store for store in source.store_uris if not is_load_data(store)), None)
    listed = ListedPlate(source.gallery.plate, source.gallery.image_list_uris[0], lists.images)
    files = set() if folder is None else set(_files_below(images, folder))
    name = None if folder is None else folder.rpartition("/")[2]
    return (*lists.findings, *compare_images(listed, name, files).findings)


def _files_below(images: pa.Table, folder: str) -> Iterator[str]:
    """Paths of all image files below a folder."""
    start = f"{folder.rstrip('/')}/"
    for batch in images.select(["uri", "files"]).to_batches(max_chunksize=512):
        for row in batch.to_pylist():
            own = [file["path"] for file in row["files"] or () if file["role"] == "image"]
            places = [f"{row['uri'].rstrip('/')}/{path}" for path in own] or [row["uri"]]
            yield from (place.removeprefix(start) for place in places)
