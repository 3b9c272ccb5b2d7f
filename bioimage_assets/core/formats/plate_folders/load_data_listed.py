"""Rows of images that a LoadData table names outside of the plate's folder; they are not opened.

Source of truth: as ``load_data``. Place, channels and files are known; shape, type and stored bytes are not. No
request is made: the images of most published screens lie in an archive, and cells are linked by place or name.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from bioimage_assets.core.errors import UnsupportedStoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_tiff.image_draft import (
    FORMAT_FAMILY,
    ImageDraft,
    build_record,
)
from bioimage_assets.core.formats.ome_tiff.scan import build_draft_id, read_identity
from bioimage_assets.core.formats.plate_folders.fields import FieldGrid, FieldKey, PlaneFile, build_fields
from bioimage_assets.core.formats.plate_folders.load_data import LAYOUT, LoadDataImage
from bioimage_assets.core.formats.plate_folders.load_data_source import LoadDataTable, common_folder
from bioimage_assets.core.formats.plate_folders.patterns import NameParts
from bioimage_assets.core.formats.plate_folders.whole_field_files import declare_seen, rename_plate
from bioimage_assets.core.model.fingerprint import digest_documents
from bioimage_assets.core.model.image import LISTED, UNKNOWN_DTYPE, FileRecord, ImageRecord
from bioimage_assets.core.model.scan import ImageListOptions, ScanOptions, StoreScan
from bioimage_assets.core.stores.open import local_path

_MAX_NAMES = 5


def choose_images(table: LoadDataTable, wanted: ImageListOptions, log: FindingLog) -> LoadDataTable:
    """Keep the images of one plate where the table names several.

    Raises
    ------
    UnsupportedStoreError
        Several plates share the table, and it does not name this one.
    """
    plates = dict.fromkeys(image.parts.plate for image in table.images)
    if wanted.plate_name not in plates:
        if not wanted.is_shared:
            return table
        named = ", ".join(repr(name) for name in list(plates)[:_MAX_NAMES] if name is not None) or "none"
        raise UnsupportedStoreError(
            f"{table.folder_uri}/{table.name}: several plates use this table, and it has no row of plate "
            f"{wanted.plate_name!r} (Metadata_Plate: {named}). Rename the plate's measurements after its Metadata_Plate, or "
            f"give it a table of its own: 'load_data/{wanted.plate_name}.csv'."
        )
    if len(plates) > 1:
        text = f"{len(plates) - 1} other plates of the table are left out; each is a plate of its own once it has measurements."
        log.note("load-data-other-plates", "info", table.name, text)
    return replace(table, images=[i for i in table.images if i.parts.plate == wanted.plate_name])


def is_file_below_dataset(uri: str, options: ImageListOptions) -> bool:
    """Tell whether an image is a file below the dataset's folder; nothing outside of it is looked at."""
    root = None if "://" in uri else local_path(options.open_below_uri)
    path = os.path.normpath(uri)
    if root is None or not path.startswith(root.rstrip("/") + "/"):
        return False
    return Path(path).is_file() and Path(path).resolve().is_relative_to(Path(root).resolve())


def scan_listed(table: LoadDataTable, location: str, options: ScanOptions, log: FindingLog) -> StoreScan:
    """Rows of all fields that a table names, one per plate, well, site and acquisition.

    Raises
    ------
    UnsupportedStoreError
        The table names no image, or images that have no folder in common.
    """
    places = [table.full_uri(image) for image in table.images]
    root_uri = common_folder(places) if places else None
    if root_uri is None:
        what = "images on several servers or disks; one table per server" if places else "no image of a well"
        raise UnsupportedStoreError(f"{location}: the LoadData table names {what}.")
    names = _name_files(table.images, [place[len(root_uri) + 1 :] for place in places])
    grid = build_fields(names)
    for key, other in grid.duplicates:
        log.note("duplicate-plane", "error", _path(key), f"The same plane as {_path(other)!r}; left out.")
    identity = read_identity(location, options)
    plate_name = (
        options.image_list.plate_name if options.image_list else identity.plate_key.rpartition("/")[2]
    )
    drafts = _build_drafts(grid, plate_name)
    if options.plate_name is not None:
        rename_plate(drafts, (), options.plate_name)
    records = [
        build_record(draft, identity, build_draft_id(draft, root_uri, options), root_uri) for draft in drafts
    ]
    text = (
        f"{len(drafts)} images are rows as the LoadData table names them; they were not opened, so shape, type and chunks "
        f"are not known. They lie in {root_uri}."
    )
    log.note("images-listed", "info", table.name, text)
    channels = tuple(grid.channels)
    return StoreScan(
        uri=location, dataset_id=identity.dataset_id, plate_key=identity.plate_key, format_family=FORMAT_FAMILY,
        images=tuple(_without_pixels(record) for record in records), findings=log.findings(),
        fingerprint=digest_documents([(table.name, table.payload)]), plates=tuple(declare_seen(drafts, LAYOUT, channels)),
    )  # fmt: skip


def _name_files(images: list[LoadDataImage], keys: list[str]) -> dict[str, NameParts]:
    """Parts by file and plane: one file may hold several channels, z steps and time points."""
    return {
        f"{key}\0{image.channel}\0{image.parts.z}\0{image.parts.t}": image.parts
        for key, image in zip(keys, images, strict=True)
    }


def _path(key: str) -> str:
    return key.partition("\0")[0]


def _build_drafts(grid: FieldGrid, plate_name: str) -> list[ImageDraft]:
    runs: dict[str | None, set[str]] = defaultdict(set)
    for place in grid.fields:
        runs[place.plate].add(place.acquisition)
    return [
        _build_draft(grid, place, planes, plate_name, is_repeated=len(runs[place.plate]) > 1)
        for place, planes in grid.fields.items()
    ]


def _build_draft(
    grid: FieldGrid, place: FieldKey, planes: list[PlaneFile], plate_name: str, *, is_repeated: bool
) -> ImageDraft:
    has_z, has_t = len(grid.z_values) > 1, len(grid.t_values) > 1
    files = tuple(
        FileRecord(
            _path(plane.key), None if plane.c is None else grid.channels[plane.c], "image", plane.c,
            plane.z if has_z else None, plane.t if has_t else None,
        )
        for plane in planes
    )  # fmt: skip
    return ImageDraft(
        key=files[0].path, variant=LAYOUT, axes="", shape=(), dtype=UNKNOWN_DTYPE, byte_order=None, chunk_shape=None,
        codec="", levels=(), stored_bytes=0, fingerprint=digest_documents([(f.path, b"") for f in files]),
        channel_names=tuple(grid.channels), files=files,
        position=PlatePosition(
            place.plate or plate_name, place.well_id, place.site_id or None, place.acquisition or None, is_repeated
        ),
    )  # fmt: skip


def _without_pixels(record: ImageRecord) -> ImageRecord:
    """What only the file itself could tell is unknown."""
    return replace(record, axes=None, codec=None, stored_bytes=None, scan_status=LISTED)
