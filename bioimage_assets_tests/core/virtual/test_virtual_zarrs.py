"""Zarr stores of every version read as OME-Zarr 0.5 and 0.4, through references, to the pixels that zarr-python reads of the originals."""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from numcodecs import BZ2, LZ4, LZMA, Blosc, Delta, FixedScaleOffset, GZip, Shuffle, Zlib, Zstd
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

from bioimage_assets.core.virtual.ome_metadata import OmeZarrVersion, build_group_documents
from bioimage_assets.core.virtual.write_parquet import write_kerchunk_parquet
from bioimage_assets_tests.builders.spatial_stores import write_spatial_data
from bioimage_assets_tests.builders.zarr_documents import multiscales, write_group, write_json
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.core.virtual.virtual_oracle import assert_same_pixels, make, open_plate, plan

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")
VERSIONS: tuple[OmeZarrVersion, ...] = ("0.5", "0.4")
SHAPE, CHUNKS = (2, 20, 30), (1, 8, 16)
PIXELS = (np.arange(int(np.prod(SHAPE))) ** 2 % 60_013).reshape(SHAPE)

V2_ARRAYS: dict[str, dict[str, object]] = {
    "plain": {"compressors": None},
    "blosc": {"compressors": Blosc(cname="lz4", shuffle=1)},
    "blosc-zstd-bits": {"compressors": Blosc(cname="zstd", shuffle=2)},
    "blosc-auto": {"compressors": Blosc(cname="zlib", shuffle=-1), "dtype": "uint8"},
    "zlib": {"compressors": Zlib(5)},
    "gzip": {"compressors": GZip(3)},
    "zstd": {"compressors": Zstd(3)},
    "lz4": {"compressors": LZ4()},
    "bz2": {"compressors": BZ2()},
    "lzma": {"compressors": LZMA()},
    "delta": {"compressors": Blosc(), "filters": [Delta("<u2")]},
    "delta-big-endian": {"compressors": Zlib(1), "filters": [Delta(">u2")], "dtype": ">u2"},
    "shuffle": {"compressors": Zlib(1), "filters": [Shuffle(2)]},
    "delta-shuffle": {"compressors": Zstd(1), "filters": [Delta("<u2"), Shuffle(2)]},
    "big-endian": {"dtype": ">u2", "compressors": Zlib(1)},
    "big-endian-plain": {"dtype": ">u2", "compressors": None},
    "fortran": {"order": "F", "compressors": Zlib(1)},
    "fortran-delta": {"order": "F", "compressors": None, "filters": [Delta("<u2")]},
    "float": {"dtype": "float32", "compressors": Blosc()},
    "float-nan": {"dtype": "<f8", "fill_value": float("nan"), "compressors": Zlib(1)},
    "int8": {"dtype": "int8", "compressors": Blosc()},
    "bool": {"dtype": "bool", "compressors": Zlib(1)},
    "fill": {"fill_value": 77, "compressors": Zlib(1)},
    "no-fill": {"fill_value": None, "compressors": Zlib(1)},
    "dots": {"separator": ".", "compressors": Zlib(1)},
}
V3_ARRAYS: dict[str, dict[str, object]] = {
    "plain": {"compressors": None},
    "zstd": {"compressors": ZstdCodec()},
    "gzip": {"compressors": GzipCodec()},
    "blosc": {"compressors": BloscCodec(cname="lz4", shuffle="bitshuffle", typesize=2)},
    "zstd-crc32c": {"compressors": [ZstdCodec(), Crc32cCodec()]},
    "big-endian": {"serializer": BytesCodec(endian="big"), "compressors": GzipCodec()},
    "reversed": {"filters": TransposeCodec(order=(2, 1, 0)), "compressors": ZstdCodec()},
    "sharded": {"shards": (2, 16, 32), "compressors": ZstdCodec()},
    "sharded-plain": {"shards": (2, 16, 32), "compressors": None},
    "sharded-blosc": {"shards": (1, 8, 16), "compressors": BloscCodec(typesize=2)},
    "float16": {"dtype": "float16", "compressors": ZstdCodec()},
    "dots": {"encoding": "default", "separator": ".", "compressors": ZstdCodec()},
    "v2-keys": {"encoding": "v2", "separator": "/", "compressors": ZstdCodec()},
    "v2-keys-dots": {"encoding": "v2", "separator": ".", "compressors": ZstdCodec()},
    "fill": {"fill_value": 77, "compressors": ZstdCodec()},
}


