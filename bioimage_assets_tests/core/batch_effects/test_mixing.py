"""How well batches are mixed, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from bioimage_assets.core.batch_effects.mixing import measure_lisi, measure_silhouette

BATCHES = np.asarray(["a"] * 40 + ["b"] * 80, object)


def make_wells(distance: float) -> np.ndarray:
    values = np.random.default_rng(2).normal(size=(120, 6))
    values[:40] += distance
    return values


def test_mixed_batches_are_near_one_and_those_far_apart_near_zero() -> None:
    for measure in (measure_silhouette, measure_lisi):
        mixed, apart = measure(make_wells(0.0), BATCHES), measure(make_wells(50.0), BATCHES)
        assert mixed is not None
        assert apart is not None
        assert mixed > 0.9
        assert apart < 0.03


def test_the_silhouette_is_that_of_scikit_learn_where_all_are_of_one_sign() -> None:
    values = make_wells(50.0)
    expected = 1 - silhouette_score(values, BATCHES.astype(str))
    assert measure_silhouette(values, BATCHES) == pytest.approx(expected, abs=1e-12)


def test_the_neighbours_are_those_of_all_distances() -> None:
    values = make_wells(0.8)
    distances = np.linalg.norm(values[:, None] - values[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    found = []
    for row in distances:
        share = (BATCHES[np.argsort(row)[:30]] == "a").mean()
        found.append(1 / (share**2 + (1 - share) ** 2))
    expected = (np.mean(found) - 1) / (1 / ((1 / 3) ** 2 + (2 / 3) ** 2) - 1)
    assert measure_lisi(values, BATCHES) == pytest.approx(expected, abs=1e-12)


def test_one_batch_has_no_mixing_and_few_wells_all_the_neighbours_there_are() -> None:
    one = np.asarray(["a"] * 5, object)
    assert measure_silhouette(np.zeros((5, 2)), one) is None
    assert measure_lisi(np.zeros((5, 2)), one) is None
    assert measure_silhouette(np.eye(2), np.asarray(["a", "b"], object)) is None
    assert measure_lisi(np.eye(4), np.asarray(["a", "a", "b", "b"], object)) == pytest.approx(0.8, abs=1e-12)
