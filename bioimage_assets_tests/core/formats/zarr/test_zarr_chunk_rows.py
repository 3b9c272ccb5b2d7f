"""Chunk rows agree with the files on disk and with what zarr-python reads, byte for byte."""

from __future__ import annotations

import math
import os
from itertools import product
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from bioimage_assets.core.errors import LimitExceededError, StoreChangedError
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets, scan_plate_source
from bioimage_assets.core.tables.schemas import CHUNK_INDEX, IMAGE_ASSETS
from bioimage_assets_tests.builders.zarr_documents import multiscales, write_array, write_image
from bioimage_assets_tests.builders.zarr_plates import write_pixel_array, write_pixel_plate

Rows = list[dict[str, object]]


def chunk_rows(path: Path, **options: object) -> Rows:
    return scan_chunk_index(str(path), **options).read_all().to_pylist()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("encoding", ["default", "v2"])
def test_keys_sizes_and_presence_are_those_of_the_files(
    tmp_path: Path, zarr_format: int, separator: str, encoding: str
) -> None:
    root = tmp_path / "a.zarr"
    write_pixel_array(
        root, shape=(3, 20, 17), chunks=(1, 8, 8), zarr_format=zarr_format, separator=separator, encoding=encoding,
        written=[slice(0, 2), slice(0, 8), slice(None)],
    )  # fmt: skip
    rows = chunk_rows(root)
    files = {
        os.path.relpath(os.path.join(folder, name), root): os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(root)
        for name in names
    }
    stored = {str(row["chunk_key"]): row["stored_bytes"] for row in rows if row["is_present"]}
    assert stored == {
        key: size for key, size in files.items() if "zarr.json" not in key and not key.startswith(".z")
    }
    assert len(stored) == 6
    assert [tuple(row["chunk_coords"]) for row in rows] == list(product(range(3), range(3), range(3)))
    assert {row["nominal_bytes"] for row in rows} == {8 * 8 * 2}, "edge chunks are stored whole"
    assert all(row["stored_bytes"] is None for row in rows if not row["is_present"])
    encode = zarr.open_array(str(root)).metadata.encode_chunk_key
    assert [row["chunk_key"] for row in rows] == [encode(tuple(row["chunk_coords"])) for row in rows]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_without_dimensions_has_one_chunk(tmp_path: Path, zarr_format: int) -> None:
    zarr.create_array(str(tmp_path / "s.zarr"), shape=(), dtype="int16", zarr_format=zarr_format)[...] = 5
    (row,) = chunk_rows(tmp_path / "s.zarr")
    assert (row["chunk_key"], row["chunk_coords"], row["is_present"]) == (
        "0" if zarr_format == 2 else "c",
        [],
        True,
    )


def test_an_empty_array_has_no_chunk(tmp_path: Path) -> None:
    write_array(tmp_path / "e.zarr", "", (0, 5), (2, 2))
    assert chunk_rows(tmp_path / "e.zarr") == []


def read_inner_chunk(root: Path, row: dict[str, object]) -> np.ndarray:
    """Decode one inner chunk from the bytes that its row points at, with zarr's own codec."""
    array = zarr.open_array(str(root))
    with open(root / str(row["chunk_key"]), "rb") as file:
        file.seek(int(str(row["stored_offset"])))
        raw = file.read(int(str(row["stored_bytes"])))
    codec = array.metadata.codecs[0].codecs[-1]
    assert type(codec).__name__ == "ZstdCodec"
    decoded = numcodecs.Zstd().decode(raw)
    return np.frombuffer(decoded, "<u2").reshape(array.chunks)


@pytest.mark.parametrize("index_location", ["end", "start"])
def test_inner_chunks_of_shards_point_at_bytes_that_decode_to_the_pixels(
    tmp_path: Path, index_location: str
) -> None:
    root = tmp_path / "s.zarr"
    array = write_pixel_array(
        root,
        shape=(20, 30),
        chunks=(4, 8),
        shards=(8, 16),
        written=[slice(0, 9), slice(0, 30)],
        index_location=index_location,
    )
    rows = chunk_rows(root)
    inner = [row for row in rows if row["kind"] == "inner"]
    shards = [row for row in rows if row["kind"] == "object"]
    assert len(shards) == 3 * 2
    assert sorted(tuple(row["chunk_coords"]) for row in inner) == sorted(product(range(5), range(4)))
    pixels = array[:]
    for row in inner:
        y, x = row["chunk_coords"][0] * 4, row["chunk_coords"][1] * 8
        expected = pixels[y : y + 4, x : x + 8]
        assert row["is_present"] == bool(expected.any())
        if row["is_present"]:
            got = read_inner_chunk(root, row)[: expected.shape[0], : expected.shape[1]]
            assert (got == expected).all()
    assert {row["nominal_bytes"] for row in inner} == {4 * 8 * 2}
    assert {row["nominal_bytes"] for row in shards} == {8 * 16 * 2}


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_shard_index_leaves_its_rows_unknown_and_is_found(tmp_path: Path, damage: str) -> None:
    root = tmp_path / "d/s.zarr"
    write_pixel_array(root, shape=(16, 16), chunks=(4, 4), shards=(8, 8))
    shard = root / "c/0/1"
    raw = bytearray(shard.read_bytes())
    raw[-10] ^= 255
    shard.write_bytes({"flip": bytes(raw), "cut": bytes(raw[:30]), "empty": b""}[damage])
    source = PlateSource("d/s", "d", "s", str(root.parent), (str(root),))
    scan = scan_plate_source(source)
    assert scan.chunks is not None
    rows = scan.chunks.read_all().to_pylist()
    inner = [row for row in rows if row["kind"] == "inner" and row["chunk_key"] == "c/0/1"]
    assert [(row["is_present"], row["stored_offset"]) for row in inner] == [(None, None)] * 4
    assert sum(row["is_present"] is True for row in rows if row["kind"] == "inner") == 12
    assert [(finding.code, finding.location) for finding in scan.chunk_findings()] == [
        ("corrupt-shard", "c/0/1")
    ]