def write_image(root: Path, zarr_format: int, *, group: str = "", **options: object) -> Path:
    """One image of one level, its last row of chunks never written."""
    ome = {"multiscales": [multiscales(["0"])]}
    write_group(
        root, group, {"ome": {"version": "0.5", **ome}} if zarr_format == 3 else ome, zarr_format=zarr_format
    )
    dtype = str(options.pop("dtype", "uint16"))
    encoding = {
        "name": str(options.pop("encoding", "default")) if zarr_format == 3 else "v2",
        "separator": str(options.pop("separator", "/")),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr-python warns of codecs of numcodecs
        array = zarr.create_array(
            str(root / group / "0"), shape=SHAPE, chunks=CHUNKS, dtype=dtype, zarr_format=zarr_format, chunk_key_encoding=encoding, **options
        )  # fmt: skip
        array[:, :16] = PIXELS[:, :16].astype(array.dtype)
    return root


def check(root: Path, tmp_path: Path, version: OmeZarrVersion) -> int:
    """All images read; gives the number of planes."""
    images, plate = make(str(root), tmp_path / "plate.json", version)
    assert plate.refused == ()
    return assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json"))


@pytest.mark.parametrize("case", V2_ARRAYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_array_of_zarr_v2_reads(tmp_path: Path, case: str, version: OmeZarrVersion):
    root = write_image(tmp_path / "a.zarr", 2, **V2_ARRAYS[case])
    assert check(root, tmp_path, version) == 2


@pytest.mark.parametrize("case", V3_ARRAYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_array_of_zarr_v3_reads(tmp_path: Path, case: str, version: OmeZarrVersion):
    root = write_image(tmp_path / "a.zarr", 3, **V3_ARRAYS[case])
    assert check(root, tmp_path, version) == 2


@pytest.mark.slow
@pytest.mark.parametrize("case", [f"2-{name}" for name in V2_ARRAYS] + [f"3-{name}" for name in V3_ARRAYS])
@pytest.mark.parametrize("version", VERSIONS)
def test_fsspec_alone_reads_the_same(tmp_path: Path, case: str, version: OmeZarrVersion):
    number, _, name = case.partition("-")
    root = write_image(tmp_path / "a.zarr", int(number), **(V2_ARRAYS if number == "2" else V3_ARRAYS)[name])
    make(str(root), tmp_path / "plate.json", version)
    group = zarr.open_group(
        "reference://",
        mode="r",
        storage_options={"fo": str(tmp_path / "plate.json")},
        zarr_format=3 if version == "0.5" else 2,
    )
    np.testing.assert_array_equal(group["0/0"][...], zarr.open_array(str(root / "0"), mode="r")[...])


def test_an_array_of_zarr_v3_keeps_its_document(tmp_path: Path):
    root = write_image(
        tmp_path / "a.zarr",
        3,
        shards=(2, 16, 32),
        attributes={"note": "kept"},
        dimension_names=("c", "y", "x"),
    )
    _, plate = plan(str(root))
    assert plate.images[0].arrays[0].metadata_v3 == json.loads((root / "0" / "zarr.json").read_text())


def test_an_array_of_zarr_v2_keeps_its_document_in_0_4(tmp_path: Path):
    root = write_image(tmp_path / "a.zarr", 2)
    _, plate = plan(str(root), "0.4")
    assert plate.images[0].arrays[0].metadata_v2 == json.loads((root / "0" / ".zarray").read_text())


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_plate_reads_with_all_levels(tmp_path: Path, zarr_format: int, version: OmeZarrVersion):
    root = write_pixel_plate(tmp_path / "P1.zarr", zarr_format=zarr_format, rows=2, levels=2)
    assert check(root, tmp_path, version) == 2 * 2 * 2 * 2 * 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sharded_plate_reads(tmp_path: Path, version: OmeZarrVersion):
    root = write_pixel_plate(tmp_path / "P1.zarr", sharded=True)
    assert check(root, tmp_path, version) == 2 * 2 * 3 * 2


def test_parquet_refers_to_the_chunks_inside_of_shards(tmp_path: Path):
    root = write_pixel_plate(tmp_path / "P1.zarr", sharded=True)
    images, plate = plan(str(root), "0.4")
    target = tmp_path / "plate.parquet"
    write_kerchunk_parquet(plate, build_group_documents(images, plate, "0.4"), str(target))
    assert assert_same_pixels(images, plate, open_plate(target)) > 0


def test_shards_are_one_reference_each_and_their_chunks_are_what_zarr_v2_sees(tmp_path: Path):
    root = write_image(tmp_path / "a.zarr", 3, shards=(2, 16, 32))
    _, plate = plan(str(root))
    array = plate.images[0].arrays[0]
    assert (len(array.refs), array.chunk_shape) == (1, (2, 16, 32))
    assert array.inner_refs is not None
    assert len(array.inner_refs) == 2 * 2 * 2
    assert array.metadata_v2 is not None
    assert array.metadata_v2["chunks"] == list(CHUNKS)


@pytest.mark.parametrize("suffix", [".zarr.zip", ".ozx"])
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_plate_in_an_archive_reads_by_offsets_in_it(
    tmp_path: Path, suffix: str, sharded: bool, version: OmeZarrVersion
):
    root = write_pixel_plate(tmp_path / "P1.zarr", sharded=sharded)
    archive = tmp_path / f"P1{suffix}"
    pack(root, archive, zipfile.ZIP_STORED)
    shutil.rmtree(root)
    images, plate = make(str(archive), tmp_path / "plate.json", version)
    assert plate.refused == ()
    assert [source.uri for source in plate.sources] == [str(archive)]
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) == 2 * 2 * 3 * 2


def pack(root: Path, archive: Path, method: int) -> None:
    """Put a store into an archive, its root at the archive's root."""
    with zipfile.ZipFile(archive, "w", method) as packed:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(root))


def test_an_archive_that_packs_its_chunks_once_more_is_refused_by_name(tmp_path: Path):
    root = write_pixel_plate(tmp_path / "P1.zarr", columns=1, fields=1, size=256)
    pack(root, tmp_path / "P1.ozx", zipfile.ZIP_DEFLATED)
    _, plate = plan(str(tmp_path / "P1.ozx"))
    assert plate.images == ()
    assert [finding.location for finding in plate.refused] == ["P1:A01:0"]
    assert "zip -0" in plate.refused[0].message


OLD = {
    "0.1": {"version": "0.1", "datasets": [{"path": "0"}]},
    "0.2": {"version": "0.2", "datasets": [{"path": "0"}]},
    "0.3": {"version": "0.3", "axes": ["t", "c", "z", "y", "x"], "datasets": [{"path": "0"}]},
}


@pytest.mark.parametrize("old", OLD)
@pytest.mark.parametrize("version", VERSIONS)
def test_images_of_the_first_versions_read_as_tczyx(tmp_path: Path, old: str, version: OmeZarrVersion):
    root = tmp_path / "a.zarr"
    write_group(root, "", {"multiscales": [OLD[old]]})
    array = zarr.create_array(
        str(root / "0"), shape=(2, 3, 4, 10, 12), chunks=(1, 1, 2, 8, 8), dtype=">u2", zarr_format=2,
        chunk_key_encoding={"name": "v2", "separator": "." if old == "0.1" else "/"},
    )  # fmt: skip
    array[:] = np.arange(2 * 3 * 4 * 10 * 12).reshape(array.shape)
    _, plate = plan(str(root), version)
    assert plate.images[0].arrays[0].axes == tuple("tczyx")
    assert check(root, tmp_path, version) == 24


def test_an_image_of_0_6_reads(tmp_path: Path):
    root = write_image(tmp_path / "a.zarr", 3)
    axes = [{"name": name, "type": "channel" if name == "c" else "space"} for name in "cyx"]
    steps = [
        {"type": "scale", "scale": [1.0, 0.5, 0.5], "input": {"path": "0"}, "output": {"name": "physical"}}
    ]
    entry = {
        "coordinateSystems": [{"name": "physical", "axes": axes}],
        "datasets": [{"path": "0", "coordinateTransformations": steps}],
    }
    write_group(root, "", {"ome": {"version": "0.6", "multiscales": [entry]}}, zarr_format=3)
    assert check(root, tmp_path, "0.5") == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_the_images_of_a_bioformats2raw_store_read(tmp_path: Path, version: OmeZarrVersion):
    root = tmp_path / "b.zarr"
    write_group(root, "", {"bioformats2raw.layout": 3})
    for number in range(3):
        write_image(root, 2, group=str(number))
    _, plate = plan(str(root), version)
    assert [image.path for image in plate.images] == ["0", "1", "2"]
    assert check(root, tmp_path, version) == 6


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("version", VERSIONS)
def test_label_images_read_below_their_image(tmp_path: Path, zarr_format: int, version: OmeZarrVersion):
    root = write_image(tmp_path / "a.zarr", zarr_format)
    listed = {"labels": ["nuclei"]}
    write_group(
        root,
        "labels",
        {"ome": {"version": "0.5", **listed}} if zarr_format == 3 else listed,
        zarr_format=zarr_format,
    )
    write_image(root, zarr_format, group="labels/nuclei", dtype="int32")
    _, plate = plan(str(root), version)
    assert [image.path for image in plate.images] == ["0", "0/labels/nuclei"]
    assert check(root, tmp_path, version) == 4


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_rasters_of_spatial_data_read(tmp_path: Path, zarr_format: int, version: OmeZarrVersion):
    root = write_spatial_data(
        tmp_path / "s.zarr",
        images={"a": ["global"], "b": ["global"]},
        labels={"cells": ["global"]},
        zarr_format=zarr_format,
    )
    images, plate = make(str(root), tmp_path / "plate.json", version)
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json"))
    kinds = dict(zip(images["image_id"].to_pylist(), images["image_kind"].to_pylist(), strict=True))
    owners = dict(zip(images["image_id"].to_pylist(), images["source_image_id"].to_pylist(), strict=True))
    refused = {finding.location for finding in plate.refused}
    assert refused == {
        name for name, kind in kinds.items() if kind == "array" or (kind == "label" and owners[name] is None)
    }


def test_two_images_that_share_an_array_both_read(tmp_path: Path):
    root = write_image(tmp_path / "a.zarr", 2)
    entries = [multiscales(["0"], name="first"), multiscales(["0"], name="second")]
    write_json(root / ".zattrs", {"multiscales": entries})
    _, plate = plan(str(root))
    assert len(plate.images) == 2
    assert len(plate.sources) == len(plate.images[0].arrays[0].refs)
    assert check(root, tmp_path, "0.5") == 4


def test_what_zarr_v3_has_no_name_for_is_refused_in_0_5_and_reads_in_0_4(tmp_path: Path):
    filters = [FixedScaleOffset(offset=0, scale=1, dtype="<u2", astype="<u4")]
    root = write_image(tmp_path / "a.zarr", 2, compressors=Zlib(1), filters=filters)
    _, plate = plan(str(root))
    assert plate.images == ()
    assert "Write OME-Zarr 0.4" in plate.refused[0].message
    assert check(root, tmp_path, "0.4") == 2


def test_what_zarr_v2_has_no_name_for_is_refused_in_0_4_and_reads_in_0_5(tmp_path: Path):
    root = write_image(tmp_path / "a.zarr", 3, filters=TransposeCodec(order=(1, 2, 0)))
    _, plate = plan(str(root), "0.4")
    assert plate.images == ()
    assert "Write OME-Zarr 0.5" in plate.refused[0].message
    assert check(root, tmp_path, "0.5") == 2


def test_a_bare_array_is_no_image_and_said(tmp_path: Path):
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(4, 4), chunks=(2, 2), dtype="uint8")[:] = 1
    _, plate = plan(str(tmp_path / "a.zarr"))
    (finding,) = plate.refused
    assert (plate.images, finding.severity) == ((), "info")


