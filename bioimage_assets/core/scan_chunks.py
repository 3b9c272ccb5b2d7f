"""Scanned Zarr images become chunk rows, streamed: grids from shapes, presence and sizes from listings.

An array that two images share is indexed once, with the first. Rows are ordered by image, level, kind and
position. See ``bioimage_assets.core.tables.chunk_index`` for the columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from bioimage_assets.core.errors import LimitExceededError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.zarr.array import ZarrArray
from bioimage_assets.core.formats.zarr.grid import (
    BLOCK_ROWS,
    GridBlock,
    count_rows,
    iterate_inner,
    iterate_objects,
)
from bioimage_assets.core.formats.zarr.observe import ObservedObjects, observe_inner, observe_objects
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.scan_listings import IndexedArray, iterate_listings
from bioimage_assets.core.stores.base import ListedSizes, Store
from bioimage_assets.core.tables.chunk_index import ChunkSegment, build_chunk_batches

_CACHED_GRIDS = 256


@dataclass(frozen=True, slots=True)
class _Grid:
    """Blocks of one array with the uncompressed bytes of a stored object and of an inner chunk."""

    array: ZarrArray
    objects: Iterable[GridBlock]
    inner: Iterable[GridBlock]
    object_bytes: int | None
    inner_bytes: int | None


def plan_chunk_arrays(
    images: Sequence[ImageRecord], arrays: Mapping[str, ZarrArray], levels: Sequence[int] | None
) -> list[IndexedArray]:
    """List the arrays to index in row order, each once."""
    planned: dict[str, IndexedArray] = {}
    for image in images:
        for level in image.levels:
            if (levels is None or level.level in levels) and level.path not in planned:
                planned[level.path] = IndexedArray(image, level, arrays[level.path])
    return list(planned.values())


def check_row_limit(planned: Sequence[IndexedArray], limit: int, uri: str) -> int:
    """Count the rows from shapes alone; LimitExceededError before anything is built."""
    rows = 0
    counts: dict[int, int] = {}
    for item in planned:
        count = counts.get(id(item.array))
        if count is None:
            count = counts[id(item.array)] = count_rows(item.array)
        rows += count
        if rows > limit:
            raise LimitExceededError(
                f"{uri}: the chunk index would hold more than {limit:,} rows ({item.level.path or 'the root array'} of "
                f"shape {item.array.shape} and chunks {item.array.chunk_shape} alone has {count:,}). "
                "Ask for fewer levels or raise max_chunk_rows."
            )
    return rows


def build_zarr_chunks(
    store: Store | None, planned: Sequence[IndexedArray], *, log: FindingLog | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the chunk rows of planned arrays.

    With a store, the folders of the arrays are listed and the indexes of present shards read; without one
    the rows are the logical grid, and what would be observed is null.
    """
    builder = _SegmentBuilder(store, log or FindingLog(""))
    if store is None:
        segments = (segment for item in planned for segment in builder.build(item, None))
    else:
        segments = (
            segment
            for item, listed in iterate_listings(store, planned)
            for segment in builder.build(item, listed)
        )
    yield from build_chunk_batches(segments)


@dataclass(slots=True)
class _SegmentBuilder:
    """Turns arrays into segments; grids of equal arrays are built once."""

    store: Store | None
    log: FindingLog
    _grids: dict[int, _Grid] = field(default_factory=dict)

    def build(self, item: IndexedArray, listed: ListedSizes | None) -> Iterator[ChunkSegment]:
        grid = self._grids.get(id(item.array)) or self._build_grid(item.array)
        path, level = item.level.path, item.level.level
        if listed is None:
            for block in grid.objects:
                yield ChunkSegment(
                    item.image, path, level, "object", block.keys, block.coords, grid.object_bytes
                )
            for block in grid.inner:
                yield ChunkSegment(
                    item.image, path, level, "inner", block.keys, block.coords, grid.inner_bytes
                )
            return
        objects = observe_objects(listed, path, item.array)
        for block in grid.objects:
            sizes = objects.spread(objects.sizes, block)
            offsets = None if objects.offsets is None else objects.spread(objects.offsets, block)
            yield ChunkSegment(
                item.image, path, level, "object", block.keys, block.coords, grid.object_bytes, sizes, offsets
            )
        for block in grid.inner:
            yield self._build_inner(item, block, objects, grid.inner_bytes)

    def _build_inner(
        self, item: IndexedArray, block: GridBlock, objects: ObservedObjects, nominal: int | None
    ) -> ChunkSegment:
        path, level = item.level.path, item.level.level
        if self.store is None:
            return ChunkSegment(item.image, path, level, "inner", block.keys, block.coords, nominal)
        sizes, offsets, unknown = observe_inner(
            self.store, path, item.array, block, objects, self._note_shard
        )
        return ChunkSegment(
            item.image, path, level, "inner", block.keys, block.coords, nominal, sizes, offsets, unknown
        )

    def _note_shard(self, path: str, problem: str) -> None:
        self.log.note("corrupt-shard", "error", path, f"The shard index cannot be used: {problem}.")

    def _build_grid(self, array: ZarrArray) -> _Grid:
        """Build the grid of an array; small ones are kept, because equal arrays of a plate are one object."""
        inner_bytes = array.nominal_bytes
        object_bytes = inner_bytes if array.shard_shape is None else _shard_bytes(array)
        if count_rows(array) > BLOCK_ROWS:
            return _Grid(array, iterate_objects(array), iterate_inner(array), object_bytes, inner_bytes)
        if len(self._grids) >= _CACHED_GRIDS:
            self._grids.clear()
        grid = _Grid(
            array, list(iterate_objects(array)), list(iterate_inner(array)), object_bytes, inner_bytes
        )
        self._grids[id(array)] = grid
        return grid


def _shard_bytes(array: ZarrArray) -> int | None:
    """Uncompressed bytes of one whole shard, without its index."""
    if array.item_bytes is None or array.shard_shape is None:
        return None
    total = array.item_bytes
    for extent in array.shard_shape:
        total *= extent
    return total if total < 2**63 else None
