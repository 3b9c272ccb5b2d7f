"""TIFFs of microscopes and slide scanners: shape, axes, type and pixels as tifffile reads them, or said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bioimage_assets.core.errors import UnsupportedStoreError
from bioimage_assets.core.formats.ome_tiff import slides, zeiss_lsm
from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets_tests.builders.tiff_files import write_pages
from bioimage_assets_tests.builders.vendor_tiffs import (
    build_lsm_info,
    write_flex,
    write_lsm,
    write_ndpi,
    write_qptiff,
    write_stk,
    write_svs,
)
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import (
    read_chunks,
    read_plane,
    read_series,
)


def make(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return (np.arange(int(np.prod(shape))) ** 2 % 251).reshape(shape).astype(dtype)


def scan_one(path: Path) -> ImageRecord:
    (image,) = scan_tiff(str(path)).images
    return image


STACKS = {
    "z": {"z_um": [0.5] * 4},
    "t": {"times_ms": [0, 1000, 2000, 3000]},
    "nothing": {},
    "z-in-strips": {"z_um": [0.5] * 4, "strips": 3},
}


@pytest.mark.parametrize("name", ["a.tif", "a.stk", "a.tiff"])
@pytest.mark.parametrize("case", STACKS)
def test_all_planes_of_a_metamorph_stack_are_read(tmp_path: Path, case: str, name: str):
    data = make(4, 20, 30)
    path = write_stk(tmp_path / name, data, **STACKS[case])  # type: ignore[arg-type]
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert [(image.shape, image.axes, image.dtype)] == read_series(path)
    assert (image.scan_status, scan.findings, image.storage_variant) == ("ok", (), "metamorph-stk")
    assert image.stored_bytes == data.nbytes
    assert (tifffile.imread(path) == data).all()


def test_each_plane_of_a_metamorph_stack_has_rows_and_pixels(tmp_path: Path):
    data = make(4, 20, 30)
    path = write_stk(tmp_path / "a.tif", data, z_um=[0.5] * 4, strips=3)
    scan = scan_tiff(str(path))
    rows = read_chunks(scan).to_pylist()
    raw = path.read_bytes()
    assert [row["chunk_coords"] for row in rows] == [[z, 0, 0] for z in range(4)]
    assert [row["chunk_key"] for row in rows] == [f"a.tif#0:{3 * z}" for z in range(4)]
    for z, row in enumerate(rows):
        stored = raw[row["stored_offset"] :][: row["stored_bytes"]]
        assert (np.frombuffer(stored, "<u2").reshape(20, 30) == data[z]).all()
        assert (read_plane(scan.images[0], {"z": z}) == data[z]).all()
        assert (row["strip_count"], row["strip_offsets"]) == (3, None)


def test_metamorph_calibration_and_steps_are_kept(tmp_path: Path):
    image = scan_one(write_stk(tmp_path / "a.tif", make(3, 8, 8), z_um=[0.5] * 3, pixel_um=0.325))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        known = tiff.stk_metadata
    assert (image.pixel_size_x_um, image.pixel_size_y_um) == (known["XCalibration"], known["YCalibration"])
    assert image.pixel_size_z_um == known["ZDistance"][0] == 0.5
    assert known["CalibrationUnits"] == "um"
    plain = scan_one(write_stk(tmp_path / "b.tif", make(3, 8, 8), pixel_um=None))
    assert plain.pixel_size_x_um is None


def test_planes_of_different_wavelengths_are_channels(tmp_path: Path):
    image = scan_one(
        write_stk(tmp_path / "a.stk", make(3, 8, 8), waves_nm=[405, 488, 561], times_ms=[1, 2, 3])
    )
    assert (image.shape, image.axes) == ((3, 8, 8), "cyx")


def test_a_metamorph_stack_that_is_cut_off_is_partial(tmp_path: Path):
    path = write_stk(tmp_path / "a.tif", make(4, 20, 30))
    path.write_bytes(path.read_bytes()[: -20 * 30 * 2 - 2])
    scan = scan_tiff(str(path))
    assert [finding.code for finding in scan.findings] == ["data-cut-off"]
    assert read_chunks(scan)["is_present"].to_pylist() == [True, True, False, False]


def test_a_metamorph_file_of_one_plane_is_an_ordinary_page(tmp_path: Path):
    path = write_stk(tmp_path / "a.tif", make(1, 20, 30))
    scan = scan_tiff(str(path))
    assert (scan.images[0].shape, scan.images[0].axes, scan.findings) == ((20, 30), "yx", ())


def test_a_stack_whose_planes_cannot_be_found_is_said(tmp_path: Path):
    data = make(4, 20, 30)
    path = tmp_path / "a.tif"
    raw = bytearray(write_stk(path, data).read_bytes())
    at = raw.index((259).to_bytes(2, "little") + b"\3\0\1\0\0\0") + 8
    raw[at : at + 2] = (5).to_bytes(2, "little")  # LZW
    path.write_bytes(raw)
    scan = scan_tiff(str(path))
    assert [(finding.code, finding.severity) for finding in scan.findings] == [("stack-not-read", "error")]
    assert "promise 4 planes" in scan.findings[0].message
    assert scan.images[0].scan_status == "partial"


def test_stacks_of_a_plate_are_fields_with_z(tmp_path: Path):
    data = make(3, 8, 8)
    for well in ("A01", "A02"):
        for channel in (1, 2):
            write_stk(tmp_path / f"P_{well}_s1_w{channel}.stk", data, z_um=[0.5] * 3)
    scan = scan_plate_folder(str(tmp_path))
    assert [(image.well_id, image.shape, image.axes) for image in scan.images] == [
        ("A01", (2, 3, 8, 8), "czyx"), ("A02", (2, 3, 8, 8), "czyx"),
    ]  # fmt: skip
    rows = read_chunks(scan).to_pylist()
    assert [row["chunk_coords"] for row in rows[:6]] == [[c, z, 0, 0] for c in range(2) for z in range(3)]
    assert (read_plane(scan.images[1], {"c": 1, "z": 2}) == data[2]).all()


LSM_CASES = {
    "z-stack": ((1, 4, 2, 16, 24), 0, "zcyx"),
    "time-series": ((5, 1, 3, 16, 24), 3, "tcyx"),
    "stacks-over-time": ((2, 3, 2, 16, 24), 6, "tzcyx"),
    "one-channel": ((1, 4, 1, 16, 24), 0, "zyx"),
    "one-plane": ((1, 1, 3, 16, 24), 0, "cyx"),
}


@pytest.mark.parametrize("case", LSM_CASES)
@pytest.mark.parametrize("name", ["a.lsm", "a.tif"])
def test_an_lsm_is_its_planes_without_thumbnails(tmp_path: Path, case: str, name: str):
    shape, scan_type, axes = LSM_CASES[case]
    data = make(*shape, dtype="uint8")
    path = write_lsm(tmp_path / name, data, scan_type)
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert (image.shape, image.axes, image.dtype) == read_series(path)[0]
    assert (image.axes, image.scan_status, scan.findings) == (axes, "ok", ())
    assert len(image.levels) == 1
    assert (image.pixel_size_x_um, image.pixel_size_z_um) == pytest.approx((0.2, 1.5))
    assert image.time_increment_s == 2.0
    planes = np.squeeze(data)
    for place in np.ndindex(planes.shape[:-2]):
        plane = dict(zip(axes, place, strict=False))
        assert (read_plane(image, plane) == planes[place]).all()


def test_channels_of_an_lsm_are_coordinates_of_its_rows(tmp_path: Path):
    data = make(1, 4, 2, 16, 24, dtype="uint8")
    path = write_lsm(tmp_path / "a.lsm", data, 0, names=["Ch1-T1", "ChS2"])
    scan = scan_tiff(str(path))
    raw = path.read_bytes()
    rows = read_chunks(scan).to_pylist()
    assert [row["chunk_coords"] for row in rows] == [[z, c, 0, 0] for z in range(4) for c in range(2)]
    for row in rows:
        z, c = row["chunk_coords"][:2]
        stored = raw[row["stored_offset"] :][: row["stored_bytes"]]
        assert (np.frombuffer(stored, "u1").reshape(16, 24) == data[0, z, c]).all()
    assert scan.images[0].channel_names == ("Ch1-T1", "ChS2")


@pytest.mark.parametrize(("scan_type", "positions"), [(1, 0), (0, 3), (10, 0)])
def test_an_lsm_with_axes_that_are_not_read_is_said(tmp_path: Path, scan_type: int, positions: int):
    path = write_lsm(tmp_path / "a.lsm", make(1, 4, 2, 16, 24, dtype="uint8"), scan_type, positions=positions)
    scan = scan_tiff(str(path))
    assert [finding.code for finding in scan.findings] == ["stack-not-read"]
    assert (scan.images[0].scan_status, scan.images[0].shape) == ("partial", (4, 2, 16, 24))


def test_an_lsm_that_cannot_be_trusted_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    info = build_lsm_info((1, 1, 1, 16, 24), 0)
    tags = [(34412, 1, len(info), info, True)]
    path = write_pages(tmp_path / "packed.lsm", [make(16, 24)], compression="lzw", extratags=tags)
    with pytest.raises(UnsupportedStoreError, match=r"packed\.lsm.*compressed LSM.*bioformats2raw"):
        scan_tiff(str(path))
    whole = write_lsm(tmp_path / "big.lsm", make(1, 1, 2, 16, 24), 0)
    monkeypatch.setattr(zeiss_lsm, "_WRAPPED_BYTES", 1_000)
    with pytest.raises(UnsupportedStoreError, match=r"big\.lsm.*4 GB.*bioformats2raw"):
        scan_tiff(str(whole))


def assert_levels_agree(path: Path, image: ImageRecord) -> None:
    """Levels are those of tifffile's first series."""
    with tifffile.TiffFile(path) as tiff:
        levels = [tuple(level.shape) for level in tiff.series[0].levels]
        assert [level.shape for level in image.levels] == levels
        for number, level in enumerate(tiff.series[0].levels):
            first = {axis: 0 for axis in image.axes or "" if axis not in "yxs"}
            pixels = level.asarray()
            assert (read_plane(image, first, number) == (pixels[0] if first else pixels)).all()


