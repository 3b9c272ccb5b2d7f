"""NDTiff datasets by their index: axes, channels, positions and files as tifffile finds them, or said."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets_tests.builders.micro_manager import Axes, write_ndtiff
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import (
    assert_chunks_agree,
    read_chunks,
    read_plane,
    read_series,
)

PLATE: list[Axes] = [
    {"position": p, "time": t, "channel": c, "z": z}
    for t in range(2) for p in range(3) for z in range(2) for c in ("DAPI", "GFP")
]  # fmt: skip


def number_of(axes: list[Axes], **place: int | str) -> int:
    return next(n for n, own in enumerate(axes) if all(own[key] == value for key, value in place.items()))


def test_axes_of_a_dataset_are_those_of_its_index(tmp_path: Path):
    path = write_ndtiff(tmp_path / "run_1", channels=2, planes=3, shape=(32, 48))
    assert read_series(path) == [((3, 2, 32, 48), "zcyx", "uint16")], "in the order of storage"
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert (image.shape, image.axes, image.dtype) == ((2, 3, 32, 48), "czyx", "uint16")
    assert (image.scan_status, image.storage_variant, scan.findings) == ("ok", "ndtiff", ())
    assert image.pixel_size_x_um == 0.5
    for c in range(2):
        for z in range(3):
            assert (read_plane(image, {"c": c, "z": z}) == 2 * z + c).all()
    assert_chunks_agree(scan, path)


@pytest.mark.parametrize("files", [1, 2, 5])
def test_positions_are_fields_wherever_their_planes_lie(tmp_path: Path, files: int):
    names = {0: "A1-Site_0", 1: "A1-Site_1", 2: "H12-Site_0"}
    write_ndtiff(tmp_path / "run_1", axes=PLATE, files=files, names=names)
    scan = scan_plate_folder(str(tmp_path / "run_1"))
    assert [(image.plate_id, image.well_id, image.site_id) for image in scan.images] == [
        ("run_1", "A01", "0"), ("run_1", "A01", "1"), ("run_1", "H12", "0"),
    ]  # fmt: skip
    assert {(image.shape, image.axes) for image in scan.images} == {((2, 2, 2, 16, 24), "tczyx")}
    assert {image.channel_names for image in scan.images} == {("DAPI", "GFP")}
    assert [image.image_name for image in scan.images] == list(names.values())
    for position, image in enumerate(scan.images):
        for t, (c, name), z in (
            (t, c, z) for t in range(2) for c in enumerate(("DAPI", "GFP")) for z in range(2)
        ):
            value = number_of(PLATE, position=position, time=t, channel=name, z=z)
            assert (read_plane(image, {"t": t, "c": c, "z": z}) == value).all()


@pytest.mark.parametrize("files", [1, 3])
def test_each_plane_has_its_row(tmp_path: Path, files: int):
    write_ndtiff(tmp_path / "run_1", axes=PLATE, files=files)
    scan = scan_plate_folder(str(tmp_path / "run_1"))
    rows = read_chunks(scan).to_pylist()
    assert len(rows) == len({(row["chunk_key"], row["stored_offset"]) for row in rows}) == len(PLATE)
    positions = {image.image_id: number for number, image in enumerate(scan.images)}
    for row in rows:
        raw = (tmp_path / "run_1" / row["chunk_key"].rpartition("#")[0]).read_bytes()
        stored = np.frombuffer(raw[row["stored_offset"] :][: row["stored_bytes"]], "<u2")
        t, c, z = row["chunk_coords"][:3]
        place = {"position": positions[row["image_id"]], "time": t, "channel": ("DAPI", "GFP")[c], "z": z}
        assert (stored == number_of(PLATE, **place)).all()


def test_positions_named_in_the_index_keep_their_names(tmp_path: Path):
    axes: list[Axes] = [
        {"position": name, "channel": c} for name in ("B2-Site_0", "A1-Site_0") for c in range(2)
    ]
    write_ndtiff(tmp_path / "run_1", axes=axes)
    scan = scan_plate_folder(str(tmp_path / "run_1"))
    assert [(image.image_name, image.well_id) for image in scan.images] == [
        ("B2-Site_0", "B02"),
        ("A1-Site_0", "A01"),
    ]


def test_reduced_copies_of_a_pyramid_are_no_images_of_their_own(tmp_path: Path):
    axes: list[Axes] = [{"position": n, "channel": 0} for n in range(2)]
    write_ndtiff(tmp_path / "run_1" / "Full resolution", axes=axes, shape=(32, 48))
    write_ndtiff(tmp_path / "run_1" / "Downsampled_x2", axes=axes, shape=(16, 24))
    scan = scan_plate_folder(str(tmp_path / "run_1"))
    assert [image.shape for image in scan.images] == [(32, 48)] * 2
    assert "derived-images" in [finding.code for finding in scan.findings]


def scan_file_of(path: Path) -> tuple[ImageRecord, list[tuple[str, str]]]:
    scan = scan_tiff(str(path))
    return scan.images[0], [(finding.code, finding.severity) for finding in scan.findings]


@pytest.mark.parametrize("case", ["absent", "cut", "foreign-axis", "no-json", "empty", "wide", "elsewhere"])
def test_an_index_that_cannot_be_used_is_said_and_the_pages_are_a_stack(tmp_path: Path, case: str):
    wide: list[Axes] = [{"z": 0}, {"z": 2_000_000_000}]
    foreign: list[Axes] = [{"angle": n} for n in range(3)]
    axes = {"foreign-axis": foreign, "wide": wide}.get(case)
    path = write_ndtiff(tmp_path / "run_1", axes=axes, planes=2)
    index = path.parent / "NDTiff.index"
    raw = index.read_bytes()
    if case == "absent":
        index.unlink()
    elif case == "cut":
        index.write_bytes(raw[:-5])
    elif case == "no-json":
        index.write_bytes(raw.replace(b"{", b"["))
    elif case == "empty":
        index.write_bytes(b"")
    elif case == "elsewhere":
        index.write_bytes(raw.replace(path.name.encode(), b"../" + path.name.encode()[3:]))
    image, findings = scan_file_of(path)
    assert (image.axes, image.scan_status) == ("iyx", "partial")
    assert findings == [("ndtiff-index-not-read", "error")]


def test_a_file_of_the_dataset_that_is_gone_is_said(tmp_path: Path):
    path = write_ndtiff(tmp_path / "run_1", axes=PLATE, files=2)
    path.with_name("run_NDTiffStack_1.tif").unlink()
    image, findings = scan_file_of(path)
    assert image.scan_status == "partial"
    assert {code for code, _ in findings} == {"file-missing", "missing-planes"}


def test_offsets_of_an_index_that_are_no_page_are_missing_planes(tmp_path: Path):
    path = write_ndtiff(tmp_path / "run_1", planes=2)
    index = path.parent / "NDTiff.index"
    raw = bytearray(index.read_bytes())
    struct.pack_into("<I", raw, len(raw) - 32, 12)
    index.write_bytes(raw)
    image, findings = scan_file_of(path)
    assert findings == [("missing-planes", "error")]
    assert image.shape == (2, 2, 16, 24)
