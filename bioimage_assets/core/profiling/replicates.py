"""Well profiles of a dataset become measures of how alike replicates are and which treatments differ from controls.

Percent replicating (https://github.com/jump-cellpainting/2021_Chandrasekaran_submitted) and mean average precision of
activity (https://doi.org/10.1101/2024.04.01.587631, as copairs computes it); nulls are drawn from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.profiling.features import select_feature_columns
from bioimage_assets.core.profiling.treatments import Treatments, build_treatments
from bioimage_assets.core.settings.dataset import DatasetSettings

NULL_SIZE = 10_000
NULL_PERCENTILE = 95.0
SIGNIFICANCE = 0.05
_SEED = 20240401


@dataclass(frozen=True, slots=True)
class TreatmentReplicates:
    """One treatment: how alike its replicates are, and how well they are told from controls.

    ``replicate_correlation`` is the median Pearson correlation of its well pairs, ``null_limit`` the 95th percentile of
    as many wells of different treatments. ``mean_average_precision`` ranks replicates against control wells by cosine;
    ``q_value`` is its permutation p value after Benjamini-Hochberg. ``distance`` is the median length of its profiles
    over that of the controls. None where it cannot be computed.
    """

    treatment: str
    replicate_count: int
    replicate_correlation: float | None
    null_limit: float | None
    is_replicating: bool
    mean_average_precision: float | None
    p_value: float | None
    q_value: float | None
    is_active: bool
    distance: float | None


@dataclass(frozen=True, slots=True)
class ReplicateReport:
    """Replicability of all treatments of a dataset; controls are judged as one group, as ``control``."""

    treatments: tuple[TreatmentReplicates, ...]
    percent_replicating: float | None
    percent_active: float | None
    control_correlation: float | None
    control_well_count: int
    replicate_pairs: tuple[float, ...]
    null_pairs: tuple[float, ...]
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON and run metadata; the pair samples of the picture are left out."""
        return {name: value for name, value in asdict(self).items() if not name.endswith("_pairs")}