@pytest.mark.parametrize("name", ["a.svs", "a.tif"])
def test_levels_of_an_aperio_slide_are_not_its_label(tmp_path: Path, name: str):
    path = write_svs(tmp_path / name, make(96, 160, 3, dtype="uint8"))
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert (image.shape, image.axes, image.dtype) == read_series(path)[0]
    assert_levels_agree(path, image)
    assert len(image.levels) == 3
    assert [(finding.code, finding.severity) for finding in scan.findings] == [
        ("pages-of-other-size", "info")
    ]
    assert scan.findings[0].message.startswith("3 pages")
    assert (image.pixel_size_x_um, image.storage_variant) == (0.499, "aperio-svs")


def test_levels_of_a_hamamatsu_slide_are_not_its_overview(tmp_path: Path):
    data = make(96, 160, 3, dtype="uint8")
    pages = [(data, 20.0), (data[::4, ::4], 5.0), (data[::16, ::16], 1.25), (data[::8, ::8], -1.0)]
    path = write_ndpi(tmp_path / "a.ndpi", pages)
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert (image.shape, image.axes, image.dtype) == read_series(path)[0]
    assert_levels_agree(path, image)
    assert len(image.levels) == 3
    assert image.pixel_size_x_um == pytest.approx(0.5)
    assert [finding.code for finding in scan.findings] == ["pages-of-other-size"]


