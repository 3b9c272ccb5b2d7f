"""Which chunks of an array are stored, with sizes and offsets, from listings and shard indexes.

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
from bioimage_assets.core.formats.zarr.shards import ShardPart, read_shard_indexes
from bioimage_assets.core.model.chunk import ABSENT, NO_OFFSET
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.base import ListedSizes, Store


@dataclass(frozen=True, slots=True)
class ObservedObjects:
    """Stored objects of one array: C-order numbers (sorted), bytes, and offsets in an archive."""

    linear: np.ndarray
    sizes: np.ndarray
    offsets: np.ndarray | None

    def spread(self, values: np.ndarray, block: GridBlock, missing: int = ABSENT) -> np.ndarray:
        """Give one value per stored object of a block, ``missing`` where it is absent."""
        result = np.full(block.count, missing, np.int64)
        low, high = np.searchsorted(self.linear, (block.first, block.first + block.count))
        result[self.linear[low:high] - block.first] = values[low:high]
        return result


def observe_objects(listed: ListedSizes, array_path: str, array: ZarrArray) -> ObservedObjects:
    """Match a listing of an array's folder with its grid."""
    positions, linear = locate_keys(_keys_below(listed, array_path), array)
    # spread() finds the objects of a block by bisection.
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


def _find_begins(objects: ObservedObjects, block: GridBlock) -> np.ndarray:
    """Where each shard of a block begins in the file that its offsets count in: itself, or the archive it lies in unpacked."""
    if objects.offsets is None:
        return np.zeros(block.count, np.int64)
    return objects.spread(objects.offsets, block, NO_OFFSET)


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
    assert block.places is not None
    assert block.row_starts is not None
    starts = block.row_starts
    shard_sizes = objects.spread(objects.sizes, block)
    sizes = np.full(len(block.places), ABSENT, np.int64)
    offsets = np.full(len(block.places), NO_OFFSET, np.int64)
    unknown = np.zeros(len(block.places), bool)
    present = np.flatnonzero(shard_sizes != ABSENT)
    if array.shard_index is None:
        unknown = np.repeat(shard_sizes != ABSENT, np.diff(starts))
    elif len(present):
        # Every row carries the key of its shard.
        paths = [join_path(array_path, key) for key in block.keys.take(pa.array(starts[present])).to_pylist()]
        begins = _find_begins(objects, block)
        shards = [
            ShardPart(
                path,
                # A packed shard is unpacked to be read, so that its index is one of more bytes than are stored.
                int(shard_sizes[shard]) if begins[shard] != NO_OFFSET else store.head(path).size_bytes,
                block.places[starts[shard] : starts[shard + 1]],
            )
            for shard, path in zip(present, paths, strict=True)
        ]
        positions = prod(grid_counts(array.shard_shape, array.chunk_shape))
        entries = read_shard_indexes(store, shards, array.shard_index, positions)
        for shard, path, entry in zip(present, paths, entries, strict=True):
            rows = slice(starts[shard], starts[shard + 1])
            if entry.problem is not None:
                note(path, entry.problem)
                unknown[rows] = True
            else:
                sizes[rows] = entry.sizes
                if begins[shard] != NO_OFFSET:
                    offsets[rows] = np.where(
                        entry.offsets == NO_OFFSET, NO_OFFSET, entry.offsets + begins[shard]
                    )
    return sizes, offsets, unknown if unknown.any() else None
