"""How alike the replicates of a dataset are, and which treatments differ from controls.

Percent replicating (https://github.com/jump-cellpainting/2021_Chandrasekaran_submitted) and mean average precision of
activity (``activity``). Replicates at one position of the plate are alike for that reason too, so that pairs at different
positions are compared wherever there are any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.activity import (
    NULL_SIZE,
    SIGNIFICANCE,
    Activity,
    Replicates,
    clip_profiles,
    measure_activity,
    scale_rows,
)
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.treatments import Treatments, build_treatments
from bioimage_assets.core.profiling.well_groups import find_well_groups
from bioimage_assets.core.settings.dataset import DatasetSettings

# Percent replicating counts treatments above the 95th percentile of the null (Way et al. 2022).
NULL_PERCENTILE = 95.0
_NULL_DRAWS = 2_000  # enough for a stable 95th percentile
_SEED = 20240401  # the same null in every run: a rebuilt table has the same numbers


@dataclass(frozen=True, slots=True)
class TreatmentReplicates:
    """One treatment: how alike its replicates are, and whether they differ from the controls.

    ``replicate_correlation`` is the median Pearson correlation of its well pairs, ``null_limit`` the 95th percentile of
    as many wells of different treatments. ``mean_average_precision`` ranks replicates against control wells by cosine;
    ``q_value`` is its permutation p value after Benjamini-Hochberg. ``strength`` is the median length of its profiles,
    1.0 being the length that 95 % of the control wells stay below. Active means significant and stronger than that: with
    many replicates a position effect alone is significant. None where a value cannot be computed.
    """

    treatment: str
    replicate_count: int
    replicate_correlation: float | None
    null_limit: float | None
    is_replicating: bool
    mean_average_precision: float | None
    p_value: float | None
    q_value: float | None
    strength: float | None
    is_active: bool


@dataclass(frozen=True, slots=True)
class ReplicateReport:
    """Replicability of all treatments of a dataset, and the correlation of its control wells among themselves."""

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

    Wells of different time points (``settings.profile_group_by``), and of plates normalised to controls and to themselves,
    are not replicates of each other; treatments are compared with the controls of their own group.
    Give it profiles with selected features. Treatments with a single well are listed with nulls.

    Raises
    ------
    ProfilingError
        When there are no wells or no features, or a profile holds nulls.
    """
    features = list_profile_features(wells.schema)
    frame = wells.to_pandas()
    values = frame[features].to_numpy(dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise ProfilingError("Replicate measures need well profiles without nulls; select features first.")
    treatments = build_treatments(frame, settings, find_well_groups(frame, settings).columns)
    positions = frame["well_id" if "well_id" in frame else "Metadata_Well"].to_numpy()
    groups = {label: Replicates(rows, positions) for label, rows in treatments.groups().items()}
    controls = Replicates(np.flatnonzero(treatments.is_control), positions)
    # One generator, used in a fixed order: equal wells give equal numbers.
    random = np.random.default_rng(_SEED)
    correlation = _correlate_rows(values)
    nulls = _NullCorrelations(correlation, treatments, random, null_size)
    own_controls = {label: treatments.controls_of(group.rows) for label, group in groups.items()}
    activity = measure_activity(values, groups, own_controls, random, null_size)
    strengths = _strengths(values, treatments)
    rows = [
        _describe(label, group, correlation, nulls, activity.get(label), strengths)
        for label, group in groups.items()
    ]
    return ReplicateReport(
        treatments=tuple(rows),
        percent_replicating=_percent([row.is_replicating for row in rows if row.null_limit is not None]),
        percent_active=_percent([row.is_active for row in rows if row.q_value is not None]),
        control_correlation=_median(controls.pair_values(correlation)),
        control_well_count=int(controls.rows.size),
        replicate_pairs=tuple(value for group in groups.values() for value in group.pair_values(correlation)),
        null_pairs=nulls.sample_pairs(),
        findings=_findings(groups, own_controls),
    )


def _describe(
    label: str,
    group: Replicates,
    correlation: np.ndarray,
    nulls: _NullCorrelations,
    activity: Activity | None,
    strengths: np.ndarray,
) -> TreatmentReplicates:
    alike = _median(group.pair_values(correlation))
    limit = nulls.limit(group.rows.size) if alike is not None else None
    median = float(np.median(strengths[group.rows]))
    strength = None if np.isnan(median) else median
    is_significant = activity is not None and activity.q_value < SIGNIFICANCE
    return TreatmentReplicates(
        treatment=label,
        replicate_count=int(group.rows.size),
        replicate_correlation=alike,
        null_limit=limit,
        is_replicating=alike is not None and limit is not None and alike > limit,
        mean_average_precision=activity.mean_average_precision if activity else None,
        p_value=activity.p_value if activity else None,
        q_value=activity.q_value if activity else None,
        strength=strength,
        # Significant alone is not enough: see the class.
        is_active=is_significant and strength is not None and strength > 1.0,
    )


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


def _percent(flags: list[bool]) -> float | None:
    return 100.0 * sum(flags) / len(flags) if flags else None


def _findings(groups: Mapping[str, Replicates], controls: Mapping[str, np.ndarray]) -> tuple[Finding, ...]:
    found = []
    single = [label for label, group in groups.items() if group.rows.size < 2]
    if single:
        have = count_words(len(single), "treatment has", "treatments have")
        message = f"{have} one well and cannot be judged: {', '.join(single[:4])}."
        found.append(Finding("treatment-without-replicate", "info", ", ".join(single[:4]), message))
    fixed = [label for label, group in groups.items() if group.rows.size > 1 and not group.is_spread]
    if fixed:
        message = (
            f"All replicates of {count_words(len(fixed), 'treatment')} lie at one position of the plate, so that effects of treatment "
            f"and position cannot be told apart: {', '.join(fixed[:4])}."
        )
        found.append(Finding("replicates-at-one-position", "info", ", ".join(fixed[:4]), message))
    unknown = [label for label in groups if controls[label].size < 2]
    if unknown:
        some = (
            ""
            if len(unknown) == len(groups)
            else f" of {count_words(len(unknown), 'treatment')} ({', '.join(unknown[:4])})"
        )
        message = f"Fewer than two control wells; activity{some} is unknown."
        found.append(Finding("activity-without-controls", "warning", "", message))
    return tuple(found)