def test_a_hamamatsu_slide_above_4_gb_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_ndpi(tmp_path / "a.ndpi", [(make(16, 24, 3, dtype="uint8"), 20.0)])
    monkeypatch.setattr(slides, "_LARGEST_NDPI", 1_000)
    with pytest.raises(UnsupportedStoreError, match=r"a\.ndpi.*4 GB.*bioformats2raw"):
        scan_tiff(str(path))


@pytest.mark.parametrize("name", ["a.qptiff", "a.tif"])
def test_channels_of_a_perkinelmer_slide_are_named(tmp_path: Path, name: str):
    path = write_qptiff(tmp_path / name, make(3, 64, 96), ["DAPI", "Opal 520", "Opal 690"])
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert (image.shape, image.axes, image.dtype) == read_series(path)[0]
    assert_levels_agree(path, image)
    assert len(image.levels) == 2
    assert image.channel_names == ("DAPI", "Opal 520", "Opal 690")
    assert image.pixel_size_x_um == pytest.approx(0.5)
    assert scan.findings[0].message.startswith("3 pages")


def test_an_opera_well_of_one_field_is_its_channels(tmp_path: Path):
    path = write_flex(tmp_path / "001002000.flex", make(3, 16, 24), ["Exp1Cam1", "Exp1Cam2", "Exp2Cam1"])
    scan = scan_tiff(str(path))
    assert (scan.images[0].shape, scan.images[0].axes) == ((3, 16, 24), "cyx")
    assert scan.images[0].channel_names == ("Exp1Cam1", "Exp1Cam2", "Exp2Cam1")
    assert scan.findings == ()


