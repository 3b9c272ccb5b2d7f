"""The profiles of a dataset's wells as rows of numbers, looked at some rows at a time.

A campaign's wells fill gigabytes once. Whatever is made of all of them is made in blocks, so that nothing holds them twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# One feature with hardly any spread among controls must not be the whole strength of a profile.
MAX_DEVIATION = 10.0
BLOCK_BYTES = 32 << 20  # of float64 at work at a time, besides the profiles themselves


@dataclass(frozen=True, slots=True)
class ProfileRows:
    """Profiles of wells: one row per well, one column per feature, float64."""

    values: np.ndarray

    @property
    def count(self) -> int:
        """Number of wells."""
        return int(self.values.shape[0])

    def are_finite(self) -> bool:
        """Whether every well has a number in every feature, and there is any."""
        return self.values.size > 0 and all(np.isfinite(self.values[part]).all() for part in self.blocks())

    def blocks(self) -> Iterator[slice]:
        """All rows, some at a time."""
        return cut_rows(self.count, int(self.values.shape[1]))

    def unit(self, rows: np.ndarray) -> np.ndarray:
        """Some rows at unit length: their products are cosines."""
        return scale_rows(self.values[rows])

    def standard(self, rows: np.ndarray) -> np.ndarray:
        """Some rows with mean zero at unit length: their products are Pearson correlations; a constant row gives zeros."""
        # Not np.corrcoef: it divides by zero for a constant row.
        values = self.values[rows]
        return scale_rows(values - values.mean(axis=1, keepdims=True))

    def lengths(self) -> np.ndarray:
        """Length of each profile, values counting for at most ten deviations."""
        lengths = np.empty(self.count)
        for part in self.blocks():
            lengths[part] = np.linalg.norm(clip_profiles(self.values[part]), axis=1)
        return lengths


def cut_rows(count: int, width: int) -> Iterator[slice]:
    """Row numbers in blocks of which ``width`` float64 values per row fit into the block size."""
    step = max(1, BLOCK_BYTES // (8 * max(width, 1)))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def clip_profiles(values: np.ndarray) -> np.ndarray:
    """Profiles whose values count for at most ten deviations, as they are used for strengths."""
    return np.asarray(np.clip(values, -MAX_DEVIATION, MAX_DEVIATION))


def scale_rows(values: np.ndarray) -> np.ndarray:
    """Rows at unit length; rows of zeros stay."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(lengths == 0, 1.0, lengths))
