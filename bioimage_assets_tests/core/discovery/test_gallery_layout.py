"""The layout of the Cell Painting Gallery: plates, batches, platemaps and backends are found by names alone."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.discovery.gallery_names import name_of_folder, plate_of_folder
from bioimage_assets.core.discovery.layout import read_layout
from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.errors import StoreAccessError
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.scan.scanner import scan_plate_source
from bioimage_assets.core.stores.tree import Entry, LocalTree
from bioimage_assets_tests.builders.gallery import (
    STAMP,
    image_folder,
    list_images,
    write_plate,
    write_platemap,
    write_rows,
)
from bioimage_assets_tests.builders.tiff_plates import write_plane

SOURCE = "cpg0016-jump/source_4"


def write_gallery(root: Path) -> Path:
    """Two plates of one batch, one of them without its images, and a plate of another batch."""
    source = root / SOURCE
    write_plate(source, "2021_B1", "BR1")
    write_plate(source, "2021_B1", "BR2", images=False)
    write_plate(source, "2021_B2", "BR3")
    return source


def by_key(root: Path) -> dict[str, PlateSource]:
    return {source.plate_key: source for source in discover_plates(str(root)).sources}


def codes(root: Path) -> list[str]:
    return sorted(finding.code for finding in discover_plates(str(root)).findings)


@pytest.mark.parametrize(
    ("below", "dataset"), [("", "cpg0016-jump__source_4"), ("cpg0016-jump", "source_4"), (SOURCE, "source_4")]
)
def test_a_gallery_a_project_and_a_source_hold_the_same_plates(
    below: str, dataset: str, tmp_path: Path
) -> None:
    source = write_gallery(tmp_path)
    found = by_key(tmp_path / below)
    assert list(found) == [f"{dataset}/BR1", f"{dataset}/BR2", f"{dataset}/BR3"]
    first, listed, third = found.values()
    assert first.store_uris == (str(source / image_folder("2021_B1", "BR1")),)
    table = source / "workspace/load_data_csv/2021_B1/BR2/load_data.csv"
    assert listed.store_uris == (str(table),)
    assert first.measurement_uris == (str(source / "workspace/backend/2021_B1/BR1/BR1.sqlite"),)
    assert [plate.gallery.batch for plate in found.values()] == ["2021_B1", "2021_B1", "2021_B2"]
    assert third.gallery.platemap_dir == "workspace/metadata/platemaps/2021_B2"
    assert {plate.dataset_uri for plate in found.values()} == {str(source)}
    assert codes(tmp_path / below) == []


def test_images_are_of_the_plate_that_workspace_names_whatever_the_microscope_called_it(
    tmp_path: Path,
) -> None:
    write_gallery(tmp_path)
    for plate in ("BR1", "BR2"):
        source = by_key(tmp_path)[f"cpg0016-jump__source_4/{plate}"]
        images = scan_plate_source(source).images
        assert images["image_id"].to_pylist() == [
            f"{plate}:{well}:1" for well in ("A01", "A02", "B01", "B02")
        ]
        assert set(images["scan_status"].to_pylist()) == {"ok" if plate == "BR1" else "listed"}


def test_a_new_batch_and_its_platemaps_leave_the_plates_of_others_as_they_were(tmp_path: Path) -> None:
    source = write_gallery(tmp_path)
    before = by_key(tmp_path)
    write_plate(source, "2022_B3", "BR1")
    write_platemap(source, "2021_B2", "BR9")
    after = by_key(tmp_path)
    assert set(after) - set(before) == {"cpg0016-jump__source_4/BR1.2022_B3"}
    changed = [key for key in before if before[key].signature != after[key].signature]
    assert changed == ["cpg0016-jump__source_4/BR3"]
    assert codes(tmp_path) == ["gallery-plate-in-several-batches"]
    assert after["cpg0016-jump__source_4/BR1.2022_B3"].gallery.plate == "BR1"


def test_a_change_of_the_table_that_images_are_compared_with_is_a_change_of_the_plate(tmp_path: Path) -> None:
    source = write_gallery(tmp_path)
    before = by_key(tmp_path)
    with (source / "workspace/load_data_csv/2021_B1/BR1/load_data.csv").open("a") as file:
        file.write("\n")
    after = by_key(tmp_path)
    changed = [key for key in before if before[key].signature != after[key].signature]
    assert changed == ["cpg0016-jump__source_4/BR1"]
    plate = changed[0]
    assert before[plate].signatures["stores"] == after[plate].signatures["stores"]


def test_a_folder_of_another_name_is_found_by_the_plates_table(tmp_path: Path) -> None:
    source = write_gallery(tmp_path)
    (source / image_folder("2021_B1", "BR1")).rename(source / "images/2021_B1/images/Day7_AssayPlate")
    table = source / "workspace/load_data_csv/2021_B1/BR1/load_data.csv"
    text = table.read_text().replace(f"BR1{STAMP}", "Day7_AssayPlate")
    table.unlink()
    table.with_name("load_data.csv.gz").write_bytes(gzip.compress(text.encode()))
    found = by_key(tmp_path)
    assert len(found) == 3
    assert found["cpg0016-jump__source_4/BR1"].store_uris[0].endswith("/Day7_AssayPlate")
    assert codes(tmp_path) == ["gallery-plate-name-differs"]


def test_a_folder_that_fits_no_plate_is_a_plate_of_images_alone_and_said(tmp_path: Path) -> None:
    source = write_gallery(tmp_path)
    write_plane(source / f"images/2021_B1/images/XX7{STAMP}/Images/r01c01f01p01-ch1sk1fk1fl1.tiff")
    found = by_key(tmp_path)
    assert found["cpg0016-jump__source_4/XX7"].measurement_uris == ()
    assert codes(tmp_path) == ["gallery-folder-without-plate"]


def test_of_two_folders_of_a_plate_the_one_that_its_table_names_is_used(tmp_path: Path) -> None:
    source = write_gallery(tmp_path)
    folder = source / image_folder("2021_B1", "BR1")
    other = folder.with_name("BR1__2021-06-02T16_02_51-Measurement2")
    shutil.copytree(folder, other)
    assert by_key(tmp_path)["cpg0016-jump__source_4/BR1"].store_uris == (str(folder),)
    assert codes(tmp_path) == ["gallery-several-folders"]
    shutil.rmtree(source / "workspace/load_data_csv/2021_B1/BR1")
    assert by_key(tmp_path)["cpg0016-jump__source_4/BR1"].store_uris == (str(other),)


def test_parquet_goes_before_sqlite_and_sqlite_before_the_tables_of_analysis(tmp_path: Path) -> None:
    source = write_gallery(tmp_path)
    backend = source / "workspace/backend/2021_B1/BR1"
    analysis = source / "workspace/analysis/2021_B1/BR1/analysis/BR1-A01-1"
    for name in ("Cells.csv", "Image.csv", "Nuclei.csv"):
        write_rows(analysis / name, [{"ImageNumber": "1"}])
    (backend / "BR1.csv").write_text("Metadata_Well\nA01\n")
    pq.write_table(pa.table({"a": [1]}), backend / "BR1.parquet")
    chosen = []
    for gone in ("BR1.parquet", "BR1.sqlite", None):
        [measured] = by_key(tmp_path)["cpg0016-jump__source_4/BR1"].measurement_uris
        chosen.append(Path(measured).relative_to(source / "workspace").as_posix())
        if gone:
            (backend / gone).unlink()
    assert chosen == [
        "backend/2021_B1/BR1/BR1.parquet", "backend/2021_B1/BR1/BR1.sqlite", "analysis/2021_B1/BR1",
    ]  # fmt: skip
    shutil.rmtree(source / "workspace/analysis")
    assert by_key(tmp_path)["cpg0016-jump__source_4/BR1"].measurement_uris == ()
    assert codes(tmp_path) == ["gallery-no-cells"]


def test_a_table_in_parquet_lists_the_same_images(tmp_path: Path) -> None:
    source = write_gallery(tmp_path)
    key = "cpg0016-jump__source_4/BR2"
    before = scan_plate_source(by_key(tmp_path)[key]).images
    table = source / "workspace/load_data_csv/2021_B1/BR2/load_data.csv"
    table.unlink()
    folder = f"s3://cellpainting-gallery/{SOURCE}/{image_folder('2021_B1', 'BR2')}"
    rows = list_images(folder)
    split = [
        {
            "FileName_OrigDNA": row["URL_OrigDNA"].rpartition("/")[2],
            "PathName_OrigDNA": f"{folder}/Images/",  # with a slash at the end, as JUMP has it
            "FileName_OrigER": row["URL_OrigER"].rpartition("/")[2],
            "PathName_OrigER": f"{folder}/Images/",
            "FileName_IllumDNA": "BR2_IllumDNA.npy",
            "Metadata_Plate": "BR2",
            "Metadata_Well": row["Metadata_Well"],
            "Metadata_Site": 1.0,
        }
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(split), table.with_name("load_data_with_illum.parquet"))
    after = scan_plate_source(by_key(tmp_path)[key]).images
    places = ["image_id", "uri", "files", "channel_names", "scan_status"]
    assert after.select(places).equals(before.select(places))


@pytest.mark.parametrize(
    "paths",
    [
        ["screen/images/P1_A01_s1_w1.tif"],
        ["screen/P1/P1_A01_s1_w1.tif", "screen/workspace/load_data_csv/b/P1/load_data.csv"],
        ["screen/P1/P1_A01_s1_w1.tif", "screen/images/b/images/P2/P2_A01_s1_w1.tif"],
        ["cpg0001-mine/P1/P1_A01_s1_w1.tif"],
    ],
)
def test_other_datasets_are_no_gallery_whatever_their_folders_are_called(
    paths: list[str], tmp_path: Path
) -> None:
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    assert [plate.gallery for plate in read_layout(LocalTree(tmp_path)).plates] == [None]


def test_only_the_asked_for_source_is_listed(tmp_path: Path) -> None:
    write_gallery(tmp_path)
    write_plate(tmp_path / "cpg0003-other/broad", "b", "P1")
    for dataset, plates in (("cpg0016-jump__source_4", 3), ("cpg0003-other__broad", 1), ("nothing", 0)):
        assert len(discover_plates(str(tmp_path), datasets=[dataset]).sources) == plates


class LockedTree(LocalTree):
    """A share on which one folder may not be listed."""

    def children(self, path: str) -> list[Entry]:
        if path.endswith("backend"):
            raise StoreAccessError("no entry")
        return super().children(path)


def test_a_source_that_cannot_be_listed_hides_no_other_and_is_said(tmp_path: Path) -> None:
    write_gallery(tmp_path)
    write_plane(tmp_path / "screen/P1/P1_A01_s1_w1.tif")
    layout = read_layout(LockedTree(tmp_path))
    assert [plate.plate_key for plate in layout.plates] == ["screen/P1"]
    assert [finding.code for finding in layout.findings] == ["unreadable-dataset"]
    assert "cpg0016-jump" in layout.unreadable_datasets


def test_names_of_folders_and_plates_are_compared_as_whole_words() -> None:
    assert plate_of_folder("BR10", {"BR1"}) is None
    assert plate_of_folder("BR1 (2)", {"BR1"}) == "BR1"
    assert plate_of_folder("24277-ER", {"24277", "24277-ER"}) == "24277-ER"
    assert name_of_folder("r__2021-05-02T16_02_51-Measurement 1") == "r"
    assert name_of_folder("r__2021-05-02") == "r__2021-05-02"
