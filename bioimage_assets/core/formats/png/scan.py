"""Scan one PNG file into the draft of an image: one plane, as its header says it."""

from __future__ import annotations

from collections.abc import Mapping

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.ome_tiff.ome_scan import FileScan
from bioimage_assets.core.formats.png.header import END, HEADER_BYTES, read_header
from bioimage_assets.core.model.file_kinds import PNG_FAMILY, PNG_SUFFIX, has_suffix
from bioimage_assets.core.model.fingerprint import digest_documents
from bioimage_assets.core.model.image import LevelRecord
from bioimage_assets.core.stores.base import Store


def is_png_name(key: str) -> bool:
    """Tell a PNG by its name."""
    return has_suffix(key, PNG_SUFFIX)


def scan_png(store: Store, key: str, listed: Mapping[str, int]) -> FileScan:
    """Read the header of a PNG; of a local one also its last bytes, which say that it is whole.

    The chunk is the whole file: a PNG is decoded from its start.
    """
    size = listed[key] if key in listed else store.head(key).size_bytes
    # Objects of a bucket are there whole or not at all, and a second range of each costs a request.
    ranges = (
        [(0, HEADER_BYTES)] if store.is_remote else [(0, HEADER_BYTES), (max(0, size - len(END)), len(END))]
    )
    parts = list(store.get_ranges(key, ranges))
    header = read_header(bytes(parts[0]), f"{store.uri}/{key}", size)
    axes = "yx" if header.samples == 1 else "yxs"
    fingerprint = digest_documents([(key, bytes(parts[0]) + str(size).encode())])
    draft = ImageDraft(
        key=key, variant="png", axes=axes, shape=header.shape, dtype=header.dtype,
        byte_order="big" if header.bits > 8 else None, chunk_shape=header.shape, codec="png",
        levels=(LevelRecord(0, "0", header.shape, header.shape),), stored_bytes=size, fingerprint=fingerprint,
        format_family=PNG_FAMILY,
    )  # fmt: skip
    if len(parts) > 1 and bytes(parts[1]) != END:
        text = "The PNG does not end as a PNG ends; it is cut off."
        draft.findings.append(Finding("data-cut-off", "error", key, text))
        draft.is_partial = True
    return FileScan(drafts=[draft], sample_indexes=[None], claimed={key}, kind="png", fingerprint=fingerprint)