def test_an_opera_well_of_several_fields_is_said(tmp_path: Path):
    path = write_flex(tmp_path / "a.flex", make(4, 16, 24), ["Exp1Cam1", "Exp1Cam2"] * 2)
    scan = scan_tiff(str(path))
    assert [(finding.code, finding.severity) for finding in scan.findings] == [("stack-not-read", "error")]
    assert scan.images[0].scan_status == "partial"


@pytest.mark.parametrize(
    ("options", "writer"),
    [
        ({"extratags": [(34361, 1, 4, b"abcd", True)]}, "Olympus FluoView"),
        ({"extratags": [(33560, 4, 1, 1, True)]}, "Olympus SIS"),
        ({"software": "SI.VERSION = 5"}, "ScanImage"),
        ({"description": "<scn></scn>"}, "Leica SCN"),
    ],
)
def test_what_a_writer_says_elsewhere_is_said_to_be_unread(
    tmp_path: Path, options: dict[str, object], writer: str
):
    path = write_pages(tmp_path / "a.tif", [make(16, 24)] * 3, **options)  # type: ignore[arg-type]
    (finding,) = scan_tiff(str(path)).findings
    assert (finding.code, finding.severity) == ("vendor-metadata-not-read", "warning")
    assert finding.message.startswith(writer)


def test_bytes_that_no_page_claims_are_said(tmp_path: Path):
    path = write_pages(tmp_path / "a.tif", [make(300, 300)])
    path.write_bytes(path.read_bytes() + make(2, 300, 300).tobytes())
    (finding,) = scan_tiff(str(path)).findings
    assert (finding.code, finding.severity) == ("bytes-without-page", "warning")


@pytest.mark.parametrize("case", ["svs", "qptiff", "lsm"])
def test_rows_of_vendors_files_are_where_tifffile_finds_their_pages(tmp_path: Path, case: str):
    if case == "svs":
        path, kept = write_svs(tmp_path / "a.svs", make(96, 160, 3, dtype="uint8")), {0, 2, 3}
    elif case == "qptiff":
        path, kept = write_qptiff(tmp_path / "a.qptiff", make(2, 64, 96), ["a", "b"]), {0, 1, 3, 4}
    else:
        path, kept = write_lsm(tmp_path / "a.lsm", make(1, 3, 2, 16, 24), 0), {0, 2, 4}
    rows = read_chunks(scan_tiff(str(path))).to_pylist()
    places = sorted(row["stored_offset"] for row in rows)
    with tifffile.TiffFile(path) as tiff:
        expected = [offset for number in kept for offset in tiff.pages[number].aspage().dataoffsets]
    assert places == sorted(expected)
