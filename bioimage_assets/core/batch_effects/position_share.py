"""How much of what control wells differ by is their row and column."""

from __future__ import annotations

import numpy as np

from bioimage_assets.core.batch_effects.plate_positions import PlatePositions


def measure_position_share(values: np.ndarray, plates: np.ndarray, positions: PlatePositions) -> float | None:
    """Share (0 to 1) of the variance of control wells within their plates that rows and columns explain.

    The adjusted R2 (Ezekiel 1930) of the additive model of rows and columns, over all features together: positions that explain as
    much as chance count as zero, which is the least that is given. None where controls are too few, or do not vary.
    """
    lines = [
        positions.along(axis) == line for axis in ("row", "column") for line in _lines(positions.along(axis))
    ]
    groups = [plates == plate for plate in np.unique(plates)]
    of_plates = np.stack(groups, axis=1).astype(np.float64)
    everything = np.stack([*groups, *lines], axis=1).astype(np.float64)
    rest, used = _left_of(values, everything)
    total, groups_used = _left_of(values, of_plates)
    free = values.shape[0] - used
    if free < 1 or used == groups_used or total <= 0:
        return None
    share = 1.0 - (rest / free) / (total / (values.shape[0] - groups_used))
    return max(0.0, float(share))


def _lines(places: np.ndarray) -> np.ndarray:
    return np.unique(places[places >= 0])


def _left_of(values: np.ndarray, design: np.ndarray) -> tuple[float, int]:
    """Sum of squares that a linear model leaves, over all features, and how many columns of it are independent."""
    turn, singular, _ = np.linalg.svd(design, full_matrices=False)
    turn = turn[:, singular > 1e-9 * singular[0]]
    rest = values - turn @ (turn.T @ values)
    return float((rest**2).sum()), int(turn.shape[1])
