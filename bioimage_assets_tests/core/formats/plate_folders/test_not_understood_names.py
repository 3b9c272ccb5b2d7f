"""A folder of which no name is understood says so, with the nearest layout and a line that reads the names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bioimage_assets.core.formats.plate_folders.layout_examples import LAYOUT_EXAMPLES, find_near_layout
from bioimage_assets.core.formats.plate_folders.patterns import PATTERNS, parse_name
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets_tests.builders.tiff_files import write_ome_tiff
from bioimage_assets_tests.builders.tiff_plates import write_plane


@pytest.mark.parametrize("layout", LAYOUT_EXAMPLES)
def test_each_example_is_read_by_its_layout(layout: str):
    for example in LAYOUT_EXAMPLES[layout][1]:
        parts = parse_name(example)
        assert parts is not None
        assert parts.layout == layout


def test_every_built_in_layout_has_an_example():
    assert {pattern.layout for pattern in PATTERNS} == LAYOUT_EXAMPLES.keys()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("x_A01_s2-DAPI.tif", "imagexpress"),
        ("r02c03-ch2.tif", "opera-phenix"),
        ("A01-T0001F001-C01.tif", "cellvoyager"),
        ("holiday.tif", None),
    ],
)
def test_the_nearest_layout_has_most_parts_in_common(name: str, near: str | None):
    found = find_near_layout(name, LAYOUT_EXAMPLES)
    assert (found.layout if found else None) == near


NAMES = {
    "words between": (
        [f"exp9__B0{n}__pos{s}__{dye}.tif" for n in (2, 3) for s in (1, 2) for dye in ("dna", "actin")],
        [("B02", "1"), ("B02", "2"), ("B03", "1"), ("B03", "2")],
    ),
    "row and column": (
        [f"Row{r}_Col{c}_fov1_ch{w}.tif" for r in (1, 2) for c in (11, 12) for w in (1, 2)],
        [("A11", "1"), ("A12", "1"), ("B11", "1"), ("B12", "1")],
    ),
    "wells are folders": (
        [f"{well}/img_{s}.tif" for well in ("A01", "C12") for s in (1, 2)],
        [("A01", "1"), ("A01", "2"), ("C12", "1"), ("C12", "2")],
    ),
}


@pytest.mark.parametrize("kind", NAMES)
def test_the_line_that_is_told_reads_the_names_of_the_folder(tmp_path: Path, kind: str):
    names, expected = NAMES[kind]
    for name in names:
        write_plane(tmp_path / "P1" / name)
    scan = scan_plate_folder(str(tmp_path / "P1"))
    (finding,) = scan.findings
    assert (finding.code, finding.severity) == ("names-not-understood", "warning")
    assert repr(sorted(names)[0]) in finding.message
    pattern = finding.message.partition("file_pattern = '")[2].partition("'")[0]
    again = scan_plate_folder(str(tmp_path / "P1"), ScanOptions(file_pattern=pattern))
    assert [(image.well_id, image.site_id) for image in again.images] == expected
    assert again.findings == ()


def test_a_few_names_that_say_nothing_beside_those_of_a_plate_are_told_once(tmp_path: Path):
    for name in ("P_A01_s1_w1.tif", "P_A02_s1_w1.tif", "overview.tif", "overview2.tif"):
        write_plane(tmp_path / "P1" / name)
    (finding,) = scan_plate_folder(str(tmp_path / "P1")).findings
    assert (finding.code, finding.severity) == ("file-not-matched", "info")
    assert "1 more" in finding.message


def test_ome_tiffs_without_a_plate_are_told_without_alarm(tmp_path: Path):
    for name in ("cat", "dog"):
        write_ome_tiff(tmp_path / f"P1/{name}.ome.tif", np.zeros((2, 16, 24), np.uint16), "CYX")
    (finding,) = scan_plate_folder(str(tmp_path / "P1")).findings
    assert (finding.code, finding.severity) == ("names-not-understood", "info")


def test_a_pattern_that_fits_no_name_is_an_error_with_the_first_name(tmp_path: Path):
    write_plane(tmp_path / "P1/P_A01_s1_w1.tif")
    scan = scan_plate_folder(str(tmp_path / "P1"), ScanOptions(file_pattern=r"(?P<well>[A-P]\d\d)\.png"))
    assert scan.images == ()
    (finding,) = scan.findings
    assert (finding.code, finding.severity) == ("file-not-matched", "error")
    assert "'P_A01_s1_w1.tif'" in finding.message
