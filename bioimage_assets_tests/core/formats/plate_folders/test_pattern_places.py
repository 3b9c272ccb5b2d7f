"""A given file_pattern always counts: for sets, for files with an OME-XML plate, for a file alone, for loose TIFFs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
    build_plate_xml,
    write_ome_tiff,
    write_pages,
)

PAGE = np.zeros((16, 24), np.uint16)


def _ids(scan: StoreScan) -> list[str]:
    return [image.image_id for image in scan.images]


def _codes(scan: StoreScan) -> list[tuple[str, str]]:
    return sorted({(finding.code, finding.severity) for finding in scan.findings})


def _scan(folder: Path, pattern: str, **options: object) -> StoreScan:
    return scan_store_records(str(folder), ScanOptions(file_pattern=pattern, **options))  # type: ignore[arg-type]


def _write_set(folder: Path, names: Sequence[str]) -> None:
    """Micro-Manager's way: an image per file, and the XML of all images in each file."""
    images = [
        build_ome_image(n, x=24, y=16, blocks=build_block(0, file=name, uuid=UUIDS[n]))
        for n, name in enumerate(names)
    ]
    for n, name in enumerate(names):
        write_pages(folder / name, [PAGE], build_ome_xml(images, uuid=UUIDS[n]))


MM = r"MMStack_(?P<well>[A-P]\d+)-Site_(?P<site>\d+)"


def test_positions_of_a_set_with_one_file_for_each_image_come_from_the_pattern(tmp_path: Path):
    names = [f"exp_MMStack_{well}-Site_{site}.ome.tif" for well in ("A1", "B12") for site in (0, 1)]
    _write_set(tmp_path / "P1", names)
    scan = _scan(tmp_path / "P1", MM)
    assert _ids(scan) == ["P1:A01:0", "P1:A01:1", "P1:B12:0", "P1:B12:1"]
    assert _codes(scan) == []
    assert [(well.well_id, well.sites) for well in scan.plates[0].wells] == [
        ("A01", ("0", "1")),
        ("B12", ("0", "1")),
    ]


def test_one_file_of_such_a_set_alone_is_placed_by_the_pattern(tmp_path: Path):
    names = [f"exp_MMStack_{well}-Site_0.ome.tif" for well in ("A1", "B12")]
    _write_set(tmp_path / "P1", names)
    scan = _scan(tmp_path / "P1" / names[1], MM)
    assert _ids(scan) == ["P1:B12:0"]
    assert _codes(scan) == []


def test_channels_in_files_of_their_own_stay_one_image_and_are_placed_by_the_pattern(tmp_path: Path):
    for well in ("A1", "B2"):
        names = [f"{well}-{dye}.ome.tif" for dye in ("dna", "er")]
        blocks = "".join(build_block(0, c=c, file=name, uuid=UUIDS[c]) for c, name in enumerate(names))
        for c, name in enumerate(names):
            image = build_ome_image(0, x=24, y=16, c=2, channels=["DNA", "ER"], blocks=blocks)
            write_pages(tmp_path / "P1" / name, [PAGE], build_ome_xml([image], uuid=UUIDS[c]))
    scan = _scan(tmp_path / "P1", r"(?P<well>[A-P]\d+)-(?P<site>)(?P<channel>\w+)\.ome")
    assert [(image.well_id, image.channel_names) for image in scan.images] == [
        ("A01", ("DNA", "ER")),
        ("B02", ("DNA", "ER")),
    ]
    assert "pattern-splits-image" not in dict(_codes(scan))


def _write_plate_field(
    path: Path, well: tuple[int, int], samples: Sequence[tuple[int, int]], image: int
) -> None:
    xml = build_ome_xml(
        [build_ome_image(image, x=24, y=16, blocks=build_block(0))],
        plates=build_plate_xml([(*well, samples)], name="XP"),
    )
    write_pages(path, [PAGE], xml)


WELL_SITE = r"(?P<well>[A-P]\d\d)_f(?P<site>\d+)"


@pytest.mark.parametrize("is_alone", [False, True])
def test_the_pattern_wins_over_a_plate_in_the_ome_xml_and_that_is_said(tmp_path: Path, is_alone: bool):
    _write_plate_field(tmp_path / "P1/C05_f7.ome.tif", (0, 0), [(0, 0)], 0)
    scan = _scan(tmp_path / "P1/C05_f7.ome.tif" if is_alone else tmp_path / "P1", WELL_SITE)
    assert _ids(scan) == ["XP:C05:7"]
    (finding,) = scan.findings
    assert (finding.code, finding.severity) == ("pattern-over-metadata", "warning")
    assert "well C05, site 7" in finding.message
    assert "well A01, site 0" in finding.message
    assert {well.well_id for plate in scan.plates for well in plate.wells} <= {"C05"}


def test_the_pattern_wins_over_files_that_declare_the_whole_plate(tmp_path: Path):
    for n in range(2):
        _write_plate_field(tmp_path / f"P1/D0{n + 1}_f1.ome.tif", (0, 0), [(10, 0), (11, 1)], n)
    scan = _scan(tmp_path / "P1", WELL_SITE)
    assert _ids(scan) == ["XP:D01:1", "XP:D02:1"]
    assert ("pattern-over-metadata", "warning") in _codes(scan)
    assert [well.well_id for plate in scan.plates for well in plate.wells] == ["D01", "D02"]


