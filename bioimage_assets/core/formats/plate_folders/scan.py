"""Scan a folder of one plate's TIFFs, one row per field of view.

Read: one listing, the sidecars, and the headers that ``headers`` decides; the folder is listed again at the end, so
that a plate that is still being copied is not published.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from bioimage_assets.core.errors import StoreChangedError, UnsupportedStoreError
from bioimage_assets.core.formats.acquisition_checks import find_fields_apart
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_tiff.head_store import HeadStore
from bioimage_assets.core.formats.ome_tiff.image_draft import FORMAT_FAMILY, ImageDraft
from bioimage_assets.core.formats.ome_tiff.scan import add_md5, build_records, read_identity
from bioimage_assets.core.formats.plate_folders.counted_planes import settle_names
from bioimage_assets.core.formats.plate_folders.field_acquisition import add_sidecar_facts
from bioimage_assets.core.formats.plate_folders.fields import choose_plane_files
from bioimage_assets.core.formats.plate_folders.file_pages import split_page
from bioimage_assets.core.formats.plate_folders.folder_findings import (
    drop_duplicates,
    explain_no_image,
    note_folder,
)
from bioimage_assets.core.formats.plate_folders.grouped import GroupedFiles, compose_fields
from bioimage_assets.core.formats.plate_folders.headers import HeaderPool
from bioimage_assets.core.formats.plate_folders.listing import FolderListing, digest_listing
from bioimage_assets.core.formats.plate_folders.load_data import LAYOUT, is_load_data
from bioimage_assets.core.formats.plate_folders.load_data_listed import (
    choose_images,
    is_file_below_dataset,
    scan_listed,
)
from bioimage_assets.core.formats.plate_folders.load_data_source import (
    list_again,
    open_load_data,
    read_table,
)
from bioimage_assets.core.formats.plate_folders.masks import mark_masks
from bioimage_assets.core.formats.plate_folders.names import NamedFiles, read_names
from bioimage_assets.core.formats.plate_folders.numbered_wells import place_numbered_wells
from bioimage_assets.core.formats.plate_folders.ome_documents import take_ome_documents
from bioimage_assets.core.formats.plate_folders.pattern_places import follow_pattern
from bioimage_assets.core.formats.plate_folders.patterns import NameParts
from bioimage_assets.core.formats.plate_folders.png_plate import list_plate
from bioimage_assets.core.formats.plate_folders.series import place_whole_fields
from bioimage_assets.core.formats.plate_folders.sidecar_facts import SidecarFacts
from bioimage_assets.core.formats.plate_folders.sidecars import read_sidecars
from bioimage_assets.core.formats.plate_folders.stage_names import place_by_labels
from bioimage_assets.core.formats.plate_folders.whole_field_files import (
    SingleFields,
    declare_seen,
    merge_plates,
    rename_plate,
    scan_single_files,
)
from bioimage_assets.core.model.fingerprint import combine_fingerprints, digest_documents
from bioimage_assets.core.model.identity import store_stem
from bioimage_assets.core.model.scan import DeclaredPlate, ScanOptions, StoreScan
from bioimage_assets.core.stores.links import find_left_out
from bioimage_assets.core.stores.open import absolute_uri, open_store


@dataclass(frozen=True, slots=True)
class FolderFields:
    """Drafts of all fields of a folder, grouped ones first, and what the files read one by one declare."""

    drafts: list[ImageDraft]
    singles: SingleFields


@dataclass(frozen=True, slots=True)
class FolderInputs:
    """Files of one plate with what is known of them before any is opened; keys are relative to ``location``.

    ``source_uri`` names the dataset and plate: the folder itself, or a LoadData table without its suffix.
    """

    location: str
    source_uri: str
    store: HeadStore
    listing: FolderListing
    sidecars: SidecarFacts
    named: NamedFiles
    list_again: Callable[[], FolderListing]


def scan_plate_folder(uri: str, options: ScanOptions | None = None) -> StoreScan:
    """Scan a folder of TIFFs: one-channel files are grouped to fields, multi-channel files are fields themselves.

    Positions come from ``options.file_pattern``, a ``load_data*.csv``, OME-XML plates or the built-in file-name
    layouts, in this order. Thumbnails and stitched wells are not images. Rows of grouped fields have the folder
    as ``uri``. With ``options.recursive`` False only files directly in the folder are seen.

    The URI of a LoadData CSV stands for the files it names by path or URL; its stem is the plate where it has no
    ``Metadata_Plate``, and the folder above all of the files is the ``uri``. With ``options.image_list`` files that
    lie elsewhere than in the dataset are rows that were not opened.

    Raises
    ------
    StoreNotFoundError, UnsupportedStoreError
        Nothing is there, or no TIFF is below the folder.
    StoreChangedError
        The folder changed while it was scanned.
    """
    options = options or ScanOptions()
    location = absolute_uri(uri)
    log = FindingLog(location)
    if is_load_data(location):
        table = read_table(location, options, log)
        if options.image_list is not None:
            table = choose_images(table, options.image_list, log)
            if not any(
                is_file_below_dataset(table.full_uri(image), options.image_list) for image in table.images
            ):
                return scan_listed(table, location, options, log)
        source = open_load_data(table, options, log)
        name = location.removesuffix(".gz").rpartition(".")[0]
        own = options.image_list
        facts = SidecarFacts(LAYOUT, store_stem(name) if own is None else own.plate_name)
        inputs = FolderInputs(
            source.root_uri, name, source.store, source.listing, facts, source.named, lambda: list_again(source)
        )  # fmt: skip
    else:
        inputs = _open_folder(location, options, log)
    try:
        return _scan(inputs, options, log)
    finally:
        inputs.store.close()


def _open_folder(location: str, options: ScanOptions, log: FindingLog) -> FolderInputs:
    store = HeadStore(
        open_store(location, storage_options=options.storage_options, follow_symlinks=options.follow_symlinks)
    )
    with ExitStack() as stack:
        stack.callback(store.close)
        listing = list_plate(store, recursive=options.recursive, file_pattern=options.file_pattern)
        if not listing.images and not listing.companions:
            raise UnsupportedStoreError(explain_no_image(location, listing))
        sidecars = read_sidecars(store, listing, log)
        take_ome_documents(store, listing, sidecars, log)
        if options.file_pattern is None:
            place_numbered_wells(listing, sidecars, log)
        named = read_names(store, listing, options.file_pattern, sidecars, log)
        settle_names(named, sidecars, log)
        sidecars.channel_names |= dict(options.channel_names)
        stack.pop_all()  # the scan closes it
    return FolderInputs(
        location,
        location,
        store,
        listing,
        sidecars,
        named,
        lambda: list_plate(store, recursive=options.recursive, file_pattern=options.file_pattern),
    )


def _scan(inputs: FolderInputs, options: ScanOptions, log: FindingLog) -> StoreScan:
    location, listing, named, sidecars = inputs.location, inputs.listing, inputs.named, inputs.sidecars
    found = _read_fields(inputs, log)
    if options.plate_name is not None:
        found.singles.plates = rename_plate(found.drafts, found.singles.plates, options.plate_name)
    if options.file_md5:
        add_md5(inputs.store, found.drafts)
    listed = digest_listing(listing)
    if digest_listing(inputs.list_again()) != listed:
        text = "files were added, removed or changed during the scan. Scan again when it is complete."
        raise StoreChangedError(f"{location}: {text}")
    is_below_dataset = options.dataset_root_uri is not None and location != absolute_uri(
        options.dataset_root_uri
    )
    note_folder(listing, named, found.drafts, log, is_below_dataset=is_below_dataset)
    identity = read_identity(inputs.source_uri, options)
    kept = drop_duplicates(build_records(found.drafts, identity, location, options), log)
    images = mark_masks(kept, location, log)
    overlap = sidecars.acquisition.overlap_pixels
    for finding in () if overlap is None else find_fields_apart(images, overlap):
        log.note(finding.code, finding.severity, finding.location, finding.message)
    documents = [digest_documents(group) for group in (sidecars.documents, named.documents) if group]
    return StoreScan(
        uri=location, dataset_id=identity.dataset_id, plate_key=identity.plate_key, format_family=images[0].format_family if images else FORMAT_FAMILY,
        images=images, findings=(*log.findings(), *find_left_out(inputs.store, location)),
        fingerprint=combine_fingerprints([listed, *documents, *found.singles.fingerprints]),
        plates=_declare_plates(found, named, sidecars),
    )  # fmt: skip


def _folder_plate_name(location: str, layout: str) -> str:
    """Name of the plate folder; Harmony and scanR keep their images one level below it."""
    stem = store_stem(location)
    is_below = stem.lower() == "images" or (layout == "scanr" and stem.lower() == "data")
    return store_stem(location.rpartition("/")[0]) if is_below else stem


def _read_fields(inputs: FolderInputs, log: FindingLog) -> FolderFields:
    store, listing, named, sidecars = inputs.store, inputs.listing, inputs.named, inputs.sidecars
    plate_name = sidecars.plate_id or _folder_plate_name(inputs.location, named.layout)
    pool = HeaderPool(store, listing.sizes())
    grouped = choose_plane_files(named.parts)
    if grouped and _is_ome_set(grouped, pool):
        grouped = {}
    rest = sorted(key for key in {*named.unnamed, *named.parts} if key not in grouped)
    companions = sorted([*(item.key for item in listing.companions), *sidecars.companions])
    by_name = {} if named.is_by_pattern else named.parts
    singles = scan_single_files(store, rest, companions, listing.sizes(), by_name, plate_name, log)
    if named.is_by_pattern:
        singles.drafts, is_declared = follow_pattern(singles.drafts, named.parts, plate_name, log)
        singles.plates = singles.plates if is_declared else []
    else:
        place_by_labels(singles.drafts, plate_name, log)
        place_whole_fields(named.series, singles.drafts, plate_name)
    for draft in singles.drafts:
        add_sidecar_facts(draft, sidecars)
    free = {name: parts for name, parts in grouped.items() if split_page(name)[0] not in singles.claimed}
    files = GroupedFiles(free, named.layout, listing, sidecars, plate_name)
    return FolderFields(compose_fields(files, pool, log) + singles.drafts, singles)


def _is_ome_set(grouped: dict[str, NameParts], pool: HeaderPool) -> bool:
    """Tell whether the files are parts of OME-TIFF sets, whose XML then says what belongs together."""
    name, parts = next(iter(grouped.items()))
    draft = pool.read_first_image(split_page(name)[0], parts.layout, parts.channel)
    return isinstance(draft, ImageDraft) and draft.variant == "ome-tiff-set"


def _declare_plates(
    found: FolderFields, named: NamedFiles, sidecars: SidecarFacts
) -> tuple[DeclaredPlate, ...]:
    """The plate as the instrument or the OME-XML declares it, else as far as the files themselves tell."""
    seen = declare_seen(found.drafts, "ome-xml" if not named.parts else "file-names")
    channels = next((draft.channel_names for draft in found.drafts if draft.channel_names), ())
    names = tuple(name for name in channels if name is not None)
    plates = {plate.plate_id: plate for plate in seen} | merge_plates(found.singles.plates)
    if sidecars.wells and len(plates) == 1:
        plate = next(iter(plates.values()))
        return (DeclaredPlate(plate.plate_id, sidecars.wells, plate.acquisitions, names, sidecars.source),)
    return tuple(
        DeclaredPlate(
            plate.plate_id, plate.wells, plate.acquisitions, plate.channel_names or names, plate.source
        )
        for plate in plates.values()
    )
