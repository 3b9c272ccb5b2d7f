"""Plates of PNG files: catalogued like folders of TIFFs, while PNGs beside TIFFs stay pictures."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.errors import StoreError, UnsupportedStoreError
from bioimage_assets.core.formats.png.header import read_header
from bioimage_assets.core.formats.png.scan import scan_png
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.pixels.location import read_geometry
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets, scan_store_records
from bioimage_assets.core.stores.open import open_store
from bioimage_assets_tests.builders import instrument_plates as instruments
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.png_files import build_png, write_png, write_png_plate
from bioimage_assets_tests.builders.zarr_server import StandInS3

DYES = instruments.DYES


def codes(scan: StoreScan) -> list[str]:
    return sorted({finding.code for finding in scan.findings})


def test_a_plate_that_a_cellvoyager_exported_as_png_has_its_fields_and_its_chunks(tmp_path: Path):
    folder = write_png_plate(tmp_path / "P")
    plates.write_bts(folder, DYES, lambda *place: plates.cellvoyager_name(*place).replace(".tif", ".png"))
    scan = scan_store_records(str(folder))
    assert [image.image_id for image in scan.images] == [
        f"Plate7:{well}:{site}" for well in plates.WELLS for site in (1, 2)
    ]
    for image in scan.images:
        assert (image.format_family, image.storage_variant) == ("png", "png-plate-cellvoyager")
        assert (image.shape, image.axes, image.dtype) == ((3, 12, 16), "cyx", "uint16")
        assert (image.chunk_shape, image.codec, image.byte_order) == ((1, 12, 16), "png", "big")
        assert (image.channel_names, image.pixel_size_x_um, image.scan_status) == (DYES, 0.65, "ok")
        assert image.stored_bytes == sum((folder / file.path).stat().st_size for file in image.files)
        for file in image.files:  # Pillow reads them, imagecodecs or the like is not asked
            assert np.asarray(Image.open(folder / file.path)).shape == image.shape[1:]
    assert scan.format_family == "png"
    assert scan.findings == ()
    rows = scan_chunk_index(str(folder)).read_all().to_pylist()
    assert len(rows) == 18
    for row in rows:
        assert (row["kind"], row["stored_offset"], row["nominal_bytes"]) == ("object", None, 384)
        assert (row["is_present"], row["stored_bytes"]) == (True, (folder / row["chunk_key"]).stat().st_size)
        assert row["chunk_coords"][0] + 1 == int(row["chunk_key"][-5])


@pytest.mark.parametrize(
    ("shape", "dtype", "axes"),
    [
        ((12, 16), "uint8", "cyx"),
        ((12, 16, 3), "uint8", "cyxs"),
        ((12, 16, 4), "uint8", "cyxs"),
        ((12, 16, 3), "uint16", "cyxs"),
    ],
)
def test_bits_and_samples_are_those_of_the_header(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, axes: str
):
    write_png(tmp_path / "P/P_A01_T0001F001L01A01Z01C01.png", np.zeros(shape, dtype))
    (image,) = scan_store_records(str(tmp_path / "P")).images
    assert (image.shape, image.axes, image.dtype) == ((1, *shape), axes, dtype)


def test_pngs_beside_tiffs_are_no_images(tmp_path: Path):
    folder = plates.write_named(tmp_path / "P", plates.cellvoyager_name, wells=("A01",), sites=1)
    for name in ("Plate7_A01_T0001F001L01A01Z01C04.png", "A01_outlines.png", "thumbs/Plate7_A02_s1_w1.png"):
        write_png(folder / name, np.zeros((12, 16), np.uint8))
    scan = scan_store_records(str(folder))
    assert [(image.image_id, image.shape, image.format_family) for image in scan.images] == [
        ("Plate7:A01:1", (3, 12, 16), "ome-tiff")
    ]


def test_a_folder_of_pictures_is_no_plate(tmp_path: Path):
    for name in ("overlay.png", "A01_mask.png", "A01_DAPI.png", "Exp_A1_1.png", "P_A01_s1.png"):
        write_png(tmp_path / "P" / name, np.zeros((12, 16), np.uint8))
    with pytest.raises(UnsupportedStoreError):
        scan_store_records(str(tmp_path / "P"))


def test_pictures_in_a_png_plate_are_left_out(tmp_path: Path):
    folder = write_png_plate(tmp_path / "P", wells=("A01",), sites=1)
    for name in ("overlay.png", f"Plate7_A01_s1_w1_thumb{plates.GUID}.png", "A01_outlines.png"):
        write_png(folder / name, np.zeros((3, 4), np.uint8))
    (image,) = scan_store_records(str(folder)).images
    assert image.shape == (3, 12, 16)


def test_a_given_pattern_decides_which_pngs_are_planes(tmp_path: Path):
    for well in ("b2", "b3"):
        for dye in ("dna", "actin"):
            write_png(tmp_path / f"P/exp__{well}__{dye}.png", np.zeros((12, 16), np.uint8))
    write_png(tmp_path / "P/overview.png", np.zeros((12, 16), np.uint8))
    options = ScanOptions(file_pattern=r"exp__(?P<well>[a-z]\d)__(?P<channel>\w+)\.png")
    scan = scan_store_records(str(tmp_path / "P"), options)
    assert [(image.well_id, image.channel_names) for image in scan.images] == [
        ("B02", ("actin", "dna")), ("B03", ("actin", "dna")),
    ]  # fmt: skip


def test_a_file_that_is_cut_off_missing_or_of_another_shape_is_said(tmp_path: Path):
    folder = write_png_plate(tmp_path / "P")
    cut = folder / plates.cellvoyager_name("A01", 1, 2).replace(".tif", ".png")
    cut.write_bytes(cut.read_bytes()[:-20])
    (folder / plates.cellvoyager_name("A02", 1, 3).replace(".tif", ".png")).unlink()
    write_png(
        folder / plates.cellvoyager_name("B03", 1, 1).replace(".tif", ".png"), np.zeros((6, 8), np.uint16)
    )
    (folder / plates.cellvoyager_name("B03", 2, 1).replace(".tif", ".png")).write_bytes(
        b"version https://git-lfs"
    )
    scan = scan_store_records(str(folder))
    status = {image.image_id: image.scan_status for image in scan.images}
    assert {name for name, value in status.items() if value == "ok"} == {"Plate7:A01:2", "Plate7:A02:2"}
    assert codes(scan) == ["data-cut-off", "file-missing", "file-shape-differs", "file-unreadable"]
    assert any("git-lfs pointer" in finding.message for finding in scan.findings)
    assert scan_chunk_index(str(folder)).read_all().num_rows == 16, (
        "the unreadable and the missing file have none"
    )


def test_a_png_is_whole_where_pillow_says_so(tmp_path: Path):
    for bits in (8, 16):
        path = write_png(tmp_path / f"{bits}.png", np.arange(192).reshape(12, 16).astype(f"u{bits // 8}"))
        own = scan_png(open_store(str(tmp_path)), path.name, {}).drafts[0]
        with Image.open(path) as image:
            image.verify()
            assert (own.shape, own.is_partial) == (image.size[::-1], False)


BROKEN = {
    "empty": b"", "jpeg": b"\xff\xd8\xff\xe0" + b"\0" * 60, "html": b"<!DOCTYPE html>" + b" " * 60,
    "short": build_png(8, 8, 8, 0)[:20], "crc": build_png(8, 8, 8, 0)[:29] + b"\0\0\0\0" + b"x" * 99,
    "no width": build_png(0, 8, 8, 0), "negative": build_png(2**31, 8, 8, 0), "depth": build_png(8, 8, 7, 0),
    "colour": build_png(8, 8, 8, 5), "interlace": build_png(8, 8, 8, 0, interlace=9), "bomb": build_png(2**31 - 1, 2**31 - 1, 16, 6),
    "other chunk": b"\x89PNG\r\n\x1a\n\0\0\0\x0dgAMA" + b"\0" * 40, "mask": build_png(8, 8, 1, 0), "palette": build_png(8, 8, 8, 3),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_png_of_intensities_is_refused_with_its_name(tmp_path: Path, kind: str):
    (tmp_path / "x.png").write_bytes(BROKEN[kind])
    store = open_store(str(tmp_path))
    with pytest.raises(StoreError, match=r"x\.png"):
        scan_png(store, "x.png", {"x.png": len(BROKEN[kind])})


def test_any_bytes_are_a_header_or_an_error_of_the_project():
    rng = np.random.default_rng(3)
    good = bytearray(build_png(8, 8, 16, 2))
    for _ in range(2_000):
        raw = good.copy()
        for place in rng.integers(8, 33, rng.integers(1, 6)):
            raw[place] = rng.integers(256)
        if rng.integers(2):
            raw[29:33] = struct.pack(">I", zlib.crc32(bytes(raw[12:29])))
        try:
            header = read_header(bytes(raw[: rng.integers(0, 40)]), "x.png", 10_000)
        except StoreError:
            continue
        assert header.nominal_bytes < 1_100 * 10_000


def test_a_pipe_with_the_name_of_a_plane_keeps_nobody_waiting(tmp_path: Path):
    folder = write_png_plate(tmp_path / "P", wells=("A01",), sites=1)
    os.mkfifo(folder / plates.cellvoyager_name("A02", 1, 1).replace(".tif", ".png"))
    assert [image.image_id for image in scan_store_records(str(folder)).images] == ["Plate7:A01:1"]


def test_a_watched_root_has_png_plates_and_no_plates_of_pictures(tmp_path: Path):
    write_png_plate(tmp_path / "screen/P1")
    write_png_plate(tmp_path / "screen/P2", lambda *place: f"Images/{Path(plates.phenix_name(*place)).name}")
    for name in ("montage.png", "well_A01.png"):
        write_png(tmp_path / "screen/figures" / name, np.zeros((12, 16), np.uint8))
    write_png(tmp_path / "screen/overview.png", np.zeros((12, 16), np.uint8))
    found = discover_plates(str(tmp_path))
    assert [source.plate_key for source in found.sources] == ["screen/P1", "screen/P2"]
    assert [source.store_uris for source in found.sources] == [
        (str(tmp_path / f"screen/{name}"),) for name in ("P1", "P2")
    ]
    scan = scan_store_records(found.sources[1].store_uris[0])
    assert {(image.plate_id, image.shape, image.scan_status) for image in scan.images} == {
        ("P2", (3, 12, 16), "ok")
    }


@pytest.mark.slow
def test_a_png_plate_in_a_bucket_costs_one_small_read_per_file(tmp_path: Path):
    (tmp_path / "bucket").mkdir()
    folder = write_png_plate(tmp_path / "bucket/P1")
    with StandInS3(tmp_path / "bucket").running() as server:
        options = ScanOptions(storage_options=server.options())
        scan = scan_store_records("s3://bucket/P1", options)
        assert server.counts["get"] <= 18 + 6, "a header each, and the documents that tell a Zarr store"
        local = scan_store_records(str(folder))
        assert [image.image_id for image in scan.images] == [image.image_id for image in local.images]
        assert {(image.shape, image.scan_status) for image in scan.images} == {((3, 12, 16), "ok")}
        rows = scan_chunk_index("s3://bucket/P1", options=options).read_all()
        assert rows.drop_columns(["plate_key"]).equals(
            scan_chunk_index(str(folder)).read_all().drop_columns(["plate_key"])
        )
        crop = read_crop(
            build_location(
                read_geometry(scan_image_assets("s3://bucket/P1", options=options).to_pylist()[0]),
                PixelBox(2, 9, 3, 15),
                CropChoice(),
            ),
            storage_options=server.options(),
        )
    assert (crop[0] == np.asarray(Image.open(folder / local.images[0].files[0].path))[2:9, 3:15]).all()


def test_digests_of_png_files_are_those_of_their_bytes(tmp_path: Path):
    folder = write_png_plate(tmp_path / "P", wells=("A01",), sites=1)
    (image,) = scan_store_records(str(folder), ScanOptions(file_md5=True)).images
    expected = [hashlib.md5((folder / file.path).read_bytes()).hexdigest() for file in image.files]
    assert image.file_md5 == ",".join(expected)


def test_a_load_data_table_gives_pngs_of_any_name_their_places(tmp_path: Path):
    lines = ["FileName_DNA,PathName_DNA,FileName_ER,PathName_ER,Metadata_Plate,Metadata_Well,Metadata_Site"]
    for number, well in enumerate(("A01", "B02")):
        names = [f"img{number}_{dye}.png" for dye in ("dna", "er")]
        for name in names:
            write_png(tmp_path / "P" / name, np.zeros((12, 16), np.uint16))
        lines.append(f"{names[0]},{tmp_path}/P,{names[1]},{tmp_path}/P,BR1,{well},1")
    table = tmp_path / "P/load_data.csv"
    table.write_text("\n".join(lines))
    scan = scan_store_records(str(table))
    assert [(image.image_id, image.format_family, image.shape) for image in scan.images] == [
        ("BR1:A01:1", "png", (2, 12, 16)), ("BR1:B02:1", "png", (2, 12, 16)),
    ]  # fmt: skip
    assert scan_chunk_index(str(table)).read_all().num_rows == 4
