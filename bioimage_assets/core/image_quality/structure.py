"""Turns one plane into measures that CellProfiler has none for: detail, contrast, background, evenness, bright debris.

They are made to differ between good and bad fields, not between fields with few and many cells or bright and dim stains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Plane = npt.NDArray[np.float64]

BACKGROUND_PERCENTILE = 10.0
BRIGHT_PERCENTILE = 99.9
# Widths (sigma) of the Gaussians whose differences are the bands of fine and of coarse detail, in pixels of the level.
_FINE, _MIDDLE, _COARSE = 1.0, 2.0, 4.0
# Each is made of the one before: squares of widths add up.
_STEPS = (_FINE, math.sqrt(_MIDDLE**2 - _FINE**2), math.sqrt(_COARSE**2 - _MIDDLE**2))
# Blocks along each side of a field, for its background.
_BLOCKS = 4
# A place is as bright as the mean of a square of a sixteenth of the side: a cell or more, so that no single spot counts.
_PARTS_OF_SIDE = 16
_MIN_PLACE_PX = 8
# Of a normal distribution, from the median of absolute values.
_SIGMA_OF_MEDIAN = 0.6744897501960817
# https://doi.org/10.1006/cviu.1996.0060: structure that is straight within three pixels cancels out, noise adds up 36-fold.
_NOISE_TAPS = (1.0, -2.0, 1.0)


def _noise_share(one: float, two: float) -> float:
    """Variance of white noise of variance one behind the difference of two Gaussians."""
    return (1 / (4 * one**2) + 1 / (4 * two**2) - 1 / (one**2 + two**2)) / math.pi


_FINE_NOISE, _COARSE_NOISE = _noise_share(_FINE, _MIDDLE), _noise_share(_MIDDLE, _COARSE)


def measure_noise(plane: Plane) -> float:
    """Standard deviation of what differs from pixel to pixel, from the median over the field (J. Immerkær 1996)."""
    residue = plane
    for axis in (0, 1):
        residue = ndimage.correlate1d(residue, _NOISE_TAPS, axis=axis, mode="reflect")
    return float(np.median(np.abs(residue))) / _SIGMA_OF_MEDIAN / 6.0


def measure_laplacian_variance(plane: Plane) -> float:
    """Variance of the Laplacian (four neighbours): grows with sharp edges, and with noise and brightness."""
    return float(ndimage.laplace(plane, mode="reflect").var())


def measure_detail(
    plane: Plane, noise: float, left_out: npt.NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Detail ratio and contrast of a plane.

    The detail ratio is the variance of details of about 4 to 8 pixels over that of 8 to 16 pixels, both less what noise
    adds: how many cells there are and how bright they are cancels out, and so do gradients of light. 0.0 where the fine
    band holds no more than noise, NaN where the coarse one does not either. The contrast is the deviation of the coarse
    band in units of what noise alone would give, 1.0 being noise alone; infinite without noise.

    Parameters
    ----------
    left_out
        Pixels without which the detail ratio is worked out as well; the larger one is given. One object that is brighter than
        all others would decide alone, and a field that holds one object only has no detail elsewhere.
    """
    smooth = [np.asarray(plane - plane.mean(), np.float32)]
    for step in _STEPS:
        smooth.append(ndimage.gaussian_filter(smooth[-1], step, mode="reflect", truncate=3.0))
    fine, coarse = smooth[1] - smooth[2], smooth[2] - smooth[3]
    energy, noise_coarse = _energy(coarse), noise**2 * _COARSE_NOISE
    if energy == 0:
        return math.nan, 1.0
    contrast = math.sqrt(energy / noise_coarse) if noise_coarse > 0 else math.inf
    detail = _divide_bands(fine, coarse, noise)
    if left_out is None or left_out.all():
        return detail, contrast
    return float(np.fmax(detail, _divide_bands(fine[~left_out], coarse[~left_out], noise))), contrast


def _divide_bands(fine: npt.NDArray[np.float32], coarse: npt.NDArray[np.float32], noise: float) -> float:
    noise_coarse = noise**2 * _COARSE_NOISE
    signal = _energy(coarse) - noise_coarse
    # Of two numbers that are nearly the same the difference is chance.
    if signal <= 0.5 * noise_coarse:
        return math.nan
    return max(_energy(fine) - noise**2 * _FINE_NOISE, 0.0) / signal


def _energy(band: npt.NDArray[np.float32]) -> float:
    return float(np.mean(np.square(band), dtype=np.float64))


def measure_illumination(plane: Plane) -> tuple[float, float]:
    """Background of the brightest of 4 x 4 blocks over that of the dimmest, and how much of the difference is a slope.

    The second number is the share of the variance of the blocks' logarithms that a plane explains: near 1 where light falls
    off to one side, low where cells cover some blocks and leave others free. NaN where a block has no background above zero.
    """
    height, width = (size // _BLOCKS for size in plane.shape)
    if not height or not width:
        return math.nan, math.nan
    # What is over at the lower and right edge, less than a block's pixel for each block, is left out.
    blocks = plane[: height * _BLOCKS, : width * _BLOCKS].reshape(_BLOCKS, height, _BLOCKS, width)
    pixels = blocks.transpose(0, 2, 1, 3).reshape(_BLOCKS, _BLOCKS, height * width)
    lows = np.percentile(pixels, BACKGROUND_PERCENTILE, axis=2)
    if lows.min() <= 0:
        return math.nan, math.nan
    logs = np.log(lows) - np.log(lows).mean()
    total = float((logs**2).sum())
    steps = np.arange(_BLOCKS) - (_BLOCKS - 1) / 2
    # Steps along y and x are orthogonal on the grid, so that each slope explains its own share.
    explained = sum(float((logs * axis).sum()) ** 2 for axis in (steps[:, None], steps[None, :]))
    explained /= _BLOCKS * float((steps**2).sum())
    return float(lows.max() / lows.min()), explained / total if total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class BrightPlace:
    """The brightest place of a field, as large as a cell or more, and what is connected to it.

    ``height`` is its brightness above the background, ``percent`` how much of the field is connected to it at half of that
    brightness or more, ``ratio`` its height over that of the brightest place elsewhere (infinite where elsewhere is nothing
    above the background). ``mask`` are the connected pixels and their surroundings.
    """

    height: float
    percent: float
    ratio: float
    mask: npt.NDArray[np.bool_]


def find_bright_place(plane: Plane, background: float) -> BrightPlace:
    """Find the brightest place: a cell is as large as a cell, a fibre or a clump as large as it is."""
    side = max(_MIN_PLACE_PX, min(plane.shape) // _PARTS_OF_SIDE)
    places = ndimage.uniform_filter(plane, side, mode="reflect") - background
    top = int(np.argmax(places))
    height = float(places.flat[top])
    if height <= 0:
        return BrightPlace(0.0, 0.0, 1.0, np.zeros(plane.shape, bool))
    labels, _ = ndimage.label(places >= height / 2)
    object_ = labels == labels.flat[top]
    mask = ndimage.maximum_filter(object_, 2 * side + 1)
    elsewhere = float(places[~mask].max()) if not mask.all() else 0.0
    percent = 100.0 * float(np.count_nonzero(object_)) / plane.size
    return BrightPlace(height, percent, height / elsewhere if elsewhere > 0 else math.inf, mask)
