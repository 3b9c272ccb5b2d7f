"""Position effects are found on controls, taken off all wells, and not invented."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bioimage_assets.core.batch_effects.plate_positions import PlatePositions, find_positions
from bioimage_assets.core.batch_effects.position import fit_position_effects
from bioimage_assets.core.batch_effects.position_share import measure_position_share
from bioimage_assets.core.batch_effects.position_terms import ChosenTerms, choose_terms
from bioimage_assets_tests.builders.batch_screen import Screen, ScreenPlan, build_screen


class Fitted:
    """One batch of a generated screen, its planted effect and the one that was found, both as its controls have them."""

    def __init__(self, screen: Screen, batch: str) -> None:
        keys = screen.of(batch)
        frame = pa.concat_tables([screen.plates[key] for key in keys]).to_pandas()
        self.values = frame[screen.plan.names].to_numpy()
        self.is_control = (frame["Metadata_control_type"] == "negcon").to_numpy()
        self.plates = np.unique(frame["plate_key"], return_inverse=True)[1]
        self.positions = find_positions(frame["well_id"])
        self.chosen: ChosenTerms = choose_terms(self.positions, self.is_control, 2, 0.75)
        planted = [screen.position[key] for key in keys]
        controls = self.is_control[: planted[0].shape[0]]
        self.planted = np.concatenate([effect - effect[controls].mean(axis=0) for effect in planted])
        self.found = self.fit(self.values)

    def fit(self, values: np.ndarray) -> np.ndarray:
        own = self.is_control
        effects = fit_position_effects(
            values[own], self.plates[own], self.positions.take(own), self.chosen.terms
        )
        return effects.of(self.positions, self.plates)


def test_at_least_nine_tenths_of_a_planted_effect_are_removed_from_treated_wells() -> None:
    screen = build_screen(ScreenPlan())
    for batch in screen.plan.batches:
        batch_fit = Fitted(screen, batch)
        treated = ~batch_fit.is_control
        left = (batch_fit.planted - batch_fit.found)[treated]
        assert (left**2).sum() < 0.1 * (batch_fit.planted[treated] ** 2).sum()


@pytest.mark.parametrize(("wells", "plates", "most"), [(24, 4, 0.01), (12, 4, 0.01), (16, 2, 0.05)])
def test_no_effect_is_invented_where_there_is_none(wells: int, plates: int, most: float) -> None:
    plan = ScreenPlan(position=0.0, control_wells=wells, plates=plates)
    found = [Fitted(build_screen(plan), batch) for batch in plan.batches]
    invented = np.mean([fit.found.var() for fit in found])
    spread = np.mean([fit.values[fit.is_control].var() for fit in found])
    assert invented < most * spread


def test_controls_in_a_few_columns_say_nothing_of_the_others() -> None:
    fit = Fitted(build_screen(ScreenPlan(is_spread=False)), "day-1")
    assert fit.chosen.left_out == (("column", 3, 12),)
    assert {term.axis for term in fit.chosen.terms} == {"row"}
    # All wells of a row are moved alike.
    for row in range(8):
        own = fit.found[fit.positions.row == row]
        np.testing.assert_allclose(own, np.broadcast_to(own[0], own.shape), atol=1e-12)


def test_a_line_without_controls_gets_the_trend_alone() -> None:
    wells = find_positions([f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13)])
    is_control = (wells.column != 4) & ((wells.row + wells.column) % 2 == 0)
    chosen = choose_terms(wells, is_control, 2, 0.75)
    assert chosen.single == (("column", 4),)
    lines = {(term.axis, term.first) for term in chosen.terms if term.kind == "line"}
    assert ("column", 3) in lines
    assert ("column", 4) not in lines
    assert chosen.left_out == ()


def test_a_dead_control_well_hardly_moves_its_row() -> None:
    fit = Fitted(build_screen(ScreenPlan()), "day-1")
    dead = fit.values.copy()
    dead[np.flatnonzero(fit.is_control)[0]] = 500.0
    moved = fit.fit(dead) - fit.found
    assert np.sqrt((moved**2).mean()) < 0.2
    assert np.abs(moved).max() < 0.6


def test_what_differs_between_plates_is_no_position() -> None:
    fit = Fitted(build_screen(ScreenPlan()), "day-1")
    np.testing.assert_allclose(fit.fit(fit.values + 5.0 * fit.plates[:, None]), fit.found, atol=1e-9)


def test_wells_without_a_place_stay_as_the_average_control() -> None:
    places = find_positions(["A01", "B02", None, "everywhere"])
    assert places.row.tolist() == [0, 1, -1, -1]
    assert places.column.tolist() == [0, 1, -1, -1]


def test_the_share_of_position_is_that_of_a_regression_by_hand() -> None:
    fit = Fitted(build_screen(ScreenPlan()), "day-1")
    own = fit.is_control
    values, plates, places = fit.values[own], fit.plates[own], fit.positions.take(own)
    dummies = [
        (codes == code).astype(float)
        for codes in (plates, places.row, places.column)
        for code in np.unique(codes)
    ]
    design = np.stack(dummies, axis=1)
    rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    within = values - np.stack([values[plates == plate].mean(axis=0) for plate in plates])
    free, of_plates = len(values) - np.linalg.matrix_rank(design), len(values) - 4
    expected = 1 - ((rest**2).sum() / free) / ((within**2).sum() / of_plates)
    assert measure_position_share(values, plates, places) == pytest.approx(expected, abs=1e-10)
    assert expected > 0.4


def test_position_that_explains_no_more_than_chance_is_zero_and_two_wells_say_nothing() -> None:
    random = np.random.default_rng(0)
    places = PlatePositions(np.arange(96) // 12, np.arange(96) % 12)
    share = measure_position_share(random.normal(size=(96, 200)), np.zeros(96), places)
    assert share == pytest.approx(0.0, abs=0.02)
    two = PlatePositions(np.asarray([0, 1]), np.asarray([0, 1]))
    assert measure_position_share(random.normal(size=(2, 3)), np.zeros(2), two) is None


def test_a_row_that_is_known_from_one_well_of_many_plates_is_not_corrected() -> None:
    fit = Fitted(build_screen(ScreenPlan(control_wells=12)), "day-1")
    assert fit.chosen.terms == ()
    assert fit.chosen.left_out[0] == ("row", 4, 8)
    assert not fit.found.any()


def test_what_differs_from_plate_to_plate_is_taken_off_each_plate_by_its_own_controls() -> None:
    fit = Fitted(build_screen(ScreenPlan(shape="opposite")), "day-1")
    treated = ~fit.is_control
    assert (((fit.planted - fit.found)[treated]) ** 2).sum() < 0.2 * (fit.planted[treated] ** 2).sum()
    first, second = fit.found[fit.plates == 0], fit.found[fit.plates == 1]
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < -0.8
