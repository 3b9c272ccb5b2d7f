"""Gaps of a batch are filled by its controls, and its controls are parted in the same way whatever else is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bioimage_assets.core.batch_effects.batch_wells import BatchWells, fill_gaps, split_controls
from bioimage_assets.core.batch_effects.correction import Unchanged, correct_batch
from bioimage_assets.core.batch_effects.plate_positions import PlatePositions


def make_batch(plates: int = 3, seed: int = 0) -> BatchWells:
    """Plates of 24 wells, every other one a control."""
    random = np.random.default_rng(seed)
    places = np.tile(np.arange(24), plates)
    return BatchWells(
        "day 1",
        random.normal(size=(places.size, 5)),
        places % 2 == 0,
        np.repeat(np.arange(plates), 24),
        PlatePositions(places // 6, places % 6),
    )


def test_a_gap_is_the_mean_of_the_controls_and_counted() -> None:
    batch = make_batch()
    batch.values[1, 2] = np.nan
    batch.values[4, 2] = np.inf  # a control
    filled = fill_gaps(batch)
    expected = np.delete(batch.values[batch.is_control, 2], 2).mean()
    np.testing.assert_allclose(filled.wells.values[[1, 4], 2], expected, rtol=1e-12)
    assert filled.filled.tolist() == [1 if row in (1, 4) else 0 for row in range(72)]
    assert filled.lacking.size == 0
    others = np.delete(np.arange(72), [1, 4])
    np.testing.assert_array_equal(filled.wells.values[others], batch.values[others])


def test_a_feature_that_controls_do_not_vary_in_is_zero_in_all_wells() -> None:
    batch = make_batch()
    batch.values[:, 0] = np.nan
    batch.values[batch.is_control, 3] = 7.0
    filled = fill_gaps(batch)
    assert filled.lacking.tolist() == [0, 3]
    assert not filled.wells.values[:, [0, 3]].any()
    assert set(filled.filled) == {2}


def test_every_control_is_in_one_fold_and_no_other_well_is() -> None:
    batch = make_batch()
    folds = split_controls(batch, 5)
    assert (folds[~batch.is_control] == -1).all()
    counts = np.bincount(folds[batch.is_control])
    assert counts.size == 5
    assert counts.max() - counts.min() <= 1
    for plate in range(3):
        own = folds[batch.is_control & (batch.plates == plate)]
        assert set(own) == set(range(5))


def test_folds_do_not_depend_on_the_order_of_rows_or_the_numbers_of_plates() -> None:
    batch = make_batch()
    turned = np.random.default_rng(1).permutation(72)
    other = replace(
        batch,
        values=batch.values[turned],
        is_control=batch.is_control[turned],
        plates=batch.plates[turned] + 40,
        positions=batch.positions.take(turned),
    )
    np.testing.assert_array_equal(split_controls(other, 5), split_controls(batch, 5)[turned])


def test_one_fold_holds_nothing_out_and_more_folds_than_controls_are_as_many() -> None:
    batch = make_batch(plates=1)
    assert set(split_controls(batch, 1)) == {-1}
    assert set(split_controls(batch, 0)) == {-1}
    assert sorted(split_controls(batch, 99)[batch.is_control]) == list(range(12))


def test_a_control_is_corrected_by_the_others_of_its_batch_and_a_treated_well_by_all() -> None:
    class Mean(Unchanged):
        def __init__(self, controls: np.ndarray) -> None:
            self.center = controls.mean(axis=0)

        def apply(self, values: np.ndarray) -> np.ndarray:
            return np.asarray(values - self.center)

    batch = make_batch()
    got = correct_batch(batch, (), Mean, 5).values
    folds, controls = split_controls(batch, 5), batch.values[batch.is_control]
    for row in range(72):
        used = controls if folds[row] < 0 else controls[folds[batch.is_control] != folds[row]]
        np.testing.assert_allclose(got[row], batch.values[row] - used.mean(axis=0), atol=1e-12)
