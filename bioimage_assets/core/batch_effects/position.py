"""Position effects of a batch: fitted on its control wells, taken off all of its wells.

A well's value is that of its plate, plus a trend along rows and along columns, plus what the outermost wells of a plate differ by,
plus a deviation of its own row and column: the additive model of plate normalisation (Brideau et al. 2003,
https://doi.org/10.1177/1087057103258285; Malo et al. 2006, https://doi.org/10.1038/nbt1186), fitted on controls alone, so that
treatments that share a row do not count as its effect. Deviations of single rows and columns are shrunk (ridge regression). How
far, and whether a feature has a position effect at all, says Schwarz's criterion (1978, https://doi.org/10.1214/aos/1176344136) with
the effective degrees of freedom of the regression: few controls do not invent an effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.batch_effects.plate_positions import PlatePositions
from bioimage_assets.core.batch_effects.position_terms import PositionTerm, build_terms

# Penalties in control wells: a line of n controls keeps about n / (n + penalty) of its deviation from the trend.
_PENALTIES = tuple(float(penalty) for penalty in np.geomspace(1.0, 256.0, 9))
# Trends have one number each, so that next to nothing is taken off them.
_TREND_PENALTY = 0.5
# Controls further from their plate's median than so many deviations (1.4826 MAD) count as being there: a dead well is no position.
_MAX_DEVIATIONS = 4.0
# Share of the controls that effects may use up: with more, what is left says little.
_MAX_USED = 1 / 3


@dataclass(frozen=True, slots=True)
class PositionEffects:
    """Effects of the terms of one batch: ``values`` has one row per term and one column per feature.

    ``center`` is the effect that the controls had on the average: what they share is no position.
    """

    terms: tuple[PositionTerm, ...]
    values: np.ndarray
    center: np.ndarray

    def of(self, positions: PlatePositions) -> np.ndarray:
        """Effect of the place of each well, one row per well and one column per feature."""
        return np.asarray(build_terms(positions, self.terms) @ self.values - self.center)


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
    design = _off_plates(columns, plates)
    wanted = _off_plates(_clip_far(values, plates), plates)
    free = values.shape[0] - np.unique(plates).size
    best = np.zeros((len(terms), values.shape[1]))
    least = _score(wanted, 0.0, free)
    for effects, used in _fit_each(design, wanted, terms):
        if used <= free * _MAX_USED:
            error = _score(wanted - design @ effects, used, free)
            is_better = error < least
            best[:, is_better], least = effects[:, is_better], np.where(is_better, error, least)
    return PositionEffects(terms, best, columns.mean(axis=0) @ best)


def _score(rest: np.ndarray, used: float, free: int) -> np.ndarray:
    """Schwarz's criterion of what is left of each feature, for ``used`` of ``free`` degrees of freedom; less is better."""
    with np.errstate(
        divide="ignore"
    ):  # a feature that does not vary has nothing left, with any effects or none
        return np.asarray(free * np.log((rest**2).sum(axis=0)) + np.log(max(free, 1)) * used)


def _fit_each(
    design: np.ndarray, wanted: np.ndarray, terms: tuple[PositionTerm, ...]
) -> Iterator[tuple[np.ndarray, float]]:
    """Effects of the trends alone, and of all terms by each penalty, with the degrees of freedom that they use."""
    is_line = np.asarray([term.is_line for term in terms], bool)
    square, product = design.T @ design, design.T @ wanted
    for penalty in (np.inf, *_PENALTIES):
        penalties = np.where(is_line, penalty, _TREND_PENALTY)
        kept = np.flatnonzero(np.isfinite(penalties))
        if kept.size:
            own = square[np.ix_(kept, kept)]
            ridge = own + np.diag(penalties[kept])
            effects = np.zeros_like(product)
            effects[kept] = np.linalg.solve(ridge, product[kept])
            yield effects, float(np.trace(np.linalg.solve(ridge, own)))


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
