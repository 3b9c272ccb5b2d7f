"""Distances of held-out controls by products of the controls are those that leaving the wells out and inverting gives."""

from __future__ import annotations

import tracemalloc
from itertools import combinations

import numpy as np
import pytest

from bioimage_assets.core.hits.control_space import ControlSpace, build_control_space


def measure_directly(space: ControlSpace, held: tuple[int, ...]) -> float:
    """Mahalanobis distance of the mean of some controls from the mean of the others, by the shrunk covariance of the others.

    The share of the scaled identity, and its scale (the mean variance), are those of all controls.
    """
    inside, others = space.scores[list(held)], np.delete(space.scores, list(held), axis=0)
    scale = np.var(space.scores, axis=0).mean()
    covariance = np.cov(others, rowvar=False, bias=True)
    shrunk = (1 - space.shrinkage) * covariance + space.shrinkage * scale * np.eye(covariance.shape[0])
    difference = inside.mean(axis=0) - others.mean(axis=0)
    return float(np.sqrt(difference @ np.linalg.inv(shrunk) @ difference))


@pytest.mark.parametrize("components", [3, 30], ids=["fewer components than controls", "more"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_held_out_distances_are_those_of_a_direct_computation(components, count):
    random = np.random.default_rng(components)
    scores = random.normal(size=(12, components)) * np.linspace(3, 0.5, components) + 2.0
    space = build_control_space(scores)
    assert space is not None
    found = space.null_distances(count, 1_000, random)
    expected = [measure_directly(space, held) for held in combinations(range(12), count)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.ptp(found) > 0.1


def test_at_most_half_of_the_controls_are_held_out():
    scores = np.random.default_rng(1).normal(size=(6, 4))
    space = build_control_space(scores)
    assert space is not None
    found = space.null_distances(5, 100, np.random.default_rng(0))
    expected = [measure_directly(space, held) for held in combinations(range(6), 3)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("components", [20, 350], ids=["few components", "more components than wells"])
def test_a_treatment_with_hundreds_of_wells_holds_no_more_memory(components):
    random = np.random.default_rng(2)
    space = build_control_space(random.normal(size=(600, components)))
    assert space is not None
    tracemalloc.start()
    found = space.null_distances(300, 120, random)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.size == 120
    # A block of draws holds 64 MB, and what its solution copies.
    assert peak < 160 << 20
