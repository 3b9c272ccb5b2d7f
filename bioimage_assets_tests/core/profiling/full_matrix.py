"""Replicate measures from full matrices of all pairs of wells: how they were first computed, kept to compare with.

Every number of the group-wise measures is compared with these (``test_replicates_group_by_group``). Slow, and two
matrices of wells times wells: for some hundred wells only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bioimage_assets.core.profiling.treatments import Treatments, build_treatments
from bioimage_assets.core.profiling.well_groups import find_well_groups
from bioimage_assets.core.settings.dataset import DatasetSettings

NULL_PERCENTILE = 95.0
_NULL_DRAWS = 2_000
_SEED = 20240401


@dataclass(frozen=True, slots=True)
class FullMatrixRow:
    """What the full matrices say of one treatment."""

    replicate_count: int
    replicate_correlation: float | None
    null_limit: float | None
    mean_average_precision: float | None
    p_value: float | None
    q_value: float | None
    strength: float | None


@dataclass(frozen=True, slots=True)
class FullMatrixReport:
    """What they say of a dataset."""

    treatments: dict[str, FullMatrixRow]
    control_correlation: float | None
    replicate_pairs: tuple[float, ...]
    null_pairs: tuple[float, ...]


def measure_by_full_matrix(
    frame: pd.DataFrame, features: list[str], settings: DatasetSettings, null_size: int
) -> FullMatrixReport:
    """All measures from all pairs."""
    values = frame[features].to_numpy(dtype=np.float64)
    treatments = build_treatments(frame, settings, find_well_groups(frame, settings).columns)
    positions = frame["well_id" if "well_id" in frame else "Metadata_Well"].to_numpy()
    groups = {label: Replicates(rows, positions) for label, rows in treatments.groups().items()}
    controls = Replicates(np.flatnonzero(treatments.is_control), positions)
    random = np.random.default_rng(_SEED)
    correlation = _correlate_rows(values)
    nulls = _NullCorrelations(correlation, treatments, random, null_size)
    own_controls = {label: treatments.controls_of(group.rows) for label, group in groups.items()}
    activity = measure_activity(values, groups, own_controls, random, null_size)
    strengths = _strengths(values, treatments)
    rows = {}
    for label, group in groups.items():
        alike = _median(group.pair_values(correlation))
        limit = nulls.limit(group.rows.size) if alike is not None else None
        median = float(np.median(strengths[group.rows]))
        precision, p_value, q_value = activity.get(label, (None, None, None))
        rows[label] = FullMatrixRow(
            int(group.rows.size),
            alike,
            limit,
            precision,
            p_value,
            q_value,
            None if np.isnan(median) else median,
        )
    pairs = tuple(value for group in groups.values() for value in group.pair_values(correlation))
    return FullMatrixReport(rows, _median(controls.pair_values(correlation)), pairs, nulls.sample_pairs())


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
    null_size: int,
) -> dict[str, tuple[float, float, float]]:
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
        label: (precision, p_value, q_value)
        for (label, (precision, p_value)), q_value in zip(found.items(), adjusted, strict=True)
    }


def clip_profiles(values: np.ndarray) -> np.ndarray:
    """Profiles whose values count for at most ten deviations, as they are used for strengths."""
    return np.asarray(np.clip(values, -10.0, 10.0))


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


def _strengths(values: np.ndarray, treatments: Treatments) -> np.ndarray:
    """Length of each profile over the 95th percentile of the lengths of its controls; NaN with fewer than two of them."""
    lengths = np.linalg.norm(clip_profiles(values), axis=1)
    strengths = np.full(lengths.size, np.nan)
    for stratum in dict.fromkeys(treatments.strata):
        rows = np.flatnonzero(treatments.strata == stratum)
        controls = treatments.controls_of(rows)
        limit = float(np.percentile(lengths[controls], NULL_PERCENTILE)) if controls.size > 1 else 0.0
        if limit:
            strengths[rows] = lengths[rows] / limit
    return strengths


class _NullCorrelations:
    """Correlations of wells that share no treatment, drawn once per group size."""

    def __init__(
        self, correlation: np.ndarray, treatments: Treatments, random: np.random.Generator, size: int
    ) -> None:
        self._correlation = correlation
        self._by_treatment = list(treatments.groups().values())
        self._by_compound = _group_rows(treatments.compounds, np.flatnonzero(treatments.is_treated))
        self._random = random
        self._size = min(size, _NULL_DRAWS)
        self._limits: dict[int, float] = {}

    def limit(self, members: int) -> float | None:
        """95th percentile of the median pair correlation of ``members`` wells of different treatments.

        Where there are fewer treatments than members, as many wells as treatments are drawn: a wider null.
        """
        count = min(members, len(self._by_treatment))
        if count < 2:
            return None
        if count not in self._limits:
            pairs = np.triu_indices(count, k=1)
            medians = []
            for _ in range(self._size):
                rows = self._draw(self._by_treatment, count)
                medians.append(np.median(self._correlation[np.ix_(rows, rows)][pairs]))
            self._limits[count] = float(np.percentile(medians, NULL_PERCENTILE))
        return self._limits[count]

    def sample_pairs(self) -> tuple[float, ...]:
        """Pair correlations of wells of different compounds, for the picture."""
        if len(self._by_compound) < 2:
            return ()
        pairs = (self._draw(self._by_compound, 2) for _ in range(self._size))
        return tuple(float(self._correlation[a, b]) for a, b in pairs)

    def _draw(self, groups: list[np.ndarray], members: int) -> np.ndarray:
        # One well of each of several treatments, so that a treatment with many wells counts once.
        chosen = self._random.choice(len(groups), size=members, replace=False)
        return np.asarray([self._random.choice(groups[index]) for index in chosen])


def _group_rows(labels: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    return [rows[labels[rows] == label] for label in dict.fromkeys(labels[rows])]


def _correlate_rows(values: np.ndarray) -> np.ndarray:
    """Pearson correlation of all pairs of rows; a constant row correlates with nothing."""
    # Not np.corrcoef: it divides by zero for a constant row.
    rows = scale_rows(values - values.mean(axis=1, keepdims=True))
    return np.asarray(rows @ rows.T)


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None
