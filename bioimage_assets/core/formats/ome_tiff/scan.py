"""Scan a single TIFF, an OME-TIFF set or a companion file as one store.

Source of truth: OME-TIFF specification; the id rules of ``core.model.identity``.
"""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.errors import KeyMissingError, StoreNotFoundError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.image_ids import path_below
from bioimage_assets.core.formats.ome_tiff.file_scan import scan_companion, scan_file
from bioimage_assets.core.formats.ome_tiff.image_draft import (
    FORMAT_FAMILY,
    ImageDraft,
    RecordIdentity,
    build_record,
    with_uri,
)
from bioimage_assets.core.formats.ome_tiff.images_not_held import fold_not_held
from bioimage_assets.core.formats.ome_tiff.locations import build_file_uri, split_location
from bioimage_assets.core.formats.ome_tiff.tiff_file import read_md5
from bioimage_assets.core.formats.plate_folders.lone_file import place_lone_file
from bioimage_assets.core.model.file_kinds import COMPANION_SUFFIX, has_suffix
from bioimage_assets.core.model.identity import build_plate_key, store_stem
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.stores.base import Store
from bioimage_assets.core.stores.open import absolute_uri, open_store


def scan_tiff(uri: str, options: ScanOptions | None = None) -> StoreScan:
    """Scan one TIFF or ``.companion.ome`` file; the other files of its OME set are read, others are not.

    One row per OME Image with planes in the file; an image spread over several files is one row whose
    ``uri`` is the folder. Pixel data are not read, unless ``options.file_md5`` asks for the digest.

    Raises
    ------
    StoreNotFoundError, UnsupportedStoreError, CorruptStoreError, StoreAccessError
        The file cannot give a single row.
    StoreChangedError
        The file changed while it was read.
    """
    options = options or ScanOptions()
    location = absolute_uri(uri)
    folder_uri, name = split_location(location)
    store = open_store(
        folder_uri, storage_options=options.storage_options, follow_symlinks=options.follow_symlinks
    )
    try:
        is_companion = has_suffix(name, COMPANION_SUFFIX)
        try:
            found = scan_companion(store, name, {}) if is_companion else scan_file(store, name, {})
        except KeyMissingError as error:
            raise StoreNotFoundError(str(error)) from error
        if options.file_md5:
            add_md5(store, found.drafts)
    finally:
        store.close()
    found.findings.extend(place_lone_file(found, store_stem(folder_uri), options.file_pattern))
    identity = read_identity(location, options)
    images = build_records(found.drafts, identity, folder_uri, options)
    return StoreScan(
        uri=location, dataset_id=identity.dataset_id, plate_key=identity.plate_key, format_family=FORMAT_FAMILY,
        images=images, findings=with_uri(dict.fromkeys([*fold_not_held(found.findings), *_draft_findings(found.drafts)]), location),
        fingerprint=found.fingerprint, plates=found.plates,
    )  # fmt: skip


def read_identity(uri: str, options: ScanOptions) -> RecordIdentity:
    """Dataset and partition of a scan: as asked for, else both from the name of what is scanned."""
    stem = store_stem(uri)
    dataset_id = options.dataset_id or stem
    return RecordIdentity(dataset_id, options.plate_key or build_plate_key(dataset_id, stem))


def build_records(
    drafts: Sequence[ImageDraft],
    identity: RecordIdentity,
    folder_uri: str,
    options: ScanOptions,
) -> tuple[ImageRecord, ...]:
    """Give drafts their ids and locations: the file's own URI, or the folder for a set of files."""
    records: list[ImageRecord] = []
    for draft in drafts:
        uri = folder_uri if draft.files else build_file_uri(folder_uri, draft.key)
        records.append(build_record(draft, identity, build_draft_id(draft, folder_uri, options), uri))
    return tuple(records)


def build_draft_id(draft: ImageDraft, folder_uri: str, options: ScanOptions) -> str:
    """Image id: by plate position where it is complete, else by path below the dataset root."""
    position = draft.position
    if position is not None and position.site_id is not None and not draft.is_one_channel:
        return position.image_id
    path = path_below(f"{folder_uri.rstrip('/')}/{draft.key}", options.dataset_root_uri or folder_uri)
    return path if draft.series is None else f"{path}:series/{draft.series}"


def add_md5(store: Store, drafts: Sequence[ImageDraft]) -> None:
    """Read every file of every image once; digests of a set are joined by commas in the order of its files."""
    known: dict[str, str] = {}
    for draft in drafts:
        keys = [record.path for record in draft.files if record.role == "image"] or [draft.key]
        for key in keys:
            if key not in known:
                known[key] = read_md5(store, key)
        draft.file_md5 = ",".join(known[key] for key in keys)


def _draft_findings(drafts: Sequence[ImageDraft]) -> list[Finding]:
    return [finding for draft in drafts for finding in draft.findings]
