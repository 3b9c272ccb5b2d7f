"""A proposed file_pattern reads the names it was made from; where it would not, none is proposed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.formats.plate_folders.patterns import build_user_parser
from bioimage_assets.core.formats.plate_folders.propose import (
    EXAMPLE,
    build_pattern_line,
    propose_for_plate,
    propose_pattern,
)
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets_tests.builders.tiff_plates import write_plane

FIELDS = [
    (["exp-A01-DNA.tif", "exp-A01-ER.tif"], "A01", [("A01", None, "DNA"), ("A01", None, "ER")]),
    (["DNA/A01_1.tif", "ER/A01_1.tif"], None, [("A01", "1", "DNA"), ("A01", "1", "ER")]),
    (["x_2_B2_3_DNA.tif", "x_2_B2_3_DRAQ5.tif"], None, [("B02", "3", "DNA"), ("B02", "3", "DRAQ5")]),
    (["p a-1 s2 w1.tiff", "p a-1 s2 w2.tiff"], "A01", [("A01", "2", "w1"), ("A01", "2", "w2")]),
    (["GFP_A01_f4.tif", "RFP_A01_f4.tif"], "A01", [("A01", "4", "GFP"), ("A01", "4", "RFP")]),
    (["day(1)+A01=DAPI-405.tif", "day(1)+A01=FITC-488.tif"], "A01", [("A01", None, "DAPI-405"), ("A01", None, "FITC-488")]),
]  # fmt: skip


@pytest.mark.parametrize(("files", "well", "expected"), FIELDS)
def test_what_differs_between_the_files_of_a_field_is_the_channel(files, well, expected):
    pattern = propose_pattern(files, well_id=well)
    assert pattern is not None
    parts = [build_user_parser(pattern)(name) for name in files]
    assert [(part.well_id, part.site_id, part.channel) for part in parts if part] == expected


@pytest.mark.parametrize("files", [["img001_DNA.tif", "img001_ER.tif"], ["A01_it's.tif"], ["B02_x.tif"], []])
def test_names_that_do_not_say_enough_give_no_pattern(files):
    assert propose_pattern(files, well_id="A01") is None


def test_a_pattern_that_most_names_of_the_plate_do_not_fit_is_not_proposed():
    others = [f"other {number}.tif" for number in range(10)]
    assert propose_pattern(["A01_DNA.tif", "A01_ER.tif"], others) is None


def test_names_of_a_whole_plate_give_one_pattern_for_all():
    names = [
        f"e.{well}.{site}.{c}.tif"
        for well in ("A01", "B12")
        for site in (1, 2)
        for c in ("DNA", "ER", "Mito2")
    ]
    pattern = propose_for_plate(names)
    assert pattern is not None
    parts = {build_user_parser(pattern)(name) for name in names}
    assert {(p.well_id, p.site_id, p.channel) for p in parts if p} == {
        (well, site, c) for well in ("A01", "B12") for site in "12" for c in ("DNA", "ER", "Mito2")
    }


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=24), max_size=4))
def test_any_names_give_none_or_a_pattern_that_reads_them(names):
    pattern = propose_pattern(names)
    if pattern is not None:
        assert "'" not in pattern
        assert all(build_user_parser(pattern)(name) for name in names)


def test_the_line_names_the_file_to_write_it_into_and_says_what_is_only_an_example():
    assert build_pattern_line(r"(?P<well>A\d+)") == (
        r"Write into the dataset's dataset.toml: [images] file_pattern = '(?P<well>A\d+)'."
    )
    assert EXAMPLE in build_pattern_line(None)
    assert "an example" in build_pattern_line(None)


def test_planes_that_are_the_same_are_told_the_pattern_that_keeps_both_once(tmp_path):
    for site in (1, 2):
        for name in (f"P1_A01_s{site}_w1.tif", f"P1_A01_s0{site}_w1.tif"):
            write_plane(tmp_path / "P1" / name)
    scan = scan_plate_folder(str(tmp_path / "P1"))
    duplicates = [finding for finding in scan.findings if finding.code == "duplicate-plane"]
    assert len(duplicates) == 2
    assert ["file_pattern = '" in finding.message for finding in duplicates] == [True, False]


def test_names_of_several_layouts_are_told_one_pattern_that_reads_them_all(tmp_path):
    for name in ("P1_A01_s1_w1.tif", "P1_A02_s1_w2.tif", "A03_site1_ch1.tif"):
        write_plane(tmp_path / "P1" / name)
    scan = scan_plate_folder(str(tmp_path / "P1"))
    (finding,) = [finding for finding in scan.findings if finding.code == "several-layouts"]
    assert "[images] file_pattern = '" in finding.message
