"""Names that count up one letter are no wells, and names of a plate stay wells, also of one row and of rows beyond P."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bioimage_assets.core.formats.plate_folders.patterns import PATTERNS, parse_name
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.formats.plate_folders.series import find_series
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
    write_ome_tiff,
    write_pages,
)
from bioimage_assets_tests.builders.tiff_plates import GUID, write_htd, write_plane


def _numbered(text: str, last: int, first: int = 1) -> list[str]:
    return [text.format(n=n) for n in range(first, last + 1)]


def _scan(folder: Path, names: list[str]) -> StoreScan:
    for name in names:
        write_plane(folder / name)
    return scan_plate_folder(str(folder))


SERIES = {
    "time points": _numbered("t{n:02d}.tif", 5),
    "time points in capitals": _numbered("T{n:02d}.tif", 12),
    "more time points than columns": _numbered("img_t{n:02d}.tif", 60),
    "time points from zero": _numbered("img_t{n:02d}.tif", 5, 0),
    "a part of a movie": _numbered("img_t{n:02d}.tif", 35, 30),
    "one time point": ["img_t22.tif"],
    "z steps": _numbered("z{n:02d}.tif", 9),
    "z steps of each channel": _numbered("z{n:02d}_w1.tif", 4) + _numbered("z{n:02d}_w2.tif", 4),
    "z steps of two time points": [f"img_t0{t}_z0{z}.tif" for t in (1, 2) for z in (1, 2, 3)],
    "channels": _numbered("img_c{n:02d}.tif", 4),
    "frames": _numbered("F{n:02d}.tif", 24),
    "positions": _numbered("P{n:02d}.tif", 24),
    "sites": _numbered("exp_S{n:02d}.tif", 6),
    "time points and channels": [f"t0{n}.tif" for n in (1, 2, 3)] + [f"c0{n}.tif" for n in (1, 2)],
    "versions": _numbered("scan_v{n:02d}.tif", 3),
}


@pytest.mark.parametrize("kind", SERIES)
def test_a_letter_that_counts_up_gives_images_without_wells_and_says_what_to_write(tmp_path: Path, kind: str):
    names = SERIES[kind]
    scan = _scan(tmp_path / "exp", names)
    assert {image.well_id for image in scan.images} == {None}
    assert sorted(image.image_id for image in scan.images) == sorted(name[:-4] for name in names)
    told = [finding for finding in scan.findings if finding.code == "series-not-wells"]
    assert told
    for finding in told:
        assert finding.severity == "warning"
        assert "[images] file_pattern = '" in finding.message
    assert {finding.code for finding in scan.findings} == {"series-not-wells"}


def test_the_line_that_is_told_reads_them_as_wells(tmp_path: Path):
    scan = _scan(tmp_path / "exp", SERIES["positions"])
    (finding,) = scan.findings
    pattern = finding.message.partition("file_pattern = '")[2].partition("'")[0]
    again = scan_plate_folder(str(tmp_path / "exp"), ScanOptions(file_pattern=pattern))
    assert [image.well_id for image in again.images] == [f"P{n:02d}" for n in range(1, 25)]
    assert again.findings == ()


PLATES = {
    "row C with sites and channels": [f"C{n:02d}_s{s}_w{w}.tif" for n in (1, 2, 3) for s in (1, 2) for w in (1, 2)],
    "row C with sites": [f"C{n:02d}_s{s}.tif" for n in (1, 2, 3) for s in (1, 2)],
    "row P with channels": [f"P1_P{n:02d}_w{w}.tif" for n in (1, 2, 3) for w in (1, 2)],
    "row F of an ImageXpress": [f"P1_F{n:02d}_{GUID}.tif" for n in (1, 2, 3)],
    "row T of an ImageXpress": [f"P1_T{n:02d}_w1{GUID}.tif" for n in (1, 2, 3)],
    "row C without its edges": _numbered("C{n:02d}.tif", 11, 2),
    "one well": ["P1_C05.tif"],
    "rows C and F": [f"{row}{n:02d}.tif" for row in "CF" for n in (1, 2, 3)],
    "rows A to D": [f"{row}{n:02d}.tif" for row in "ABCD" for n in (1, 2, 3)],
    "all rows of 1536 wells": [f"{row}01.tif" for row in [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AF"]],
    "some rows beyond P": [f"{row}{n:02d}.tif" for row in "QRST" for n in (1, 2)],
    "double letters": [f"AC{n:02d}_w1.tif" for n in (1, 2)],
    "row T of a Yokogawa": [f"P1_T{n:02d}_T0001F001L01A01Z01C01.tif" for n in (1, 2)],
    "row P of an IN Cell": [f"P - {n}(fld 1).tif" for n in (1, 2)],
}  # fmt: skip


@pytest.mark.parametrize("kind", PLATES)
def test_names_of_a_plate_stay_wells(tmp_path: Path, kind: str):
    names = PLATES[kind]
    scan = _scan(tmp_path / "P1", names)
    assert all(image.well_id is not None for image in scan.images)
    expected = {parts.well_id for name in names if (parts := parse_name(name)) is not None}
    assert {image.well_id for image in scan.images} == expected
    assert scan.findings == ()


def test_wells_that_a_sidecar_declares_are_wells(tmp_path: Path):
    for n in (1, 2, 3):
        write_plane(tmp_path / f"P1/P1_C{n:02d}.tif")
    write_htd(tmp_path / "P1/P1.HTD", ["DAPI"], wells=["C01", "C02", "C03"], sites=[True])
    scan = scan_plate_folder(str(tmp_path / "P1"))
    assert [image.well_id for image in scan.images] == ["C01", "C02", "C03"]
    assert scan.findings == ()


def test_a_field_or_time_behind_a_well_is_no_well(tmp_path: Path):
    scan = _scan(tmp_path / "P1", [f"{well}_f{n:02d}.tif" for well in ("A01", "B02") for n in (1, 2)])
    assert [image.image_id for image in scan.images] == ["P1:A01:1", "P1:A01:2", "P1:B02:1", "P1:B02:2"]
    assert scan.findings == ()
    scan = _scan(tmp_path / "P2", [f"{well}_t{n:02d}.tif" for well in ("A01", "B02") for n in (1, 2)])
    assert {image.well_id for image in scan.images} == {None}
    (finding,) = scan.findings
    assert finding.code == "series-not-wells"


def test_each_layout_of_an_instrument_is_judged_on_purpose():
    loose = {"imagexpress", "well-site"}
    strict = {"opera-phenix", "cellvoyager", "cellomics", "incell", "cytation"}
    assert {pattern.layout for pattern in PATTERNS} >= loose | strict
    for layout in loose:
        name = {"imagexpress": "t01.tif", "well-site": "img_t01_pos2.tif"}[layout]
        parts = parse_name(name)
        assert parts is not None
        assert parts.layout == layout
        assert find_series({name: parts})


def test_time_points_of_an_ome_tiff_set_are_one_image_without_a_well(tmp_path: Path):
    names = [f"img_t{n + 1:02d}.ome.tif" for n in range(3)]
    blocks = "".join(build_block(0, t=t, file=name, uuid=UUIDS[t]) for t, name in enumerate(names))
    for t, name in enumerate(names):
        xml = build_ome_xml([build_ome_image(0, x=24, y=16, t=3, blocks=blocks)], uuid=UUIDS[t])
        write_pages(tmp_path / "exp" / name, [np.full((16, 24), t, np.uint16)], xml)
    scan = scan_plate_folder(str(tmp_path / "exp"))
    (image,) = scan.images
    assert (image.well_id, sorted(file.t for file in image.files)) == (None, [0, 1, 2])
    (finding,) = scan.findings
    assert finding.code == "series-not-wells"
    assert "read as one image without a well" in finding.message


def test_ome_tiffs_that_count_up_time_points_are_images_without_wells(tmp_path: Path):
    for n in (21, 22):
        write_ome_tiff(tmp_path / f"exp/img_t{n}.ome.tif", np.zeros((2, 16, 24), np.uint16), "CYX")
    for target in (tmp_path / "exp", tmp_path / "exp/img_t22.ome.tif"):
        scan = scan_store_records(str(target))
        assert {image.well_id for image in scan.images} == {None}
        assert [finding.code for finding in scan.findings] == ["series-not-wells"]


def test_a_single_file_that_is_named_like_a_well_is_one(tmp_path: Path):
    plates.write_plane(tmp_path / "P1/C05.tif")
    assert scan_store_records(str(tmp_path / "P1/C05.tif")).images[0].well_id == "C05"


def test_files_of_several_channels_that_count_up_c_are_wells_of_row_c(tmp_path: Path):
    for n in (1, 2, 3):
        write_ome_tiff(tmp_path / f"P1/C{n:02d}.ome.tif", np.zeros((3, 16, 24), np.uint16), "CYX")
    scan = scan_plate_folder(str(tmp_path / "P1"))
    assert [image.image_id for image in scan.images] == ["P1:C01:1", "P1:C02:1", "P1:C03:1"]
    assert scan.findings == ()
    for n in (1, 2, 3):
        write_ome_tiff(tmp_path / f"P2/F{n:02d}.ome.tif", np.zeros((3, 16, 24), np.uint16), "CYX")
    (finding,) = scan_plate_folder(str(tmp_path / "P2")).findings
    assert finding.code == "series-not-wells"
