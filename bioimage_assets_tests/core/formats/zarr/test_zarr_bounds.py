"""Arrays that claim far more than they promise: memory follows the rows, and indexes are read to a stated limit."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zarr

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.zarr.documents import MAX_VALUES, parse_json
from bioimage_assets.core.formats.zarr.shards import MAX_INDEX_BYTES
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_store_records
from bioimage_assets.core.scan.stores import scan_stores
from bioimage_assets_tests.builders.zarr_documents import (
    array_document_v3,
    write_array,
    write_image,
    write_json,
)


def write_sharded(root: Path, shape: tuple[int, ...], shard: tuple[int, ...], inner: tuple[int, ...]) -> Path:
    document = array_document_v3(shape, shard)
    document["codecs"] = [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": list(inner),
                "codecs": [{"name": "bytes"}],
                "index_codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "crc32c"},
                ],
                "index_location": "end",
            },
        }
    ]
    write_json(root / "zarr.json", document)
    return root


@pytest.mark.parametrize("edge", [6_000, 10**6, 2**40])
def test_a_shard_far_beyond_its_array_takes_the_memory_of_the_rows_promised(
    tmp_path: Path, edge: int
) -> None:
    root = write_sharded(tmp_path / "x.zarr", (10, 10), (edge, edge), (1, 1))
    write_array(tmp_path / "warm.zarr", "", (2, 2), (1, 1))
    scan_chunk_index(str(tmp_path / "warm.zarr")).read_all()
    tracemalloc.start()
    try:
        rows = scan_chunk_index(str(root), options=ScanOptions(max_chunk_rows=101)).read_all()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows["chunk_coords"].to_pylist() == [[0, 0], *([y, x] for y in range(10) for x in range(10))]
    assert peak < 2 * 2**20


def test_an_index_beyond_the_cap_is_not_read_and_its_rows_are_unknown(tmp_path: Path) -> None:
    root = write_sharded(tmp_path / "x.zarr", (3, 3), (4_096, 4_096), (1, 1))
    (root / "c/0").mkdir(parents=True)
    with (root / "c/0/0").open("wb") as file:
        file.truncate(16 * 4_096**2 + 4)  # sparse: as large as the index says, without a block on disk
    assert MAX_INDEX_BYTES < 16 * 4_096**2
    (store,), _ = scan_stores(str(root), ScanOptions())
    log = FindingLog("")
    tracemalloc.start()
    try:
        rows = [row for batch in store.plan_chunks(store.scan.images, log=log) for row in batch.to_pylist()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [row["is_present"] for row in rows] == [True, *[None] * 9]
    (finding,) = log.findings()
    assert (finding.code, finding.location) == ("corrupt-shard", "c/0/0")
    assert f"at most {MAX_INDEX_BYTES:,} are read" in finding.message
    assert peak < 4 * 2**20


@pytest.mark.parametrize(
    ("shape", "shard", "inner"),
    [
        ((10, 10), (16, 16), (4, 4)),
        ((5, 9, 7), (4, 6, 4), (2, 3, 1)),
        ((17,), (8,), (2,)),
        ((3, 3), (64, 2), (1, 1)),
    ],
)
def test_positions_in_shards_that_overhang_are_those_that_zarr_wrote(
    tmp_path: Path, shape: tuple[int, ...], shard: tuple[int, ...], inner: tuple[int, ...]
) -> None:
    array = zarr.create_array(
        str(tmp_path / "x.zarr"),
        shape=shape,
        chunks=inner,
        shards=shard,
        dtype="uint16",
        compressors=None,
        fill_value=0,
    )
    pixels = np.arange(1, 1 + int(np.prod(shape)), dtype=np.uint16).reshape(shape)
    array[...] = pixels
    rows = [
        row
        for row in scan_chunk_index(str(tmp_path / "x.zarr")).read_all().to_pylist()
        if row["kind"] == "inner"
    ]
    assert len(rows) == int(np.prod([-(-s // c) for s, c in zip(shape, inner, strict=True)]))
    for row in rows:
        raw = (tmp_path / "x.zarr" / row["chunk_key"]).read_bytes()
        stored = np.frombuffer(raw[row["stored_offset"] :][: row["stored_bytes"]], "<u2").reshape(inner)
        place = tuple(slice(i * c, (i + 1) * c) for i, c in zip(row["chunk_coords"], inner, strict=True))
        own = pixels[place]
        assert (stored[tuple(map(slice, own.shape))] == own).all()


@pytest.mark.parametrize("rank", [40, 64])
def test_an_array_of_very_many_dimensions_has_its_chunks_found(tmp_path: Path, rank: int) -> None:
    shape, chunks = (2,) * 3 + (1,) * (rank - 3), (1,) * rank
    root = tmp_path / "x.zarr"
    write_array(root, "", shape, chunks)
    chunk = root.joinpath("1", "0", "1", *["0"] * (rank - 3))
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"1234")
    rows = scan_chunk_index(str(root)).read_all()
    assert rows["is_present"].to_pylist() == [number == 5 for number in range(8)]


def test_texts_that_every_row_would_repeat_are_cut(tmp_path: Path) -> None:
    root = write_image(tmp_path / "x.zarr", zarr_format=3, levels=("0",))
    path = root / "0/zarr.json"
    document = array_document_v3((2, 8, 8), (1, 8, 8))
    write_json(path, {**document, "data_type": "t" * 10**6, "codecs": [{"name": "c" * 10**6}]})
    (image,) = scan_store_records(str(root)).images
    assert (len(image.dtype), len(image.codec or "")) == (1_000, 1_000)


def test_a_document_of_very_many_values_is_refused_before_it_is_parsed() -> None:
    raw = b"[" + b"0," * MAX_VALUES + b"0]"
    with pytest.raises(CorruptStoreError, match="holds more than 16,000,000 values"):
        parse_json(raw, "zarr.json")
