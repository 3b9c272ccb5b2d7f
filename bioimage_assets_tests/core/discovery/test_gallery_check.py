"""Faults as they were found in published data are planted in a gallery: each is found, and nothing else."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from bioimage_assets.core.discovery.gallery_check import GalleryCheck, check_gallery
from bioimage_assets.core.stores.key_tree import list_key_tree
from bioimage_assets_tests.builders.gallery import WELLS, image_folder, write_plate, write_rows
from bioimage_assets_tests.builders.tiff_plates import write_plane

SOURCE = "cpg0016-jump/source_4"
TABLE = "workspace/load_data_csv/2021_B1/BR1/load_data.csv"
MAPS = "workspace/metadata/platemaps/2021_B1"


def write_gallery(root: Path) -> Path:
    source = root / SOURCE
    for batch, plate in (("2021_B1", "BR1"), ("2021_B1", "BR2"), ("2021_B2", "BR3")):
        write_plate(source, batch, plate)
    return source


def check(root: Path) -> GalleryCheck:
    return check_gallery(list_key_tree(str(root)))


def edit_table(source: Path, change: Callable[[dict[str, str]], dict[str, str] | None]) -> None:
    """Change or drop rows of the LoadData table of BR1."""
    path = source / TABLE
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [row for row in map(change, rows) if row is not None]
    write_rows(path, kept, list(rows[0]))


def drop_images(source: Path) -> None:
    """jump-cellpainting/datasets#78: 6,068 images that load_data names are not in the bucket."""
    for path in (source / image_folder("2021_B1", "BR1")).rglob("r01c02*"):
        path.unlink()


def drop_rows(source: Path) -> None:
    """jump-cellpainting/datasets#61: wells that were imaged have no row."""
    edit_table(source, lambda row: None if row["Metadata_Well"] == "B02" else row)


def drop_rows_and_images(source: Path) -> None:
    drop_rows(source)
    for path in (source / image_folder("2021_B1", "BR1")).rglob("r02c02*"):
        path.unlink()


def name_sites(source: Path) -> None:
    """broadinstitute/cellpainting-gallery#141: Metadata_Site is IXMtest."""
    edit_table(
        source, lambda row: row | ({"Metadata_Site": "IXMtest"} if row["Metadata_Well"] == "A01" else {})
    )


def rename_folder(source: Path) -> None:
    """broadinstitute/cellpainting-gallery#142: the folder was renamed, the table has its old name."""
    (source / image_folder("2021_B1", "BR1")).rename(source / "images/2021_B1/images/BR1")


def name_other_plate(source: Path) -> None:
    """broadinstitute/cellpainting-gallery#142: the table has another plate than its folder."""
    edit_table(source, lambda row: row | {"Metadata_Plate": "D14"})


def empty_table(source: Path) -> None:
    """broadinstitute/cellpainting-gallery#117: empty load_data."""
    edit_table(source, lambda row: None)


def spoil_table(source: Path) -> None:
    (source / TABLE).write_text("Metadata_Well\nA01\n")


def drop_table(source: Path) -> None:
    (source / TABLE).unlink()


def drop_backend(source: Path) -> None:
    """broadinstitute/lincs-cell-painting#91: no SQLite of a plate that the platemaps list."""
    (source / "workspace/backend/2021_B1/BR1/BR1.sqlite").unlink()


def list_plate(source: Path) -> None:
    """The same: nothing at all of a plate that the platemaps list."""
    with (source / MAPS / "barcode_platemap.csv").open("a") as file:
        file.write("BR9,map_BR1\n")


def unlist_plate(source: Path) -> None:
    path = source / MAPS / "barcode_platemap.csv"
    path.write_text(path.read_text().replace("BR1,", "BRX1,"))


def drop_map(source: Path) -> None:
    (source / MAPS / "platemap/map_BR1.txt").unlink()


