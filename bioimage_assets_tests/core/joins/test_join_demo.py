"""The generated screens: every cell is linked, confirmed by its pixels, and located in chunks that hold it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.joins.join import JoinResult, join_plate
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, locate
from bioimage_assets.core.pixels.proof import LabelFiles, ProofOptions, check_pixel_proof
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.stores.pixel_store import ReadCount

pytestmark = pytest.mark.slow

EVERY_CELL = ProofOptions(objects_per_image=1_000)
PLATES = {"SA-P1": "SA-P1.ome.zarr", "SA-P2": "SA-P2.ome.zarr", "SB-P1": "SB-P1", "SB-P2": "SB-P2"}


@pytest.fixture(scope="module")
def demo_root(ci_screens: Path) -> Path:
    return ci_screens


def dataset_of(plate: str) -> str:
    return "screen-a" if plate.startswith("SA") else "screen-b"


def scan_options(root: Path, plate: str) -> ScanOptions:
    dataset = dataset_of(plate)
    return ScanOptions(
        dataset_id=dataset, plate_key=f"{dataset}/{plate}", dataset_root_uri=str(root / dataset)
    )


def join_demo(root: Path, plate: str) -> tuple[pa.Table, JoinResult]:
    dataset = dataset_of(plate)
    folder = root / dataset
    images = scan_image_assets(str(folder / PLATES[plate]), options=scan_options(root, plate))
    source = next(p for p in (folder / "measurements").iterdir() if p.stem == plate)
    key = f"{dataset}/{plate}"
    cells = read_measurements(
        [str(source)], plate_key=key, dataset_id=dataset, plate_name=plate, settings=DatasetSettings()
    ).reader.read_all()
    return images, join_plate(images, cells, plate_key=key, dataset_id=dataset)


def find_label_files(root: Path, plate: str, images: pa.Table) -> LabelFiles:
    """Segmentation TIFFs beside a TIFF plate; stores keep their labels inside."""
    folder = root / "screen-b/segmentation" / plate
    found = {}
    for image_id, well in zip(images["image_id"].to_pylist(), images["well_id"].to_pylist(), strict=True):
        for compartment in ("cells", "nuclei"):
            for path in folder.glob(f"*_{well}_*_{compartment}.tif"):
                found[image_id, compartment] = str(path)
    return found


def swap(one: Path, two: Path) -> None:
    """Exchange two files or folders on disk."""
    spare = one.with_name("spare")
    one.rename(spare)
    two.rename(one)
    spare.rename(two)


@pytest.mark.parametrize("plate", PLATES)
def test_every_cell_is_linked_and_confirmed_by_its_pixels_until_two_fields_are_swapped(
    demo_root: Path, plate: str
) -> None:
    images, result = join_demo(demo_root, plate)
    assert result.report.matched_fraction == 1.0
    assert result.report.findings == ()
    joined = result.table()
    labels = find_label_files(demo_root, plate, images)
    proof = check_pixel_proof(joined, images, label_files=labels, options=EVERY_CELL)
    assert proof.is_passed
    assert proof.checked_count == joined.num_rows > 30
    assert proof.findings == ()
    store = demo_root / dataset_of(plate) / PLATES[plate]
    if plate.startswith("SA"):
        pair = store / "A/1/0", store / "B/2/0"
    else:
        pair = next(store.glob("*_A01_s1*.tif")), next(store.glob("*_B02_s1*.tif"))
    swap(*pair)
    try:
        assert not check_pixel_proof(joined, images, label_files=labels).is_passed
    finally:
        swap(*pair)


@pytest.mark.parametrize("plate", ["SB-P1", "SB-P2"])
def test_the_pieces_that_a_tiff_crop_decodes_are_those_that_the_chunk_index_names(
    demo_root: Path, plate: str
) -> None:
    images, result = join_demo(demo_root, plate)
    store = demo_root / "screen-b" / PLATES[plate]
    chunks = scan_chunk_index(str(store), options=scan_options(demo_root, plate)).read_all()
    for row in result.table().slice(0, 12).to_pylist():
        location = locate(
            row, image_assets=images, chunk_index=chunks, choice=CropChoice(channels=("ER", "Mito"))
        )
        count = ReadCount()
        crop = read_crop(location, count=count)
        assert crop.shape == (2, *(stop - start for start, stop in location.slices[1:]))
        decoded = sorted(Path(key).name for key in count.keys)
        named = sorted(c.chunk_key if ":" in c.chunk_key else f"{c.chunk_key}:0" for c in location.chunks)
        assert decoded == named
        assert count.stored_bytes == sum(c.stored_bytes for c in location.chunks)
