"""Whole folders of further instruments: fields with their channels in the right order, none missing, none misread."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import StoreScan
from bioimage_assets_tests.builders import instrument_plates as instruments
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.tiff_files import write_pages
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

# layout: name of a file, plate, sites, channels
FOLDERS = {
    "metaxpress-acquire": (instruments.metaxpress_acquire_name, "Exp_7", ("0", "1"), ("w0", "w1", "w2")),
    "scanr": (instruments.scanr_name, "plate", ("1", "2"), ("405 nm #1", "488 nm #2", "TRITC")),
    "incell": (instruments.incell_long_name, "plate", ("1", "2"), ("UV - DAPI", "Blue - FITC", "Red - Cy5")),
    "columbus": (instruments.columbus_name, "plate", ("1", "2"), ("ch1", "ch2", "ch3")),
    "incucyte": (instruments.incucyte_name, "Vessel9", ("1", "2"), ("Green", "PhaseOriginal", "Red")),
    "nikon-jobs": (instruments.nikon_name, "plate", ("0", "1"), ("Cy5", "DAPI", "FITC")),
    "well-channel": (instruments.well_channel_name, "plate", ("1", "2"), ("Cy5", "DAPI", "FITC")),
}
WRITTEN = {"DAPI": 1, "FITC": 2, "Cy5": 3, "PhaseOriginal": 1, "Green": 2, "Red": 3}


def codes(scan: StoreScan) -> list[str]:
    return sorted({finding.code for finding in scan.findings})


@pytest.mark.parametrize("layout", FOLDERS)
def test_each_further_instrument_gives_one_row_per_field(tmp_path: Path, layout: str):
    name_of, plate, sites, channels = FOLDERS[layout]
    folder = plates.write_named(tmp_path / "plate", name_of)
    scan = scan_plate_folder(str(folder))
    assert [image.image_id for image in scan.images] == [
        f"{plate}:{well}:{site}" for well in plates.WELLS for site in sites
    ]
    for image in scan.images:
        assert (image.shape, image.axes, image.scan_status) == ((3, 12, 16), "cyx", "ok")
        assert image.channel_names == channels
        assert image.storage_variant == f"tiff-plate-{layout}"
        assert [(file.c, file.channel) for file in image.files] == list(enumerate(channels))
    assert scan.findings == ()
    rows = read_chunks(scan).to_pylist()
    assert len(rows) == 18
    for row in rows:  # each channel's pixels are those that were written for it
        name = row["chunk_key"].rpartition("#")[0]
        value = (folder / name).read_bytes()[row["stored_offset"]]
        channel = channels[row["chunk_coords"][0]]
        assert value == WRITTEN.get(channel, row["chunk_coords"][0] + 1)


@pytest.mark.parametrize("name_of", [instruments.bd_pathway_name, instruments.sbs_name])
def test_names_without_sites_give_one_field_per_well(tmp_path: Path, name_of):
    folder = plates.write_named(tmp_path / "plate", name_of, sites=1)
    scan = scan_plate_folder(str(folder))
    assert [image.image_id for image in scan.images] == [f"plate:{well}:1" for well in plates.WELLS]
    assert {(image.shape, image.site_id, image.scan_status) for image in scan.images} == {
        ((3, 12, 16), "1", "ok")
    }
    assert scan.findings == ()


def test_metaxpress_acquire_takes_channels_sizes_and_wells_from_its_jdce(tmp_path: Path):
    name_of = instruments.metaxpress_acquire_name
    folder = plates.write_named(tmp_path / "plate", name_of)
    instruments.write_jdce(folder, instruments.DYES, name_of, wells=(*plates.WELLS, "H12"))
    plates.write_plane(folder / "experiment_montage/timepoint0/Exp_7_t0_A01_s0_w0_z0.tif", shape=(3, 4))
    scan = scan_plate_folder(str(folder))
    assert {image.channel_names for image in scan.images} == {instruments.DYES}
    assert {image.pixel_size_x_um for image in scan.images} == {0.5817}
    assert {image.pixel_size_z_um for image in scan.images} == {None}, "one slice has no distance"
    (plate,) = scan.plates
    assert (plate.source, plate.plate_id) == ("jdce", "Exp_7")
    assert [(well.well_id, well.sites) for well in plate.wells] == [
        (well, ("0", "1")) for well in (*plates.WELLS, "H12")
    ]
    assert codes(scan) == ["derived-images"]


def test_a_wavelength_that_the_jdce_declares_and_no_file_has_is_said(tmp_path: Path):
    name_of = instruments.metaxpress_acquire_name
    folder = plates.write_named(tmp_path / "plate", name_of, channels=2)
    instruments.write_jdce(folder, instruments.DYES, name_of)
    (finding,) = scan_plate_folder(str(folder)).findings
    assert (finding.code, finding.severity) == ("channel-missing", "error")
    assert finding.message.endswith("no file has Cy5 (w2).")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"ImageStack": {}}',
        '{"ImageStack": {"AutoLeadAcquisitionProtocol": []}}',
        "{" * 5_000,
        "\0" * 99,
    ],
)
def test_a_broken_jdce_costs_its_facts_never_the_images(tmp_path: Path, text: str):
    folder = plates.write_named(
        tmp_path / "plate", instruments.metaxpress_acquire_name, wells=("A01",), sites=1
    )
    (folder / "x.jdce").write_text(text)
    (folder / "image_metadata_1.csv").write_text("Row,Column,Field,Wavelength\n99,x,,\n1,2\n")
    scan = scan_plate_folder(str(folder))
    assert [image.image_id for image in scan.images] == ["Exp_7:A01:0"]
    assert codes(scan) == ["sidecar-unreadable"]


def test_odd_values_of_a_jdce_are_left_out(tmp_path: Path):
    name_of = instruments.metaxpress_acquire_name
    folder = plates.write_named(tmp_path / "plate", name_of, wells=("A01",), sites=1)
    instruments.write_jdce(folder, ("TL", "TL", "FITC"), name_of, wells=("A01",), sites=1)
    path = folder / "Exp_7.jdce"
    document = json.loads(path.read_text("utf-8-sig"))
    document["ImageStack"]["AutoLeadAcquisitionProtocol"]["ObjectiveCalibration"]["PixelWidth"] = float("nan")
    path.write_text(json.dumps(document))
    scan = scan_plate_folder(str(folder))
    assert scan.images[0].channel_names == ("w0", "w1", "w2"), (
        "two wavelengths behind one filter keep their tokens"
    )
    assert scan.images[0].pixel_size_x_um is None
    assert scan.findings == ()


def test_wells_of_1536_stand_where_the_small_letters_say(tmp_path: Path):
    wells = ("A01", "B02", "D04", "E05", "P24")
    folder = plates.write_named(tmp_path / "plate", instruments.cellvoyager_1536_name, wells=wells, sites=1)
    plates.write_bts(folder, instruments.DYES, instruments.cellvoyager_1536_name)
    scan = scan_plate_folder(str(folder))
    assert sorted(image.well_id or "" for image in scan.images) == sorted(wells)
    assert {image.channel_names for image in scan.images} == {instruments.DYES}
    assert "sidecar-differs" not in codes(scan)


def test_counted_images_of_a_bd_pathway_are_z_steps_where_its_xyz_says_so(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", instruments.bd_pathway_name, wells=("D11",), sites=6)
    scan = scan_plate_folder(str(folder))
    assert [(image.axes, image.shape) for image in scan.images] == [("tcyx", (6, 3, 12, 16))]
    assert codes(scan) == ["counted-images-are-time"]
    (folder / "Experiment.xyz").write_text("[Z1Axis]\nZ1AxisEnabled=1\nZ1AxisMode=1\nZ1AxisValue=2\n")
    scan = scan_plate_folder(str(folder))
    assert [(image.axes, image.shape) for image in scan.images] == [("tczyx", (2, 3, 3, 12, 16))]
    assert codes(scan) == []
    places = {(file.path[-10:-4], file.t, file.z) for file in scan.images[0].files}
    assert places == {(f"{n:06d}", n // 3, n % 3) for n in range(6)}


@pytest.mark.parametrize("text", ["", "no section", "[Z1Axis\n", "[Other]\na=1"])
def test_a_broken_xyz_is_said(tmp_path: Path, text: str):
    folder = plates.write_named(tmp_path / "plate", instruments.bd_pathway_name, wells=("D11",), sites=1)
    (folder / "Experiment.xyz").write_text(text)
    scan = scan_plate_folder(str(folder))
    assert (len(scan.images), codes(scan)) == (1, ["sidecar-unreadable"])


def test_planes_and_time_points_of_columbus_names_are_a_guess_that_is_said(tmp_path: Path):
    for plane in (1, 2):
        plates.write_plane(tmp_path / f"plate/001002-1-{plane:03d}001001.tif", plane)
    scan = scan_plate_folder(str(tmp_path / "plate"))
    assert [(image.axes, image.shape) for image in scan.images] == [("czyx", (1, 2, 12, 16))]
    (finding,) = scan.findings
    assert (finding.code, finding.severity) == ("plane-or-time-point", "warning")
    assert "file_pattern" in finding.message


def test_time_points_of_files_without_a_channel_are_one_field(tmp_path: Path):
    for hour in (0, 4, 8):
        plates.write_plane(tmp_path / f"plate/VID5_B2_1_2024y01m02d_{hour:02d}h00m.tif", hour)
    scan = scan_plate_folder(str(tmp_path / "plate"))
    assert [(image.image_id, image.axes, image.shape) for image in scan.images] == [
        ("VID5:B02:1", "tyx", (3, 12, 16))
    ]
    assert [file.path[-9:-4] for file in scan.images[0].files] == [
        "0h00m",
        "4h00m",
        "8h00m",
    ] or scan.findings == ()


def test_a_file_of_columbus_with_all_planes_is_a_stack_that_is_said(tmp_path: Path):
    def name_of(well: str, site: int, channel: int) -> str:
        return f"{ord(well[0]) - 64:03d}{int(well[1:]):03d}-{site}.tif"

    folder = plates.write_named(tmp_path / "plate", name_of, channels=1)
    plates.write_maps_index(folder / "ImageIndex.ColumbusIDX.xml", instruments.DYES, name_of, version=3)
    scan = scan_plate_folder(str(folder))
    assert [image.image_id for image in scan.images] == [
        f"HarmonyPlate:{well}:{site}" for well in plates.WELLS for site in ("1", "2")
    ]
    assert {image.channel_names for image in scan.images} == {None}
    assert codes(scan) == ["pages-not-explained"]


def numbered_name(well: str, site: int, channel: int) -> str:
    """ScanR without labels of wells."""
    return instruments.scanr_name(well, site, channel).replace(f"{well[0]}{int(well[1:])}--W", "--W")


def write_descriptor(path: Path, pairs: list[tuple[str, str]]) -> None:
    """Write an ``experiment_descriptor.xml`` of scanR: names and what follows each."""
    body = "".join(
        f"<E><Name>{name}</Name>{f'<Val>{value}</Val>' if value else ''}</E>" for name, value in pairs
    )
    path.write_text(f"<LVData>{body}</LVData>")


def test_wells_that_names_only_number_are_placed_by_the_descriptor_of_scanr(tmp_path: Path):
    folder = plates.write_named(tmp_path / "Run5", numbered_name)
    scan = scan_plate_folder(str(folder))
    assert {image.well_id for image in scan.images} == {None}
    assert "well-number-without-plate" in codes(scan)
    layout = [("Columns", "3"), ("format typedef", ""), ("Rows", "8"), ("Columns", "12"), ("Columns", "5")]
    table = [("well selection table + cDNA", text) for text in ("1", "C04", "2", "C05", "15", "D06")]
    for pairs, wells in ((layout, plates.WELLS), (table, ("C04", "C05", "D06"))):
        write_descriptor(folder / "experiment_descriptor.xml", pairs)
        scan = scan_plate_folder(str(folder))
        assert [image.image_id for image in scan.images] == [
            f"Run5:{well}:{site}" for well in wells for site in (1, 2)
        ]
        assert {(image.shape, image.scan_status) for image in scan.images} == {((3, 12, 16), "ok")}
        assert {image.channel_names for image in scan.images} == {("405 nm #1", "488 nm #2", "TRITC")}
        assert scan.findings == ()


@pytest.mark.parametrize("columns", ["0", "-1", "x", "99999999999"])
def test_an_odd_number_of_columns_places_no_well(tmp_path: Path, columns: str):
    folder = plates.write_named(tmp_path / "Run5", numbered_name, wells=("A02",), sites=1)
    write_descriptor(folder / "experiment_descriptor.xml", [("format typedef", ""), ("Columns", columns)])
    assert {image.well_id for image in scan_plate_folder(str(folder)).images} == {None}


@pytest.mark.parametrize(
    "order",
    [[(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)], [(2, 3), (1, 1), (2, 1), (1, 3), (1, 2), (2, 2)]],
)
def test_pages_of_columbus_are_the_planes_that_its_index_says(tmp_path: Path, order: list[tuple[int, int]]):
    folder = instruments.write_columbus(tmp_path / "P", order)
    scan = scan_plate_folder(str(folder))
    assert [image.image_id for image in scan.images] == [f"col-1:{well}:1" for well in plates.WELLS]
    for image in scan.images:
        assert (image.axes, image.shape, image.scan_status) == ("czyx", (2, 3, 12, 16), "ok")
        assert image.channel_names == ("DAPI", "FITC")
        assert {file.ifd: (file.c, file.z) for file in image.files} == {
            n: (c - 1, z - 1) for n, (c, z) in enumerate(order)
        }
        assert image.stored_bytes == 6 * 12 * 16 * 2
        assert {(p.c, p.z): (p.stage_z_um, p.exposure_s) for p in image.planes} == {
            (c - 1, z - 1): (pytest.approx(z), float(c)) for c, z in order
        }
    assert scan.findings == ()
    rows = read_chunks(scan).to_pylist()
    assert len(rows) == 18
    for row in rows:
        raw = (folder / row["chunk_key"].rpartition("#")[0]).read_bytes()[row["stored_offset"] :]
        c, z = row["chunk_coords"][:2]
        assert np.frombuffer(raw[:2], "<u2")[0] == 10 * (c + 1) + z + 1


def test_a_page_that_the_index_names_and_the_file_lacks_is_said(tmp_path: Path):
    folder = instruments.write_columbus(tmp_path / "P", [(1, 1), (2, 1)])
    write_pages(folder / "001001-1.tif", [np.full((12, 16), 11, np.uint16)])
    scan = scan_plate_folder(str(folder))
    status = {image.well_id: image.scan_status for image in scan.images}
    assert status == {"A01": "partial", "A02": "ok", "B03": "ok"}
    (finding,) = scan.findings
    assert (finding.code, finding.location) == ("file-unreadable", "001001-1.tif")
    assert "names page 1" in finding.message


def test_planes_that_an_index_lists_without_a_file_are_none(tmp_path: Path):
    folder = plates.write_named(tmp_path / "P", plates.phenix_name, wells=("A01",), sites=1, channels=1)
    index = plates.write_phenix_index(
        folder / "Images/Index.idx.xml", ["DAPI"], wells=("A01", "A02", "B03"), sites=1
    )
    text = index.read_text()
    for well in ("A02", "B03"):
        text = text.replace(Path(plates.phenix_name(well, 1, 1)).name, "")
    index.write_text(text)
    scan = scan_plate_folder(str(folder))
    assert [image.image_id for image in scan.images] == ["HarmonyPlate:A01:1"]
    assert "pages-not-explained" not in codes(scan)


def test_z_steps_of_metaxpress_acquire_have_the_distance_of_its_jdce(tmp_path: Path):
    for z in range(3):
        for w in range(2):
            plates.write_plane(tmp_path / f"P/timepoint0/E_t0_B02_s0_w{w}_z{z}.tif", 10 * w + z)
    instruments.write_jdce(
        tmp_path / "P", ("TL", "FITC"), instruments.metaxpress_acquire_name, wells=("B02",), sites=1
    )
    path = tmp_path / "P/Exp_7.jdce"
    path.write_text(path.read_text("utf-8-sig").replace('"NumberOfSlices": 1', '"NumberOfSlices": 3'))
    (image,) = scan_plate_folder(str(tmp_path / "P")).images
    assert (image.axes, image.shape, image.channel_names) == ("czyx", (2, 3, 12, 16), ("TL", "FITC"))
    assert (image.pixel_size_z_um, image.pixel_size_y_um) == (3.0, 0.5817)
