"""Dataset folders that mix loose TIFFs, plate folders, Zarr stores and results: every file has one owner."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pytest

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.formats.plate_folders.listing import walk_files
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import PlateScan, scan_image_assets, scan_plate_source
from bioimage_assets.core.stores.open import open_store
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

# No plates where they lie right below a dataset.
TRAPS = ("segmentation", "masks", "measurements", "truth", "metadata", "quality_control", ".snapshots")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset with two loose fields, the plates P1 (TIFFs) and P2 (Zarr), and masks named like fields in every trap."""
    folder = tmp_path / "screen"
    plates.write_named(folder, plates.imagexpress_name, wells=("A01",), sites=2, channels=2)
    plates.write_named(folder / "P1", plates.imagexpress_name, wells=("C05",), sites=1, channels=2)
    for trap in TRAPS:
        for place in (folder / trap, folder / trap / "deep"):
            plates.write_named(place, plates.imagexpress_name, wells=("H12",), sites=1, channels=2)
    store = write_pixel_plate(folder / "P2.zarr", pixels=False)
    plates.write_plane(store / "A/1/Plate7_H11_s1_w1.tif")
    nameless = folder / "P1" / "converted"  # a Zarr store without its suffix
    shutil.copytree(store, nameless)
    return folder


def _scan_all(dataset: Path) -> dict[str, PlateScan]:
    found = discover_plates(str(dataset.parent))
    codes = {finding.code for finding in found.findings}
    assert codes == {"reserved-folder-holds-stores", "unclaimed-measurements"}, (
        "TIFFs in metadata are said, masks may lie in their folders"
    )
    return {source.plate_key: scan_plate_source(source) for source in found.sources}


def test_each_tiff_of_a_mixed_dataset_is_in_one_partition(dataset: Path) -> None:
    scans = _scan_all(dataset)
    assert set(scans) == {"screen/screen", "screen/P1", "screen/P2"}
    loose, folder = (scans[key].images for key in ("screen/screen", "screen/P1"))
    assert loose["image_id"].to_pylist() == ["Plate7:A01:1", "Plate7:A01:2"]
    tiffs = folder.filter([kind == "ome-tiff" for kind in folder["format_family"].to_pylist()])
    assert tiffs["image_id"].to_pylist() == ["Plate7:C05:1"]
    assert set(scans["screen/P2"].images["format_family"].to_pylist()) == {"zarr"}
    for key, scan in scans.items():
        assert set(scan.images["plate_key"].to_pylist()) == {key}
        assert not {"H11", "H12"} & set(scan.images["well_id"].to_pylist())


def test_chunk_rows_and_declared_wells_stop_at_the_loose_files_too(dataset: Path) -> None:
    scan = _scan_all(dataset)["screen/screen"]
    assert scan.chunks is not None
    rows = scan.chunks.read_all()
    assert Counter(rows["image_id"].to_pylist()) == {"Plate7:A01:1": 2, "Plate7:A01:2": 2}
    assert [well.well_id for plate in scan.plates for well in plate.wells] == ["A01"]


def test_the_fingerprint_of_loose_files_does_not_see_other_plates(dataset: Path) -> None:
    before = _scan_all(dataset)["screen/screen"].fingerprint
    plates.write_named(dataset / "P1", plates.imagexpress_name, wells=("D06",), sites=1, channels=2)
    plates.write_plane(dataset / "segmentation/new.tif")
    assert _scan_all(dataset)["screen/screen"].fingerprint == before
    plates.write_named(dataset, plates.imagexpress_name, wells=("B02",), sites=1, channels=2)
    assert _scan_all(dataset)["screen/screen"].fingerprint != before


def test_a_folder_that_is_scanned_by_itself_is_scanned_whole(dataset: Path) -> None:
    images = scan_image_assets(str(dataset))
    in_masks = images.filter(pc.equal(images["well_id"], "H12"))
    assert {image_id.split(":")[-1] for image_id in in_masks["image_id"].to_pylist()} >= set(TRAPS[:-1])
    assert "snapshots" not in str(images["image_id"].to_pylist())


@pytest.mark.parametrize("name", ["masks", "segmentation", "Masks"])
def test_masks_beside_the_images_of_a_plate_are_label_images_and_leave_the_fields_alone(
    tmp_path: Path, name: str
) -> None:
    for place in (tmp_path / "P1", tmp_path / "P1" / name):
        plates.write_named(place, plates.imagexpress_name, wells=("C05",), sites=1, channels=2)
    scan = scan_plate_folder(str(tmp_path / "P1"))
    field, mask = scan.images
    assert (field.image_id, field.image_kind, len(field.files)) == ("Plate7:C05:1", "image", 2)
    assert (mask.image_kind, mask.source_image_id, len(mask.files)) == ("label", "Plate7:C05:1", 2)
    assert [finding.code for finding in scan.findings] == ["masks-beside-images"]


def test_fields_that_lie_in_a_folder_of_that_name_alone_are_images(tmp_path: Path) -> None:
    plates.write_named(
        tmp_path / "P1" / "masks", plates.imagexpress_name, wells=("C05",), sites=1, channels=2
    )
    assert [image.image_kind for image in scan_plate_folder(str(tmp_path / "P1")).images] == ["image"]


def test_without_recursion_a_folder_is_its_own_files(dataset: Path) -> None:
    scan = scan_plate_folder(str(dataset), ScanOptions(recursive=False))
    assert [image.well_id for image in scan.images] == ["A01", "A01"]
    assert scan_image_assets(str(dataset), options=ScanOptions(recursive=False)).num_rows == 2


def test_a_reserved_folder_that_is_named_itself_is_scanned(dataset: Path) -> None:
    assert {image.well_id for image in scan_plate_folder(str(dataset / "masks")).images} == {"H12"}


@pytest.mark.parametrize("recursive", [True, False])
def test_a_walk_lists_no_chunk_folder(
    dataset: Path, recursive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(dataset))
    seen: list[str] = []
    original = store.list_level
    monkeypatch.setattr(store, "list_level", lambda prefix="": seen.append(prefix) or original(prefix))
    list(walk_files(store, recursive=recursive))
    assert seen[0] == ""
    assert len(seen) == (3 + 2 * len(TRAPS[:-1]) if recursive else 1)
    assert not any("P2.zarr" in folder or "/A" in folder or "snapshots" in folder for folder in seen)
