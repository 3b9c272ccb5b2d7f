"""How active treatments are: how well their replicates are set apart from control wells.

Mean average precision with a permutation null (https://doi.org/10.1101/2024.04.01.587631, as copairs computes it); the
random numbers come from the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

NULL_SIZE = 10_000  # p-values go down to 1e-4
# One feature with hardly any spread among controls must not be the whole strength of a profile.
MAX_DEVIATION = 10.0
SIGNIFICANCE = 0.05  # of q-values (Benjamini and Hochberg 1995), the field's convention


@dataclass(frozen=True, slots=True)
class Activity:
    """Mean average precision of one treatment, its permutation p value and that after Benjamini-Hochberg."""

    mean_average_precision: float
    p_value: float
    q_value: float


@dataclass(frozen=True, slots=True)
class Replicates:
    """Rows of one treatment; ``positions`` names the well of every row of the whole table."""

    rows: np.ndarray
    positions: np.ndarray

    @property
    def is_spread(self) -> bool:
        """Whether they lie at more than one position, so that pairs at one position can be left out."""
        return len(set(self.positions[self.rows])) > 1

    def partners(self, row: int) -> np.ndarray:
        """Replicates to compare a row with: those at other positions, or all others where there is one position."""
        others: np.ndarray = self.rows[self.rows != row]
        return others[self.positions[others] != self.positions[row]] if self.is_spread else others

    def pair_values(self, matrix: np.ndarray) -> list[float]:
        """Entries of a symmetric matrix for each pair of partners."""
        return [
            float(matrix[row, other]) for row in self.rows for other in self.partners(int(row)) if other > row
        ]


def measure_activity(
    values: np.ndarray,
    groups: Mapping[str, Replicates],
    controls: Mapping[str, np.ndarray],
    random: np.random.Generator,
    null_size: int = NULL_SIZE,
) -> dict[str, Activity]:
    """Measure the treatments with at least two wells and at least two control wells, which are given by treatment."""
    rows = scale_rows(values)
    # All pairs at once: some hundred wells.
    cosine = np.asarray(rows @ rows.T)
    nulls: dict[tuple[int, int], np.ndarray] = {}
    found: dict[str, tuple[float, float]] = {}
    for label, group in groups.items():
        others = controls[label]
        if group.rows.size < 2 or others.size < 2:
            continue
        precisions, expected = [], np.zeros(null_size)
        for row in group.rows:
            partners = group.partners(int(row))
            size = (partners.size, others.size)
            # The null depends on how many replicates and controls there are, not on which.
            if size not in nulls:
                nulls[size] = _null_precision(*size, random, null_size)
            precisions.append(_average_precision(cosine[row], partners, others))
            # The mean of as many random rankings as there are replicates: what chance would give this treatment.
            expected += random.choice(nulls[size], size=null_size)
        precision = float(np.mean(precisions))
        beyond = int((expected / group.rows.size >= precision).sum())
        # Plus one: a permutation p-value is never zero (Phipson and Smyth 2010,
        # https://doi.org/10.2202/1544-6115.1585).
        found[label] = (precision, (beyond + 1) / (null_size + 1))
    adjusted = _benjamini_hochberg([p_value for _, p_value in found.values()])
    return {
        label: Activity(precision, p_value, q_value)
        for (label, (precision, p_value)), q_value in zip(found.items(), adjusted, strict=True)
    }


def clip_profiles(values: np.ndarray) -> np.ndarray:
    """Profiles whose values count for at most ten deviations, as they are used for strengths."""
    return np.asarray(np.clip(values, -MAX_DEVIATION, MAX_DEVIATION))


def scale_rows(values: np.ndarray) -> np.ndarray:
    """Rows at unit length; rows of zeros stay."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(lengths == 0, 1.0, lengths))


def _average_precision(similarity: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> float:
    """Average precision of finding ``positives`` when all are ranked by similarity; ties count against it."""
    # Negatives first, and a stable sort: ties go to them.
    ranked = np.concatenate([similarity[negatives], similarity[positives]])
    relevant = np.concatenate([np.zeros(negatives.size, bool), np.ones(positives.size, bool)])
    return float(_precision_of_order(relevant[np.argsort(-ranked, kind="stable")][None, :])[0])


def _precision_of_order(relevant: np.ndarray) -> np.ndarray:
    """Average precision of each row of ranked relevance flags."""
    hits = np.cumsum(relevant, axis=1)
    precision = hits / np.arange(1, relevant.shape[1] + 1)
    return np.asarray((precision * relevant).sum(axis=1) / relevant.sum(axis=1))


def _null_precision(positives: int, negatives: int, random: np.random.Generator, size: int) -> np.ndarray:
    flags = np.zeros((size, positives + negatives), bool)
    flags[:, :positives] = True
    return _precision_of_order(random.permuted(flags, axis=1))


def _benjamini_hochberg(p_values: list[float]) -> list[float]:
    if not p_values:
        return []
    values = np.asarray(p_values)
    order = np.argsort(values)
    scaled = values[order] * values.size / np.arange(1, values.size + 1)
    adjusted = np.empty_like(values)
    # From the largest p downwards, so that q never falls while p rises.
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1.0)
    return [float(value) for value in adjusted]
