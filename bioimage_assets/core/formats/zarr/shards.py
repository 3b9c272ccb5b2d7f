"""Shards become offsets and sizes of their inner chunks: one ranged read per shard, checksum verified.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
(binary shard format): 16 bytes per inner chunk, little-endian (offset, nbytes), both 2^64-1 where missing,
followed by a CRC32C where the index codecs say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import google_crc32c
import numpy as np

from bioimage_assets.core.formats.foreign import FOREIGN_ERRORS, dress_foreign
from bioimage_assets.core.formats.zarr.array import ShardIndex
from bioimage_assets.core.stores.base import Store

REMOTE_READS = 64
_MISSING = np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class ShardEntries:
    """Index of one shard: offset and size per inner chunk, -1 where missing; ``problem`` where unusable."""

    offsets: np.ndarray
    sizes: np.ndarray
    problem: str | None = None


def index_bytes(index: ShardIndex, positions: int) -> int:
    """Bytes that the index of one shard takes."""
    return 16 * positions + (4 if index.has_crc32c else 0)


def read_shard_indexes(
    store: Store, keys: Sequence[str], sizes: Sequence[int], index: ShardIndex, positions: int
) -> list[ShardEntries]:
    """Read the index of each shard; broken ones come back with their problem."""

    def read(item: tuple[str, int]) -> ShardEntries:
        return _read_one(store, item[0], item[1], index, positions)

    items = list(zip(keys, sizes, strict=True))
    if store.is_remote and len(items) > 1:
        with ThreadPoolExecutor(min(REMOTE_READS, len(items))) as pool:
            return list(pool.map(read, items))
    return [read(item) for item in items]


def _read_one(store: Store, key: str, size: int, index: ShardIndex, positions: int) -> ShardEntries:
    wanted = index_bytes(index, positions)
    if size < wanted:
        return _broken(positions, f"the shard has {size:,} bytes, its index alone takes {wanted:,}")
    try:
        raw = store.tail(key, wanted) if index.at_end else store.get_ranges(key, [(0, wanted)])[0]
        return parse_shard_index(raw, index, positions, size)
    except FOREIGN_ERRORS as error:
        return _broken(positions, str(dress_foreign(error, key)))


def parse_shard_index(raw: bytes, index: ShardIndex, positions: int, shard_bytes: int) -> ShardEntries:
    """Parse the bytes of one index; entries that point outside the shard make it unusable."""
    body = raw[: 16 * positions]
    if len(raw) != index_bytes(index, positions):
        return _broken(
            positions, f"{len(raw):,} bytes of index were read, expected {index_bytes(index, positions):,}"
        )
    if index.has_crc32c and google_crc32c.value(body) != int.from_bytes(raw[-4:], "little"):
        return _broken(positions, "the checksum of the index does not match")
    table = np.frombuffer(body, "<u8").reshape(positions, 2)
    missing = (table == _MISSING).all(axis=1)
    present = table[~missing]
    limit = np.uint64(shard_bytes)
    if (present > limit).any() or (present.sum(axis=1) > limit).any():
        return _broken(positions, f"an entry of the index points outside the shard of {shard_bytes:,} bytes")
    entries = np.where(missing[:, None], np.int64(-1), table.astype(np.int64))
    return ShardEntries(entries[:, 0].copy(), entries[:, 1].copy())


def _broken(positions: int, problem: str) -> ShardEntries:
    nothing = np.full(positions, -1, np.int64)
    return ShardEntries(nothing, nothing, problem)
