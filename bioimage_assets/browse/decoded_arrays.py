"""Arrays that a viewer could not decode, or would have to ask for in thousands of pieces, as plain samples in chunks of a good size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import zarr
from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata

from bioimage_assets.core.errors import KeyMissingError
from bioimage_assets.core.virtual.model import VirtualArray

# Codecs that zarrita.js, neuroglancer and every library for Zarr have: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/
_KNOWN = frozenset({"bytes", "transpose", "blosc", "gzip", "zstd", "crc32c", "sharding_indexed"})
_SMALL_PIXELS = 64 * 1024  # of a chunk; strips of TIFFs are often one row
_MANY = 8  # chunks of a plane
_WANTED_SIDE = 512

# A string: zarr below 3.1.4 tells the type of an array to type checkers only.
Opened: TypeAlias = "zarr.Array[ArrayV2Metadata] | zarr.Array[ArrayV3Metadata]"


@dataclass(frozen=True, slots=True, eq=False)
class DecodedArray:
    """How an array is served: in chunks of this shape, as little-endian samples in C order."""

    array: VirtualArray
    chunk_shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the samples as they are sent."""
        return np.dtype(self.array.dtype).newbyteorder("<")

    @property
    def chunk_bytes(self) -> int:
        """Bytes of every chunk."""
        return math.prod(self.chunk_shape) * self.dtype.itemsize

    def build_document(self) -> dict[str, object]:
        """The array's document with this grid, and without what is done here."""
        document = dict(self.array.metadata_v3 or {})
        endian = {} if self.dtype.itemsize == 1 else {"configuration": {"endian": "little"}}
        grid = {"name": "regular", "configuration": {"chunk_shape": list(self.chunk_shape)}}
        keys = {"name": "default", "configuration": {"separator": "/"}}
        return document | {
            "chunk_grid": grid,
            "chunk_key_encoding": keys,
            "codecs": [{"name": "bytes", **endian}],
        }

    def read_coords(self, key: str) -> tuple[int, ...]:
        """Place of a chunk in the grid by its key; KeyMissingError where the array has no such chunk."""
        first, *parts = key.split("/")
        sizes = zip(self.array.shape, self.chunk_shape, strict=True)
        counts = [-(-size // length) for size, length in sizes]
        if (
            first == "c"
            and len(parts) == len(counts)
            and all(part.isascii() and part.isdecimal() for part in parts)
        ):
            coords = tuple(map(int, parts))
            is_canonical = all(str(coord) == part for coord, part in zip(coords, parts, strict=True))
            if is_canonical and all(coord < count for coord, count in zip(coords, counts, strict=True)):
                return coords
        raise KeyMissingError(f"{self.array.path}: no chunk {key!r:.80}.")

    def read(self, opened: Opened, coords: Sequence[int]) -> bytes:
        """Samples of one chunk, filled up with the fill value behind the edge of the array."""
        starts = [coord * length for coord, length in zip(coords, self.chunk_shape, strict=True)]
        stops = [
            min(start + length, size)
            for start, length, size in zip(starts, self.chunk_shape, self.array.shape, strict=True)
        ]
        part = np.asarray(opened[tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))])
        if part.shape != self.chunk_shape:
            whole = np.full(self.chunk_shape, opened.fill_value or 0, part.dtype)
            whole[tuple(slice(0, size) for size in part.shape)] = part
            part = whole
        return np.ascontiguousarray(part, self.dtype).tobytes()


def decode_if_needed(array: VirtualArray) -> DecodedArray | None:
    """How an array is served decoded; None where its chunks can be passed on as they are stored."""
    document = array.metadata_v3 or {}
    is_small = _is_small(array)
    if not is_small and _are_known(document.get("codecs")):
        return None
    return DecodedArray(array, _enlarge(array))


def _are_known(codecs: object) -> bool:
    if not isinstance(codecs, Sequence):
        return False
    for codec in codecs:
        if not isinstance(codec, Mapping) or codec.get("name") not in _KNOWN:
            return False
        inner = codec.get("configuration")
        if (
            codec.get("name") == "sharding_indexed"
            and isinstance(inner, Mapping)
            and not _are_known(inner.get("codecs"))
        ):
            return False
    return True


def _is_small(array: VirtualArray) -> bool:
    pieces = math.prod(-(-array.shape[axis] // array.chunk_shape[axis]) for axis in _plane(array))
    return pieces > _MANY and math.prod(array.chunk_shape[axis] for axis in _plane(array)) < _SMALL_PIXELS


def _enlarge(array: VirtualArray) -> tuple[int, ...]:
    """Whole stored chunks together, along y and x, so that sides are near the wanted one."""
    shape = list(array.chunk_shape)
    for axis in _plane(array):
        length, size = array.chunk_shape[axis], array.shape[axis]
        shape[axis] = min(length * max(1, -(-_WANTED_SIDE // length)), -(-size // length) * length)
    return tuple(shape)


def _plane(array: VirtualArray) -> tuple[int, ...]:
    return tuple(array.axes.index(axis) for axis in ("y", "x") if axis in array.axes)