def test_another_site_than_that_of_the_ome_xml_is_followed_and_told(tmp_path: Path):
    _write_plate_field(tmp_path / "P1/A01_f3.ome.tif", (0, 0), [(0, 0)], 0)
    scan = _scan(tmp_path / "P1", WELL_SITE)
    assert _ids(scan) == ["XP:A01:3"]
    assert _codes(scan) == [("pattern-over-metadata", "info")]


def test_a_pattern_without_a_site_leaves_that_of_the_ome_xml(tmp_path: Path):
    _write_plate_field(tmp_path / "P1/A01.ome.tif", (0, 0), [(0, 0)], 0)
    scan = _scan(tmp_path / "P1", r"(?P<well>[A-P]\d\d)")
    assert _ids(scan) == ["XP:A01:0"]
    assert _codes(scan) == []
    assert scan.plates[0].plate_id == "XP"


@pytest.mark.parametrize("is_alone", [False, True])
def test_images_of_one_file_are_counted_where_the_pattern_gives_only_a_well(tmp_path: Path, is_alone: bool):
    images = [build_ome_image(n, x=24, y=16, blocks=build_block(n)) for n in range(3)]
    write_pages(tmp_path / "P1/exp_B03.ome.tif", [PAGE] * 3, build_ome_xml(images))
    scan = _scan(tmp_path / "P1/exp_B03.ome.tif" if is_alone else tmp_path / "P1", r"exp_(?P<well>[A-P]\d\d)")
    assert _ids(scan) == ["P1:B03:0", "P1:B03:1", "P1:B03:2"]


def test_images_of_one_file_that_share_a_site_keep_their_rows_and_are_told(tmp_path: Path):
    images = [build_ome_image(n, x=24, y=16, blocks=build_block(n)) for n in range(2)]
    write_pages(tmp_path / "P1/B03_f1.ome.tif", [PAGE] * 2, build_ome_xml(images))
    scan = _scan(tmp_path / "P1", WELL_SITE)
    assert [(image.image_id, image.well_id) for image in scan.images] == [
        ("B03_f1:series/0", "B03"), ("B03_f1:series/1", "B03"),
    ]  # fmt: skip
    assert _codes(scan) == [("site-of-several-images", "warning")]


def test_a_pattern_that_splits_an_image_of_the_ome_xml_is_an_error(tmp_path: Path):
    names = ["A01_f1.ome.tif", "A02_f1.ome.tif"]
    blocks = "".join(build_block(0, c=c, file=name, uuid=UUIDS[c]) for c, name in enumerate(names))
    for c, name in enumerate(names):
        image = build_ome_image(0, x=24, y=16, c=2, blocks=blocks)
        write_pages(tmp_path / "P1" / name, [PAGE], build_ome_xml([image], uuid=UUIDS[c]))
    scan = _scan(tmp_path / "P1", WELL_SITE)
    assert len(scan.images) == 1
    assert scan.images[0].well_id is None
    assert ("pattern-splits-image", "error") in _codes(scan)


def test_files_of_a_set_that_the_pattern_does_not_fit_are_left_out_and_told(tmp_path: Path):
    names = ["exp_MMStack_A1-Site_0.ome.tif", "exp_MMStack_overview.ome.tif"]
    _write_set(tmp_path / "P1", names)
    scan = _scan(tmp_path / "P1", MM)
    assert _ids(scan) == ["P1:A01:0"]
    assert _codes(scan) == [("file-not-matched", "warning")]


def test_a_file_alone_that_the_pattern_does_not_fit_is_told_the_line(tmp_path: Path):
    write_ome_tiff(tmp_path / "P1/A01_s1.ome.tif", np.zeros((2, 16, 24), np.uint16), "CYX")
    scan = _scan(tmp_path / "P1/A01_s1.ome.tif", WELL_SITE)
    assert scan.images[0].well_id is None
    (finding,) = scan.findings
    assert finding.code == "file-not-matched"
    assert "file_pattern = '" in finding.message


def test_loose_files_and_one_channel_files_with_ome_xml_follow_the_pattern(tmp_path: Path):
    for well in ("A01", "B02"):
        for dye in ("dna", "er"):
            write_ome_tiff(tmp_path / f"scr/{well}-pos1-{dye}.ome.tif", PAGE, "YX")
    write_ome_tiff(tmp_path / "scr/P1/C03-pos1-dna.ome.tif", PAGE, "YX")
    pattern = r"(?P<well>[A-P]\d\d)-pos(?P<site>\d+)-(?P<channel>\w+)\.ome"
    options = ScanOptions(file_pattern=pattern, recursive=False)
    scan = scan_plate_folder(str(tmp_path / "scr"), options)
    assert [(image.image_id, image.channel_names) for image in scan.images] == [
        ("scr:A01:1", ("dna", "er")), ("scr:B02:1", ("dna", "er")),
    ]  # fmt: skip
