"""What the witness reads: the coarsest level that shows a cell, and less of each field where the budget is small."""

from __future__ import annotations

import pytest

from bioimage_assets.core.model.image import LevelRecord
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.location import ImageGeometry
from bioimage_assets.core.pixels.witness import WitnessOptions, weigh_links
from bioimage_assets.core.pixels.witness_plan import ReadPlan, plan_reads
from bioimage_assets_tests.builders.witness_plates import PlateLook, write_witness_plate


def geometry_of(levels: int = 4, size: int = 1080, chunk: int = 256) -> ImageGeometry:
    records = tuple(
        LevelRecord(n, str(n), (5, size >> n, size >> n), (1, min(chunk, size >> n), min(chunk, size >> n)))
        for n in range(levels)
    )
    return ImageGeometry(
        "ds/P1", "ds", "P1:A01:0", "zarr", "/p", "0", ("c", "y", "x"), "uint16", records, tuple("abcde"), (), None, None
    )  # fmt: skip


def plan(geometry: ImageGeometry, radius: float = 20.0, **options: int) -> ReadPlan:
    return plan_reads(geometry, radius, range(5), 200.0, 30, WitnessOptions(**options))


def test_the_coarsest_level_on_which_a_cell_has_six_pixels_is_read() -> None:
    assert [plan(geometry_of(), radius).level for radius in (6.0, 12.5, 25.0, 100.0)] == [1, 2, 3, 3]
    assert plan(geometry_of(levels=1)).level == 0


def test_images_without_levels_are_averaged_to_small_maps() -> None:
    assert (plan(geometry_of(levels=1)).bin_px, plan(geometry_of()).bin_px) == (4, 1)


def test_a_small_budget_takes_channels_then_the_middle_then_fields() -> None:
    whole = PixelBox(0, 1080, 0, 1080)
    flat = geometry_of(levels=1)
    ample = plan(flat, max_requests=10_000, max_bytes=2**30)
    assert (ample.channels, ample.box, ample.field_count) == ((0, 1, 2, 3, 4), whole, 30)
    fewer = plan(flat, max_requests=30 * (25 * 3 + 1), max_bytes=2**30)
    assert (fewer.channels, fewer.box, fewer.field_count) == ((0, 1, 2), whole, 30)
    middle = plan(flat, max_requests=30 * (9 * 3 + 1), max_bytes=2**30)
    assert (middle.channels, middle.box, middle.field_count) == ((0, 1, 2), PixelBox(270, 810, 270, 810), 30)
    assert 0 < plan(flat, max_requests=60).field_count < 30


def test_a_field_beyond_the_budget_is_not_read() -> None:
    huge = geometry_of(levels=1, size=1_000_000, chunk=1_000_000)
    assert plan(huge).field_count == 0


@pytest.mark.slow
def test_the_middle_of_fields_bears_witness(tmp_path) -> None:
    look = PlateLook(rows=2, columns=4, size=384, max_cells=50, levels=1, chunk_px=96)
    plate = write_witness_plate(tmp_path, look)
    whole = weigh_links(plate.cells, plate.images, options=WitnessOptions(max_requests=2_000))
    part = weigh_links(plate.cells, plate.images, options=WitnessOptions(max_requests=250))
    assert (whole.verdict, part.verdict) == ("confirmed", "confirmed")
    assert part.requests <= 250 < whole.requests
    assert (part.field_count, part.cell_count < whole.cell_count) == (16, True)
