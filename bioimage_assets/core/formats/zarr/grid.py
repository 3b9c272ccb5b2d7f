"""Keys and coordinates of every stored object and of every inner chunk, from an array's chunk grid.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/v3/chunk-key-encodings/default/index.html,
…/v2/index.html and https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html.
Keys are relative to the array. Rows are in C order of the stored objects, inner chunks in C order within.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.formats.zarr.array import ChunkKeys, ZarrArray

BLOCK_ROWS = 250_000  # bounds the coordinates and keys that are in memory at once


@dataclass(frozen=True, slots=True)
class GridBlock:
    """Consecutive rows of a grid: keys, coordinates (rows × axes), first stored object and how many.

    ``places`` is set for inner chunks only: the position of each row in its shard's index. Positions past the array's
    edge are not rows; rows are in the order shard, position, and shard ``i`` of the block has the rows
    ``row_starts[i]:row_starts[i + 1]``.
    """

    keys: pa.StringArray
    coords: np.ndarray
    first: int
    count: int
    places: np.ndarray | None = None
    row_starts: np.ndarray | None = None


def grid_counts(shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Number of chunks along each axis; the last one may overhang."""
    return tuple(-(-extent // chunk) for extent, chunk in zip(shape, chunk_shape, strict=True))


def count_rows(array: ZarrArray) -> int:
    """Rows an array adds to the chunk index: stored objects, and inner chunks where it is sharded."""
    if array.chunk_shape is None or array.stored_shape is None:
        return 0
    rows = prod(grid_counts(array.shape, array.stored_shape))
    return rows + prod(grid_counts(array.shape, array.chunk_shape)) if array.shard_shape else rows


def iterate_objects(array: ZarrArray) -> Iterator[GridBlock]:
    """Yield the stored objects (chunks or shards) of an array in blocks."""
    if array.stored_shape is None:
        return
    counts = grid_counts(array.shape, array.stored_shape)
    total = prod(counts)
    for start in range(0, total, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, total)
        yield GridBlock(
            build_keys(counts, array.keys, start, stop),
            build_coords(counts, start, stop),
            start,
            stop - start,
        )


def iterate_inner(array: ZarrArray) -> Iterator[GridBlock]:
    """Yield the inner chunks of a sharded array, whole shards per block.

    A shard may reach far beyond the array: only positions that its extents can use are built, so that memory follows
    the rows and not what the shards could hold.
    """
    if array.shard_shape is None or array.chunk_shape is None:
        return
    shard_counts = grid_counts(array.shape, array.shard_shape)
    inner_counts = grid_counts(array.shape, array.chunk_shape)
    per_shard = grid_counts(array.shard_shape, array.chunk_shape)
    used = tuple(map(min, per_shard, inner_counts))
    positions = prod(used)
    if positions == 0:
        return
    local = build_coords(used, 0, positions)
    places = _number_positions(*_as_stored(array, local, per_shard))
    step = max(1, BLOCK_ROWS // positions)
    total = prod(shard_counts)
    for start in range(0, total, step):
        stop = min(start + step, total)
        shards = build_coords(shard_counts, start, stop)
        coords = (shards[:, None, :] * np.array(per_shard, np.int64) + local[None, :, :]).reshape(
            -1, len(per_shard)
        )
        inside = (coords < np.array(inner_counts, np.int64)).all(axis=1)
        owner = np.repeat(np.arange(stop - start), positions)[inside]
        keys = build_keys(shard_counts, array.keys, start, stop).take(pa.array(owner))
        row_starts = np.searchsorted(owner, np.arange(stop - start + 1))
        own_places = np.broadcast_to(places, (stop - start, positions)).reshape(-1)[inside]
        yield GridBlock(keys, coords[inside].astype(np.int32), start, stop - start, own_places, row_starts)


def _as_stored(
    array: ZarrArray, coords: np.ndarray, counts: tuple[int, ...]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Coordinates and counts of inner chunks along the axes of the shard's index, which a transpose may have ordered otherwise."""
    order = array.shard_index.order if array.shard_index is not None else None
    return (coords, counts) if order is None else (coords[:, order], tuple(counts[axis] for axis in order))


def _number_positions(coords: np.ndarray, counts: tuple[int, ...]) -> np.ndarray:
    """C-order numbers of coordinates in a grid, any number of axes; the grid must have fewer than 2^63 places."""
    linear = np.zeros(len(coords), np.int64)
    # C-order numbers of chunks are int64.
    if prod(counts) < 2**63:
        for axis, count in enumerate(counts):
            linear = linear * count + coords[:, axis]
    return linear


def build_coords(counts: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    """Coordinates of rows ``start`` to ``stop`` of a grid in C order."""
    if not counts:
        return np.zeros((stop - start, 0), np.int32)
    linear = np.arange(start, stop, dtype=np.int64)
    coords = np.empty((stop - start, len(counts)), np.int32)
    for axis in range(len(counts) - 1, 0, -1):
        linear, coords[:, axis] = np.divmod(linear, counts[axis])
    coords[:, 0] = linear
    return coords


def build_keys(counts: tuple[int, ...], keys: ChunkKeys, start: int, stop: int) -> pa.StringArray:
    """Keys of rows ``start`` to ``stop`` of a grid in C order."""
    if not counts:
        return pa.array(["c" if keys.style == "default" else "0"] * (stop - start), pa.string())
    joined = _join_axes(counts, keys.separator, start, stop)
    if keys.style == "default":
        return pc.binary_join_element_wise(pa.scalar("c"), joined, pa.scalar(keys.separator))
    return joined


def _join_axes(counts: tuple[int, ...], separator: str, start: int, stop: int) -> pa.StringArray:
    if len(counts) == 1:
        return pc.cast(pa.array(np.arange(start, stop, dtype=np.int64)), pa.string())
    last = counts[-1]
    outer_start, outer_stop = start // last, (stop - 1) // last + 1
    outer = _join_axes(counts[:-1], separator, outer_start, outer_stop)
    linear = np.arange(start, stop, dtype=np.int64)
    heads = outer.take(pa.array(linear // last - outer_start))
    tails = linear % last
    names = pc.cast(pa.array(np.arange(last if stop - start >= last else 0, dtype=np.int64)), pa.string())
    ends = names.take(pa.array(tails)) if len(names) else pc.cast(pa.array(tails), pa.string())
    return pc.binary_join_element_wise(heads, ends, pa.scalar(separator))


def locate_keys(listed: pa.StringArray, array: ZarrArray) -> tuple[np.ndarray, np.ndarray]:
    """Find the listed keys that are stored objects of an array.

    Returns
    -------
    positions, linear
        Positions in ``listed`` and the C-order numbers of the objects; every other key is not a chunk.
    """
    empty = np.zeros(0, np.int64)
    if array.stored_shape is None or len(listed) == 0:
        return empty, empty
    counts = grid_counts(array.shape, array.stored_shape)
    number = r"(0|[1-9][0-9]{0,17})"
    separator = r"\." if array.keys.separator == "." else "/"
    prefix = ["c"] if array.keys.style == "default" else []
    pattern = separator.join([*prefix, *([number] * len(counts))]) or "0"
    positions = np.flatnonzero(
        pc.match_substring_regex(listed, f"^{pattern}$").to_numpy(zero_copy_only=False)
    )
    if not counts or len(positions) == 0:
        return positions, np.zeros(len(positions), np.int64)
    texts = listed.take(pa.array(positions))
    parts = pc.split_pattern(texts, array.keys.separator).flatten()
    columns = parts.to_numpy(zero_copy_only=False).reshape(len(positions), -1)[:, len(prefix) :]
    coords = pc.cast(pa.array(columns.reshape(-1), pa.string()), pa.int64()).to_numpy().reshape(columns.shape)
    inside = (coords < np.array(counts, np.int64)).all(axis=1)
    return positions[inside], _number_positions(coords[inside], counts)
