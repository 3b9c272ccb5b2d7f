"""Streams the chunk rows of scanned Zarr images: grids from shapes, presence and sizes from listings.

An array that two images share is indexed once, with the first. Rows are ordered by image, level, kind and
position. See ``bioimage_assets.core.tables.chunk_index`` for the columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

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
from bioimage_assets.core.formats.zarr.observe import count_objects_elsewhere, observe_inner, observe_objects
from bioimage_assets.core.model.chunk import NO_OFFSET
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.scan.listings import IndexedArray, iterate_listings
from bioimage_assets.core.stores.base import ListedSizes, Store
from bioimage_assets.core.tables.chunk_index import ChunkSegment, GridRows, Observed, build_chunk_batches

_MAX_INDEX_KEYS = 4_096  # of one grid, half a megabyte; more keys are found by columns
_CACHED_GRIDS = 256  # arrays of one plate share shapes: levels times kinds of images

_PACKED = "Chunks are packed once more by the archive: they have no offset in it. Write archives without compression (zip -0), as RFC-9 asks."

_Block = tuple[GridBlock, GridRows]


@dataclass(frozen=True, slots=True)
class _Grid:
    """Stored objects and inner chunks of one array in blocks; ``rows`` are those of both.

    ``array`` is kept so that its id stays its own. Large grids are streams that are read once. ``index`` gives the number of each
    stored object by its key, for small grids only.
    """

    array: ZarrArray
    objects: Iterable[_Block]
    inner: Iterable[_Block]
    rows: Iterable[GridRows]
    index: Mapping[str, int] | None = None


def plan_chunk_arrays(
    images: Sequence[ImageRecord], arrays: Mapping[str, ZarrArray], levels: Sequence[int] | None
) -> list[IndexedArray]:
    """List the arrays to index in row order, each once."""
    planned: dict[str, IndexedArray] = {}
    for image in images:
        for level in image.levels:
            if (levels is None or level.level in levels) and level.path not in planned:
                planned[level.path] = image, level, arrays[level.path]
    return list(planned.values())


def check_row_limit(planned: Sequence[IndexedArray], limit: int, uri: str) -> int:
    """Count the rows from shapes alone; LimitExceededError before anything is built."""
    rows = 0
    counts: dict[int, int] = {}
    for _, level, array in planned:
        count = counts.get(id(array))
        if count is None:
            count = counts[id(array)] = count_rows(array)
        rows += count
        if rows > limit:
            raise LimitExceededError(
                f"{uri}: the chunk index would hold more than {limit:,} rows ({level.path or 'the root array'} of "
                f"shape {array.shape} and chunks {array.chunk_shape} alone has {count:,}). "
                "Ask for fewer levels or raise max_chunk_rows."
            )
    return rows


def build_zarr_chunks(
    store: Store | None,
    planned: Sequence[IndexedArray],
    *,
    log: FindingLog | None = None,
    stored: dict[str, int] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the chunk rows of planned arrays.

    With a store, the folders of the arrays are listed and the indexes of present shards read; without one
    the rows are the logical grid, and what would be observed is null. ``stored`` is filled with the bytes
    of all stored objects by array path while the stream is read.
    """
    grids = _Grids()
    if store is None:
        segments: Iterable[ChunkSegment] = (
            (image, level, rows, None) for image, level, array in planned for rows in grids.find(array).rows
        )
    else:
        log = log or FindingLog("")
        observer = _Observer(store, log, grids, {} if stored is None else stored)
        segments = (
            segment
            for item, listed in iterate_listings(store, planned, log)
            for segment in observer.observe(item, listed)
        )
    yield from build_chunk_batches(segments)


@dataclass(slots=True)
class _Grids:
    """Grids of arrays; small ones are kept, because equal arrays of a plate are one object."""

    _known: dict[int, _Grid] = field(default_factory=dict)

    def find(self, array: ZarrArray) -> _Grid:
        return self._known.get(id(array)) or self._build(array)

    def _build(self, array: ZarrArray) -> _Grid:
        inner_bytes = array.nominal_bytes
        object_bytes = inner_bytes if array.shard_shape is None else _shard_bytes(array)
        objects = _with_rows(iterate_objects(array), "object", object_bytes)
        inner = _with_rows(iterate_inner(array), "inner", inner_bytes)
        if count_rows(array) > BLOCK_ROWS:
            return _Grid(array, objects, inner, (rows for _, rows in chain(objects, inner)))
        if len(self._known) >= _CACHED_GRIDS:
            self._known.clear()
        kept_objects, kept_inner = list(objects), list(inner)
        rows = [rows for _, rows in chain(kept_objects, kept_inner)]
        keys = [key for block, _ in kept_objects for key in block.keys.to_pylist()] if rows else []
        index = {key: number for number, key in enumerate(keys)} if len(keys) <= _MAX_INDEX_KEYS else None
        grid = self._known[id(array)] = _Grid(array, kept_objects, kept_inner, rows, index)
        return grid


def _with_rows(blocks: Iterable[GridBlock], kind: str, nominal_bytes: int | None) -> Iterator[_Block]:
    for block in blocks:
        yield block, GridRows(len(block.keys), block.keys, block.coords, kind, nominal_bytes)


@dataclass(slots=True)
class _Observer:
    """Turns listed arrays into segments; ``stored`` sums up the bytes of the objects by array path."""

    store: Store
    log: FindingLog
    grids: _Grids
    stored: dict[str, int]

    def observe(self, item: IndexedArray, listed: ListedSizes) -> Iterator[ChunkSegment]:
        image, level, array = item
        grid = self.grids.find(array)
        objects = observe_objects(listed, level.path, array, grid.index)
        if len(objects.linear) == 0 and (lost := count_objects_elsewhere(listed, level.path, array)):
            self._note_lost(level.path, array, lost)
        if array.shard_shape is None and (empty := int((objects.sizes == 0).sum())):
            text = f"{empty:,} chunks are files of no bytes, which no codec decodes: a copy that was cut off."
            self.log.note("empty-chunks", "error", level.path, text)
        if array.stored_shape is not None:
            self.stored[level.path] = int(objects.sizes.sum())
        if objects.offsets is not None and (objects.offsets == NO_OFFSET).any():
            self.log.note_repeated("packed-chunks", "info", level.path, _PACKED)
        for block, rows in grid.objects:
            sizes = objects.spread(objects.sizes, block)
            offsets = None if objects.offsets is None else objects.spread(objects.offsets, block, NO_OFFSET)
            yield image, level, rows, Observed(sizes, offsets)
        for block, rows in grid.inner:
            inner = observe_inner(self.store, level.path, array, block, objects, self._note_shard)
            yield image, level, rows, Observed(*inner)

    def _note_lost(self, path: str, array: ZarrArray, count: int) -> None:
        text = f"The metadata say that chunk keys are joined by {array.keys.separator!r}; {count:,} objects lie under keys "
        text += "joined otherwise, where no reader looks. Correct the dimension separator, or move them."
        self.log.note("chunks-elsewhere", "error", path, text)

    def _note_shard(self, path: str, problem: str) -> None:
        self.log.note("corrupt-shard", "error", path, f"The shard index cannot be used: {problem}.")


def _shard_bytes(array: ZarrArray) -> int | None:
    """Uncompressed bytes of one whole shard, without its index."""
    if array.item_bytes is None or array.shard_shape is None:
        return None
    total = array.item_bytes
    for extent in array.shard_shape:
        total *= extent
    # Such a size is a hostile shape; the column is int64.
    return total if total < 2**63 else None
