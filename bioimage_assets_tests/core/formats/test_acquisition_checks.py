"""Places and times that cannot all be true are said; what healthy plates do is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bioimage_assets.core.formats.acquisition_checks import find_acquisition_doubts, find_fields_apart
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets_tests.builders import tiff_plates as plates

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
GRID = [(0.0, 0.0), (90.0, 0.0), (0.0, 90.0), (90.0, 90.0)]


def field(
    well: str, site: int, x: float, y: float, z: float | None = None, acquisition: str | None = None
) -> ImageRecord:
    """A field of 100 x 100 pixels of 1 µm."""
    return ImageRecord(
        "ds/p", "ds", f"p:{well}:{site}:{acquisition}", "image", "ome-tiff", "files", "file:///p", (100, 100), "uint8", "f",
        plate_id="p", well_id=well, site_id=str(site), acquisition_id=acquisition, axes="yx",
        pixel_size_x_um=1.0, pixel_size_y_um=1.0, acquisition=AcquisitionFacts("ome-xml", x, y, z),
    )  # fmt: skip


def build_well(
    well: str, places: Sequence[tuple[float, float]] = GRID, acquisition: str | None = None
) -> list[ImageRecord]:
    return [field(well, site, *place, acquisition=acquisition) for site, place in enumerate(places, 1)]


def time_lapse(site: int, seconds: Sequence[float | None]) -> ImageRecord:
    planes = [
        PlaneFacts(c, 0, t, None if s is None else START + timedelta(seconds=s + c))
        for t, s in enumerate(seconds)
        for c in range(2)
    ]
    image = field("A01", site, 100.0 * site, 0.0)
    return replace(image, shape=(len(seconds), 2, 100, 100), axes="tcyx", planes=tuple(planes))


def codes(images: Sequence[ImageRecord]) -> list[str]:
    return [finding.code for finding in find_acquisition_doubts(images)]


def test_two_fields_of_a_well_at_one_place_are_said_once_with_an_example():
    images = [*build_well("A01"), *build_well("A02", [*GRID[:3], GRID[0]]), *build_well("B01", [GRID[1]] * 3)]
    (finding,) = find_acquisition_doubts(images)
    assert (finding.code, finding.severity, finding.location) == (
        "fields-at-one-position", "warning", "p:A02:4:None",
    )  # fmt: skip
    assert finding.message.startswith("3 fields of 2 wells are at the stage position of another field")
    assert "in A02 sites 1 and 4, at x 0 and y 0 µm" in finding.message


def test_stacks_acquisitions_and_places_from_the_centre_of_the_well_are_no_doubts():
    stack = [field("A01", site, 0.0, 0.0, z=float(site)) for site in range(3)]
    again = [*build_well("A01", acquisition="0"), *build_well("A01", acquisition="1")]
    centred = [*build_well("A01"), *build_well("A02")]
    one_each = [field(well, 1, 0.0, 0.0) for well in ("A01", "A02")]
    labels = [replace(image, image_kind="label") for image in build_well("A01")]
    silent = [replace(image, acquisition=None) for image in build_well("A01")]
    assert [codes(images) for images in ([*stack, field("A02", 1, 9.0, 0.0)], again, one_each, silent)] == [
        []
    ] * 4
    assert codes([*centred, *labels]) == []


def test_a_writer_that_puts_all_fields_at_one_place_did_not_know_them():
    (finding,) = find_acquisition_doubts(
        [*build_well("A01", [(0.0, 0.0)] * 4), *build_well("A02", [(0.0, 0.0)] * 4)]
    )
    assert (finding.code, finding.severity) == ("positions-all-equal", "info")


def test_time_points_that_run_backwards_are_said_with_both_times():
    images = [time_lapse(1, [0, 60, 120]), time_lapse(2, [120, 60, 180]), time_lapse(3, [0, None, -5])]
    (finding,) = find_acquisition_doubts(images)
    assert finding.code == "times-run-backwards"
    assert finding.message.startswith("Times run backwards in 2 fields of 1 well: in well A01 site 2")
    assert "time point 1 was taken at 2026-03-01 10:01:00, before time point 0 at 10:02:00" in finding.message


def test_fields_in_the_order_of_a_snake_and_unknown_times_are_no_doubts():
    images = [
        time_lapse(1, [100, 160]),
        time_lapse(2, [0, 60]),
        time_lapse(3, [None, None]),
        time_lapse(4, [5, 5]),
    ]
    assert codes(images) == []


def test_neighbours_that_overlap_by_less_than_stated_are_said_and_tiles_not_chosen_are_not():
    apart = [(0.0, 0.0), (96.0, 0.0), (0.0, 90.0), (96.0, 90.0)]
    sparse = [(0.0, 0.0), (180.0, 0.0), (270.0, 0.0), (0.0, 360.0)]
    closer = [(0.0, 0.0), (70.0, 0.0)]
    wells = [
        *build_well("A01"),
        *build_well("A02", apart),
        *build_well("A03", sparse),
        *build_well("A04", closer),
    ]
    (finding,) = find_fields_apart(wells, 10)
    assert finding.code == "fields-apart"
    assert finding.message.startswith("Fields of 1 well overlap by less than the 10 pixels")
    assert "in A02 sites 1 and 2 by 4 pixels" in finding.message
    wide = build_well("A02", [(0.0, 0.0), (120.0, 0.0)])
    assert "in A02 sites 1 and 2 lie 20 pixels apart" in find_fields_apart(wide, 10)[0].message
    assert find_fields_apart(wells, 4) == []
    assert (
        find_fields_apart([replace(image, pixel_size_x_um=None) for image in build_well("A02", apart)], 4)
        == []
    )


@pytest.mark.parametrize(("step_um", "is_apart"), [(0.65 * 14, False), (0.65 * 15.5, True)])
def test_the_settings_of_cellvoyager_state_the_overlap(tmp_path: Path, step_um: float, is_apart: bool):
    """Fields of 16 pixels that should overlap by two."""
    folder = plates.write_bts(tmp_path / "plate", ("a", "b", "c"), plates.cellvoyager_name)
    plates.write_named(folder, plates.cellvoyager_name)
    settings = (folder / "S.mes").read_text()
    tiles = "<bts:PartialTiledPosition bts:OverlappingPixels='2'/><bts:ChannelList>"
    (folder / "S.mes").write_text(settings.replace("<bts:ChannelList>", tiles))
    records = (folder / "MeasurementData.mlf").read_text()
    for site in (1, 2):
        place = f"bts:X='{step_um * site}' bts:Y='0' bts:FieldIndex='{site}'"
        records = records.replace(f"bts:FieldIndex='{site}'", place)
    (folder / "MeasurementData.mlf").write_text(records)
    found = [finding.code for finding in scan_plate_folder(str(folder)).findings]
    assert ("fields-apart" in found) is is_apart
