"""Parses a Zarr v2 ``.zarray`` document.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html#arrays
"""

from __future__ import annotations

import json
from typing import Literal

import numpy as np

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.zarr.array import MAX_TEXT, ArrayIssue, ChunkKeys, ZarrArray, read_extents
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_list, as_object, as_text

_OPAQUE_KINDS = "OV"


def build_v2_array(document: JsonObject, location: str) -> ZarrArray:
    """Build the array; CorruptStoreError where shape or chunks are impossible."""
    if document.get("zarr_format") not in (2, None):
        raise CorruptStoreError(f"{location}: zarr_format is {document['zarr_format']!r}, expected 2.")
    shape = read_extents(document.get("shape"), "shape", location, minimum=0)
    chunks = read_extents(document.get("chunks"), "chunks", location, minimum=1)
    if len(shape) != len(chunks):
        raise CorruptStoreError(f"{location}: shape has {len(shape)} dimensions, chunks {len(chunks)}.")
    issues: list[ArrayIssue] = []
    dtype, byte_order, item_bytes = _read_dtype(document.get("dtype"), issues)
    separator = document.get("dimension_separator", ".")
    if separator not in (".", "/"):
        issues.append(
            ArrayIssue("odd-dimension-separator", f"dimension_separator {separator!r:.20} read as '.'")
        )
    return ZarrArray(
        zarr_format=2,
        shape=shape,
        dtype=dtype,
        byte_order=byte_order,
        item_bytes=item_bytes,
        chunk_shape=chunks,
        shard_shape=None,
        keys=ChunkKeys("v2", "/" if separator == "/" else "."),
        codec=_name_codecs(document)[:MAX_TEXT],
        issues=tuple(issues),
    )


def _read_dtype(
    declared: object, issues: list[ArrayIssue]
) -> tuple[str, Literal["little", "big"] | None, int | None]:
    """Give the numpy name, byte order and item size; structured and unknown types keep their text."""
    if isinstance(declared, str):
        try:
            dtype = np.dtype(declared)
        except (TypeError, ValueError):
            dtype = None
        if dtype is not None and dtype.kind not in _OPAQUE_KINDS:
            order: Literal["little", "big"] | None = "big" if declared[0] == ">" else "little"
            return dtype.name, None if dtype.itemsize == 1 or declared[0] == "|" else order, dtype.itemsize
    text = declared if isinstance(declared, str) and declared else json.dumps(declared)
    issues.append(ArrayIssue("unknown-dtype", f"data type {text[:80]} has no fixed numeric item size"))
    return text[:MAX_TEXT], None, None


def _name_codecs(document: JsonObject) -> str:
    """Name filters and compressor, e.g. ``delta+blosc/lz4``; ``none`` where nothing is applied."""
    names = [as_text(as_object(item).get("id")) or "unknown" for item in as_list(document.get("filters"))]
    if compressor := as_object(document.get("compressor")):
        name = as_text(compressor.get("id")) or "unknown"
        inner = as_text(compressor.get("cname"))
        names.append(f"{name}/{inner}" if inner else name)
    return "+".join(names) or "none"
