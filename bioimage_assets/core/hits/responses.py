"""One number per well for its dose-response curve: how far it has gone from the controls in the direction of its compound.

The direction leads from the mean control to the wells of the upper half of the compound's doses, with the controls' covariance
removed, as a linear discriminant does (Loo et al. 2007, https://doi.org/10.1038/nmeth1032). Unlike a distance, whose noise
never adds up to less than nothing, a score in a direction grows in proportion to the effect. No well, treated or control, is
scored in a direction or by a covariance that it helped to find: where it did, controls would look closer than they are, and
every inert compound would have a curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.hits.control_space import ControlSpace, build_control_space

FOLDS = 10  # parts of the controls that are scored by the others


@dataclass(frozen=True, slots=True)
class ResponseSpaces:
    """The space of all controls of a stratum, and for each part of them the space of the others."""

    whole: ControlSpace
    parts: tuple[tuple[np.ndarray, ControlSpace], ...]

    def score(self, scores: np.ndarray, doses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Responses of the wells of one compound, and of the control wells, in deviations of control wells.

        ``scores`` are its wells on the components, ``doses`` are above zero. NaN where no other well gives a direction.
        """
        leads = find_leading(doses)
        controls = np.empty(len(self.whole.scores))
        for rows, space in self.parts:
            direction = space.whiten(scores[leads]).sum(axis=0)
            controls[rows] = space.whiten(self.whole.scores[rows]) @ _unit(direction[None, :])[0]
        return _score_wells(self.whole.whiten(scores), leads), controls


def build_response_spaces(scores: np.ndarray, random: np.random.Generator) -> ResponseSpaces | None:
    """Spaces of the control wells of one stratum; None where there are too few to leave some out."""
    whole = build_control_space(scores)
    if whole is None:
        return None
    parts = []
    for rows in np.array_split(random.permutation(len(scores)), min(FOLDS, len(scores))):
        space = build_control_space(np.delete(scores, rows, axis=0))
        if space is None:
            return None
        parts.append((rows, space))
    return ResponseSpaces(whole, tuple(parts))


def find_leading(doses: np.ndarray) -> np.ndarray:
    """Wells of the upper half of the doses, which give the direction."""
    levels = np.unique(doses)
    return np.asarray(doses >= levels[len(levels) // 2])


def _score_wells(whitened: np.ndarray, leads: np.ndarray) -> np.ndarray:
    """Each well in the direction of the leading wells but itself."""
    directions = np.broadcast_to(whitened[leads].sum(axis=0), whitened.shape).copy()
    directions[leads] -= whitened[leads]
    return np.asarray(np.einsum("ij,ij->i", whitened, _unit(directions)))


def _unit(directions: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(directions / np.where(lengths == 0, np.nan, lengths))
