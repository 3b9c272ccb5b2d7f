"""LoadData tables of scanned plates, read by pandas, by tifffile and by the project's own reader of such tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.samplesheets.options import SheetOptions
from bioimage_assets.core.samplesheets.write import WrittenSheet, write_samplesheets
from bioimage_assets.core.scan.scanner import scan_image_assets, scan_plate_source
from bioimage_assets_tests.builders import instrument_plates as instruments
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.png_files import write_png_plate
from bioimage_assets_tests.builders.small_screen import write_store
from bioimage_assets_tests.builders.tiff_files import write_ome_tiff

Name = Callable[[str, int, int], str]
# All names that say well, site and channel; of the CQ1 its index says them, of BD and ExampleSBS sites are no names.
VENDORS: dict[str, Name] = {
    name.removesuffix("_name"): getattr(module, name)
    for module in (plates, instruments)
    for name in dir(module)
    if name.endswith("_name") and not name.startswith(("bd_", "sbs_", "cq1_"))
}


def write(folder: Path, target: Path, **options: object) -> tuple[WrittenSheet, pd.DataFrame]:
    """Scan a folder and write its sheet; gives what was written, and the table as pandas reads it, all texts."""
    images = scan_image_assets(str(folder))
    found = write_samplesheets(
        [(images["plate_key"][0].as_py(), images)], target, "loaddata", SheetOptions(**options)
    )
    return found[0], pd.read_csv(found[0].paths[0], dtype=str, keep_default_na=False)


def ids_of(folder: Path | str) -> list[str]:
    return sorted(scan_image_assets(str(folder))["image_id"].to_pylist())


def read_planes(table: pd.DataFrame, name: str) -> list[np.ndarray]:
    """Pixels that a row of the table names for an image: page ``Frame`` of the file, read by tifffile."""
    frames = table.get(f"Frame_{name}", pd.Series(["0"] * len(table)))
    places = zip(table[f"PathName_{name}"], table[f"FileName_{name}"], frames, strict=True)
    return [tifffile.imread(f"{folder}/{file}", key=int(frame)) for folder, file, frame in places]


def write_stack(path: Path, well: int, site: int) -> None:
    """An OME-TIFF whose pixel values say well, site, channel, z: channel 0 to 1, z 0 to 2."""
    values = np.arange(6).reshape(2, 3, 1, 1) + 10 * site + 100 * well
    write_ome_tiff(path, np.broadcast_to(values, (2, 3, 12, 16)).astype(np.uint16), "CZYX")


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_the_table_of_any_vendors_plate_reads_back_as_the_same_images(vendor: str, tmp_path: Path) -> None:
    folder = plates.write_named(tmp_path / "Plate7", VENDORS[vendor], wells=("A01", "B03"))
    written, table = write(folder, tmp_path / "sheets")
    assert written.findings == ()
    assert (table != "").all(axis=None)
    channels = [column.removeprefix("FileName_") for column in table if column.startswith("FileName_")]
    assert len(channels) == 3
    held = {channel: {int(pixels.max()) for pixels in read_planes(table, channel)} for channel in channels}
    assert sorted(map(tuple, held.values())) == [(1,), (2,), (3,)]
    for channel, (number,) in held.items():
        expected = {
            str(folder / VENDORS[vendor](well, site, number)) for well in ("A01", "B03") for site in (1, 2)
        }
        assert set(table[f"PathName_{channel}"] + "/" + table[f"FileName_{channel}"]) == expected
    assert ids_of(written.paths[0]) == ids_of(folder)
    assert sorted(table["Metadata_ImageID"]) == ids_of(folder)
    assert len(ids_of(folder)) == 4


def test_pages_of_a_stack_are_named_by_frame_and_hold_the_pixels_of_their_channel_and_z(
    tmp_path: Path,
) -> None:
    for well, name in enumerate(("A01", "A02")):
        for site in (1, 2):
            write_stack(tmp_path / "P1" / f"{name}_s{site}.ome.tif", well, site)
    written, table = write(tmp_path / "P1", tmp_path / "sheets")
    assert (written.row_count, written.image_count) == (12, 4)
    for c, channel in enumerate(("C1", "C2")):
        for row, pixels in zip(table.to_dict("records"), read_planes(table, channel), strict=True):
            well, site = int(row["Metadata_Well"][1:]) - 1, int(row["Metadata_Site"])
            assert (pixels == 100 * well + 10 * site + 3 * c + int(row["Metadata_Z"])).all()
    assert set(table["Series_C1"]) == {"0"}
    assert ids_of(written.paths[0]) == ids_of(tmp_path / "P1")


def test_z_steps_and_time_points_in_files_of_their_own_are_rows(tmp_path: Path) -> None:
    def name(well: str, site: int, channel: int) -> str:
        return f"Images/r01c{int(well[1:]):02d}f{site:02d}p{channel:02d}-ch1sk2fk1fl1.tiff"

    plates.write_named(tmp_path / "P1", name, wells=("A01", "A02"))
    written, table = write(tmp_path / "P1", tmp_path / "sheets")
    assert (written.row_count, written.image_count) == (12, 4)
    assert sorted(set(table["Metadata_Z"])) == ["0", "1", "2"]
    assert "Metadata_T" not in table
    assert "Frame_ch1" not in table
    assert ids_of(written.paths[0]) == ids_of(tmp_path / "P1")


def test_two_acquisitions_of_a_plate_stay_two(tmp_path: Path) -> None:
    for run in ("001", "002"):
        for well in ("A01", "A02"):
            plates.write_plane(tmp_path / "P1" / f"Plate7_{well}_T0001F001L{run[-2:]}A01Z01C01.tif")
    written, table = write(tmp_path / "P1", tmp_path / "sheets")
    assert table["Metadata_Acquisition"].nunique() == 2
    assert len(ids_of(tmp_path / "P1")) == 4
    assert ids_of(written.paths[0]) == ids_of(tmp_path / "P1")


def test_png_plates_are_listed_too(tmp_path: Path) -> None:
    write_png_plate(tmp_path / "P1")
    written, table = write(tmp_path / "P1", tmp_path / "sheets")
    assert written.findings == ()
    assert sorted(set(table["Metadata_ImageID"])) == ids_of(tmp_path / "P1")


def test_a_table_for_another_machine_is_listed_with_the_same_ids(tmp_path: Path) -> None:
    folder = plates.write_named(tmp_path / "raw" / "Plate7", plates.imagexpress_name)
    rewrites = ((str(tmp_path / "raw"), "s3://lab/raw"),)
    target = tmp_path / "incoming" / "screen" / "load_data_csv"
    written, table = write(folder, target, path_rewrites=rewrites)
    assert table["URL_w1"].str.startswith("s3://lab/raw/Plate7/Plate7_A0").any()
    assert not [column for column in table if column.startswith("FileName")]
    [source] = discover_plates(str(tmp_path / "incoming")).sources
    assert source.store_uris == written.paths
    listed = scan_plate_source(source).images
    assert sorted(listed["image_id"].to_pylist()) == ids_of(folder)
    assert set(listed["scan_status"].to_pylist()) == {"listed"}
    # What is only listed can be listed again.
    again = write_samplesheets([(source.plate_key, listed)], tmp_path / "again", "loaddata")[0]
    second = pd.read_csv(again.paths[0], dtype=str)
    places = [column for column in table if column.startswith(("URL_", "Metadata_"))]
    assert second[places].equals(table[places])


def test_illumination_functions_stand_beside_the_images_in_a_second_table(tmp_path: Path) -> None:
    folder = plates.write_named(tmp_path / "Plate7", plates.imagexpress_name)
    written, _ = write(folder, tmp_path / "sheets", illumination="/illum", channels={"w1": "OrigDNA"})
    plain, corrected = (pd.read_csv(path, dtype=str) for path in written.paths)
    assert [Path(path).name for path in written.paths] == ["load_data.csv", "load_data_with_illum.csv"]
    assert set(corrected["PathName_IllumDNA"]) == {"/illum/Plate7"}
    assert set(corrected["FileName_IllumDNA"]) == {"Plate7_IllumDNA.npy"}
    assert set(corrected["FileName_Illumw2"]) == {"Plate7_Illumw2.npy"}
    assert corrected[plain.columns].equals(plain)
    assert ids_of(written.paths[1]) == ids_of(folder)


def test_illumination_functions_of_a_gallery_lie_in_the_folder_of_the_batch(tmp_path: Path) -> None:
    source = tmp_path / "cpg0016-jump/source_4"
    folder = plates.write_named(source / "images/2021_B1/images/BR1", plates.phenix_name, wells=("A01",))
    place = f"{source}/images/{{batch}}/illum"
    written, _ = write(folder, tmp_path / "sheets", illumination=place)
    corrected = pd.read_csv(written.paths[1], dtype=str)
    assert set(corrected["PathName_Illumch1"]) == {str(source / "images/2021_B1/illum/BR1")}
    assert set(corrected["Metadata_Batch"]) == {"2021_B1"}
    assert set(corrected["Metadata_Source"]) == {"source_4"}


def test_image_sets_that_lack_a_channel_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = plates.write_named(tmp_path / "Plate7", plates.imagexpress_name)
    next(folder.glob("*_A02_s2_w3*")).unlink()
    written, table = write(folder, tmp_path / "sheets")
    [finding] = written.findings
    assert (finding.code, finding.severity) == ("image-set-incomplete", "error")
    assert "1 of 6 image sets" in finding.message
    assert "'Plate7:A02:2', which lacks w3" in finding.message
    assert set(ids_of(folder)) - set(table["Metadata_ImageID"]) == {"Plate7:A02:2"}


def test_what_cannot_be_listed_is_counted_and_said(tmp_path: Path) -> None:
    store = write_store(tmp_path / "P1.ome.zarr", "P1")
    images = scan_image_assets(str(store))
    [written] = write_samplesheets([("P1/P1", images)], tmp_path / "sheets", "loaddata")
    assert (written.paths, written.row_count) == ((), 0)
    [finding] = written.findings
    assert finding.code == "zarr-not-listed"
    assert f"{images.num_rows} images in Zarr stores are left out" in finding.message


def test_a_second_call_writes_the_same_bytes(tmp_path: Path) -> None:
    folder = plates.write_named(tmp_path / "Plate7", plates.phenix_name)
    written, _ = write(folder, tmp_path / "sheets")
    first = Path(written.paths[0]).read_bytes()
    write(folder, tmp_path / "sheets")
    assert Path(written.paths[0]).read_bytes() == first


@pytest.mark.parametrize("name", ["1DNA", "D NA", "", "w2"])
def test_a_name_that_no_image_can_have_is_refused(name: str, tmp_path: Path) -> None:
    folder = plates.write_named(tmp_path / "Plate7", plates.imagexpress_name)
    with pytest.raises(UsageError, match="named"):
        write(folder, tmp_path / "sheets", channels={"w1": name, "w2": "w2"})
