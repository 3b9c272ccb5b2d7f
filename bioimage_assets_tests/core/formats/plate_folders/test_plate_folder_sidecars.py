"""XML sidecars of further instruments: channel names, pixel sizes, wells, and names that only a sidecar explains."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

DYES = ("Hoechst", "Alexa 488", "MitoTracker")


def _check_fields(scan: StoreScan, plate: str, channels: tuple[str, ...], pixel_um: float) -> None:
    expected = [f"{plate}:{well}:{site}" for well in plates.WELLS for site in (1, 2)]
    assert [image.image_id for image in scan.images] == expected
    for image in scan.images:
        assert image.channel_names == channels
        assert image.pixel_size_x_um == pytest.approx(pixel_um)
        assert image.scan_status == "ok"
    assert [well.well_id for well in scan.plates[0].wells] == list(plates.WELLS)
    assert scan.plates[0].wells[0].sites == ("1", "2")
    assert read_chunks(scan).num_rows == 18
    assert [finding for finding in scan.findings if finding.severity != "info"] == []


@pytest.mark.parametrize("version", [3, 4, 5, 6])
def test_harmony_gives_channels_per_image_or_in_maps(tmp_path: Path, version: int):
    folder = plates.write_named(tmp_path / "plate", plates.phenix_name)
    plates.write_maps_index(folder / "Images/Index.xml", DYES, plates.phenix_name, version=version)
    _check_fields(scan_plate_folder(str(folder)), "HarmonyPlate", DYES, 0.65)


def test_names_of_an_old_operetta_get_plate_channels_and_sizes_from_its_index(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.old_operetta_name)
    assert {image.channel_names for image in scan_plate_folder(str(folder)).images} == {("ch1", "ch2", "ch3")}
    plates.write_maps_index(folder / "Images/Index.idx.xml", DYES, plates.old_operetta_name, version=3)
    _check_fields(scan_plate_folder(str(folder)), "HarmonyPlate", DYES, 0.65)


@pytest.mark.parametrize("name_of", [plates.cq1_name, plates.cellvoyager_name])
def test_yokogawa_settings_name_the_channels_and_records_place_numbered_wells(tmp_path: Path, name_of):
    folder = plates.write_named(tmp_path / "plate", name_of)
    plates.write_bts(folder, DYES, name_of)
    plate = "Plate7" if name_of is plates.cellvoyager_name else "PL1"
    _check_fields(scan_plate_folder(str(folder)), plate, DYES, 0.65)


def test_an_incell_plate_has_the_emission_filters_of_its_xdce(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.incell_name)
    plates.write_xdce(folder / "run.xdce", ("Blue", "Green", "Orange"), plate_id="IC7")
    # the tokens sort as Cy3, DAPI, FITC; the names follow their files
    _check_fields(scan_plate_folder(str(folder)), "IC7", ("Orange", "Blue", "Green"), 0.325)


def test_two_wavelengths_behind_one_filter_keep_their_tokens(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.incell_name)
    plates.write_xdce(folder / "run.xdce", ("Quad", "Quad", "Cy3"))
    _check_fields(scan_plate_folder(str(folder)), "plate", ("Cy3 - Cy3", "DAPI - DAPI", "FITC - FITC"), 0.325)


@pytest.mark.parametrize("name", ["run.xdce", "Index.xml", "S.mes", "MeasurementData.mlf"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "<a",
        "<!DOCTYPE x [<!ENTITY a 'b'>]><ImageStack>&a;</ImageStack>",
        "<x/>",
        "<Image filename='../x'/>",
    ],
)
def test_a_broken_sidecar_costs_its_facts_never_the_images(tmp_path: Path, name: str, text: str):
    folder = plates.write_named(tmp_path / "plate", plates.cellomics_name, wells=("A01",), sites=1)
    (folder / name).write_text(text)
    scan = scan_plate_folder(str(folder))
    assert [image.image_id for image in scan.images] == ["Plate7:A01:0"]
    codes = {finding.code for finding in scan.findings}
    assert codes <= {"sidecar-unreadable"}
    assert ("sidecar-unreadable" in codes) == (text[:2] in ("", "<a", "<!"))


def test_a_given_pattern_is_stronger_than_what_a_sidecar_tells(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.cq1_name)
    plates.write_bts(folder, DYES, plates.cq1_name)
    options = ScanOptions(file_pattern=r"W00(?P<column>\d\d)F(?P<site>\d{4})(?P<row>)")
    assert scan_plate_folder(str(folder), options).images == ()
