"""CellProfiler's Haralick Texture features of the pixels under a label image.

Grey levels are 256 over a 13-bit camera range (`GREY_RANGE`), the co-occurrence matrix is symmetric, logarithms are
to base 2: Haralick et al. 1973 in the form of mahotas, which CellProfiler calls. The matrices are never
built: only the pairs that occur are sorted and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bioimage_assets.demo.measure_objects import Features, ObjectPixels, Values
from bioimage_assets.demo.render import CHANNELS

GREY_LEVELS = 256  # CellProfiler's default
GREY_RANGE = 8_192
TEXTURE_SCALE_PX = 3  # CellProfiler's default
# CellProfiler's direction codes: 00 is along a row, 02 along a column.
DIRECTIONS = {"00": (0, TEXTURE_SCALE_PX), "02": (TEXTURE_SCALE_PX, 0)}


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Flat indices of pixel pairs inside one object, and the object (label minus one) of each."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    owner: NDArray[np.intp]
    counts: Values


def build_grey_levels(image: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Quantise (c, y, x) counts; everything above the camera range is the brightest level."""
    return np.minimum(image // (GREY_RANGE // GREY_LEVELS), GREY_LEVELS - 1).astype(np.uint8)


def measure_texture(pixels: ObjectPixels, grey: NDArray[np.uint8]) -> Features:
    """Six Haralick features per channel and direction of every object; objects without pairs get zeros."""
    features: Features = {}
    flat = grey.reshape(len(CHANNELS), -1)
    for code, offset in DIRECTIONS.items():
        pairs = _find_pairs(pixels, offset)
        for index, channel in enumerate(CHANNELS):
            suffix = f"{channel}_{TEXTURE_SCALE_PX}_{code}_{GREY_LEVELS}"
            values = _haralick(pairs, flat[index], pixels.count)
            features |= {f"Texture_{name}_{suffix}": value for name, value in values.items()}
    return features


def _find_pairs(pixels: ObjectPixels, offset: tuple[int, int]) -> _Pairs:
    labels = pixels.labels
    height, width = labels.shape
    near = labels[: height - offset[0], : width - offset[1]]
    far = labels[offset[0] :, offset[1] :]
    rows, columns = np.nonzero((near == far) & (near > 0))
    owner = near[rows, columns].astype(np.intp) - 1
    first = rows * width + columns
    second = (rows + offset[0]) * width + columns + offset[1]
    return _Pairs(first, second, owner, np.bincount(owner, minlength=pixels.count).astype(np.float64))


def _haralick(pairs: _Pairs, grey: NDArray[np.uint8], count: int) -> Features:
    first, second = grey[pairs.first].astype(np.int64), grey[pairs.second].astype(np.int64)
    total = np.maximum(pairs.counts, 1)

    def mean(values: NDArray[np.generic]) -> Values:
        return np.bincount(pairs.owner, values, minlength=count) / total

    level = mean((first + second) / 2)
    centred_first, centred_second = first - level[pairs.owner], second - level[pairs.owner]
    variance = mean((centred_first**2 + centred_second**2) / 2)
    covariance = mean(centred_first * centred_second)
    joint_entropy, angular_second_moment = _joint_statistics(pairs, first, second, total, count)
    marginal_entropy = _marginal_entropy(pairs, first, second, total, count)
    # sum over p(i,j) log(p(i) p(j)) is twice the marginal entropy of a symmetric matrix
    information = joint_entropy - 2 * marginal_entropy
    return {
        "Contrast": mean((first - second) ** 2),
        # a flat object correlates perfectly with itself (mahotas)
        "Correlation": np.divide(covariance, variance, out=np.ones(count), where=variance > 1e-9),
        "Variance": variance,
        "Entropy": joint_entropy,
        "AngularSecondMoment": angular_second_moment,
        "InfoMeas1": np.divide(
            information, marginal_entropy, out=np.zeros(count), where=marginal_entropy > 1e-9
        ),
    }


def _joint_statistics(
    pairs: _Pairs, first: NDArray[np.int64], second: NDArray[np.int64], total: Values, count: int
) -> tuple[Values, Values]:
    """Entropy and sum of squares of the symmetric co-occurrence probabilities."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    keys = ((pairs.owner * GREY_LEVELS + low) * GREY_LEVELS + high).astype(np.uint32)
    keys.sort()
    starts = np.flatnonzero(np.diff(keys, prepend=~keys[:1]))
    owner = (keys[starts] >> 16).astype(np.intp)
    is_diagonal = (keys[starts] >> 8) % GREY_LEVELS == keys[starts] % GREY_LEVELS
    # an unordered pair off the diagonal stands for two equal entries of the matrix
    entries = np.where(is_diagonal, 1, 2)
    probability = np.diff(starts, append=len(keys)) / (entries * total[owner])
    entropy = np.bincount(owner, -entries * probability * np.log2(probability), minlength=count)
    squares = np.bincount(owner, entries * probability**2, minlength=count)
    return entropy.astype(np.float64), squares.astype(np.float64)


def _marginal_entropy(
    pairs: _Pairs, first: NDArray[np.int64], second: NDArray[np.int64], total: Values, count: int
) -> Values:
    bins = count * GREY_LEVELS
    base = pairs.owner * GREY_LEVELS
    histogram = np.bincount(base + first, minlength=bins) + np.bincount(base + second, minlength=bins)
    probability = histogram.reshape(count, GREY_LEVELS) / (2 * total[:, None])
    logarithm = np.log2(probability, out=np.zeros_like(probability), where=probability > 0)
    entropy: Values = -np.sum(probability * logarithm, axis=1)
    return entropy
