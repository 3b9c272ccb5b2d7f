"""A page shows one field of each well, read from the store within a budget, in one contrast for the whole plate."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zarr
from PIL import Image

from bioimage_assets.core.pictures.channel_colours import Crop
from bioimage_assets.core.pictures.drawing import NotDrawn
from bioimage_assets.core.pictures.style import Picture
from bioimage_assets.core.pictures.thumbnail_reader import BUDGET, StoreThumbnailReader
from bioimage_assets.core.pictures.thumbnails import choose_fields, draw_thumbnails
from bioimage_assets.core.pixels.witness_verdict import WitnessOptions
from bioimage_assets.core.scan.scanner import scan_image_assets
from bioimage_assets_tests.builders.tiff_plates import write_plane
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

pytestmark = pytest.mark.slow


def read_tiles(picture: Picture | NotDrawn) -> np.ndarray:
    assert isinstance(picture, Picture), picture
    with Image.open(io.BytesIO(picture.png)) as image:
        return np.asarray(image.convert("RGB"), np.int64)


def count_colour(pixels: np.ndarray, grey: int, tolerance: int = 3) -> float:
    """Share of a picture that has one grey."""
    return float((np.abs(pixels - grey).max(axis=2) <= tolerance).mean())


def list_fields(wells: Sequence[str]) -> pa.Table:
    count = len(wells)
    return pa.table(
        {
            "well_id": wells, "site_id": ["1"] * count, "image_id": [str(n) for n in range(count)],
            "image_kind": ["field"] * count, "scan_status": ["complete"] * count,
        }
    )  # fmt: skip


def test_the_first_field_of_each_well_is_chosen_by_its_number() -> None:
    images = pa.table(
        {
            "well_id": ["B01", "A10", "A02", "A02", "A02", "A02", None, "A03"],
            "site_id": ["0", "1", "10", "2", "1", "0", "0", "0"],
            "image_id": list("abcdefgh"),
            "image_kind": ["field"] * 4 + ["label"] + ["field"] * 3,
            "scan_status": ["complete"] * 5 + ["listed", "complete", "complete"],
        }
    )
    chosen = {well: row["image_id"] for well, row in choose_fields(images).items()}
    assert chosen == {"A02": "d", "A03": "h", "A10": "b", "B01": "a"}
    assert list(chosen) == ["A02", "A03", "A10", "B01"]


def test_a_plate_of_zarr_is_read_at_a_coarse_level_and_shares_one_contrast(tmp_path: Path) -> None:
    root = write_pixel_plate(tmp_path / "P1.ome.zarr", rows=2, columns=3, fields=1, levels=3, size=1024)
    for row, name in enumerate("AB"):
        for column in range(1, 4):
            for level in range(3):
                array = zarr.open_array(str(root / name / str(column) / "0" / str(level)), mode="r+")
                array[:] = 50
                array[:, array.shape[1] // 2 :] = 100 * (row * 3 + column)
    for column in (1, 3):  # what is not needed is not read
        zarr.open_array(str(root / "A" / str(column) / "0" / "0"), mode="r+")[:] = 60_000
    picture = draw_thumbnails(scan_image_assets(str(root)), StoreThumbnailReader(), "Fields")
    pixels = read_tiles(picture)
    assert isinstance(picture, Picture)
    assert picture.caption.endswith("grey: no image.")
    height, width = pixels.shape[:2]
    rows, columns = (
        [int(height * share) for share in (0.45, 0.9)],
        [int(width * share) for share in (0.25, 0.55, 0.85)],
    )
    seen = [int(pixels[row, column].sum()) for row in rows for column in columns]
    assert seen == sorted(seen)
    assert len(set(seen[:4])) == 4  # brighter ones than three quarters of the wells are white


def test_a_plate_of_tiffs_is_read_too(tmp_path: Path) -> None:
    for number, well in enumerate(("A01", "A02", "B01"), 1):
        write_plane(tmp_path / "P1" / f"P1_{well}_s1_w1.TIF", 1000 * number, (64, 64))
    images = scan_image_assets(str(tmp_path / "P1"))
    fields = list(choose_fields(images).values())
    made = StoreThumbnailReader()(fields, size_px=32)
    assert all(isinstance(crop, Crop) for crop in made)
    assert isinstance(draw_thumbnails(images, StoreThumbnailReader(), "Fields"), Picture)


def test_a_well_that_cannot_be_read_is_grey_and_costs_no_other(tmp_path: Path) -> None:
    root = write_pixel_plate(tmp_path / "P1.ome.zarr", columns=3, fields=1)
    images = scan_image_assets(str(root))
    (root / "A" / "2" / "0").rename(tmp_path / "gone")
    picture = draw_thumbnails(images, StoreThumbnailReader(), "Fields")
    assert isinstance(picture, Picture)
    assert "or not read (1 well)" in picture.caption
    root.rename(tmp_path / "all-gone")
    missing = draw_thumbnails(images, StoreThumbnailReader(), "Fields")
    assert isinstance(missing, NotDrawn)
    assert missing.is_odd
    assert "the first: " in missing.reason


def test_nothing_beyond_the_budget_is_read(tmp_path: Path) -> None:
    root = write_pixel_plate(tmp_path / "P1.ome.zarr", columns=6, fields=1, levels=1, size=64)
    fields = list(choose_fields(scan_image_assets(str(root))).values())
    made = StoreThumbnailReader(budget=WitnessOptions(max_requests=12, max_bytes=2**20))(fields, size_px=32)
    assert [isinstance(crop, Crop) for crop in made] == [True] * 2 + [False] * 4
    assert isinstance(made[-1], NotDrawn)
    assert "budget" in made[-1].reason


def test_a_large_field_without_levels_is_cut_in_its_middle(tmp_path: Path) -> None:
    root = write_pixel_plate(tmp_path / "P1.ome.zarr", columns=2, fields=1, levels=1, size=64)
    for column in "12":  # in pieces of 16 x 16 pixels
        group = zarr.open_group(str(root / "A" / column / "0"), mode="r+")
        group.create_array("0", shape=(2, 64, 64), chunks=(1, 16, 16), dtype="u2", overwrite=True)
    fields = list(choose_fields(scan_image_assets(str(root))).values())
    whole, part = (
        StoreThumbnailReader(budget=WitnessOptions(max_requests=BUDGET.max_requests, max_bytes=size))(
            fields, size_px=64
        )
        for size in (BUDGET.max_bytes, 2 * 64 * 64 * 2)
    )
    assert isinstance(whole[0], Crop)
    assert isinstance(part[0], Crop)
    assert whole[0].pixels.shape[1:] == (64, 64)
    assert max(part[0].pixels.shape[1:]) < 64


@pytest.mark.parametrize(("count", "columns"), [(96, 12), (384, 24)])
def test_plates_of_96_and_384_wells_are_large_enough_to_see(count: int, columns: int) -> None:
    wells = [f"{chr(65 + n // columns)}{n % columns + 1:02d}" for n in range(count)]
    missing = wells[7]

    def read(fields: Sequence[object], *, size_px: int) -> list[Crop]:
        random = np.random.default_rng(1)
        return [Crop(random.choice(np.array([0, 60_000], np.uint16), (1, size_px, size_px))) for _ in fields]

    images = list_fields([well for well in wells if well != missing])
    pixels = read_tiles(draw_thumbnails(images, read, "Fields"))
    assert pixels.shape[1] >= 1400
    assert 0.5 / count < count_colour(pixels, round(0.9 * 255)) < 2 / count


def test_more_wells_than_can_be_told_apart_are_not_drawn() -> None:
    wells = [f"{row}{column:02d}" for row in "ABCDEFGHIJKLMNOPQRST" for column in range(1, 25)]
    missing = draw_thumbnails(list_fields(wells), lambda fields, size_px: [], "Fields")
    assert isinstance(missing, NotDrawn)
    assert not missing.is_odd