def drop_maps(source: Path) -> None:
    for path in sorted((source / "workspace/metadata/platemaps/2021_B2").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (source / "workspace/metadata/platemaps/2021_B2").rmdir()


def spoil_barcodes(source: Path) -> None:
    (source / MAPS / "barcode_platemap.csv").write_text("plate\nBR1\n")


def add_channel(source: Path) -> None:
    """Brightfield that no pipeline reads."""
    for well in (1, 2):
        write_plane(source / image_folder("2021_B1", "BR1") / f"Images/r01c0{well}f01p01-ch7sk1fk1fl1.tiff")


FAULTS: dict[Callable[[Path], None], tuple[tuple[str, str], ...]] = {
    drop_images: (("gallery-images-absent", "2 of 8 images that the LoadData table names are not there, of 1 well (A02)"),),
    drop_rows: (("gallery-wells-not-listed", "1 well with images without a row in the LoadData table: B02"),),
    drop_rows_and_images: (("gallery-wells-not-listed", "1 well of the platemap without a row in the LoadData table: B02"),),
    name_sites: (("gallery-site-not-a-number", "in 2 of 8 places (IXMtest)"),),
    rename_folder: (("gallery-folder-renamed", "BR1__2021-05-02T16_02_51-Measurement1; those of plate 'BR1' lie in 'BR1'"),),
    name_other_plate: (("gallery-other-plate", "has Metadata_Plate D14 in 8 places"),),
    empty_table: (("gallery-load-data-empty", "names no image of a well"),),
    spoil_table: (("gallery-load-data-unreadable", "no FileName_<channel> and no URL_<channel> column"),),
    drop_table: (("gallery-no-load-data", "Plate 'BR1' has no LoadData table"),),
    drop_backend: (("gallery-no-measurements", "Plate 'BR1' has neither a backend nor"),),
    list_plate: (("gallery-plate-absent", "have neither images nor a LoadData table nor measurements: BR9"),),
    unlist_plate: (("gallery-plate-absent", "BRX1"), ("plate-not-in-barcodes", "Plate 'BR1' is not listed in")),
    drop_map: (("gallery-platemap-absent", "names the platemap 'map_BR1' for plate 'BR1'"),),
    drop_maps: (("gallery-no-platemap", "Batch '2021_B2' has no folder of platemaps"),),
    spoil_barcodes: (("gallery-platemap-unreadable", "has no column 'assay_plate_barcode'"),),
    add_channel: (("gallery-images-not-listed", "2 images of wells in the LoadData table are named by none"),),
}  # fmt: skip


def test_a_whole_gallery_has_nothing_to_say_and_is_counted(tmp_path: Path) -> None:
    write_gallery(tmp_path)
    found = check(tmp_path)
    assert found.all_findings == []
    counts = [(p.plate, p.batch, p.image_count, p.named_count, p.absent_count) for p in found.plates]
    images = 2 * len(WELLS)
    assert counts == [
        ("BR1", "2021_B1", images, images, 0), ("BR2", "2021_B1", images, images, 0), ("BR3", "2021_B2", images, images, 0),
    ]  # fmt: skip
    assert [p.measurements[0].rpartition("/")[2] for p in found.plates] == [
        "BR1.sqlite",
        "BR2.sqlite",
        "BR3.sqlite",
    ]
    assert [p.platemap.rpartition("/")[2] for p in found.plates] == [
        "map_BR1.txt",
        "map_BR2.txt",
        "map_BR3.txt",
    ]


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_each_fault_is_found_with_its_code_and_nothing_else(
    plant: Callable[[Path], None], tmp_path: Path
) -> None:
    plant(write_gallery(tmp_path))
    found = sorted(check(tmp_path).all_findings, key=lambda finding: finding.code)
    assert [finding.code for finding in found] == [code for code, _ in FAULTS[plant]]
    for finding, (_, text) in zip(found, FAULTS[plant], strict=True):
        assert text in finding.message


def test_all_faults_together_are_found_once_each(tmp_path: Path) -> None:
    source = write_gallery(tmp_path)
    for plant in (drop_images, drop_rows, name_sites, drop_backend, list_plate, add_channel, drop_maps):
        plant(source)
    expected = {
        "gallery-images-absent", "gallery-wells-not-listed", "gallery-site-not-a-number", "gallery-no-measurements",
        "gallery-plate-absent", "gallery-images-not-listed", "gallery-no-platemap",
    }  # fmt: skip
    found = [finding.code for finding in check(tmp_path).all_findings]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_a_copy_without_images_is_no_fault(tmp_path: Path) -> None:
    write_plate(tmp_path / SOURCE, "2021_B1", "BR1", images=False)
    found = check(tmp_path)
    assert [(finding.code, finding.severity) for finding in found.all_findings] == [
        ("gallery-images-elsewhere", "info")
    ]
    assert (found.plates[0].image_count, found.plates[0].named_count, found.plates[0].absent_count) == (
        None,
        8,
        0,
    )