@pytest.mark.parametrize(
    ("name", "value"), [("NaN", float("nan")), ("Infinity", float("inf")), ("-Infinity", float("-inf"))]
)
def test_fill_values_that_are_no_json_are_named(tmp_path: Path, name: str, value: float):
    root = write_image(tmp_path / "a.zarr", 2, dtype="float32", compressors=None)
    document = json.loads((root / "0" / ".zarray").read_text())
    write_json(root / "0" / ".zarray", {**document, "fill_value": value})  # as such, which JSON does not have
    _, plate = make(str(root), tmp_path / "plate.json")
    assert plate.images[0].arrays[0].metadata_v3["fill_value"] == name  # type: ignore[index]
    found = zarr.open_array(open_plate(tmp_path / "plate.json"), path="0/0", mode="r")[...]
    np.testing.assert_array_equal(found[:, 16:], np.full((2, 4, 30), value, np.float32))


@pytest.mark.parametrize("dtype", ["<M8[s]", "|S4", [["a", "<u2"], ["b", "<u2"]]])
def test_an_array_of_no_pixels_is_refused(tmp_path: Path, dtype: object):
    root = write_image(tmp_path / "a.zarr", 2)
    document = json.loads((root / "0" / ".zarray").read_text())
    write_json(root / "0" / ".zarray", {**document, "dtype": dtype, "fill_value": None})
    _, plate = plan(str(root))
    assert plate.images == ()
    assert "none that pixels have" in plate.refused[0].message


def test_an_image_of_other_axes_is_refused(tmp_path: Path):
    root = write_image(tmp_path / "a.zarr", 2)
    axes = [{"name": "angle"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    write_json(root / ".zattrs", {"multiscales": [multiscales(["0"], axes=axes)]})
    _, plate = plan(str(root))
    assert plate.images == ()
    assert "angle,y,x" in plate.refused[0].message
