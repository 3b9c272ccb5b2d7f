"""Listings and shard indexes become observed sizes and offsets, one array at a time.

Source of truth: the store itself. Nothing is inferred: a key that is not listed is absent, an index that
cannot be trusted leaves its rows unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.formats.zarr.array import ChunkKeys, ZarrArray
from bioimage_assets.core.formats.zarr.grid import GridBlock, grid_counts, locate_keys
from bioimage_assets.core.formats.zarr.shards import read_shard_indexes
from bioimage_assets.core.stores.base import ListedSizes, Store, join_path


@dataclass(frozen=True, slots=True)
class ObservedObjects:
    """Stored objects of one array: C-order numbers (sorted), bytes, and offsets in an archive."""

    linear: np.ndarray
    sizes: np.ndarray
    offsets: np.ndarray | None

    def spread(self, values: np.ndarray, block: GridBlock) -> np.ndarray:
        """Give one value per stored object of a block, -1 where absent."""
        result = np.full(block.count, -1, np.int64)
        low, high = np.searchsorted(self.linear, (block.first, block.first + block.count))
        result[self.linear[low:high] - block.first] = values[low:high]
        return result


def observe_objects(listed: ListedSizes, array_path: str, array: ZarrArray) -> ObservedObjects:
    """Match a listing of an array's folder with its grid."""
    positions, linear = locate_keys(_keys_below(listed, array_path), array)
    order = np.argsort(linear, kind="stable")
    positions = positions[order]
    offsets = None if listed.offsets is None else listed.offsets[positions]
    return ObservedObjects(linear[order], listed.size_bytes[positions], offsets)


def count_objects_elsewhere(listed: ListedSizes, array_path: str, array: ZarrArray) -> int:
    """Count objects that would be chunks if the other separator held, which then no reader of the metadata finds."""
    other: Literal[".", "/"] = "/" if array.keys.separator == "." else "."
    renamed = replace(array, keys=ChunkKeys(array.keys.style, other))
    return len(locate_keys(_keys_below(listed, array_path), renamed)[0]) if len(array.shape) > 1 else 0


def _keys_below(listed: ListedSizes, array_path: str) -> pa.StringArray:
    return pc.utf8_slice_codeunits(listed.keys, len(array_path) + 1) if array_path else listed.keys


def observe_inner(
    store: Store,
    array_path: str,
    array: ZarrArray,
    block: GridBlock,
    objects: ObservedObjects,
    note: Callable[[str, str], None],
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read the indexes of the shards of one block.

    Returns
    -------
    sizes, offsets, unknown
        Per row of the block; ``unknown`` marks the rows of shards whose index cannot be used.
    """
    assert array.shard_shape is not None
    assert array.chunk_shape is not None
    assert block.inside is not None
    positions = prod(grid_counts(array.shard_shape, array.chunk_shape))
    shard_sizes = objects.spread(objects.sizes, block)
    sizes = np.full((block.count, positions), -1, np.int64)
    offsets = np.full((block.count, positions), -1, np.int64)
    unknown = np.zeros((block.count, positions), bool)
    present = np.flatnonzero(shard_sizes >= 0)
    if array.shard_index is None:
        unknown[present] = True
    elif len(present):
        keys = _shard_keys(block, present, positions)
        paths = [join_path(array_path, key) for key in keys]
        entries = read_shard_indexes(
            store, paths, shard_sizes[present].tolist(), array.shard_index, positions
        )
        for row, path, entry in zip(present, paths, entries, strict=True):
            if entry.problem is not None:
                note(path, entry.problem)
                unknown[row] = True
            else:
                sizes[row], offsets[row] = entry.sizes, entry.offsets
    inside = block.inside
    flags = unknown.reshape(-1)[inside]
    return sizes.reshape(-1)[inside], offsets.reshape(-1)[inside], flags if flags.any() else None


def _shard_keys(block: GridBlock, present: np.ndarray, positions: int) -> list[str]:
    """Key of each shard of a block: every row carries the key of its shard."""
    assert block.inside is not None
    rows_before = np.concatenate(([0], np.cumsum(block.inside.reshape(block.count, positions).sum(axis=1))))
    return block.keys.take(pa.array(rows_before[present])).to_pylist()
