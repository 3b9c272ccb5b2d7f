"""Stores as a sceptical analyst would build them: each number is the one that the independent readers give."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec

from bioimage_assets.core.errors import StoreNotFoundError
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.public_api.scan import scan_store
from bioimage_assets.core.scan.scanner import (
    scan_chunk_index,
    scan_image_assets,
    scan_plate_source,
    scan_store_records,
)
from bioimage_assets_tests.builders.zarr_documents import (
    multiscales,
    write_array,
    write_group,
    write_image,
    write_json,
    write_plate,
)
from bioimage_assets_tests.builders.zarr_plates import write_pixel_array

SHARDS_OF_SHARDS = ShardingCodec(
    chunk_shape=(2, 6), codecs=[ShardingCodec(chunk_shape=(2, 3), codecs=[BytesCodec(), ZstdCodec()])]
)
ODD_ARRAYS: list[dict[str, Any]] = [
    {"dtype": ">u2", "order": "F", "zarr_format": 2},
    {"dtype": "bool", "zarr_format": 2},
    {"dtype": "f8", "zarr_format": 2, "chunks": (10, 30)},
    {"dtype": "u1", "shape": (0, 7)},
    {"dtype": "f4", "shape": (10, 14), "shards": (4, 9)},
    {"dtype": "f4", "shape": (10, 14), "chunks": (3, 5), "shards": (12, 20)},
    {"dtype": "f2", "zarr_format": 2},
    {"dtype": "c8", "shape": (2, 1, 2, 2, 3, 4), "chunks": (1, 1, 2, 1, 2, 3)},
    {"dtype": "c16", "filters": [TransposeCodec(order=(1, 0))], "compressors": [GzipCodec(), Crc32cCodec()]},
    {"dtype": "i2", "chunks": (4, 6), "serializer": SHARDS_OF_SHARDS},
    {"dtype": "i2", "chunks": (4, 6), "serializer": SHARDS_OF_SHARDS, "compressors": [GzipCodec()]},
]


@pytest.mark.parametrize("array", ODD_ARRAYS)
def test_odd_arrays_have_the_geometry_and_the_stored_bytes_that_are_there(
    tmp_path: Path, array: dict[str, Any]
) -> None:
    root = tmp_path / "a.zarr"
    zarr.create_array(str(root), **{"shape": (5, 7), "chunks": (2, 3), **array})[...] = 1
    (image,) = scan_store_records(str(root)).images
    assert image.scan_status == "ok"
    rows = scan_chunk_index(str(root)).read_all().to_pylist()
    files = [
        path
        for path in root.rglob("*")
        if path.is_file() and path.name not in ("zarr.json", ".zarray", ".zattrs")
    ]
    stored = [row["stored_bytes"] for row in rows if row["kind"] == "object"]
    assert all(row["is_present"] for row in rows)
    assert sorted(stored) == sorted(path.stat().st_size for path in files)
    opened = zarr.open_array(str(root), mode="r")
    assert sum(row["kind"] == "inner" for row in rows) == (opened.nchunks if opened.shards else 0)


def test_transposed_big_endian_codecs_and_bare_key_encodings_are_understood(tmp_path: Path) -> None:
    codecs = [
        {"name": "transpose", "configuration": {"order": [1, 0]}},
        {"name": "bytes", "configuration": {"endian": "big"}},
        {"name": "gzip", "configuration": {"level": 1}},
    ]
    write_array(tmp_path / "t.zarr", "", (4, 6), (2, 3), zarr_format=3, codecs=codecs)
    (image,) = scan_store_records(str(tmp_path / "t.zarr")).images
    assert (image.byte_order, image.codec) == ("big", "transpose+gzip")
    for name, first in (("v2", "0.0"), ("default", "c/0/0")):
        write_array(
            tmp_path / f"{name}.zarr", "", (4, 6), (2, 3), zarr_format=3, chunk_key_encoding={"name": name}
        )
        scan_store_records(str(tmp_path / f"{name}.zarr"))
        assert scan_chunk_index(str(tmp_path / f"{name}.zarr")).read_all()["chunk_key"][0].as_py() == first


@pytest.mark.parametrize("given", [".", None])
def test_chunks_under_keys_that_the_metadata_do_not_name_are_absent_and_found(
    tmp_path: Path, given: str | None
) -> None:
    root = tmp_path / "d/a.zarr"
    write_pixel_array(root, shape=(5, 7), chunks=(2, 3), zarr_format=2, dtype="uint8", separator="/")
    document = {**json.loads((root / ".zarray").read_text()), "dimension_separator": given}
    write_json(root / ".zarray", {key: value for key, value in document.items() if value is not None})
    assert not zarr.open_array(str(root), mode="r")[...].any(), (
        "zarr-python reads fill values, and says nothing"
    )
    scan = scan_plate_source(PlateSource("d/a", "d", "a", str(root.parent), (str(root),)))
    assert scan.chunks is not None
    assert scan.chunks.read_all()["is_present"].to_pylist() == [False] * 9
    (finding,) = scan.chunk_findings()
    assert (finding.code, finding.severity) == ("chunks-elsewhere", "error")
    assert "9 objects" in finding.message


def test_chunks_of_no_bytes_are_there_but_found(tmp_path: Path) -> None:
    root = tmp_path / "d/a.zarr"
    write_pixel_array(root, shape=(5, 7), chunks=(2, 3), separator=".")
    for name in ("c.0.0", "c.2.1"):
        (root / name).write_bytes(b"")
    with pytest.raises(RuntimeError):
        zarr.open_array(str(root), mode="r")[:2, :3]
    scan = scan_plate_source(PlateSource("d/a", "d", "a", str(root.parent), (str(root),)))
    assert scan.chunks is not None
    sizes = scan.chunks.read_all()["stored_bytes"].to_pylist()
    assert [sizes.count(0), sum(sizes)] == [2, sum(path.stat().st_size for path in root.glob("c.*"))]
    (finding,) = scan.chunk_findings()
    assert (finding.code, finding.severity) == ("empty-chunks", "error")
    assert finding.message.startswith("2 chunks")


def test_levels_out_of_order_are_kept_as_listed_and_said(tmp_path: Path) -> None:
    entry = multiscales(("1", "0"))
    root = write_image(tmp_path / "i.zarr", entries=[entry])
    scan = scan_store_records(str(root))
    assert [level.shape for level in scan.images[0].levels] == [(2, 8, 8), (2, 16, 16)]
    assert [finding.code for finding in scan.findings] == ["level-order"]


@pytest.mark.parametrize("scale", [[1, -0.3, 0.3], [1, 0.0, 0.3], [1, 0.3], "0.3"])
def test_a_scale_that_cannot_be_one_leaves_the_size_unknown(tmp_path: Path, scale: object) -> None:
    entry = multiscales(("0", "1"))
    entry["datasets"][0]["coordinateTransformations"] = [{"type": "scale", "scale": scale}]  # type: ignore[index]
    scan = scan_store_records(str(write_image(tmp_path / "i.zarr", entries=[entry])))
    assert (scan.images[0].pixel_size_x_um, scan.images[0].levels[0].scale) == (None, None)
    assert [finding.code for finding in scan.findings] == ["unusable-scale"]


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("Micrometer", 0.65),
        ("micrometers", 0.65),
        ("microns", 0.65),
        ("nanometres", 0.00065),
        ("UM", None),
        ("s", None),
    ],
)
def test_units_in_capitals_or_plural_are_understood(tmp_path: Path, unit: str, size: float | None) -> None:
    axes = [{"name": "c"}, *({"name": name, "type": "space", "unit": unit} for name in "yx")]
    root = write_image(tmp_path / "u.zarr", entries=[multiscales(axes=axes)])
    assert scan_image_assets(str(root))["pixel_size_x_um"].to_pylist() == [size]


def test_wells_of_any_script_keep_their_names_and_those_that_differ_in_case_are_one(tmp_path: Path) -> None:
    root = write_plate(
        tmp_path / "u.zarr", wells={"Ä/1": ("0",), "β/2": ("féld",), "a/1": ("0",), "A/1": ("0",)}
    )
    scan = scan_store_records(str(root))
    assert [image.image_id for image in scan.images] == ["Plate 7:Ä1:0", "Plate 7:β2:féld", "Plate 7:A01:0"]
    assert {finding.code for finding in scan.findings} == {"odd-well", "duplicate-well"}


def test_a_plate_may_be_a_link_but_what_it_links_to_is_left_out(tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "real/p.zarr", wells={"A/1": ("0",), "A/2": ("0",)})
    (tmp_path / "link.zarr").symlink_to(plate)
    assert len(scan_store_records(str(tmp_path / "link.zarr")).images) == 2
    shutil.move(plate / "A/2", tmp_path / "moved")
    (plate / "A/2").symlink_to(tmp_path / "moved")
    refused = scan_store_records(str(plate))
    assert [image.well_id for image in refused.images] == ["A01"]
    assert [finding.code for finding in refused.findings] == ["unreadable-well"]
    followed = scan_store_records(str(plate), ScanOptions(follow_symlinks=True))
    assert [image.well_id for image in followed.images] == ["A01", "A02"]
    (tmp_path / "screen").mkdir()
    (tmp_path / "screen/p.zarr").symlink_to(plate)
    with pytest.raises(StoreNotFoundError, match="follow_symlinks"):
        scan_store_records(str(tmp_path / "screen"))


def test_rows_of_a_plate_that_are_numbers_count_from_one_and_no_two_wells_become_one(tmp_path: Path) -> None:
    root = write_plate(
        tmp_path / "n.zarr", wells={"1/11": ("0",), "11/1": ("0",), "40/1": ("0",), "4/01": ("0",)}
    )
    scan = scan_store_records(str(root))
    assert [image.well_id for image in scan.images] == ["A11", "K01", "40/1", "D01"]
    assert {finding.code for finding in scan.findings} == {"numbered-row", "odd-well"}


def test_a_label_is_a_label_wherever_it_lies(tmp_path: Path) -> None:
    root = write_group(tmp_path / "spatial.zarr", "", zarr_format=3)
    for path in ("images/raw", "labels/cells"):
        write_group(root, path.partition("/")[0], zarr_format=3)
        write_image(root, path, zarr_format=3)
    document = json.loads((root / "labels/cells/zarr.json").read_text())
    document["attributes"]["ome"]["image-label"] = {"version": "0.5"}
    write_json(root / "labels/cells/zarr.json", document)
    kinds = {image.image_id: image.image_kind for image in scan_store_records(str(root)).images}
    assert kinds == {"spatial:images/raw": "image", "spatial:labels/cells": "label"}
    (image,) = scan_store_records(str(root / "labels/cells")).images
    assert image.image_kind == "label"


@pytest.mark.parametrize("attributes", [None, {"ome": {"version": "0.5"}}])
def test_a_labels_group_that_lists_nothing_is_said(tmp_path: Path, attributes: object) -> None:
    root = write_image(tmp_path / "i.zarr", zarr_format=3)
    write_image(root, "labels/cells", zarr_format=3)
    if attributes is not None:
        write_group(root, "labels", attributes, zarr_format=3)  # type: ignore[arg-type]
    scan = scan_store_records(str(root))
    assert [image.image_id for image in scan.images] == ["i"]
    assert [finding.code for finding in scan.findings] == ["labels-without-list"]


def test_fields_that_name_no_acquisition_where_others_do_are_said(tmp_path: Path) -> None:
    root = write_plate(tmp_path / "a.zarr", wells={"A/1": ("0", "1"), "A/2": ("0", "1")}, acquisitions=(1, 2))
    write_json(root / "A/2/.zattrs", {"well": {"images": [{"path": "0"}, {"path": "1", "acquisition": 2}]}})
    scan = scan_store_records(str(root))
    assert [image.image_id for image in scan.images] == [
        "Plate 7:A01:0:1", "Plate 7:A01:1:2", "Plate 7:A02:0", "Plate 7:A02:1:2",
    ]  # fmt: skip
    assert [(finding.code, finding.location) for finding in scan.findings] == [
        ("missing-acquisition", "A/2/0")
    ]


@pytest.mark.parametrize("spelling", ["{0}/", "{0}//", "./{1}"])
def test_a_store_is_the_same_however_its_place_is_written(
    tmp_path: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_image(tmp_path / "P1.OME.Zarr")
    monkeypatch.chdir(tmp_path)
    scan = scan_store_records(spelling.format(root, root.name))
    assert (scan.images[0].image_id, scan.uri) == ("P1", str(root))
    rows = scan_chunk_index(spelling.format(root, root.name)).read_all()
    assert rows.num_rows == 10
    assert scan_chunk_index(f"file://{root}/").read_all().equals(rows)


@pytest.mark.parametrize("suffix", [".zarr.zip", ".OZX"])
@pytest.mark.parametrize(("below", "code"), [("", None), ("P1.zarr/", "zipped-folder")])
def test_an_archive_gives_the_rows_of_its_folder(
    tmp_path: Path, suffix: str, below: str, code: str | None
) -> None:
    root = write_plate(tmp_path / "P1.zarr", wells={"A/1": ("0", "1"), "AF/48": ("0",)})
    archive = tmp_path / f"P1{suffix}"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(root.rglob("*")):
            opened.write(path, f"{below}{path.relative_to(root)}")
    table, columns = (
        scan_image_assets(str(archive)),
        ["image_id", "shape", "axes", "pixel_size_x_um", "well_id"],
    )
    assert table.select(columns).equals(scan_image_assets(str(root)).select(columns))
    assert table["array_path"].to_pylist() == [f"{below}{path}/0" for path in ("A/1/0", "A/1/1", "AF/48/0")]
    assert [text.partition(":")[0] for text in scan_store(str(archive)).warnings] == [code] * (
        code is not None
    )
    assert scan_chunk_index(str(archive)).read_all().num_rows == 3 * 10


def test_raw_bits_have_a_size_without_being_a_type(tmp_path: Path) -> None:
    write_array(tmp_path / "r.zarr", "", (4, 4), (2, 2), zarr_format=3, dtype="r24", fill_value=[0, 0, 0])
    assert scan_image_assets(str(tmp_path / "r.zarr"))["dtype"].to_pylist() == ["r24"]
    assert scan_chunk_index(str(tmp_path / "r.zarr")).read_all()["nominal_bytes"].to_pylist() == [12] * 4
