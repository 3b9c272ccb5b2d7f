"""A plane is never passed as a channel, and two channels of a field never have one name without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.tiff_files import (
    build_ome_image,
    build_ome_xml,
    write_ome_tiff,
    write_pages,
)
from bioimage_assets_tests.builders.tiff_plates import write_plane
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

LOOSE = r"(?P<well>[A-P]\d\d)_(?P<channel>.+)\.tif"


def codes(scan: StoreScan) -> list[tuple[str, str]]:
    return sorted({(finding.code, finding.severity) for finding in scan.findings})


@pytest.mark.parametrize("step", [" z {n}", "_z{n:02d}", "_T{n}", " time {n}", "-plane{n}", "_timepoint_{n}"])
def test_channels_that_count_planes_are_an_error_with_the_line_to_write(tmp_path: Path, step: str):
    for n in (1, 2, 3):
        write_plane(tmp_path / f"P/A01_DAPI{step.format(n=n)}.tif")
    scan = scan_plate_folder(str(tmp_path / "P"), ScanOptions(file_pattern=LOOSE))
    assert codes(scan) == [("channels-count-planes", "error")]
    (finding,) = scan.findings
    assert "file_pattern = '" in finding.message
    assert finding.location.startswith("A01_DAPI")


def test_one_channel_that_looks_counted_is_a_warning(tmp_path: Path):
    write_plane(tmp_path / "P/A01_DAPI_z1.tif")
    write_plane(tmp_path / "P/A01_GFP.tif")
    scan = scan_plate_folder(str(tmp_path / "P"), ScanOptions(file_pattern=LOOSE))
    assert codes(scan) == [("channels-count-planes", "warning")]


@pytest.mark.parametrize(
    "dyes", [("DAPI", "Zombie2", "T7tag"), ("ch1", "ch2", "ch3"), ("w1", "w2", "Alexa_488")]
)
def test_words_and_numbers_of_dyes_are_channels(tmp_path: Path, dyes: tuple[str, ...]):
    for dye in dyes:
        write_plane(tmp_path / f"P/A01_{dye}.tif")
    scan = scan_plate_folder(str(tmp_path / "P"), ScanOptions(file_pattern=LOOSE))
    assert scan.findings == ()
    assert len(scan.images[0].channel_names or ()) == 3


@pytest.mark.parametrize("kind", ["htd", "harmony", "yokogawa"])
def test_two_channels_that_a_sidecar_gives_one_name_are_told_apart_by_their_tokens(tmp_path: Path, kind: str):
    dyes = ["DAPI", "DAPI", "Cy5"]
    if kind == "htd":
        folder, token = plates.write_named(tmp_path / "P", plates.imagexpress_name), "w{}"
        plates.write_htd(folder / "P.HTD", dyes)
    elif kind == "harmony":
        folder, token = plates.write_named(tmp_path / "P", plates.phenix_name), "ch{}"
        plates.write_phenix_index(folder / "Images/Index.idx.xml", dyes)
    else:
        folder, token = plates.write_named(tmp_path / "P", plates.cellvoyager_name), "C0{}"
        plates.write_bts(folder, dyes, plates.cellvoyager_name)
    scan = scan_plate_folder(str(folder))
    expected = (f"DAPI ({token.format(1)})", f"DAPI ({token.format(2)})", "Cy5")
    assert {image.channel_names for image in scan.images} == {expected}
    assert [file.channel for file in scan.images[0].files] == list(expected)
    (finding,) = scan.findings
    assert (finding.code, finding.severity) == ("channel-names-equal", "warning")
    assert "more places" in finding.message


def test_one_channel_that_is_spelled_in_two_ways_in_a_field_is_an_error(tmp_path: Path):
    for name in ("P_A01_s1_w1.tif", "P_A01_s1_w01.tif", "P_A02_s1_w1.tif", "P_A02_s1_w01.tif"):
        write_plane(tmp_path / "P" / name)
    scan = scan_plate_folder(str(tmp_path / "P"))
    (finding,) = scan.findings
    assert (finding.code, finding.severity) == ("channel-names-equal", "error")
    assert "P_A01_s1_w1.tif" in finding.message
    assert "P_A01_s1_w01.tif" in finding.message
    assert "file_pattern = '" in finding.message
    assert all(len(set(image.channel_names or ())) == 2 for image in scan.images)


def test_equal_channel_names_of_ome_tiffs_are_one_finding_for_the_store(tmp_path: Path):
    for well in ("A01", "A02"):
        xml = build_ome_xml(
            [
                build_ome_image(
                    0, x=24, y=16, c=2, channels=["Cam", "Cam"], blocks="<TiffData IFD='0' PlaneCount='2'/>"
                )
            ]
        )
        write_pages(tmp_path / f"P/P_{well}_s1.ome.tif", [np.zeros((16, 24), np.uint16)] * 2, xml)
    scan = scan_store_records(str(tmp_path / "P"))
    assert [image.channel_names for image in scan.images] == [("Cam", "Cam")] * 2
    (finding,) = [finding for finding in scan.findings if finding.code == "channel-names-equal"]
    assert "2 channels" in finding.message
    assert "2 images" in finding.message


def test_files_that_hold_the_axis_that_their_names_count_are_an_error(tmp_path: Path):
    for channel in (1, 2):
        write_ome_tiff(tmp_path / f"P/P_A01_s1_w{channel}.ome.tif", np.zeros((2, 16, 24), np.uint16), "CYX")
    scan = scan_plate_folder(str(tmp_path / "P"))
    assert [image.scan_status for image in scan.images] == ["partial"]
    (finding,) = scan.findings
    assert (finding.code, finding.severity) == ("axis-in-names-and-files", "error")
    assert "2 channels and each file holds 2 of its own" in finding.message


def test_channels_of_one_file_with_a_channel_in_its_name_keep_their_own_names(tmp_path: Path):
    data, names = np.zeros((2, 16, 24), np.uint16), {"Channel": {"Name": ["DNA", "ER"]}}
    write_ome_tiff(tmp_path / "P/P_A01_s1_w1.ome.tif", data, "CYX", metadata=names)
    scan = scan_plate_folder(str(tmp_path / "P"))
    assert [(image.shape, image.channel_names) for image in scan.images] == [((2, 16, 24), ("DNA", "ER"))]
    assert scan.findings == ()
    assert [row["chunk_coords"] for row in read_chunks(scan).to_pylist()] == [[0, 0, 0], [1, 0, 0]]


def test_planes_of_one_file_with_a_z_step_in_its_name_all_have_rows(tmp_path: Path):
    for dye in ("DAPI", "FITC"):
        path = tmp_path / f"P/A - 1(fld 1 wv {dye} - {dye} z 1).ome.tif"
        write_ome_tiff(path, np.zeros((3, 16, 24), np.uint16), "ZYX")
    scan = scan_plate_folder(str(tmp_path / "P"))
    assert [(image.axes, image.shape) for image in scan.images] == [("czyx", (2, 3, 16, 24))]
    places = [tuple(row["chunk_coords"][:2]) for row in read_chunks(scan).to_pylist()]
    assert sorted(places) == [(c, z) for c in (0, 1) for z in (0, 1, 2)]
