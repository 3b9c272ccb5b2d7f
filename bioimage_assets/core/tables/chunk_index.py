"""Record batches of ``chunk_index``, of bounded size, from segments of chunk rows.

Columns and types: ``bioimage_assets.core.tables.schemas.CHUNK_INDEX``. Segments that share keys and
coordinates (every field of a plate) share them in memory too: rows are gathered, never built one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bioimage_assets.core.model.chunk import ABSENT, NO_OFFSET
from bioimage_assets.core.model.image import ImageRecord, LevelRecord
from bioimage_assets.core.tables.schemas import CHUNK_INDEX

_INTS = pa.list_(pa.int64())
BATCH_ROWS = 250_000  # as BLOCK_ROWS of formats/zarr/grid: one block is one batch

_OF_IMAGE = ("plate_key", "dataset_id", "plate_id", "image_id")
_GET_OF_IMAGE = attrgetter(*_OF_IMAGE)


class GridRows(NamedTuple):
    """Keys, coordinates (rows × axes), kind and uncompressed bytes of chunks; equal arrays share one object."""

    row_count: int
    keys: pa.StringArray
    coords: np.ndarray
    kind: str
    nominal_bytes: int | None


class Observed(NamedTuple):
    """What was seen of the chunks of one segment.

    ``sizes`` are stored bytes (``ABSENT`` where not stored), ``offsets`` ``NO_OFFSET`` where there is none, None where no chunk has one;
    ``unknown`` marks rows whose presence could not be read.
    """

    sizes: np.ndarray
    offsets: np.ndarray | None = None
    unknown: np.ndarray | None = None


# Rows of one array of one image. A plain tuple: a plate has thousands, and building them is what costs.
ChunkSegment = tuple[ImageRecord, LevelRecord, GridRows, Observed | None]


def build_chunk_batches(
    segments: Iterable[ChunkSegment], batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield record batches in the order of the segments; a segment is never split."""
    pending: list[ChunkSegment] = []
    total = 0
    for segment in segments:
        count = segment[2].row_count
        if total + count > batch_rows and pending:
            yield build_batch(pending)
            pending, total = [], 0
        pending.append(segment)
        total += count
    if total:
        yield build_batch(pending)


def build_batch(segments: Sequence[ChunkSegment]) -> pa.RecordBatch:
    """Build one batch from whole segments."""
    images, levels, rows, observed = zip(*segments, strict=True)
    ids = list(map(id, rows))
    distinct = list(dict(zip(ids, rows, strict=True)).values())
    numbers = {id(grid): number for number, grid in enumerate(distinct)}
    grid = np.array([numbers[item] for item in ids], np.int64)
    lengths = np.array([item.row_count for item in distinct], np.int64)[grid]
    owner = np.repeat(np.arange(len(segments), dtype=np.int32), lengths)
    by_segment = pa.array(owner)
    by_grid = pa.array(grid[owner]) if len(distinct) > 1 else by_segment
    keys, coords = _gather_grids(distinct, grid, lengths)
    identity = (
        _spread(values, pa.string(), by_segment) for values in zip(*map(_GET_OF_IMAGE, images), strict=True)
    )
    columns = {
        **dict(zip(_OF_IMAGE, identity, strict=True)),
        "array_path": _spread([level.path or None for level in levels], pa.string(), by_segment),
        "level": _spread([level.level for level in levels], pa.int32(), by_segment),
        "kind": _spread([item.kind for item in distinct], pa.string(), by_grid),
        "chunk_key": keys,
        "chunk_coords": coords,
        "strip_count": pa.nulls(len(owner), pa.int32()),
        "nominal_bytes": _spread([item.nominal_bytes for item in distinct], pa.int64(), by_grid),
        **_build_observed(observed, lengths),
        "strip_offsets": pa.nulls(len(owner), _INTS),
        "strip_bytes": pa.nulls(len(owner), _INTS),
        "codec": pa.nulls(len(owner), pa.string()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in CHUNK_INDEX.names], schema=CHUNK_INDEX)


def _spread(values: Sequence[object], kind: pa.DataType, owner: pa.Array) -> pa.Array:
    """Repeat the value of each owner over its rows."""
    first = values[0]
    if values.count(first) == len(values):
        return (
            pa.repeat(pa.scalar(first, kind), len(owner)) if first is not None else pa.nulls(len(owner), kind)
        )
    return pa.array(values, kind).take(owner)


def _gather_grids(
    grids: Sequence[GridRows], grid: np.ndarray, lengths: np.ndarray
) -> tuple[pa.Array, pa.Array]:
    """Keys and coordinates of all rows: grids are stored once and taken by each segment (``grid``: which one)."""
    keys = pa.concat_arrays([rows.keys for rows in grids]) if len(grids) > 1 else grids[0].keys
    dimensions = {rows.coords.shape[1] for rows in grids}
    if len(grids) == len(grid):
        return keys, _list_coords([rows.coords for rows in grids], dimensions)
    counts = np.array([rows.row_count for rows in grids], np.int64)
    first = (np.cumsum(counts) - counts)[grid]
    before = np.cumsum(lengths) - lengths
    numbers = np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(first - before, lengths)
    taken = pa.array(numbers)
    if len(dimensions) == 1:
        coords = np.concatenate([rows.coords for rows in grids])[numbers]
        return keys.take(taken), _list_coords([coords], dimensions)
    return keys.take(taken), _list_coords([rows.coords for rows in grids], dimensions).take(taken)


def _list_coords(parts: Sequence[np.ndarray], dimensions: set[int]) -> pa.ListArray:
    values = np.concatenate([part.reshape(-1) for part in parts]) if len(parts) > 1 else parts[0].reshape(-1)
    if len(dimensions) == 1:
        step = next(iter(dimensions))
        offsets = np.arange(sum(len(part) for part in parts) + 1, dtype=np.int32) * step
    else:
        widths = np.concatenate([np.full(len(part), part.shape[1], np.int32) for part in parts])
        offsets = np.zeros(len(widths) + 1, np.int32)
        np.cumsum(widths, out=offsets[1:])
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values.astype(np.int32, copy=False)), type=pa.list_(pa.int32())
    )


def _build_observed(parts: Sequence[Observed | None], lengths: np.ndarray) -> dict[str, pa.Array]:
    """Sizes, offsets and presence; null where nothing was observed or it could not be read."""
    rows = int(lengths.sum())
    if not any(parts):
        nothing = pa.nulls(rows, pa.int64())
        return {"stored_bytes": nothing, "stored_offset": nothing, "is_present": pa.nulls(rows, pa.bool_())}
    sizes = _join([part and part.sizes for part in parts], lengths, ABSENT)
    offsets = _join([part and part.offsets for part in parts], lengths, NO_OFFSET)
    unknown = _join([part and part.unknown for part in parts], lengths, False)
    unseen = np.repeat([part is None for part in parts], lengths)
    return {
        "stored_bytes": pa.array(sizes, pa.int64(), mask=sizes == ABSENT),
        "stored_offset": pa.array(offsets, pa.int64(), mask=offsets == NO_OFFSET),
        "is_present": pa.array(sizes != ABSENT, pa.bool_(), mask=unknown | unseen),
    }


def _join(parts: Sequence[np.ndarray | None], lengths: np.ndarray, missing: int | bool) -> np.ndarray:
    """Values of all rows, ``missing`` where a segment has none."""
    if all(part is None for part in parts):
        return np.full(int(lengths.sum()), missing)
    return np.concatenate(
        [
            np.full(length, missing) if part is None else part
            for part, length in zip(parts, lengths, strict=True)
        ]
    )