def measure_replicates(
    wells: pa.Table, settings: DatasetSettings, *, null_size: int = NULL_SIZE
) -> ReplicateReport:
    """Measure replicate correlation and activity of each treatment over all plates of a dataset.

    Give it selected (and best sphered) profiles. Treatments with a single well are listed with nulls.

    Raises
    ------
    ProfilingError
        When there are no wells or no features, or a profile holds nulls.
    """
    features = list(select_feature_columns(wells.schema).profiled)
    frame = wells.to_pandas()
    values = frame[features].to_numpy(dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise ProfilingError("Replicate measures need well profiles without nulls; select features first.")
    treatments = build_treatments(frame, settings)
    groups = treatments.groups()
    controls = np.flatnonzero(treatments.is_control)
    random = np.random.default_rng(_SEED)
    correlation = _row_products(_standard_rows(values))
    nulls = _NullCorrelations(correlation, treatments, random, null_size)
    activity = _measure_activity(values, groups, controls, random, null_size)
    lengths = np.linalg.norm(values, axis=1)
    control_length = float(np.median(lengths[controls])) if controls.size else None
    rows = []
    for label, members in groups.items():
        alike = _median_pair(correlation, members)
        limit = nulls.limit(members.size)
        precision, p_value, q_value = activity.get(label, (None, None, None))
        distance = float(np.median(lengths[members])) / control_length if control_length else None
        rows.append(
            TreatmentReplicates(
                label, int(members.size), alike, limit, alike is not None and limit is not None and alike > limit,
                precision, p_value, q_value, q_value is not None and q_value < SIGNIFICANCE, distance,
            )
        )  # fmt: skip
    return ReplicateReport(
        treatments=tuple(rows),
        percent_replicating=_percent([row.is_replicating for row in rows if row.null_limit is not None]),
        percent_active=_percent([row.is_active for row in rows if row.q_value is not None]),
        control_correlation=_median_pair(correlation, controls),
        control_well_count=int(controls.size),
        replicate_pairs=tuple(value for members in groups.values() for value in _pairs(correlation, members)),
        null_pairs=nulls.sample_pairs(),
        findings=_findings(groups, controls),
    )


class _NullCorrelations:
    """Correlations of wells that share no treatment, drawn once per group size."""

    def __init__(
        self, correlation: np.ndarray, treatments: Treatments, random: np.random.Generator, size: int
    ) -> None:
        self._correlation = correlation
        self._by_treatment = list(treatments.groups().values())
        self._by_compound = _group_rows(treatments.compounds, np.flatnonzero(treatments.is_treated))
        self._random = random
        self._size = min(size, 2_000)
        self._limits: dict[int, float | None] = {}

    def limit(self, members: int) -> float | None:
        """95th percentile of the median pair correlation of ``members`` wells of different treatments.

        Where there are fewer treatments than members, as many wells as treatments are drawn: a wider null.
        """
        count = min(members, len(self._by_treatment))
        if count < 2:
            return None
        if count not in self._limits:
            draws = (self._draw(self._by_treatment, count) for _ in range(self._size))
            medians = [_median_pair(self._correlation, rows) for rows in draws]
            self._limits[count] = float(np.percentile([m for m in medians if m is not None], NULL_PERCENTILE))
        return self._limits[count]

    def sample_pairs(self) -> tuple[float, ...]:
        """Pair correlations of wells of different compounds, for the picture."""
        if len(self._by_compound) < 2:
            return ()
        pairs = (self._draw(self._by_compound, 2) for _ in range(self._size))
        return tuple(float(self._correlation[a, b]) for a, b in pairs)

    def _draw(self, groups: list[np.ndarray], members: int) -> np.ndarray:
        chosen = self._random.choice(len(groups), size=members, replace=False)
        return np.asarray([self._random.choice(groups[index]) for index in chosen])


def _group_rows(labels: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    return [rows[labels[rows] == label] for label in dict.fromkeys(labels[rows])]


def _measure_activity(
    values: np.ndarray,
    groups: Mapping[str, np.ndarray],
    controls: np.ndarray,
    random: np.random.Generator,
    size: int,
) -> dict[str, tuple[float, float, float]]:
    """Mean average precision, p and q value per treatment with at least two wells."""
    if controls.size < 2:
        return {}
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    cosine = _row_products(values / np.where(lengths == 0, 1.0, lengths))
    nulls: dict[int, np.ndarray] = {}
    found: dict[str, tuple[float, float]] = {}
    for label, members in groups.items():
        if members.size < 2:
            continue
        precision = float(
            np.mean([_average_precision(cosine[row], members[members != row], controls) for row in members])
        )
        positives = int(members.size) - 1
        if positives not in nulls:
            nulls[positives] = _null_precision(positives, int(controls.size), random, size)
        null = random.choice(nulls[positives], size=(size, members.size)).mean(axis=1)
        found[label] = (precision, float(((null >= precision).sum() + 1) / (size + 1)))
    adjusted = _benjamini_hochberg([p for _, p in found.values()])
    return {label: (*found[label], q) for label, q in zip(found, adjusted, strict=True)}


def _average_precision(similarity: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> float:
    ranked = np.concatenate([similarity[positives], similarity[negatives]])
    relevant = np.concatenate([np.ones(positives.size, bool), np.zeros(negatives.size, bool)])
    return _precision_of_order(relevant[np.argsort(-ranked, kind="stable")][None, :])[0]


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
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1.0)
    return [float(value) for value in adjusted]


def _standard_rows(values: np.ndarray) -> np.ndarray:
    centered = values - values.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centered, axis=1, keepdims=True)
    return np.asarray(centered / np.where(lengths == 0, 1.0, lengths))


def _row_products(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows @ rows.T)


def _pairs(matrix: np.ndarray, members: np.ndarray) -> list[float]:
    block = matrix[np.ix_(members, members)]
    return [float(value) for value in block[np.triu_indices(members.size, k=1)]]


def _median_pair(matrix: np.ndarray, members: np.ndarray) -> float | None:
    pairs = _pairs(matrix, members)
    return float(np.median(pairs)) if pairs else None


def _percent(flags: list[bool]) -> float | None:
    return 100.0 * sum(flags) / len(flags) if flags else None


def _findings(groups: Mapping[str, np.ndarray], controls: np.ndarray) -> tuple[Finding, ...]:
    findings = []
    single = [label for label, members in groups.items() if members.size < 2]
    if single:
        message = f"{len(single)} treatments have one well and cannot be judged: {', '.join(single[:4])}."
        findings.append(Finding("treatment-without-replicate", "info", ", ".join(single[:4]), message))
    if groups and controls.size < 2:
        findings.append(
            Finding(
                "activity-without-controls",
                "warning",
                "",
                "Fewer than two control wells; activity is unknown.",
            )
        )
    return tuple(findings)
