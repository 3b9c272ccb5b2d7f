"""Every inner chunk is where its row says: bytes cut out of the shard or the archive decode to the pixels that zarr-python reads."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, ShardingCodec, TransposeCodec, ZstdCodec

from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_plate_source, scan_store_records
from bioimage_assets_tests.builders.zarr_documents import write_array
from bioimage_assets_tests.builders.zarr_plates import write_pixel_array

Row = dict[str, object]
INNER_CODECS = (BytesCodec(), ZstdCodec())
SHAPE = (5, 20, 24)
SHARD = (12, 12, 12)  # zarr-python wants shards that inner chunks divide before the transpose, too


def write_shards(
    root: Path,
    shape: Sequence[int],
    shard: Sequence[int],
    inner: Sequence[int],
    orders: Sequence[Sequence[int]] = (),
) -> np.ndarray:
    """Write an array whose shards stand behind transposes (``inner`` in the order of the last), three quarters of it with pixels."""
    codecs = [TransposeCodec(order=tuple(order)) for order in orders]
    sharding = ShardingCodec(chunk_shape=tuple(inner), codecs=INNER_CODECS)
    array = zarr.create(
        store=str(root),
        shape=tuple(shape),
        chunks=tuple(shard),
        dtype="<u2",
        zarr_format=3,
        fill_value=0,
        codecs=[*codecs, sharding],
    )
    pixels = np.arange(1, 1 + np.prod(shape), dtype="<u2").reshape(shape)
    pixels[..., shape[-1] * 3 // 4 :] = 0
    array[...] = pixels
    return np.asarray(array[...])


def check_inner(
    rows: Sequence[Row],
    pixels: np.ndarray,
    inner: Sequence[int],
    files: dict[str, Path],
    turned: Sequence[int],
) -> int:
    """Decode each present inner chunk from the file that its offset counts in; says how many were present.

    ``inner`` is in the order of the array, ``turned`` the axes in the order in which the bytes are.
    """
    present = 0
    for row in rows:
        coords = np.array(row["chunk_coords"])
        wanted = pixels[tuple(slice(c * size, (c + 1) * size) for c, size in zip(coords, inner, strict=True))]
        assert row["is_present"] == bool(wanted.any())
        if not row["is_present"]:
            assert (row["stored_offset"], row["stored_bytes"]) == (None, None)
            continue
        present += 1
        file = files.get(str(row["chunk_key"])) or files[""]
        start = int(str(row["stored_offset"]))
        raw = numcodecs.Zstd().decode(file.read_bytes()[start : start + int(str(row["stored_bytes"]))])
        stored = np.frombuffer(raw, "<u2").reshape([inner[axis] for axis in turned])
        whole = stored.transpose(np.argsort(turned))
        assert np.array_equal(whole[tuple(map(slice, wanted.shape))], wanted)
    return present


TRANSPOSES = {
    "none": ((), (0, 1, 2)),
    "reversed": (((2, 1, 0),), (2, 1, 0)),
    "turned": (((1, 2, 0),), (1, 2, 0)),
    "twice": (((1, 2, 0), (1, 0, 2)), (2, 1, 0)),
}


@pytest.mark.parametrize("case", TRANSPOSES.values(), ids=list(TRANSPOSES))
def test_inner_chunks_behind_a_transpose_are_found_at_their_coordinates(
    tmp_path: Path, case: tuple[Sequence[Sequence[int]], Sequence[int]]
) -> None:
    orders, turned = case
    root, inner = tmp_path / "t.zarr", (2, 4, 6)
    pixels = write_shards(root, SHAPE, SHARD, [inner[axis] for axis in turned], orders)
    rows = scan_chunk_index(str(root)).read_all().to_pylist()
    files = {str(row["chunk_key"]): root / str(row["chunk_key"]) for row in rows if row["kind"] == "object"}
    inner_rows = [row for row in rows if row["kind"] == "inner"]
    assert len(inner_rows) == len({tuple(row["chunk_coords"]) for row in inner_rows}) == 3 * 5 * 4
    assert check_inner(inner_rows, pixels, inner, files, turned) == 3 * 5 * 3
    scan = scan_store_records(str(root))
    assert (scan.images[0].chunk_shape, scan.images[0].shard_shape, scan.findings) == (inner, SHARD, ())


def zip_folder(root: Path, archive: Path, *, below: str = "", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(archive, "w", method) as target:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                target.write(path, f"{below}{path.relative_to(root)}")
    return archive


@pytest.mark.parametrize("below", ["", "folder/"])
@pytest.mark.parametrize("case", [TRANSPOSES["none"], TRANSPOSES["turned"]], ids=["plain", "turned"])
def test_offsets_of_inner_chunks_in_an_archive_are_those_in_the_archive(
    tmp_path: Path, below: str, case: tuple[Sequence[Sequence[int]], Sequence[int]]
) -> None:
    orders, turned = case
    root, inner = tmp_path / "t.zarr", (2, 4, 6)
    pixels = write_shards(root, SHAPE, SHARD, [inner[axis] for axis in turned], orders)
    archive = zip_folder(root, tmp_path / "t.ozx", below=below)
    rows = scan_chunk_index(str(archive)).read_all().to_pylist()
    assert (
        check_inner([row for row in rows if row["kind"] == "inner"], pixels, inner, {"": archive}, turned)
        == 3 * 5 * 3
    )
    raw = archive.read_bytes()
    for row in rows:
        if row["kind"] == "object":
            start = int(str(row["stored_offset"]))
            shard = (root / str(row["chunk_key"])).read_bytes()
            assert raw[start : start + int(str(row["stored_bytes"]))] == shard


def test_chunks_in_an_archive_without_shards_lie_where_their_rows_say(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    write_pixel_array(root, shape=(9, 10), chunks=(4, 4))
    archive = zip_folder(root, tmp_path / "a.zip")
    raw = archive.read_bytes()
    rows = scan_chunk_index(str(archive)).read_all().to_pylist()
    assert len(rows) == 9
    for row in rows:
        start = row["stored_offset"]
        assert raw[start : start + row["stored_bytes"]] == (root / row["chunk_key"]).read_bytes()


def test_chunks_that_the_archive_packs_once_more_are_present_without_an_offset_and_that_is_said(
    tmp_path: Path,
) -> None:
    root = tmp_path / "d/s.zarr"
    pixels = write_shards(root, SHAPE, SHARD, (2, 4, 6))
    archive = zip_folder(root, tmp_path / "d/s.ozx", method=zipfile.ZIP_DEFLATED)
    scan = scan_plate_source(PlateSource("d/s", "d", "s", str(root.parent), (str(archive),)))
    assert scan.chunks is not None
    rows = scan.chunks.read_all().to_pylist()
    assert {row["stored_offset"] for row in rows} == {None}
    with zipfile.ZipFile(archive) as packed:
        sizes = {row["chunk_key"]: row["stored_bytes"] for row in rows if row["kind"] == "object"}
        assert sizes == {key: packed.getinfo(key).compress_size for key in sizes}
    for row in rows:
        if row["kind"] == "inner":
            (t, y, x) = row["chunk_coords"]
            assert row["is_present"] == bool(
                pixels[t * 2 : t * 2 + 2, y * 4 : y * 4 + 4, x * 6 : x * 6 + 6].any()
            )
    assert [(finding.code, finding.severity) for finding in scan.chunk_findings()] == [
        ("packed-chunks", "info")
    ]


def test_shards_of_shards_have_rows_of_the_outer_chunks_and_that_is_said(tmp_path: Path) -> None:
    root = tmp_path / "n.zarr"
    nested = ShardingCodec(chunk_shape=(2, 2), codecs=INNER_CODECS)
    outer = ShardingCodec(chunk_shape=(4, 4), codecs=[nested])
    array = zarr.create(
        store=str(root),
        shape=(16, 16),
        chunks=(8, 8),
        dtype="<u2",
        zarr_format=3,
        fill_value=0,
        codecs=[outer],
    )
    array[:8] = 7
    scan = scan_store_records(str(root))
    assert [finding.code for finding in scan.findings] == ["nested-shards"]
    assert (
        (scan.images[0].chunk_shape, scan.images[0].shard_shape)
        == ((4, 4), (8, 8))
        == (array.chunks, array.shards)
    )
    rows = [row for row in scan_chunk_index(str(root)).read_all().to_pylist() if row["kind"] == "inner"]
    present = {tuple(row["chunk_coords"]) for row in rows if row["is_present"]}
    assert present == {(y, x) for y in range(2) for x in range(4)}
    # Each of them is a shard: its own index of four entries and a checksum stands at its end.
    for row in rows[:4]:
        start, size = row["stored_offset"], row["stored_bytes"]
        raw = (root / row["chunk_key"]).read_bytes()[start : start + size]
        entries = np.frombuffer(raw[-68:-4], "<u8").reshape(4, 2)
        assert (numcodecs.Zstd().decode(raw[: int(entries[0, 1])])) == np.full(4, 7, "<u2").tobytes()


@pytest.mark.parametrize("order", [[0, 0], [0, 5], "X", None, [1]])
def test_a_transpose_that_cannot_be_followed_leaves_whole_shards_and_is_said(
    tmp_path: Path, order: object
) -> None:
    sharding = {
        "name": "sharding_indexed",
        "configuration": {"chunk_shape": [2, 2], "codecs": [{"name": "bytes"}]},
    }
    transpose = {"name": "transpose", "configuration": {"order": order}}
    write_array(tmp_path / "x.zarr", "", (8, 8), (4, 4), zarr_format=3, codecs=[transpose, sharding])
    scan = scan_store_records(str(tmp_path / "x.zarr"))
    assert [finding.code for finding in scan.findings] == ["bad-shard-layout"]
    assert {row["kind"] for row in scan_chunk_index(str(tmp_path / "x.zarr")).read_all().to_pylist()} == {
        "object"
    }


def test_shards_nested_without_end_are_read_to_a_depth(tmp_path: Path) -> None:
    codecs: list[object] = [{"name": "bytes"}]
    for _ in range(200):
        codecs = [{"name": "sharding_indexed", "configuration": {"chunk_shape": [2, 2], "codecs": codecs}}]
    write_array(tmp_path / "x.zarr", "", (8, 8), (4, 4), zarr_format=3, codecs=codecs)
    assert [finding.code for finding in scan_store_records(str(tmp_path / "x.zarr")).findings] == [
        "nested-shards"
    ]
