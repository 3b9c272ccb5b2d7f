"""The sphere of a batch: what its control wells vary by becomes one deviation in every direction.

pycytominer's ``spherize`` by ZCA-cor (Kessy, Lewin and Strimmer 2018, https://doi.org/10.1080/00031305.2016.1277159), whose numbers
these are: standardise by the controls, then rotate, scale and rotate back. pycytominer refuses controls that vary in fewer
directions than one less than their number; here such directions are treated as it treats those that no control can show:
as the one that varies least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Sphere:
    """For profiles less ``center`` over ``spread``: ``turn`` (directions x features) and the scale of each direction.

    They are the directions that the controls vary in; all others are scaled by ``elsewhere``.
    """

    center: np.ndarray
    spread: np.ndarray
    turn: np.ndarray
    scales: np.ndarray
    elsewhere: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Sphered profiles, one row per well."""
        standard = (values - self.center) / self.spread
        along = (standard @ self.turn.T) * (self.scales - self.elsewhere)
        return np.asarray(along @ self.turn + self.elsewhere * standard)


def fit_sphere(controls: np.ndarray, epsilon: float) -> Sphere:
    """Fit on control wells (one row per well, at least two wells).

    ``epsilon`` is added to the deviation of every direction, in deviations of a feature among the controls: pycytominer's
    ``spherize_epsilon`` is ``spell_epsilon`` of it.
    """
    center, spread = find_scale(controls)
    standard = (controls - center) / spread
    # Directions that no control shows need no vector of their own, which is most of the work where controls are few.
    _, singular, turn = np.linalg.svd(standard, full_matrices=False)
    rank = max(count_directions(singular, standard.shape), 1)
    lengths = singular[:rank] + spell_epsilon(epsilon, controls.shape[0])
    scales = np.sqrt(controls.shape[0] - 1) / lengths
    return Sphere(center, spread, turn[:rank], scales, float(scales[-1]))


def spell_epsilon(epsilon: float, control_count: int) -> float:
    """The same as pycytominer takes it: singular values grow with the number of controls."""
    return float(epsilon * np.sqrt(control_count - 1))


def find_scale(controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each feature; one for a feature that does not vary, so that it may be divided by."""
    spread = controls.std(axis=0)
    return controls.mean(axis=0), np.where(spread > 0, spread, 1.0)


def count_directions(singular: np.ndarray, shape: tuple[int, ...]) -> int:
    """Directions in which a matrix varies, by its singular values; numpy's ``matrix_rank`` has the same limit."""
    return int((singular > singular[0] * max(shape) * np.finfo(np.float64).eps).sum())
