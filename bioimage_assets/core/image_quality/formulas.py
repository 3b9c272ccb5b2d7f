"""Turns one plane into the measures of CellProfiler's MeasureImageQuality, by the same formulas.

https://github.com/CellProfiler/CellProfiler/blob/main/src/frontend/cellprofiler/modules/measureimagequality.py and
``centrosome.radial_power_spectrum.rps``. Pixels are on CellProfiler's scale: 0 to 1, whole numbers divided by the largest of
their type.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

Plane = npt.NDArray[np.float64]

# Rings beyond an eighth of the side are left out there, so that edges of the image have no effect.
_PART_OF_SIDE = 8.0


def scale_plane(plane: npt.NDArray[np.generic]) -> Plane:
    """Pixels from 0 to 1: whole numbers by the largest of their type, other numbers as they are."""
    if plane.dtype == bool:
        return plane.astype(np.float64)
    if np.issubdtype(plane.dtype, np.integer):
        return plane.astype(np.float64) / float(np.iinfo(plane.dtype.name).max)
    return plane.astype(np.float64)


def measure_focus_score(plane: Plane) -> float:
    """Variance over mean of the intensities; 0.0 where the mean is not above zero."""
    mean = float(plane.mean())
    return float(((plane - mean) ** 2).sum() / (plane.size * mean)) if mean > 0 else 0.0


def measure_percent_maximal(plane: Plane) -> float:
    """Percent of pixels that are as bright as the brightest pixel of the image."""
    return 100.0 * float(np.count_nonzero(plane == plane.max())) / plane.size


def measure_percent_minimal(plane: Plane) -> float:
    """Percent of pixels that are as dark as the darkest pixel of the image."""
    return 100.0 * float(np.count_nonzero(plane == plane.min())) / plane.size


def measure_mad(plane: Plane, median: float) -> float:
    """Median of the absolute distances from the median; not scaled to a standard deviation, as in CellProfiler."""
    return float(np.median(np.abs(plane - median)))


def measure_power_slope(plane: Plane) -> float:
    """Slope of the logarithm of power over the logarithm of radius in the spectrum: the lower, the more blurred.

    Rings from 2 to an eighth of the shorter side, whose powers are summed, not averaged. 0.0 where there is nothing to fit:
    one value in the image, fewer than two rings, or more than half of the pixels exactly at the mean (there CellProfiler
    divides by zero, and has no ring with a number).
    """
    mean = float(plane.mean())
    last = int(np.floor(min(plane.shape) / _PART_OF_SIDE))
    if last - 2 < 2 or np.ptp(plane) == 0 or 2 * np.count_nonzero(plane == mean) > plane.size:
        return 0.0
    power = _sum_rings(plane - mean, last)
    radii = np.arange(2, last, dtype=np.float64)
    usable = power > 0
    if np.count_nonzero(usable) < 2:
        return 0.0
    return _fit_slope(np.log(radii[usable]), np.log(power[usable]))


def _sum_rings(centred: Plane, last: int) -> Plane:
    """Power of the rings 2, 3, … ``last`` - 1."""
    half = np.abs(fft.rfft2(centred)) ** 2
    own, mirrored = _label_rings(centred.shape, last)
    width = mirrored.shape[1]
    sums = np.bincount(own.ravel(), half.ravel(), minlength=last)
    # The other half of the spectrum of real numbers is the same, turned by 180 degrees.
    sums += np.bincount(mirrored.ravel(), half[:, 1 : 1 + width].ravel(), minlength=last)
    return np.asarray(sums[2:last], np.float64)


@lru_cache(maxsize=8)
def _label_rings(shape: tuple[int, int], last: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Ring of each coefficient in the half that is computed, and of their counterparts in the half that is not.

    As centrosome numbers them: distances are taken from the nearest corner, so that a negative frequency counts as one
    less than the positive one. Rings from ``last`` on are 0, which nothing reads.
    """
    height, width = shape
    rows = np.minimum(np.arange(height), np.arange(height)[::-1])
    columns = np.minimum(np.arange(width), np.arange(width)[::-1])
    rings = np.floor(np.sqrt(rows[:, None] ** 2 + columns[None, :] ** 2)).astype(np.intp) + 1
    rings[rings >= last] = 0
    columns_known = width // 2 + 1
    turned = np.roll(rings[::-1, ::-1], (1, 1), (0, 1))
    return rings[:, :columns_known].copy(), turned[:, 1 : 1 + width - columns_known].copy()


def _fit_slope(x: Plane, y: Plane) -> float:
    """Slope of the least-squares line."""
    centred = x - x.mean()
    return float((centred * (y - y.mean())).sum() / (centred**2).sum())
