"""Segments of chunk rows become ``chunk_index`` record batches of bounded size.

Columns and types: ``bioimage_assets.core.tables.schemas.CHUNK_INDEX``. Segments that share keys and
coordinates (every field of a plate) share them in memory too: rows are gathered, never built one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.tables.schemas import CHUNK_INDEX

BATCH_ROWS = 250_000


class ChunkSegment(NamedTuple):
    """Rows of one array of one image.

    ``sizes`` are stored bytes (-1: absent), ``offsets`` -1 where there is none; both None where nothing
    was observed. ``unknown`` marks rows whose presence could not be read.
    """

    image: ImageRecord
    array_path: str
    level: int
    kind: str
    keys: pa.StringArray
    coords: np.ndarray
    nominal_bytes: int | None
    sizes: np.ndarray | None = None
    offsets: np.ndarray | None = None
    unknown: np.ndarray | None = None


def build_chunk_batches(
    segments: Iterable[ChunkSegment], batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield record batches in the order of the segments; a segment is never split."""
    pending: list[ChunkSegment] = []
    rows = 0
    for segment in segments:
        if len(segment.keys) == 0:
            continue
        if pending and rows + len(segment.keys) > batch_rows:
            yield build_batch(pending)
            pending, rows = [], 0
        pending.append(segment)
        rows += len(segment.keys)
    if pending:
        yield build_batch(pending)


def build_batch(segments: Sequence[ChunkSegment]) -> pa.RecordBatch:
    """Build one batch from whole segments."""
    lengths = np.array([len(segment.keys) for segment in segments], np.int64)
    owner = pa.array(np.repeat(np.arange(len(segments), dtype=np.int32), lengths))
    images = [segment.image for segment in segments]
    keys, coords = _gather_grids(segments, lengths)
    sizes = _join_observed([segment.sizes for segment in segments], lengths)
    offsets = _join_observed([segment.offsets for segment in segments], lengths)
    columns = {
        "plate_key": _spread([image.plate_key for image in images], pa.string(), owner),
        "dataset_id": _spread([image.dataset_id for image in images], pa.string(), owner),
        "plate_id": _spread([image.plate_id for image in images], pa.string(), owner),
        "image_id": _spread([image.image_id for image in images], pa.string(), owner),
        "array_path": _spread([segment.array_path or None for segment in segments], pa.string(), owner),
        "level": _spread([segment.level for segment in segments], pa.int32(), owner),
        "kind": _spread([segment.kind for segment in segments], pa.string(), owner),
        "chunk_key": keys,
        "chunk_coords": coords,
        "strip_count": pa.nulls(len(owner), pa.int32()),
        "nominal_bytes": _spread([segment.nominal_bytes for segment in segments], pa.int64(), owner),
        "stored_bytes": pa.array(sizes, pa.int64(), mask=sizes < 0),
        "stored_offset": pa.array(offsets, pa.int64(), mask=offsets < 0),
        "is_present": _presence(segments, sizes, lengths),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in CHUNK_INDEX.names], schema=CHUNK_INDEX)


def _spread(values: Sequence[object], kind: pa.DataType, owner: pa.Array) -> pa.Array:
    """Repeat one value per segment over its rows."""
    first = values[0]
    if all(value is first or value == first for value in values):
        return (
            pa.repeat(pa.scalar(first, kind), len(owner)) if first is not None else pa.nulls(len(owner), kind)
        )
    return pa.array(values, kind).take(owner)


def _gather_grids(segments: Sequence[ChunkSegment], lengths: np.ndarray) -> tuple[pa.Array, pa.Array]:
    """Keys and coordinates of all rows; grids that several segments share are stored once and taken."""
    starts: dict[int, int] = {}
    grids: list[ChunkSegment] = []
    total = 0
    for segment in segments:
        if id(segment.keys) not in starts:
            starts[id(segment.keys)] = total
            grids.append(segment)
            total += len(segment.keys)
    keys = pa.concat_arrays([grid.keys for grid in grids]) if len(grids) > 1 else grids[0].keys
    dimensions = {grid.coords.shape[1] for grid in grids}
    if len(grids) == len(segments):
        return keys, _list_coords([grid.coords for grid in grids], dimensions)
    first = np.array([starts[id(segment.keys)] for segment in segments], np.int64)
    before = np.cumsum(lengths) - lengths
    rows = np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(first - before, lengths)
    if len(dimensions) == 1:
        coords = np.concatenate([grid.coords for grid in grids])[rows]
        return keys.take(pa.array(rows)), _list_coords([coords], dimensions)
    return keys.take(pa.array(rows)), _list_coords([grid.coords for grid in grids], dimensions).take(
        pa.array(rows)
    )


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


def _join_observed(parts: Sequence[np.ndarray | None], lengths: np.ndarray) -> np.ndarray:
    if all(part is None for part in parts):
        return np.full(int(lengths.sum()), -1, np.int64)
    return np.concatenate(
        [
            np.full(length, -1, np.int64) if part is None else part
            for part, length in zip(parts, lengths, strict=True)
        ]
    )


def _presence(segments: Sequence[ChunkSegment], sizes: np.ndarray, lengths: np.ndarray) -> pa.Array:
    """Null where nothing was observed or it could not be read."""
    if all(segment.sizes is None for segment in segments):
        return pa.nulls(len(sizes), pa.bool_())
    unknown = np.concatenate(
        [
            np.full(length, segment.sizes is None) if segment.unknown is None else segment.unknown
            for segment, length in zip(segments, lengths, strict=True)
        ]
    )
    return pa.array(sizes >= 0, pa.bool_(), mask=unknown if unknown.any() else None)
