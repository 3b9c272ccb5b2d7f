"""Scan one TIFF or companion file into drafts of its images, whoever wrote it.

Source of truth: OME-TIFF specification (https://ome-model.readthedocs.io/en/stable/ome-tiff/specification.html).
"""

from __future__ import annotations

from collections.abc import Mapping

from bioimage_assets.core.errors import CorruptStoreError, StoreChangedError, StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.descriptions import is_ndtiff
from bioimage_assets.core.formats.ome_tiff.filesets import FileSet, is_tiff_name
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft, build_image_draft
from bioimage_assets.core.formats.ome_tiff.ndtiff_scan import scan_ndtiff
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument
from bioimage_assets.core.formats.ome_tiff.ome_scan import FileScan, OmeContext, scan_document
from bioimage_assets.core.formats.ome_tiff.ome_xml import parse_ome_xml
from bioimage_assets.core.formats.ome_tiff.other_tiffs import note_unclaimed_bytes, read_other_image
from bioimage_assets.core.formats.ome_tiff.plane_facts import PlaneFacts
from bioimage_assets.core.formats.ome_tiff.tiff_file import LastPages, TiffFile, describe_kind, open_tiff
from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.model.fingerprint import digest_documents
from bioimage_assets.core.stores.base import MAX_XML_BYTES, Store


def scan_file(
    store: Store, key: str, listed: Mapping[str, int], *, only_own: bool = True, last: LastPages | None = None
) -> FileScan:
    """Read one TIFF of a store; the files of its OME set are opened too, their XML is not parsed again.

    Parameters
    ----------
    listed
        Known files and sizes of the store, empty where nothing was listed.
    only_own
        Keep only images with a plane in this file; False keeps every image its OME-XML declares.
    last
        Where the directories of the file are kept for opening it again.
    """
    with open_tiff(store, key, listed.get(key), last=last) as tiff:
        description = tiff.description()
        kind = describe_kind(description)
        scan = FileScan(claimed={key}, kind=kind, fingerprint=tiff.fingerprint(description))
        if kind == "ome":
            _scan_ome(store, tiff, description, listed, scan, only_own)
        elif is_ndtiff(tiff):
            _scan_ndtiff(store, tiff, listed, scan, only_own)
        if not scan.drafts:
            scan.drafts = [_scan_other(tiff, description, "plain" if kind == "ome" else kind, scan)]
            # An OME-XML without images, or one that cannot be read: the pages alone.
            scan.sample_indexes = [None]
        scan.findings.extend(tiff.findings)
        errors = [finding for finding in tiff.findings if finding.severity == "error"]
        for draft in scan.drafts if errors else []:
            draft.is_partial = True
            draft.findings.extend(errors)
    return scan


def scan_companion(store: Store, key: str, listed: Mapping[str, int]) -> FileScan:
    """Read a ``.companion.ome`` file and the TIFFs it describes."""
    # As long as the XML of a set may be; other documents end at 16 MB.
    payload = store.get(key, max_bytes=MAX_XML_BYTES)
    scan = FileScan(claimed={key}, kind="ome", fingerprint=digest_documents([(key, payload)]))
    with foreign_file(f"{store.uri}/{key}"):
        document = parse_ome_xml(payload, key)
        scan_document(OmeContext(store, document, key, True, None, listed, scan.fingerprint), scan, None)
    return scan


def _scan_ome(
    store: Store,
    tiff: TiffFile,
    description: bytes,
    listed: Mapping[str, int],
    scan: FileScan,
    only_own: bool,
) -> None:
    key, is_companion = tiff.key, False
    try:
        document = parse_ome_xml(description, tiff.key)
        own_uuid = document.uuid
    except CorruptStoreError as error:
        text = f"{error} The rows come from the pages alone."
        scan.findings.append(Finding("ome-xml-unreadable", "warning", tiff.key, text))
        return
    if document.binary_only_file is not None:
        found = _read_companion(store, tiff.key, document.binary_only_file, scan)
        if found is None:
            return
        (document, key), is_companion = found, not is_tiff_name(found[1])
    context = OmeContext(store, document, key, is_companion, tiff, listed, scan.fingerprint, own_uuid)
    scan_document(context, scan, tiff.key if only_own else None)


def _read_companion(store: Store, key: str, name: str, scan: FileScan) -> tuple[OmeDocument, str] | None:
    companion_key = FileSet.neighbour(key, name)
    if companion_key is None:
        text = f"Its metadata file {name!r} lies outside the folder; it was not opened."
        scan.findings.append(Finding("file-outside-store", "warning", key, text))
        return None
    try:
        if is_tiff_name(companion_key):  # Micro-Manager: the first file of a set has the XML of all
            with open_tiff(store, companion_key) as first:
                payload = first.description()
        else:
            payload = store.get(companion_key, max_bytes=MAX_XML_BYTES)
        document = parse_ome_xml(payload, companion_key)
    except StoreError as error:
        text = f"Its metadata file {name!r} cannot be read ({error}); the rows come from the pages alone."
        scan.findings.append(Finding("companion-unreadable", "warning", key, text))
        return None
    if document.binary_only_file is not None:
        text = f"Its metadata file {name!r} has no metadata either, but names another; the rows come from the pages alone."
        scan.findings.append(Finding("companion-unreadable", "warning", key, text))
        return None
    scan.claimed.add(companion_key)
    return document, companion_key


def _scan_ndtiff(
    store: Store, tiff: TiffFile, listed: Mapping[str, int], scan: FileScan, only_own: bool
) -> None:
    try:
        found = scan_ndtiff(store, tiff, listed, scan.fingerprint)
    except StoreChangedError:
        raise
    except StoreError as error:
        text = f"Which page is which channel, z, time and position stands in NDTiff.index, which cannot be used ({error}); the pages "
        text += "are a plain stack. Put NDTiff.index beside the file, or convert the dataset to OME-Zarr."
        tiff.findings.append(Finding("ndtiff-index-not-read", "error", tiff.key, text))
        return
    scan.kind = "ndtiff"
    scan.claimed |= found.claimed
    scan.drafts = [
        draft for draft in found.drafts
        if not only_own or tiff.key == draft.key or any(file.path == tiff.key for file in draft.files)
    ]  # fmt: skip
    scan.sample_indexes = [None] * len(scan.drafts)


def _scan_other(tiff: TiffFile, description: bytes, kind: str, scan: FileScan) -> ImageDraft:
    facts = PlaneFacts()
    image = read_other_image(tiff, description, kind)
    plan = image.plan
    facts.add_pages(tiff, plan.runs, is_stack=plan.single_page_stack)
    for pages in plan.level_pages:
        for number, page in enumerate(pages):
            facts.add_level(tiff, tiff.ifds[page], None if number else str(page))
    note_unclaimed_bytes(tiff, plan, facts)
    draft = build_image_draft(tiff.key, image.variant, plan, facts, image.sizes, scan.fingerprint)
    draft.channel_names = image.channel_names
    draft.acquisition, draft.planes = image.acquisition, image.planes
    return draft
