"""The witness without masks: each planted fault is found and named, and no healthy plate is contradicted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from bioimage_assets.core.pixels.witness import LinkVerdict, WitnessOptions, weigh_links
from bioimage_assets_tests.builders.witness_plates import (
    PlateLook,
    WitnessPlate,
    image_id,
    look_of,
    mirror_columns,
    swap_axes,
    swap_columns,
    swap_wells,
    write_witness_plate,
)

MEAN = "Nuclei_Intensity_MeanIntensity_"
CENTRE = "Nuclei_Location_Center_"
QUICK_SEED = 0
# Measured intensities of these plates are random numbers, so that places alone bear witness.
NOISE_SEEDS = (16, 17, 18, 19)
ALWAYS_SEEDS = (0, 5, 17)


class Written:
    """A plate, and another one of the same layout."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed = seed
        self.look = replace(look_of(seed), intensity="noise" if seed in NOISE_SEEDS else "measured")
        self.plate = write_witness_plate(folder / "own", self.look)
        self.other = write_witness_plate(folder / "other", replace(self.look, seed=seed + 1_000))


Fault = Callable[[Written], tuple[pa.Table, pa.Table]]

# What the verdict must name, and how cells and images come to be linked wrongly.
FAULTS: dict[str, Fault] = {
    "site-offset": lambda w: (w.plate.link(lambda well, site: image_id(well, site + 1)), w.plate.images),
    "swapped-wells": lambda w: (swap_wells(w.plate, *_two_wells(w.seed)), w.plate.images),
    "mirrored-columns": lambda w: (mirror_columns(w.plate, w.look), w.plate.images),
    "swapped-axes": lambda w: (swap_axes(w.plate.cells), w.plate.images),
    "swapped-channels": lambda w: (swap_columns(w.plate.cells, f"{MEAN}DNA", f"{MEAN}ER"), w.plate.images),
    "other-plate": lambda w: (w.plate.cells, w.other.images),
}


def _two_wells(seed: int) -> tuple[str, str]:
    return (("A01", "B03"), ("A02", "C04"), ("B01", "B02"))[seed % 3]


def check_seed(written: Written) -> Iterator[str]:
    """What is wrong of the verdicts on a plate, healthy and with each fault."""
    verdict = weigh_links(written.plate.cells, written.plate.images)
    if verdict.verdict != "confirmed":
        yield f"seed {written.seed}, healthy: {verdict.verdict}, {verdict.describe()}"
    for kind, make in FAULTS.items():
        # Random numbers cannot tell one channel from another.
        if kind == "swapped-channels" and written.seed in NOISE_SEEDS:
            continue
        verdict = weigh_links(*make(written))
        if verdict.better is None or (verdict.verdict, verdict.better.kind) != ("contradicted", kind):
            yield f"seed {written.seed}, {kind}: {verdict.verdict}, {verdict.describe()}"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Written:
    return Written(tmp_path_factory.mktemp("quick"), QUICK_SEED)


@pytest.fixture(scope="module")
def plate(written) -> WitnessPlate:
    return written.plate


@pytest.mark.slow
def test_faults_are_named_and_a_healthy_plate_is_confirmed(written) -> None:
    assert list(check_seed(written)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed",
    [
        # All twenty take two minutes: one of each sort is run always.
        pytest.param(seed, marks=() if seed in ALWAYS_SEEDS else pytest.mark.stress)
        for seed in range(20)
        if seed != QUICK_SEED
    ],
)
def test_faults_are_named_on_every_seed(tmp_path, seed) -> None:
    assert list(check_seed(Written(tmp_path, seed))) == []


@pytest.mark.slow
def test_boxes_bear_witness_without_centres(tmp_path) -> None:
    plate = write_witness_plate(tmp_path, PlateLook(columns=4, has_boxes=True))
    cells = plate.cells.drop_columns([f"{CENTRE}Y", f"{CENTRE}X", "Nuclei_AreaShape_Area"])
    assert weigh_links(cells, plate.images).verdict == "confirmed"
    turned = weigh_links(swap_axes(cells), plate.images).better
    assert turned is not None
    assert turned.kind == "swapped-axes"


@pytest.mark.slow
def test_a_site_offset_names_the_setting_that_mends_it(written) -> None:
    verdict = weigh_links(*FAULTS["site-offset"](written))
    finding = verdict.to_finding()
    assert (finding.code, finding.severity) == ("links-contradicted-by-pixels", "error")
    assert finding.setting == "[join] profile_site_offset = 1"
    applied = weigh_links(*FAULTS["site-offset"](written), options=WitnessOptions(profile_site_offset=1))
    assert applied.to_finding().setting == "[join] profile_site_offset = 2"


@pytest.mark.slow
def test_swapped_wells_and_channels_are_named(written) -> None:
    swapped = weigh_links(*FAULTS["swapped-wells"](written)).better
    assert swapped is not None
    assert swapped.wells == ("A01", "B03")
    renamed = weigh_links(*FAULTS["swapped-channels"](written)).better
    assert renamed is not None
    assert sorted(renamed.channels) == [("DNA", "ER"), ("ER", "DNA")]


def test_the_same_input_gives_the_same_verdict_within_the_budget(plate) -> None:
    options = WitnessOptions(max_fields=12, max_requests=40, seed=5)
    first, second = (weigh_links(plate.cells, plate.images, options=options) for _ in range(2))
    assert first == second
    assert (first.verdict, first.seed, first.null_draws) == ("confirmed", 5, 999)
    assert 0 < first.requests <= 40


