"""Pixel runs per object of a label image, so that a feature is one vectorised reduction over all objects.

Pixels are sorted by label once; every sum, minimum or maximum is then a `reduceat` over the runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Features = dict[str, Values]


@dataclass(frozen=True, slots=True)
class ObjectPixels:
    """Pixels of all objects of one compartment, sorted by label; every label 1..n has at least one.

    Parameters
    ----------
    labels
        The label image (y, x).
    flat
        Index of each pixel into the flattened image.
    owner
        Label minus one of each pixel, ascending.
    starts, areas
        First position and number of pixels of each object.
    """

    labels: NDArray[np.uint16]
    flat: NDArray[np.intp]
    owner: NDArray[np.intp]
    starts: NDArray[np.intp]
    areas: Values

    @classmethod
    def of(cls, labels: NDArray[np.uint16]) -> ObjectPixels:
        """Sort the pixels of a label image whose labels have no gaps."""
        inside = np.flatnonzero(labels)
        # Stable: the pixels of an object stay in the order of rows.
        order = np.argsort(labels.ravel()[inside], kind="stable")
        flat = inside[order]
        owner = labels.ravel()[flat].astype(np.intp) - 1
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        return cls(labels, flat, owner, starts, np.bincount(owner).astype(np.float64))

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.starts)

    @property
    def rows(self) -> Values:
        """Row of each pixel."""
        return np.floor_divide(self.flat, self.labels.shape[1]).astype(np.float64)

    @property
    def columns(self) -> Values:
        """Column of each pixel."""
        return np.remainder(self.flat, self.labels.shape[1]).astype(np.float64)

    def sums(self, values: NDArray[np.generic]) -> Values:
        """Sum per object along the last axis."""
        return np.add.reduceat(values, self.starts, axis=-1, dtype=np.float64)

    def means(self, values: NDArray[np.generic]) -> Values:
        """Mean per object along the last axis."""
        return self.sums(values) / self.areas

    def minima(self, values: NDArray[np.generic]) -> Values:
        """Smallest value per object along the last axis."""
        return np.minimum.reduceat(values, self.starts, axis=-1).astype(np.float64)

    def maxima(self, values: NDArray[np.generic]) -> Values:
        """Largest value per object along the last axis."""
        return np.maximum.reduceat(values, self.starts, axis=-1).astype(np.float64)

    def quantiles(self, counts: NDArray[np.uint32], fractions: tuple[float, ...]) -> tuple[Values, ...]:
        """Quantiles per object of one integer value below 2^17 per pixel, interpolated linearly; at most 2^15 objects."""
        # Object and value in one integer: a single sort orders the values of all objects.
        keys = (self.owner.astype(np.uint32) << 17) | counts
        keys.sort()
        ordered = (keys & 0x1FFFF).astype(np.float64)
        results = []
        for fraction in fractions:
            position = self.starts + fraction * (self.areas - 1)
            below = np.floor(position).astype(np.intp)
            above = np.minimum(below + 1, (self.starts + self.areas - 1).astype(np.intp))
            weight = position - below
            results.append(ordered[below] * (1 - weight) + ordered[above] * weight)
        return tuple(results)


def prefixed(compartment: str, features: Mapping[str, Values]) -> Features:
    """Put the compartment before each feature name, as CellProfiler's joined tables have it."""
    return {f"{compartment}_{name}": values for name, values in features.items()}
