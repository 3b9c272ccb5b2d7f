"""One Zarr array as its metadata document describes it, the same model for v2 and v3.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/ (v2.0 and v3 core).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from bioimage_assets.core.errors import CorruptStoreError

MAX_EXTENT = 2**63 - 1  # int64, in which the tables store shapes
MAX_DIMENSIONS = 64  # what numpy 2 takes; numpy 1 took 32
MAX_TEXT = 1_000  # of a data type or the names of codecs: rows repeat them

KeyStyle = Literal["default", "v2"]


@dataclass(frozen=True, slots=True)
class ChunkKeys:
    """How chunk coordinates become a key: v3 ``default`` has the prefix ``c``, ``v2`` has none."""

    style: KeyStyle
    separator: Literal[".", "/"]


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where the index of a shard is and how it is protected (sharding-indexed codec).

    ``order`` is that of a transpose before the sharding: entry axis ``i`` is array axis ``order[i]``; None where there is none.
    """

    at_end: bool
    has_crc32c: bool
    order: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ArrayIssue:
    """Something odd in an array's own document that does not make it unreadable."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ZarrArray:
    """Geometry and storage of one array.

    ``chunk_shape`` is the read unit (inner chunk of a shard), ``shard_shape`` the stored object where it
    holds several; both None for grids that are not regular. ``item_bytes`` is None where a chunk's
    uncompressed size cannot be known. ``shard_index`` is None for a sharded array whose index cannot be
    read on its own. ``byte_order`` is None for one-byte types.
    """

    zarr_format: Literal[2, 3]
    shape: tuple[int, ...]
    dtype: str
    byte_order: Literal["little", "big"] | None
    item_bytes: int | None
    chunk_shape: tuple[int, ...] | None
    shard_shape: tuple[int, ...] | None
    keys: ChunkKeys
    codec: str
    dimension_names: tuple[str, ...] | None = None
    shard_index: ShardIndex | None = None
    issues: tuple[ArrayIssue, ...] = ()

    @property
    def stored_shape(self) -> tuple[int, ...] | None:
        """Shape of one stored object: the shard, or the chunk where there are no shards."""
        return self.shard_shape or self.chunk_shape

    @property
    def nominal_bytes(self) -> int | None:
        """Uncompressed bytes of one whole chunk; edge chunks are stored whole as well."""
        if self.item_bytes is None or self.chunk_shape is None:
            return None
        size = prod(self.chunk_shape) * self.item_bytes
        return size if size <= MAX_EXTENT else None


def read_extents(value: object, name: str, location: str, *, minimum: int) -> tuple[int, ...]:
    """Validate a shape or chunk shape from JSON; CorruptStoreError names what is wrong."""
    if not isinstance(value, list):
        raise CorruptStoreError(f"{location}: {name} must be a list of integers, found {value!r:.80}.")
    if len(value) > MAX_DIMENSIONS:
        raise CorruptStoreError(f"{location}: {name} has {len(value)} dimensions, limit {MAX_DIMENSIONS}.")
    extents: list[int] = []
    for item in value:
        # Writers in JavaScript have no integers; beyond 2^53 a double may stand for several.
        if isinstance(item, float) and item.is_integer() and abs(item) < 2**53:
            item = int(item)
        if not isinstance(item, int) or isinstance(item, bool) or not minimum <= item <= MAX_EXTENT:
            raise CorruptStoreError(
                f"{location}: {name} must hold integers from {minimum} to 2^63-1, found {item!r:.40}."
            )
        extents.append(item)
    return tuple(extents)
