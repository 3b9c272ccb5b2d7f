"""Typical variation normalisation: the axes along which controls vary anyway, at equal length and alike in all batches.

Ando, McLean and Berndl 2017 (https://doi.org/10.1101/161422): principal components of the controls, whitened, then the covariance of
each batch's controls aligned to that of the reference batch (CORAL, Sun, Feng and Saenko 2016, https://arxiv.org/abs/1511.05547). The axes are those of the reference batch alone, so that a new batch does not turn them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.batch_effects.sphere import count_directions, find_scale


@dataclass(frozen=True, slots=True)
class TypicalAxes:
    """Axes of the reference batch: ``turn`` (features x axes) of profiles less ``center`` over ``spread``.

    ``covariance`` is that of its controls along them, after each was scaled.
    """

    center: np.ndarray
    spread: np.ndarray
    turn: np.ndarray
    covariance: np.ndarray
    epsilon: float

    def along(self, values: np.ndarray) -> np.ndarray:
        """Coordinates along the axes, one row per well."""
        return np.asarray(((values - self.center) / self.spread) @ self.turn)


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the profiles of one batch become those of the reference: along the axes, scaled, aligned."""

    axes: TypicalAxes
    center: np.ndarray
    spread: np.ndarray
    weights: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Aligned coordinates, one row per well and one column per axis."""
        return np.asarray(((self.axes.along(values) - self.center) / self.spread) @ self.weights)


def fit_axes(controls: np.ndarray, epsilon: float, controls_per_axis: int) -> TypicalAxes:
    """Axes of the reference batch's control wells (one row per well), at most one for each ``controls_per_axis`` of them.

    An axis that a few controls shape is theirs: they vary along it, and a well that did nothing does not.

    ``epsilon`` is added to the deviation along each axis and to the variances of the covariances, in deviations of a feature
    among these controls.
    """
    center, spread = find_scale(controls)
    standard = (controls - center) / spread
    _, singular, turn = np.linalg.svd(standard, full_matrices=False)
    most = controls.shape[0] // max(controls_per_axis, 1)
    rank = max(min(count_directions(singular, standard.shape), most), 1)
    # The largest loading of an axis is positive: a decomposition may give either sign.
    turn = turn[:rank]
    largest = np.abs(turn).argmax(axis=1)
    turn = (turn * np.sign(turn[np.arange(rank), largest])[:, None]).T
    axes = TypicalAxes(center, spread, turn, np.eye(rank), epsilon)
    scaled, _, _ = _scale(axes.along(controls), epsilon)
    return TypicalAxes(center, spread, turn, np.atleast_2d(np.cov(scaled, rowvar=False)), epsilon)


def align_batch(axes: TypicalAxes, controls: np.ndarray) -> Alignment:
    """Align a batch by its own control wells."""
    scaled, center, spread = _scale(axes.along(controls), axes.epsilon)
    own = np.atleast_2d(np.cov(scaled, rowvar=False))
    ridge = axes.epsilon * np.eye(own.shape[0])
    weights = _power(own + ridge, -0.5) @ _power(axes.covariance + ridge, 0.5)
    return Alignment(axes, center, spread, weights)


def _scale(values: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    center, spread = values.mean(axis=0), values.std(axis=0) + epsilon
    return (values - center) / spread, center, spread


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Power of a symmetric matrix of positive eigenvalues."""
    weights, turn = np.linalg.eigh(matrix)
    return np.asarray((turn * np.maximum(weights, np.finfo(np.float64).tiny) ** exponent) @ turn.T)
