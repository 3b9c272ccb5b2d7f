"""CellProfiler's Intensity, RadialDistribution, Granularity and Correlation features.

Intensities are fractions of the full uint16 range, as CellProfiler reports them (`INTENSITY_SCALE`).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bioimage_assets.demo.measure_objects import Features, ObjectPixels, Values
from bioimage_assets.demo.render import CHANNELS

INTENSITY_SCALE = 65_535.0  # CellProfiler rescales 16-bit images to 0..1
RADIAL_BIN_COUNT = 4  # CellProfiler's default
GRANULARITY_STEP_COUNT = 4


def measure_intensity(pixels: ObjectPixels, image: NDArray[np.uint16]) -> Features:
    """Intensity features of every object and channel; image is (c, y, x)."""
    features: Features = {}
    counts = image.reshape(len(CHANNELS), -1)[:, pixels.flat]
    rows, columns = pixels.rows, pixels.columns
    center_y, center_x = pixels.means(rows), pixels.means(columns)
    sums = pixels.sums(counts)
    means = sums / pixels.areas
    deviations = np.sqrt(pixels.means((counts - means[:, pixels.owner]) ** 2))
    minima, maxima = pixels.minima(counts), pixels.maxima(counts)
    mass_y, mass_x = pixels.sums(counts * rows) / sums, pixels.sums(counts * columns) / sums
    for index, channel in enumerate(CHANNELS):
        lower, median, upper = pixels.quantiles(counts[index].astype(np.uint32), (0.25, 0.5, 0.75))
        # twice the distance from the median is an integer, so that the second sort can pack it too
        distance = np.abs(2 * counts[index].astype(np.int64) - (2 * median).astype(np.int64)[pixels.owner])
        (doubled_mad,) = pixels.quantiles(distance.astype(np.uint32), (0.5,))
        values = {
            "IntegratedIntensity": sums[index],
            "MeanIntensity": means[index],
            "StdIntensity": deviations[index],
            "MinIntensity": minima[index],
            "MaxIntensity": maxima[index],
            "LowerQuartileIntensity": lower,
            "MedianIntensity": median,
            "UpperQuartileIntensity": upper,
            "MADIntensity": doubled_mad / 2,
        }
        features |= {f"Intensity_{name}_{channel}": value / INTENSITY_SCALE for name, value in values.items()}
        shift = np.hypot(mass_y[index] - center_y, mass_x[index] - center_x)
        features[f"Intensity_MassDisplacement_{channel}"] = shift
    return features


def measure_correlation(pixels: ObjectPixels, image: NDArray[np.uint16]) -> Features:
    """Pearson correlation of each pair of channels inside every object; 0 where one channel is flat."""
    counts = image.reshape(len(CHANNELS), -1)[:, pixels.flat].astype(np.float64)
    centred = counts - pixels.means(counts)[:, pixels.owner]
    norms = np.sqrt(pixels.sums(centred**2))
    features: Features = {}
    for first, second in combinations(range(len(CHANNELS)), 2):
        product = pixels.sums(centred[first] * centred[second])
        norm = norms[first] * norms[second]
        features[f"Correlation_Correlation_{CHANNELS[first]}_{CHANNELS[second]}"] = np.divide(
            product, norm, out=np.zeros_like(product), where=norm > 0
        )
    return features


def measure_radial_distribution(pixels: ObjectPixels, image: NDArray[np.uint16]) -> Features:
    """Fraction of each channel's intensity in four rings from the innermost pixel (1of4) to the rim (4of4)."""
    depth = _depth(pixels.labels).ravel()[pixels.flat]
    relative = 1 - depth / pixels.maxima(depth)[pixels.owner]
    ring = np.minimum((relative * RADIAL_BIN_COUNT).astype(np.intp), RADIAL_BIN_COUNT - 1)
    cell_ring = pixels.owner * RADIAL_BIN_COUNT + ring
    features: Features = {}
    for index, channel in enumerate(CHANNELS):
        weights = image[index].ravel()[pixels.flat].astype(np.float64)
        binned = np.bincount(cell_ring, weights, minlength=pixels.count * RADIAL_BIN_COUNT)
        fractions = binned.reshape(-1, RADIAL_BIN_COUNT) / pixels.sums(weights)[:, None]
        for step in range(RADIAL_BIN_COUNT):
            features[f"RadialDistribution_FracAtD_{channel}_{step + 1}of{RADIAL_BIN_COUNT}"] = fractions[
                :, step
            ]
    return features


def _depth(labels: NDArray[np.uint16]) -> Values:
    """Distance of each pixel to the rim of its own object, touching neighbours and the image's rim included."""
    padded = np.pad(labels, 1)
    inner = labels > 0
    for step_y, step_x in ((0, 1), (2, 1), (1, 0), (1, 2)):
        inner &= padded[step_y : step_y + labels.shape[0], step_x : step_x + labels.shape[1]] == labels
    depth: Values = ndimage.distance_transform_edt(np.pad(inner, 1))[1:-1, 1:-1] + 1.0
    return depth


def build_granularity_losses(image: NDArray[np.uint16]) -> NDArray[np.float32]:
    """What each growing opening removes from the half-resolution image: (step, c, y, x); depends on no object."""
    height, width = (image.shape[1] // 2) * 2, (image.shape[2] // 2) * 2
    half = image[:, :height, :width].astype(np.float32)
    # CellProfiler subsamples before it measures granularity.
    half = half.reshape(len(CHANNELS), height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    half -= half.min(axis=(1, 2), keepdims=True)
    losses = [half]
    previous = half
    for step in range(1, GRANULARITY_STEP_COUNT + 1):
        opened = ndimage.grey_opening(half, size=(1, 2 * step + 1, 2 * step + 1))
        losses.append(previous - opened)
        previous = opened
    return np.stack(losses)


def measure_granularity(pixels: ObjectPixels, losses: NDArray[np.float32]) -> Features:
    """Percentage of an object's signal that an opening of 1..4 half-resolution pixels removes more than the last."""
    height, width = losses.shape[2:]
    labels = pixels.labels[: height * 2 : 2, : width * 2 : 2].ravel().astype(np.intp)
    features: Features = {}
    for index, channel in enumerate(CHANNELS):
        total = np.bincount(labels, losses[0, index].ravel(), minlength=pixels.count + 1)[1:]
        for step in range(1, GRANULARITY_STEP_COUNT + 1):
            removed = np.bincount(labels, losses[step, index].ravel(), minlength=pixels.count + 1)[1:]
            features[f"Granularity_{step}_{channel}"] = np.divide(
                100 * removed, total, out=np.zeros_like(total), where=total > 0
            )
    return features
