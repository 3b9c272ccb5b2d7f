"""Which chunks of an array are stored, with sizes and offsets, from listings and shard indexes.

Source of truth: the store itself. Nothing is inferred: a key that is not listed is absent, an index that
cannot be trusted leaves its rows unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.formats.zarr.array import ChunkKeys, ZarrArray
from bioimage_assets.core.formats.zarr.grid import GridBlock, grid_counts, locate_keys
from bioimage_assets.core.formats.zarr.shards import ShardEntries, ShardPart, read_shard_indexes
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
        if len(values) == block.count == len(self.linear) and block.first == 0:
            return values  # the whole array is one block, and all of it is stored
        result = np.full(block.count, missing, np.int64)
        low, high = np.searchsorted(self.linear, (block.first, block.first + block.count))
        result[self.linear[low:high] - block.first] = values[low:high]
        return result


def observe_objects(
    listed: ListedSizes, array_path: str, array: ZarrArray, index: Mapping[str, int] | None = None
) -> ObservedObjects:
    """Match a listing of an array's folder with its grid.

    ``index`` gives the C-order number of each key where it is at hand: a few keys are found in it sooner than columns are made.
    """
    if index is not None:
        return _find_in_index(listed, array_path, index)
    positions, linear = locate_keys(_keys_below(listed, array_path), array)
    # spread() finds the objects of a block by bisection.
    order = np.argsort(linear, kind="stable")
    positions = positions[order]
    offsets = None if listed.offsets is None else np.array(listed.offsets, np.int64)[positions]
    return ObservedObjects(linear[order], listed.size_bytes[positions], offsets)


def _find_in_index(listed: ListedSizes, array_path: str, index: Mapping[str, int]) -> ObservedObjects:
    start = len(array_path) + 1 if array_path else 0
    find = index.get
    found = sorted(
        (number, place) for place, key in enumerate(listed.names) if (number := find(key[start:])) is not None
    )
    numbers = np.array([number for number, _ in found], np.int64)
    sizes = np.array([listed.sizes[place] for _, place in found], np.int64)
    if listed.offsets is None:
        return ObservedObjects(numbers, sizes, None)
    return ObservedObjects(numbers, sizes, np.array([listed.offsets[place] for _, place in found], np.int64))


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
    assert block.places is not None
    assert block.row_starts is not None
    shard_sizes = objects.spread(objects.sizes, block)
    if array.shard_index is None:
        unread = np.repeat(shard_sizes != ABSENT, np.diff(block.row_starts))
        return np.full(len(unread), ABSENT, np.int64), np.full(len(unread), NO_OFFSET, np.int64), unread
    shards = _list_shards(store, array_path, block, shard_sizes.tolist(), _find_begins(objects, block))
    positions = prod(grid_counts(array.shard_shape, array.chunk_shape))
    entries = read_shard_indexes(store, shards, array.shard_index, positions)
    for shard, entry in zip(shards, entries, strict=True):
        if entry.problem is not None:
            note(shard.key, entry.problem)
    if block.count == 1 and entries and entries[0].problem is None:  # the usual field: one shard per level
        return entries[0].sizes, _add_begin(entries[0].offsets, shards[0].begin), None
    return _gather_entries(len(block.places), shards, entries)


def _gather_entries(
    row_count: int, shards: Sequence[ShardPart], entries: Sequence[ShardEntries]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Sizes, offsets and what is unknown of all rows of a block."""
    sizes = np.full(row_count, ABSENT, np.int64)
    offsets = np.full(row_count, NO_OFFSET, np.int64)
    unknown = np.zeros(row_count, bool)
    for shard, entry in zip(shards, entries, strict=True):
        if entry.problem is not None:
            unknown[shard.rows] = True
        else:
            sizes[shard.rows] = entry.sizes
            offsets[shard.rows] = _add_begin(entry.offsets, shard.begin)
    return sizes, offsets, unknown if unknown.any() else None


def _add_begin(offsets: np.ndarray, begin: int) -> np.ndarray:
    """Offsets in a shard as offsets in the file that holds it."""
    if begin == 0:
        return offsets
    if begin == NO_OFFSET:
        return np.full(len(offsets), NO_OFFSET, np.int64)
    return np.where(offsets == NO_OFFSET, NO_OFFSET, offsets + begin)


def _find_begins(objects: ObservedObjects, block: GridBlock) -> list[int]:
    """Where each shard of a block begins in the file that its offsets count in: itself, or the archive it lies in unpacked."""
    if objects.offsets is None:
        return [0] * block.count
    begins: list[int] = objects.spread(objects.offsets, block, NO_OFFSET).tolist()
    return begins


def _list_shards(
    store: Store, array_path: str, block: GridBlock, sizes: Sequence[int], begins: Sequence[int]
) -> list[ShardPart]:
    """The shards of a block that are stored."""
    assert block.places is not None
    assert block.row_starts is not None
    starts = block.row_starts.tolist()
    shards = []
    for number, (size, begin) in enumerate(zip(sizes, begins, strict=True)):
        if size == ABSENT:
            continue
        rows = slice(starts[number], starts[number + 1])
        # Every row carries the key of its shard.
        path = join_path(array_path, block.keys[rows.start].as_py())
        # A packed shard is unpacked to be read, so that its index is one of more bytes than are stored.
        size = size if begin != NO_OFFSET else store.head(path).size_bytes
        shards.append(ShardPart(path, size, block.places[rows], rows, begin))
    return shards
