"""Offsets and sizes of the inner chunks of a shard: one ranged read per shard, checksum verified.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
(binary shard format): 16 bytes per inner chunk, little-endian (offset, nbytes), both 2^64-1 where missing,
followed by a CRC32C where the index codecs say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import google_crc32c
import numpy as np

from bioimage_assets.core.formats.parse_errors import FOREIGN_ERRORS, as_store_error
from bioimage_assets.core.formats.zarr.array import ShardIndex
from bioimage_assets.core.model.chunk import ABSENT, NO_OFFSET
from bioimage_assets.core.stores.base import Store

REMOTE_READS = 64  # index reads in flight, see REQUESTS_IN_FLIGHT in stores/remote
# Indexes of one array that are in memory at once, and the largest that is read at all: four million inner chunks.
MAX_INDEX_BYTES = 64 * 2**20
_BYTES_IN_FLIGHT = 256 * 2**20  # of indexes that are being fetched: four of the largest
_MISSING = np.uint64(2**64 - 1).astype(np.int64)


class ShardPart(NamedTuple):
    """One shard with its bytes, the positions of its index that are wanted, and the rows of a block that these are.

    ``begin`` is where it begins in the file that offsets count in, ``NO_OFFSET`` where it lies packed in one.
    """

    key: str
    stored_bytes: int
    places: np.ndarray
    rows: slice
    begin: int


class ShardEntries(NamedTuple):
    """Offset and size of the wanted inner chunks of one shard, ``NO_OFFSET`` and ``ABSENT`` where missing; ``problem`` where unusable."""

    offsets: np.ndarray
    sizes: np.ndarray
    problem: str | None = None


def index_bytes(index: ShardIndex, positions: int) -> int:
    """Bytes that the index of one shard takes."""
    return 16 * positions + (4 if index.has_crc32c else 0)


def read_shard_indexes(
    store: Store, shards: Sequence[ShardPart], index: ShardIndex, positions: int
) -> list[ShardEntries]:
    """Read the index of each shard, of ``positions`` entries; broken ones come back with their problem."""

    def read(shard: ShardPart) -> ShardEntries:
        return _read_one(store, shard, index, positions)

    if store.is_remote and len(shards) > 1:
        at_once = max(1, min(REMOTE_READS, len(shards), _BYTES_IN_FLIGHT // index_bytes(index, positions)))
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(read, shards))
    return [read(shard) for shard in shards]


def _read_one(store: Store, shard: ShardPart, index: ShardIndex, positions: int) -> ShardEntries:
    wanted = index_bytes(index, positions)
    if shard.stored_bytes < wanted:
        return _broken(f"the shard has {shard.stored_bytes:,} bytes, its index alone takes {wanted:,}")
    if wanted > MAX_INDEX_BYTES:
        return _broken(f"it takes {wanted:,} bytes, at most {MAX_INDEX_BYTES:,} are read")
    try:
        raw = store.tail(shard.key, wanted) if index.at_end else store.get_ranges(shard.key, [(0, wanted)])[0]
        entries = parse_shard_index(raw, index, positions, shard.stored_bytes)
    except FOREIGN_ERRORS as error:
        return _broken(str(as_store_error(error, shard.key)))
    if entries.problem is not None:
        return entries
    return ShardEntries(entries.offsets[shard.places], entries.sizes[shard.places])


def parse_shard_index(raw: bytes, index: ShardIndex, positions: int, shard_bytes: int) -> ShardEntries:
    """Parse the bytes of one index; entries that point outside the shard make it unusable."""
    body = raw[: 16 * positions]
    if len(raw) != index_bytes(index, positions):
        return _broken(f"{len(raw):,} bytes of index were read, expected {index_bytes(index, positions):,}")
    if index.has_crc32c and google_crc32c.value(body) != int.from_bytes(raw[-4:], "little"):
        return _broken("the checksum of the index does not match")
    # Read as signed numbers: those from 2^63 on, which no shard reaches, are negative.
    table = np.frombuffer(body, "<i8").reshape(positions, 2)
    if table.min() < 0:
        # Both 2^64-1:
        # https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html#binary-shard-format
        missing = (table == _MISSING).all(axis=1)
        if (table[~missing] < 0).any():
            return _broken(f"an entry of the index points outside the shard of {shard_bytes:,} bytes")
        table = table.copy()
        table[missing] = NO_OFFSET, ABSENT
    offsets, sizes = table[:, 0], table[:, 1]
    if table.max() > shard_bytes or (offsets + sizes).max() > shard_bytes:
        return _broken(f"an entry of the index points outside the shard of {shard_bytes:,} bytes")
    return ShardEntries(offsets, sizes)


def _broken(problem: str) -> ShardEntries:
    return ShardEntries(_NOTHING, _NOTHING, problem)


_NOTHING = np.zeros(0, np.int64)
