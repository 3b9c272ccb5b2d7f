"""Multi-position sets of Micro-Manager: each position is a field of its well, wherever the XML of all stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.formats.plate_folders.stage_names import parse_position_name
from bioimage_assets_tests.builders.micro_manager import HCS_POSITIONS, write_mm_set
from bioimage_assets_tests.builders.tiff_files import UUIDS, build_ome_xml, write_pages
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks, read_plane, read_series

PLACES = [("A01", "0"), ("A01", "1"), ("B12", "0")]


@pytest.mark.parametrize("in_all", [False, True])
@pytest.mark.parametrize("holder", [0, 2])
def test_each_position_of_a_set_is_a_field_of_its_well(tmp_path: Path, in_all: bool, holder: int):
    files = write_mm_set(tmp_path / "run_1", in_all=in_all, holder=holder)
    scan = scan_plate_folder(str(tmp_path / "run_1"))
    assert [(image.well_id, image.site_id) for image in scan.images] == PLACES
    assert {image.plate_id for image in scan.images} == {"run_1"}
    assert [image.image_id for image in scan.images] == ["run_1:A01:0", "run_1:A01:1", "run_1:B12:0"]
    assert [image.image_name for image in scan.images] == list(HCS_POSITIONS)
    series = read_series(files[holder])
    assert [(image.shape, image.axes, image.dtype) for image in scan.images] == series
    assert scan.findings == ()
    (plate,) = scan.plates
    assert [(well.well_id, well.sites) for well in plate.wells] == [("A01", ("0", "1")), ("B12", ("0",))]


@pytest.mark.parametrize("in_all", [False, True])
def test_rows_and_pixels_of_a_position_are_those_of_its_own_file(tmp_path: Path, in_all: bool):
    files = write_mm_set(tmp_path / "run_1", holder=2, in_all=in_all)
    scan = scan_plate_folder(str(tmp_path / "run_1"))
    rows = read_chunks(scan).to_pylist()
    assert [row["image_id"] for row in rows] == [image.image_id for image in scan.images for _ in range(2)]
    for number, (path, image) in enumerate(zip(files, scan.images, strict=True)):
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            offsets = [page.aspage().dataoffsets[0] for page in tiff.pages]
        assert [row["stored_offset"] for row in rows[2 * number : 2 * number + 2]] == offsets
        assert image.uri.endswith(path.name)
        for c in range(2):
            assert (read_plane(image, {"c": c}) == np.full((16, 24), 10 * number + c)).all()


@pytest.mark.parametrize("number", range(3))
def test_one_file_of_a_set_is_its_position(tmp_path: Path, number: int):
    files = write_mm_set(tmp_path / "run_1")
    (image,) = scan_tiff(str(files[number])).images
    assert (image.plate_id, image.well_id, image.site_id) == ("run_1", *PLACES[number])


NAMINGS = {
    "names-with-prefix": {"name_of": lambda position, _: f"run_1_MMStack_{position}"},
    "same-label-for-all": {"name_of": lambda *_: "run_1", "label_of": lambda *_: "A1-Site_0"},
    "files-by-number": {"file_of": lambda _, number: f"run_1_{number}.ome.tif"},
    "labels-only": {
        "name_of": lambda *_: "run_1", "label_of": lambda position, _: position,
        "file_of": lambda _, number: f"img{number}.ome.tif",
    },
}  # fmt: skip


@pytest.mark.parametrize("case", NAMINGS)
def test_wells_come_from_the_file_the_image_or_the_label_that_names_them(tmp_path: Path, case: str):
    write_mm_set(tmp_path / "run_1", **NAMINGS[case])  # type: ignore[arg-type]
    scan = scan_plate_folder(str(tmp_path / "run_1"))
    assert [(image.plate_id, image.well_id, image.site_id) for image in scan.images] == [
        ("run_1", *place) for place in PLACES
    ]


def test_positions_without_a_plate_have_names_and_no_well(tmp_path: Path):
    write_mm_set(tmp_path / "run_1", ["1-Pos_000_000", "1-Pos_000_001"])
    scan = scan_plate_folder(str(tmp_path / "run_1"))
    assert [(image.well_id, image.image_name) for image in scan.images] == [
        (None, "1-Pos_000_000"), (None, "1-Pos_000_001"),
    ]  # fmt: skip
    assert len({image.image_id for image in scan.images}) == 2


def test_the_file_is_followed_where_the_names_of_images_say_another_place(tmp_path: Path):
    swapped = {0: "A1-Site_1", 1: "A1-Site_0", 2: "B12-Site_0"}
    files = write_mm_set(tmp_path / "run_1", name_of=lambda _, number: swapped[number])
    scan = scan_tiff(str(files[0]))
    assert (scan.images[0].well_id, scan.images[0].site_id) == ("A01", "0")


def test_names_that_repeat_give_no_position_and_are_said(tmp_path: Path):
    write_mm_set(
        tmp_path / "run_1", name_of=lambda *_: "A1-Site_0", file_of=lambda _, number: f"img{number}.ome.tif"
    )
    scan = scan_plate_folder(str(tmp_path / "run_1"))
    assert [image.well_id for image in scan.images] == [None] * 3
    assert "position-names-repeat" in [finding.code for finding in scan.findings]


def test_metadata_files_that_name_each_other_end(tmp_path: Path):
    pages = [np.zeros((16, 24), np.uint16)]
    for number, other in enumerate(("b.ome.tif", "a.ome.tif")):
        link = f'<BinaryOnly MetadataFile="{other}" UUID="{UUIDS[1 - number]}"/>'
        write_pages(
            tmp_path / f"{'ab'[number]}.ome.tif", pages, build_ome_xml([], uuid=UUIDS[number], extra=link)
        )
    scan = scan_tiff(str(tmp_path / "a.ome.tif"))
    assert [finding.code for finding in scan.findings] == ["companion-unreadable"]
    assert scan.images[0].shape == (16, 24)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("A1-Site_0", (None, "A01", "0")),
        ("A01-Site_12", (None, "A01", "12")),
        ("AF48-Site_3", (None, "AF48", "3")),
        ("B3_0002", (None, "B03", "2")),
        ("exp_7_MMStack_C4-Site_1", ("exp_7", "C04", "1")),
        ("Pos0", None),
        ("1-Pos_000_001", None),
        ("A1", None),
        ("Site_0", None),
        ("", None),
        ("A1-Site_" + "0" * 5_000, None),
    ],
)
def test_names_of_positions_are_read_as_plate_generators_write_them(
    name: str, place: tuple[str | None, str, str] | None
):
    assert parse_position_name(name) == place
