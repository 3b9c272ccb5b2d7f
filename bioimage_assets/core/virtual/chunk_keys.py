"""Keys of the chunks of a virtual array, as the array's own document in one version of Zarr names them.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/v3/chunk-key-encodings/default/index.html, …/v2/index.html and
https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html#chunks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bioimage_assets.core.formats.zarr.array import ChunkKeys
from bioimage_assets.core.formats.zarr.v3 import read_chunk_keys
from bioimage_assets.core.virtual.model import ChunkRefs, VirtualArray

ZarrFormat = Literal[2, 3]


@dataclass(frozen=True, slots=True, eq=False)
class StoredArray:
    """An array as one version of Zarr stores it: its document, its chunks, and their keys relative to the array."""

    document: Mapping[str, object]
    refs: ChunkRefs
    keys: list[str]


def build_stored_array(array: VirtualArray, zarr_format: ZarrFormat) -> StoredArray | None:
    """Document, references and keys for Zarr v3 or v2; None where that version cannot express the array."""
    document = array.metadata_v3 if zarr_format == 3 else array.metadata_v2
    if document is None:
        return None
    refs = array.inner_refs if zarr_format == 2 and array.inner_refs is not None else array.refs
    return StoredArray(document, refs, build_keys(refs.coords, _read_encoding(document, zarr_format)))


def _read_encoding(document: Mapping[str, object], zarr_format: ZarrFormat) -> ChunkKeys:
    if zarr_format == 3:
        return read_chunk_keys(document.get("chunk_key_encoding"), [])
    return ChunkKeys("v2", "/" if document.get("dimension_separator") == "/" else ".")


def build_keys(coords: np.ndarray, encoding: ChunkKeys) -> list[str]:
    """Keys of chunks by their coordinates (rows × axes).

    >>> build_keys(np.array([[0, 1], [2, 3]]), ChunkKeys("default", "/"))
    ['c/0/1', 'c/2/3']
    """
    separator = encoding.separator
    prefix = f"c{separator}" if encoding.style == "default" else ""
    if coords.shape[1] == 0:
        return ["c" if prefix else "0"] * len(coords)
    return [prefix + separator.join(map(str, row)) for row in coords.tolist()]
