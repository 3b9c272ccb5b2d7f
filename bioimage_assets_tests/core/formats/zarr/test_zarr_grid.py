"""Rows of a chunk grid have the keys that zarr-python writes, in C order, and listed keys find their chunk again."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from zarr.core.chunk_key_encodings import DefaultChunkKeyEncoding, V2ChunkKeyEncoding

from bioimage_assets.core.formats.zarr import grid
from bioimage_assets.core.formats.zarr.array import ChunkKeys, ZarrArray
from bioimage_assets.core.formats.zarr.grid import (
    build_coords,
    build_keys,
    count_rows,
    grid_counts,
    iterate_inner,
    iterate_objects,
    locate_keys,
)

STYLES = [("default", "/"), ("default", "."), ("v2", "/"), ("v2", ".")]


def array(
    shape: tuple[int, ...],
    chunks: tuple[int, ...] | None,
    shards: tuple[int, ...] | None = None,
    keys: tuple[str, str] = ("default", "/"),
) -> ZarrArray:
    return ZarrArray(3, shape, "uint8", None, 1, chunks, shards, ChunkKeys(*keys), "zstd")  # type: ignore[arg-type]


def keys_of_zarr(counts: tuple[int, ...], keys: tuple[str, str]) -> list[str]:
    encoding = (DefaultChunkKeyEncoding if keys[0] == "default" else V2ChunkKeyEncoding)(separator=keys[1])  # type: ignore[arg-type]
    return [encoding.encode_chunk_key(coords) for coords in product(*map(range, counts))]


@pytest.mark.parametrize("keys", STYLES)
@pytest.mark.parametrize("counts", [(), (1,), (1_203,), (3, 4), (2, 1_001), (1_001, 2), (2, 1, 3)])
def test_keys_are_those_of_zarr_python_with_thousands_written_as_digits(
    counts: tuple[int, ...], keys: tuple[str, str]
) -> None:
    expected = keys_of_zarr(counts, keys)
    assert build_keys(counts, ChunkKeys(*keys), 0, len(expected)).to_pylist() == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (5, 9), (999, 1_003), (1_000, 2_002), (7, 2_002), (2_001, 2_002)]
)
def test_any_part_of_a_grid_has_the_keys_and_coordinates_of_that_part(start: int, stop: int) -> None:
    counts = (2, 1_001)
    assert (
        build_keys(counts, ChunkKeys("default", "/"), start, stop).to_pylist()
        == keys_of_zarr(counts, ("default", "/"))[start:stop]
    )
    coords = build_coords(counts, start, stop)
    assert coords.tolist() == [list(c) for c in product(range(2), range(1_001))][start:stop]
    assert coords.dtype == np.int32


@pytest.mark.parametrize("keys", STYLES)
@pytest.mark.parametrize("counts", [(), (1_203,), (2, 1_001), (2, 3, 4)])
def test_every_listed_key_finds_its_chunk_and_nothing_else_does(
    counts: tuple[int, ...], keys: tuple[str, str]
) -> None:
    expected = keys_of_zarr(counts, keys)
    odd = [
        "",
        "zarr.json",
        ".zarray",
        "c",
        "0",
        "c/00",
        "c/-1",
        "c/1/",
        "x0",
        "0.0.0.0.0",
        "c/x/0",
        "c/0/01",
        "c/0/1001",
    ]
    strangers = [key for key in odd if key not in expected]
    positions, linear = locate_keys(
        pa.array([*strangers, *reversed(expected)]), array(counts, (1,) * len(counts), keys=keys)
    )
    assert positions.tolist() == list(range(len(strangers), len(strangers) + len(expected)))
    assert linear.tolist() == list(range(len(expected)))[::-1]


def test_nothing_listed_or_no_regular_grid_locates_nothing() -> None:
    for listed, shape in (
        (pa.array([], pa.string()), (1,)),
        (pa.array(["c/0"]), None),
        (pa.array(["x"]), (1,)),
    ):
        positions, linear = locate_keys(listed, array((4,), shape))
        assert (len(positions), len(linear)) == (0, 0)


def test_an_edge_chunk_that_overhangs_is_a_chunk() -> None:
    assert grid_counts((10, 9, 0), (3, 3, 3)) == (4, 3, 0)


def test_rows_are_stored_objects_and_inner_chunks_of_shards() -> None:
    assert count_rows(array((10,), (3,))) == 4
    assert count_rows(array((10, 10), (3, 5), (6, 10))) == 2 + 4 * 2
    assert count_rows(array((10,), None)) == 0
    assert list(iterate_objects(array((10,), None))) == list(iterate_inner(array((10,), (3,)))) == []


@pytest.mark.parametrize("block_rows", [1, 2, 5, 7, 250_000])
def test_the_size_of_blocks_does_not_change_what_a_grid_holds(
    block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "BLOCK_ROWS", block_rows)
    sharded = array((10, 7), (3, 2), (6, 4))
    objects, inner = list(iterate_objects(sharded)), list(iterate_inner(sharded))
    shards = list(product(range(2), range(2)))
    assert [key for block in objects for key in block.keys.to_pylist()] == [f"c/{y}/{x}" for y, x in shards]
    assert [tuple(c) for block in objects for c in block.coords.tolist()] == shards
    assert [(b.first, b.count) for b in objects][-1] == (
        sum(b.count for b in objects[:-1]),
        objects[-1].count,
    )
    assert max(b.count for b in objects) <= block_rows
    places = [(2 * sy + y, 2 * sx + x) for sy, sx in shards for y, x in product(range(2), range(2))]
    rows = [(f"c/{y // 2}/{x // 2}", (y, x)) for y, x in places if y < 4 and x < 4]
    got = [(k, tuple(c)) for b in inner for k, c in zip(b.keys.to_pylist(), b.coords.tolist(), strict=True)]
    assert got == rows
    positions = np.concatenate([b.places for b in inner if b.places is not None])
    assert positions.tolist() == [2 * (y % 2) + x % 2 for y, x in places if y < 4 and x < 4]
    per_shard = [np.diff(b.row_starts).tolist() for b in inner if b.row_starts is not None]
    assert [count for counts in per_shard for count in counts] == [4, 4, 4, 4]
    assert all(b.row_starts is not None and b.row_starts[0] == 0 for b in inner)
    assert [b.first for b in inner] == list(np.cumsum([0, *(b.count for b in inner[:-1])]))
    assert sum(b.count for b in inner) == 4
    assert max(b.count for b in inner) == min(4, max(1, block_rows // 4))


def test_inner_chunks_past_the_edge_of_the_array_are_no_rows() -> None:
    (block,) = iterate_inner(array((5, 3), (2, 1), (4, 2)))
    rows = [
        (y, x)
        for sy, sx in product(range(2), range(2))
        for y in (2 * sy, 2 * sy + 1)
        for x in (2 * sx, 2 * sx + 1)
    ]
    kept = [(y, x) for y, x in rows if y < 3 and x < 3]
    assert block.coords.tolist() == [list(place) for place in kept]
    assert block.keys.to_pylist() == [f"c/{y // 2}/{x // 2}" for y, x in kept]
    assert block.places is not None
    assert block.places.tolist() == [2 * (y % 2) + x % 2 for y, x in kept]
    assert block.row_starts is not None
    assert block.row_starts.tolist() == [0, 4, 6, 8, 9]
    assert block.coords.dtype == np.int32


def test_a_shard_that_reaches_far_beyond_the_array_has_the_rows_of_the_array_and_its_own_positions() -> None:
    (block,) = iterate_inner(array((2, 3), (1, 1), (1_000, 1_000)))
    assert block.coords.tolist() == [[y, x] for y in range(2) for x in range(3)]
    assert block.places is not None
    assert block.places.tolist() == [0, 1, 2, 1_000, 1_001, 1_002]
    assert list(iterate_inner(array((0, 3), (1, 1), (2, 2)))) == []
