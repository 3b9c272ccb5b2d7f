"""Whatever lies in a watched root and is no plate is named, with why, and with where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.findings import Finding

CELLS = "Metadata_Well,Cells_AreaShape_Area\nA01,1\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A watched root with one plate of measurements."""
    (tmp_path / "scr" / "measurements").mkdir(parents=True)
    (tmp_path / "scr" / "measurements" / "P1.csv").write_text(CELLS)
    return tmp_path


def find(root: Path, code: str) -> Finding:
    found = discover_plates(str(root))
    assert [source.plate_key for source in found.sources if source.dataset_name == "scr"] == ["scr/P1"]
    (finding,) = found.findings
    assert finding.code == code
    assert finding.severity == "warning"
    return finding


def test_a_root_in_which_everything_is_understood_has_no_finding(root):
    (root / "README.md").write_text("notes")
    (root / "scr" / "dataset.toml").write_text("")
    (root / "scr" / "platemaps").mkdir()
    (root / ".hidden").mkdir()
    assert discover_plates(str(root)).findings == ()


def test_tables_at_the_top_of_a_root_belong_to_no_plate(root):
    for name in ("Image.csv", "Cells.csv"):
        (root / name).write_text(CELLS)
    finding = find(root, "file-outside-dataset")
    assert "'Cells.csv', 'Image.csv'" in finding.message
    assert f"move them to {root}/<dataset>/" in finding.message


@pytest.mark.parametrize("name", ["Dataset.toml", "dataset.toml.txt", "datasets.toml", "campaign.toml"])
@pytest.mark.parametrize("is_plate", [False, True])
def test_settings_of_a_name_that_is_not_read_are_named(root, name, is_plate):
    if is_plate:  # images right in the folder of the dataset
        (root / "scr" / "A01_s1_w1.tif").write_bytes(b"II*\0")
    (root / "scr" / "dataset.toml").write_text("")
    (root / "scr" / name).write_text("[join]\n")
    (finding,) = [one for one in discover_plates(str(root)).findings if "toml" in one.message]
    assert (finding.code, finding.location) == ("settings-file-not-read", f"scr/{name}")
    assert "<dataset>/dataset.toml" in finding.message


def test_images_of_a_plate_laid_directly_in_the_root_are_named(root):
    for name in ("A01_s1_w1.tif", "A01_s2_w1.tif"):
        (root / name).write_bytes(b"II*\0")
    finding = find(root, "images-outside-dataset")
    assert "each TIFF is taken for a plate of its own" in finding.message


def test_a_folder_without_plates_says_what_it_holds_and_what_was_expected(root):
    (root / "screen2" / "raw data").mkdir(parents=True)
    (root / "screen2" / "plates.xlsx").write_bytes(b"x")
    finding = find(root, "dataset-without-plates")
    assert finding.location == "screen2"
    assert "found: 'plates.xlsx', 'raw data'." in finding.message
    (root / "screen2" / "plates.xlsx").unlink()
    (root / "screen2" / "raw data").rmdir()
    assert "it is empty" in find(root, "dataset-without-plates").message


def test_folders_and_files_beside_the_plates_of_a_dataset_are_named(root):
    (root / "scr" / "old").mkdir()
    (root / "scr" / "P2.bin").write_bytes(b"x")
    finding = find(root, "not-part-of-a-plate")
    assert "'old', 'P2.bin' in dataset 'scr'" in finding.message


def test_image_files_of_other_kinds_beside_the_plates_of_a_dataset_are_counted(root):
    (root / "scr" / "P3.czi").write_bytes(b"x")
    assert "1 .czi file (Zeiss CZI) is not read" in find(root, "images-not-read").message


def test_links_to_folders_and_to_nothing_are_named(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (root / "scr" / "P3.ome.zarr").symlink_to(elsewhere)
    (root / "scr" / "P4.ome.zarr").symlink_to(elsewhere / "nowhere")
    finding = find(root, "link-not-followed")
    assert "scr/P3.ome.zarr, scr/P4.ome.zarr" in finding.message


def test_a_look_at_some_datasets_or_plates_says_nothing_about_the_rest(root):
    (root / "other").mkdir()
    (root / "Cells.csv").write_text(CELLS)
    assert discover_plates(str(root), datasets=["scr"]).findings == ()
    assert discover_plates(str(root), plate_keys=["scr/P1"]).findings == ()