@pytest.mark.slow
def test_a_well_whose_cells_do_not_fit_is_named_where_all_others_do(plate) -> None:
    # One well is linked to the images of a well that was not measured, so that no exchange explains it.
    cells = plate.cells.filter(pc.not_equal(plate.cells["well_id"], "C04"))
    wrong = WitnessPlate(plate.images, cells).link(
        lambda well, site: image_id("C04" if well == "B02" else well, site)
    )
    verdict = weigh_links(wrong, plate.images)
    assert (verdict.verdict, verdict.misfit_wells) == ("confirmed", ("C04",))
    finding = verdict.to_finding()
    assert (finding.code, finding.severity, finding.location) == (
        "links-confirmed-by-pixels",
        "warning",
        "C04",
    )
    assert weigh_links(plate.cells, plate.images).misfit_wells == ()


def test_rows_without_image_are_left_out(plate) -> None:
    linked = plate.link(lambda well, site: image_id(well, site) if site == 0 else None)
    verdict = weigh_links(linked, plate.images)
    assert verdict.verdict == "confirmed"
    assert verdict.field_count == 12


def undecided(verdict: LinkVerdict) -> tuple[str, str | None, str]:
    return verdict.verdict, verdict.cause, verdict.to_finding().severity


def without(cells: pa.Table, *parts: str) -> pa.Table:
    return cells.drop_columns([name for name in cells.column_names if any(part in name for part in parts)])


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [0, pytest.param(1, marks=pytest.mark.stress), pytest.param(3, marks=pytest.mark.slow)]
)
def test_means_of_whole_images_bear_witness_where_no_place_is_measured(tmp_path, seed) -> None:
    found = {}
    written = Written(tmp_path, seed)
    for kind in ("site-offset", "swapped-wells", "mirrored-columns"):
        cells, images = FAULTS[kind](written)
        better = weigh_links(without(cells, CENTRE), images).better
        found[kind] = better.kind if better else None
    assert found == {kind: kind for kind in found}
    cells = without(written.plate.cells, CENTRE)
    assert weigh_links(cells, written.plate.images).verdict == "confirmed"
    assert undecided(weigh_links(cells, written.other.images)) == ("undecided", "image-means-only", "warning")


def test_measurements_without_places_are_not_proven_and_only_noted(plate) -> None:
    cells = without(plate.cells, CENTRE, "Image_Intensity")
    assert undecided(weigh_links(cells, plate.images)) == ("undecided", "no-centres", "info")


def test_no_linked_cell_is_not_proven(plate) -> None:
    cells = plate.link(lambda well, site: None)
    assert undecided(weigh_links(cells, plate.images)) == ("undecided", "no-cells", "info")


def test_too_few_cells_are_undecided(plate) -> None:
    assert undecided(weigh_links(plate.cells.slice(0, 8), plate.images)) == (
        "undecided",
        "too-few-cells",
        "warning",
    )


def test_centres_of_cropped_images_are_undecided_and_the_shift_is_named(plate) -> None:
    cells = _moved(plate.cells, 40, 24)
    verdict = weigh_links(cells, plate.images)
    assert undecided(verdict) == ("undecided", "centres-shifted", "warning")
    found = [int(number) for number in re.findall(r"[+-]\d+", verdict.reason)]
    # Maps have pixels of two.
    assert found == [pytest.approx(40, abs=3), pytest.approx(24, abs=3)]


def test_centres_in_other_units_are_undecided(plate) -> None:
    for factor in (0.5, 2.0):
        cells = plate.cells
        for axis in "YX":
            index = cells.column_names.index(f"{CENTRE}{axis}")
            values = pa.array([value * factor for value in cells[index].to_pylist()])
            cells = cells.set_column(index, f"{CENTRE}{axis}", values)
        assert undecided(weigh_links(cells, plate.images)) == ("undecided", "centres-outside", "warning")


def test_centres_that_are_all_on_one_line_are_undecided(plate) -> None:
    index = plate.cells.column_names.index(f"{CENTRE}Y")
    cells = plate.cells.set_column(index, f"{CENTRE}Y", pa.array([0.0] * plate.cells.num_rows))
    assert undecided(weigh_links(cells, plate.images)) == ("undecided", "centres-outside", "warning")


def test_areas_in_other_units_do_not_hide_cells(plate) -> None:
    index = plate.cells.column_names.index("Nuclei_AreaShape_Area")
    for factor in (1e6, 1e-4):
        areas = pa.array([value * factor for value in plate.cells[index].to_pylist()])
        cells = plate.cells.set_column(index, "Nuclei_AreaShape_Area", areas)
        assert weigh_links(cells, plate.images).verdict == "confirmed"


@pytest.mark.slow
def test_images_in_which_nothing_is_seen_are_undecided(tmp_path, plate) -> None:
    look = PlateLook(seed=3, columns=4, sites=3, max_cells=5)
    blank = write_witness_plate(tmp_path, replace(look, brightness=0.0))
    assert undecided(weigh_links(plate.cells, blank.images)) == ("undecided", "no-contrast", "warning")


def test_unreadable_pixels_are_undecided_and_said(plate) -> None:
    rows = [row | {"uri": "/nowhere/P1.ome.zarr"} for row in plate.images.to_pylist()]
    verdict = weigh_links(plate.cells, pa.Table.from_pylist(rows, schema=plate.images.schema))
    assert undecided(verdict) == ("undecided", "pixels-unreadable", "warning")
    assert verdict.findings


def _moved(cells: pa.Table, dy: float, dx: float) -> pa.Table:
    for axis, step in (("Y", dy), ("X", dx)):
        index = cells.column_names.index(f"{CENTRE}{axis}")
        values = pa.array([value - step for value in cells[index].to_pylist()])
        cells = cells.set_column(index, f"{CENTRE}{axis}", values)
    # What was cropped away was not measured.
    return cells.filter(pc.and_(pc.greater(cells[f"{CENTRE}Y"], 0), pc.greater(cells[f"{CENTRE}X"], 0)))
