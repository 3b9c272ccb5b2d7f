"""Correct the wells of one batch by fits on its controls; a control is corrected by a fit that it is no part of.

A control that shaped its own correction lies nearer to zero than any well that did nothing, so that every treatment would seem
active. Controls are therefore parted into folds, and those of one fold are corrected by what the others say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from bioimage_assets.core.batch_effects.batch_wells import BatchWells, split_controls
from bioimage_assets.core.batch_effects.position import PositionEffects, fit_position_effects
from bioimage_assets.core.batch_effects.position_terms import PositionTerm


class Fitted(Protocol):
    """What a method learned from control wells."""

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Corrected profiles, one row per well."""
        ...


Fit: TypeAlias = Callable[[np.ndarray], Fitted]
"""Given control wells by features, learns how to correct any well of the batch."""


@dataclass(frozen=True, slots=True)
class CorrectedBatch:
    """Wells of one batch: ``placed`` without position effects, ``values`` corrected in full; rows as they were given."""

    placed: np.ndarray
    values: np.ndarray


class Unchanged:
    """The method ``none``."""

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The same profiles, in an array of their own."""
        return values.copy()


def correct_batch(
    wells: BatchWells, terms: tuple[PositionTerm, ...], fit: Fit, fold_count: int
) -> CorrectedBatch:
    """Take off position effects, then what the method finds; both fitted on the controls."""
    folds = split_controls(wells, fold_count)
    placed = place_wells(wells, terms, wells.is_control)
    values = fit(placed[wells.is_control]).apply(placed)
    for fold in range(int(folds.max(initial=-1)) + 1):
        held = folds == fold
        used = wells.is_control & ~held
        without = place_wells(wells, terms, used)
        placed[held] = without[held]
        values[held] = fit(without[used]).apply(without[held])
    return CorrectedBatch(placed, values)


def place_wells(wells: BatchWells, terms: tuple[PositionTerm, ...], used: np.ndarray) -> np.ndarray:
    """Profiles of all wells of a batch less the position effects that some of its controls show; a new array."""
    if not terms:
        return wells.values.copy()
    return np.asarray(wells.values - _fit_effects(wells, terms, used).of(wells.positions, wells.plates))


def _fit_effects(wells: BatchWells, terms: tuple[PositionTerm, ...], used: np.ndarray) -> PositionEffects:
    return fit_position_effects(wells.values[used], wells.plates[used], wells.positions.take(used), terms)
