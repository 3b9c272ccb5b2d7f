"""Plate folders as they come back from a microscope room: projections, thumbnails, corrections, lost files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.core.errors import UnsupportedStoreError
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.tiff_plates import GUID, write_plane
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

FILE_BYTES = 12 * 16 * 2


def codes(scan: StoreScan) -> list[str]:
    return sorted({finding.code for finding in scan.findings})


@pytest.mark.parametrize("projection", ["TimePoint_{t}", "TimePoint_{t}/ZStep_0"])
def test_projections_beside_z_steps_and_thumbnails_are_no_planes(tmp_path: Path, projection: str) -> None:
    folder = tmp_path / "Plate7"
    for t in (1, 2):
        for place, steps in ((f"TimePoint_{t}/ZStep_{{z}}", (1, 2, 3)), (projection.format(t=t), (0,))):
            for z in steps:
                for w in (1, 2):
                    name = f"Plate7_B03_s1_w{w}"
                    write_plane(folder / place.format(z=z) / f"{name}{GUID}.tif")
                    write_plane(folder / place.format(z=z) / f"{name}_thumb{GUID}.tif", shape=(3, 4))
    scan = scan_plate_folder(str(folder))
    (image,) = scan.images
    assert (image.image_id, image.axes, image.shape) == ("Plate7:B03:1", "tczyx", (2, 2, 3, 12, 16))
    assert (image.scan_status, image.stored_bytes) == ("ok", 12 * FILE_BYTES)
    assert codes(scan) == ["derived-images" if "ZStep_0" in projection else "file-beside-stack"]
    coords = [tuple(row["chunk_coords"]) for row in read_chunks(scan).to_pylist()]
    assert coords == [(t, c, z, 0, 0) for t in range(2) for c in range(2) for z in range(3)]


def test_a_channel_that_the_index_declares_and_no_file_has_is_said(tmp_path: Path) -> None:
    folder = plates.write_named(tmp_path / "P", plates.phenix_name, channels=2)
    plates.write_phenix_index(folder / "Images/Index.idx.xml", ["DAPI", "FITC", "Cy5"])
    scan = scan_plate_folder(str(folder))
    assert {image.channel_names for image in scan.images} == {("DAPI", "FITC")}
    (finding,) = scan.findings
    assert (finding.code, finding.severity) == ("channel-missing", "error")
    assert finding.message.endswith("no file has Cy5 (ch3).")


def test_planes_and_fields_that_the_index_declares_are_missing_and_not_moved(tmp_path: Path) -> None:
    folder = plates.write_named(tmp_path / "P", plates.phenix_name)
    plates.write_phenix_index(folder / "Images/Index.idx.xml", ["DAPI", "FITC", "Cy5"])
    for well, site, channel in (("A01", 1, 2), ("B03", 2, 1), ("B03", 2, 2), ("B03", 2, 3)):
        (folder / plates.phenix_name(well, site, channel)).unlink()
    scan = scan_plate_folder(str(folder))
    assert {image.image_id: image.scan_status for image in scan.images} == {
        "HarmonyPlate:A01:1": "partial", "HarmonyPlate:A01:2": "ok", "HarmonyPlate:A02:1": "ok",
        "HarmonyPlate:A02:2": "ok", "HarmonyPlate:B03:1": "ok",
    }  # fmt: skip
    assert {image.pixel_size_x_um for image in scan.images} == {0.299}, "2.99E-07 m in the index"
    assert [(file.role, file.channel, file.c) for file in scan.images[0].files] == [
        ("image", "DAPI", 0), ("image", "Cy5", 2), ("missing", "FITC", 1),
    ]  # fmt: skip
    assert {well.well_id: well.sites for well in scan.plates[0].wells}["B03"] == ("1", "2")


@pytest.mark.parametrize("name", ["DC_sCMOS #1_CAM1.tif", "DC_Sony_CAM2.tif", "SC_BP445-45_40x_M10_CH01.tif"])
def test_dark_and_shading_images_are_left_out_and_said(tmp_path: Path, name: str) -> None:
    folder = plates.write_named(tmp_path / "P", plates.cellvoyager_name, wells=("A01",), sites=1)
    write_plane(folder / name)
    scan = scan_plate_folder(str(folder))
    assert [image.image_id for image in scan.images] == ["Plate7:A01:1"]
    assert codes(scan) == ["derived-images"]


def test_suffixes_in_capitals_double_letters_and_names_of_any_script_are_one_plate(tmp_path: Path) -> None:
    folder = tmp_path / "Plätte 1 (rep#2)"
    for well, site in (("a01", "1"), ("AA01", "02"), ("AF48", "10")):
        for channel in (1, 2):
            write_plane(folder / f"{folder.name}_{well}_s{site}_w{channel}.TIF")
    scan = scan_store_records(f"{folder}/")
    assert [image.image_id for image in scan.images] == [
        f"{folder.name}:{field}" for field in ("A01:1", "AA01:2", "AF48:10")
    ]
    assert {(image.shape, image.stored_bytes) for image in scan.images} == {((2, 12, 16), 2 * FILE_BYTES)}
    assert read_chunks(scan)["is_present"].to_pylist() == [True] * 6


def test_a_folder_of_another_format_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.n5").mkdir()
    (tmp_path / "a.n5/attributes.json").write_text('{"n5": "2.5.0"}')
    with pytest.raises(UnsupportedStoreError, match="no Zarr store and no TIFF"):
        scan_store_records(str(tmp_path / "a.n5"))


def test_settings_in_the_folder_of_a_plate_are_told_and_those_of_the_dataset_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "screen" / "P1"
    folder.mkdir(parents=True)
    write_plane(folder / "A01_s1_w1.tif")
    (folder / "dataset.toml").write_text("[join]\n")
    found = scan_plate_folder(str(folder), ScanOptions(dataset_root_uri=str(folder.parent))).findings
    (finding,) = [one for one in found if one.code == "settings-file-not-read"]
    assert (finding.severity, finding.location) == ("warning", "dataset.toml")
    assert "Move it one folder up" in finding.message
    own = scan_plate_folder(str(folder), ScanOptions(dataset_root_uri=str(folder))).findings
    assert "settings-file-not-read" not in {one.code for one in own}
