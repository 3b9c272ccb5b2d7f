"""The wells of one batch as numbers that can be corrected: what it lacks filled, its controls parted into folds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bioimage_assets.core.batch_effects.plate_positions import PlatePositions

SEED = 20240401  # the same folds in every run: a rebuilt table has the same numbers
# Relative spread below this is rounding noise of a constant feature.
_NOISE = 1e-12


@dataclass(frozen=True, slots=True)
class BatchWells:
    """Wells of one batch: ``values`` (wells x features), which are controls, the number of each one's plate, its position."""

    name: str
    values: np.ndarray
    is_control: np.ndarray
    plates: np.ndarray
    positions: PlatePositions

    @property
    def control_count(self) -> int:
        """Number of control wells."""
        return int(self.is_control.sum())


@dataclass(frozen=True, slots=True)
class FilledBatch:
    """A batch without gaps. ``filled`` counts the features of each well that had no value.

    ``lacking`` are numbers of features that no control has a value of, or that all controls have the same value of: zero in
    all wells. ``filled`` counts those, too.
    """

    wells: BatchWells
    filled: np.ndarray
    lacking: np.ndarray


def fill_gaps(wells: BatchWells) -> FilledBatch:
    """Give every well a finite number in each feature: where it has none, the mean of the batch's controls."""
    values = np.where(np.isfinite(wells.values), wells.values, np.nan)
    controls = values[wells.is_control]
    counts = np.isfinite(controls).sum(axis=0)
    centers = np.nansum(controls, axis=0) / np.maximum(counts, 1)
    spread = np.sqrt(np.nansum((controls - centers) ** 2, axis=0) / np.maximum(counts, 1))
    is_lacking = spread <= _NOISE * np.maximum(np.abs(centers), 1.0)
    gaps = np.isnan(values) | is_lacking
    clean = np.where(gaps, np.where(is_lacking, 0.0, centers), values)
    return FilledBatch(replace(wells, values=clean), gaps.sum(axis=1), np.flatnonzero(is_lacking))


def split_controls(wells: BatchWells, fold_count: int) -> np.ndarray:
    """Fold of each control well, -1 for other wells; all -1 where there is one fold.

    Folds are drawn by a fixed seed among the controls of each plate by position: neither the order of rows nor other batches matter.
    """
    folds = np.full(wells.is_control.size, -1)
    controls = np.flatnonzero(wells.is_control)
    count = min(fold_count, controls.size)
    if count < 2:
        return folds
    row, column = wells.positions.row[controls], wells.positions.column[controls]
    ordered = controls[np.lexsort((column, row, wells.plates[controls]))]
    random = np.random.default_rng(SEED)
    # A permutation of fold numbers for every so many controls in a row: each plate is in each fold alike.
    turns = [random.permutation(count) for _ in range(-(-ordered.size // count))]
    folds[ordered] = np.concatenate(turns)[: ordered.size]
    return folds
