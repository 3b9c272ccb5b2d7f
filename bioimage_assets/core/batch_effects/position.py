"""Position effects of a batch: fitted on its control wells, taken off all of its wells.

A well's value is that of its plate, plus a trend along rows and along columns, plus what the outermost wells of a plate differ by,
plus a deviation of its own row and column (the additive model of plate normalisation: Brideau et al. 2003,
https://doi.org/10.1177/1087057103258285; Malo et al. 2006, https://doi.org/10.1038/nbt1186), plus a bent surface for what lies in a
corner. Then the same is asked of every plate by itself: trends and the edge, where they differ from those of the batch. All are
fitted on controls alone, so that treatments that share a row do not count as its effect, and shrunk by kinds (``pooled_ridge``):
few controls do not invent an effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.batch_effects.plate_positions import PlatePositions
from bioimage_assets.core.batch_effects.pooled_ridge import build_regression, fit_effects
from bioimage_assets.core.batch_effects.position_terms import PositionTerm, build_terms, choose_plate_terms

# Controls further from their plate's median than so many deviations (1.4826 MAD) count as being there: a dead well is no position.
_MAX_DEVIATIONS = 4.0


@dataclass(frozen=True, slots=True)
class PlateEffects:
    """What one plate differs by from its batch: the terms that its controls tell, as ``PositionEffects`` has them."""

    terms: tuple[PositionTerm, ...]
    values: np.ndarray
    center: np.ndarray


@dataclass(frozen=True, slots=True)
class PositionEffects:
    """Effects of the terms of one batch: ``values`` has one row per term and one column per feature.

    ``center`` is the effect that the controls had on the average: what they share is no position. ``of_plates`` is by the number
    of the plate.
    """

    terms: tuple[PositionTerm, ...]
    values: np.ndarray
    center: np.ndarray
    of_plates: dict[int, PlateEffects]

    def of(self, positions: PlatePositions, plates: np.ndarray) -> np.ndarray:
        """Effect of the place of each well, one row per well and one column per feature."""
        found = build_terms(positions, self.terms) @ self.values - self.center
        for plate, effects in self.of_plates.items():
            own = plates == plate
            found[own] += build_terms(positions.take(own), effects.terms) @ effects.values - effects.center
        return np.asarray(found)


def fit_position_effects(
    values: np.ndarray, plates: np.ndarray, positions: PlatePositions, terms: tuple[PositionTerm, ...]
) -> PositionEffects:
    """Fit the effects of some terms on control wells.

    Parameters
    ----------
    values
        Control wells by features, float64, finite.
    plates
        Number of the plate of each control; what plates differ in is no position.
    positions
        Row and column of each control.
    terms
        What is estimated, as ``choose_terms`` gives it.
    """
    columns = build_terms(positions, terms)
    wanted = _off_plates(_clip_far(values, plates), plates)
    free = values.shape[0] - np.unique(plates).size
    design = _off_plates(columns, plates)
    effects = fit_effects(build_regression(design[None], wanted[None], _number_kinds(terms), free))[0]
    of_plates = _fit_plates(wanted - design @ effects, plates, positions, terms, free)
    return PositionEffects(terms, effects, columns.mean(axis=0) @ effects, of_plates)


def _fit_plates(
    wanted: np.ndarray,
    plates: np.ndarray,
    positions: PlatePositions,
    terms: tuple[PositionTerm, ...],
    free: int,
) -> dict[int, PlateEffects]:
    """What plates differ by; nothing for one plate, whose effects are those of the batch."""
    numbers = [int(plate) for plate in np.unique(plates)]
    chosen = {plate: choose_plate_terms(terms, positions.take(plates == plate)) for plate in numbers}
    every = tuple(dict.fromkeys(term for own in chosen.values() for term in own))
    if len(numbers) < 2 or not every:
        return {}
    most = max(int((plates == plate).sum()) for plate in numbers)
    design = np.zeros((len(numbers), most, len(every)))
    rest = np.zeros((len(numbers), most, wanted.shape[1]))
    centers = np.zeros((len(numbers), len(every)))
    for place, plate in enumerate(numbers):
        own = np.flatnonzero(plates == plate)
        is_told = np.asarray([term in chosen[plate] for term in every])
        columns = build_terms(positions.take(own), every) * is_told
        centers[place] = columns.mean(axis=0)
        design[place, : own.size] = columns - centers[place]
        rest[place, : own.size] = wanted[own]
    effects = fit_effects(build_regression(design, rest, np.arange(len(every)), free))
    if not effects.any():
        return {}
    return {
        plate: PlateEffects(every, effects[place], centers[place] @ effects[place])
        for place, plate in enumerate(numbers)
        if chosen[plate]
    }


def _number_kinds(terms: Sequence[PositionTerm]) -> np.ndarray:
    """Terms of one kind and axis are shrunk alike."""
    kinds = [(term.kind, term.axis) for term in terms]
    known = list(dict.fromkeys(kinds))
    return np.asarray([known.index(kind) for kind in kinds], np.int64)


def _off_plates(values: np.ndarray, plates: np.ndarray) -> np.ndarray:
    """Values less the mean of their plate."""
    _, place = np.unique(plates, return_inverse=True)
    counts = np.bincount(place).astype(np.float64)
    sums = np.zeros((counts.size, values.shape[1]))
    np.add.at(sums, place, values)
    return np.asarray(values - (sums / counts[:, None])[place])


def _clip_far(values: np.ndarray, plates: np.ndarray) -> np.ndarray:
    """Values no further from the median of their plate than the limit."""
    clipped = values.copy()
    for plate in np.unique(plates):
        own = plates == plate
        center = np.median(values[own], axis=0)
        far = 1.4826 * _MAX_DEVIATIONS * np.median(np.abs(values[own] - center), axis=0)
        far = np.where(far > 0, far, np.inf)
        clipped[own] = np.clip(values[own], center - far, center + far)
    return clipped
