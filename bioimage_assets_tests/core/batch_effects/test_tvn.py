"""Typical variation normalisation by the formulas of its authors, with the axes of the reference batch."""

from __future__ import annotations

import numpy as np
from scipy.linalg import fractional_matrix_power

from bioimage_assets.core.batch_effects.tvn import align_batch, fit_axes

EPSILON = 0.5


def make_batches(features: int = 8) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    mixing = random.normal(size=(2, features, features))
    return random.normal(size=(70, features)) @ mixing[0], 1.0 + random.normal(size=(50, features)) @ mixing[
        1
    ]


def test_coordinates_are_those_of_the_formulas() -> None:
    reference, other = make_batches()
    axes = fit_axes(reference, EPSILON, 5)
    got = align_batch(axes, other).apply(other)

    standard = (reference - reference.mean(axis=0)) / reference.std(axis=0)
    weights, turn = np.linalg.eigh(np.cov(standard, rowvar=False))
    turn = turn[:, np.argsort(weights)[::-1]]
    turn = turn * np.sign(turn[np.abs(turn).argmax(axis=0), np.arange(turn.shape[1])])

    def scale(values: np.ndarray) -> np.ndarray:
        along = ((values - reference.mean(axis=0)) / reference.std(axis=0)) @ turn
        return (along - along.mean(axis=0)) / (along.std(axis=0) + EPSILON)

    def covary(values: np.ndarray) -> np.ndarray:
        return np.cov(values, rowvar=False) + EPSILON * np.eye(values.shape[1])

    target = fractional_matrix_power(covary(scale(reference)), 0.5)
    expected = scale(other) @ fractional_matrix_power(covary(scale(other)), -0.5) @ target
    np.testing.assert_allclose(got, expected, atol=1e-8)


def test_the_reference_batch_is_aligned_to_itself() -> None:
    reference, _ = make_batches()
    axes = fit_axes(reference, EPSILON, 5)
    np.testing.assert_allclose(align_batch(axes, reference).weights, np.eye(8), atol=1e-9)


def test_controls_of_another_batch_vary_like_those_of_the_reference() -> None:
    reference, other = make_batches()
    axes = fit_axes(reference, 1e-9, 5)
    covariance = np.cov(align_batch(axes, other).apply(other), rowvar=False)
    np.testing.assert_allclose(covariance, axes.covariance, atol=1e-5)


def test_there_are_no_more_axes_than_controls_can_tell() -> None:
    controls = np.random.default_rng(5).normal(size=(12, 30))
    widths = {asked: fit_axes(controls, EPSILON, asked).turn.shape for asked in (0, 1, 4, 5, 99)}
    assert widths == {0: (30, 11), 1: (30, 11), 4: (30, 3), 5: (30, 2), 99: (30, 1)}
    axes = fit_axes(controls, EPSILON, 1)
    assert align_batch(axes, controls[:9]).apply(controls[:4]).shape == (4, 11)