@pytest.mark.parametrize("sharded", [True, False])
def test_a_plate_is_indexed_level_by_level_and_levels_can_be_chosen(tmp_path: Path, sharded: bool) -> None:
    root = write_pixel_plate(tmp_path / "P1.zarr", sharded=sharded)
    table = scan_chunk_index(str(root)).read_all()
    assert table.schema == CHUNK_INDEX
    kind = "inner" if sharded else "object"
    per_level = [
        (row["image_id"], row["level"], row["array_path"]) for row in table.to_pylist() if row["kind"] == kind
    ]
    expected = [
        (f"P1:A0{column}:{field}", level, f"A/{column}/{field}/{level}")
        for column in (1, 2)
        for field in (0, 1)
        for level in range(3)
        for _ in range(8)
    ]
    assert per_level == expected
    assert all(table["is_present"].to_pylist())
    only = scan_chunk_index(str(root), levels=[1]).read_all()
    assert only.equals(table.filter(np.equal(table["level"].to_numpy(), 1)))


def test_the_logical_index_has_the_same_keys_and_leaves_what_was_not_observed_null(tmp_path: Path) -> None:
    root = write_pixel_plate(tmp_path / "P1.zarr", sharded=True)
    observed = scan_chunk_index(str(root)).read_all()
    logical = scan_chunk_index(str(root), options=ScanOptions(observe_chunks=False)).read_all()
    same = [
        name for name in observed.column_names if name not in ("stored_bytes", "stored_offset", "is_present")
    ]
    assert logical.select(same).equals(observed.select(same))
    assert [logical[name].null_count for name in ("stored_bytes", "stored_offset", "is_present")] == [
        len(logical)
    ] * 3


def test_an_array_that_two_images_share_is_indexed_once(tmp_path: Path) -> None:
    write_image(tmp_path / "m.zarr", entries=[multiscales(("0", "1")), multiscales(("1",))])
    rows = chunk_rows(tmp_path / "m.zarr")
    assert sorted({(row["image_id"], row["array_path"]) for row in rows}) == [("m", "0"), ("m", "1")]
    assert len(rows) == 8 + 2


def test_an_index_beyond_the_limit_is_refused_from_its_shapes(tmp_path: Path) -> None:
    write_array(tmp_path / "h.zarr", "", (2**62, 2**62), (1, 1))
    assert scan_image_assets(str(tmp_path / "h.zarr")).num_rows == 1
    with pytest.raises(LimitExceededError, match="max_chunk_rows"):
        scan_chunk_index(str(tmp_path / "h.zarr"))


def test_a_large_grid_is_streamed_in_batches_with_every_key_once(tmp_path: Path) -> None:
    write_array(tmp_path / "l.zarr", "", (300, 1000), (1, 1), zarr_format=3)
    rows, seen = 0, set()
    for batch in scan_chunk_index(str(tmp_path / "l.zarr"), options=ScanOptions(observe_chunks=False)):
        assert batch.num_rows <= 250_000
        rows += batch.num_rows
        seen.update(batch["chunk_key"].to_pylist())
    assert rows == len(seen) == 300_000
    assert {"c/0/0", "c/299/999", "c/250/0"} <= seen


def test_shards_larger_than_a_batch_are_streamed_whole(tmp_path: Path) -> None:
    write_array(tmp_path / "l.zarr", "", (1024, 600), (1024, 300), zarr_format=3, inner=(1, 1))
    reader = scan_chunk_index(str(tmp_path / "l.zarr"), options=ScanOptions(observe_chunks=False))
    assert reader.read_all().num_rows == 2 + 1024 * 600


def test_files_that_are_no_chunks_are_not_counted(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    write_pixel_array(root, shape=(4, 4), chunks=(2, 2), separator=".")
    for name in ("c.0.7", "c.00.1", "c.0", "notes.txt", "c.0.0.tmp", ".DS_Store"):
        (root / name).write_text("x")
    rows = chunk_rows(root)
    assert [row["is_present"] for row in rows] == [True] * 4
    assert math.isfinite(sum(int(str(row["stored_bytes"])) for row in rows))


def test_a_store_that_changes_while_its_chunks_are_listed_is_refused(tmp_path: Path) -> None:
    root = write_image(tmp_path / "c.zarr", zarr_format=3)
    reader = scan_chunk_index(str(root))
    (root / "zarr.json").write_text((root / "zarr.json").read_text() + " ")
    with pytest.raises(StoreChangedError, match="changed"):
        reader.read_all()


def test_image_assets_have_the_declared_schema_and_the_geometry_zarr_python_reads(tmp_path: Path) -> None:
    root = write_pixel_plate(tmp_path / "P1.zarr", zarr_format=2)
    table = scan_image_assets(str(root), dataset_id="screen")
    assert table.schema == IMAGE_ASSETS
    for row in table.to_pylist():
        for level in row["levels"]:
            array = zarr.open_array(str(root), path=level["path"], mode="r")
            assert tuple(level["shape"]) == array.shape
            assert tuple(level["chunk_shape"]) == array.chunks
        assert (row["dtype"], row["level_count"], row["dataset_id"]) == ("uint16", 3, "screen")
