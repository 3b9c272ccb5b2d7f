"""How alike the replicates of a dataset are, and which treatments differ from controls.

Percent replicating (https://github.com/jump-cellpainting/2021_Chandrasekaran_submitted) and mean average precision of
activity (``activity``). Replicates at one position of the plate are alike for that reason too, so that pairs at different
positions are compared wherever there are any.

Everything is computed treatment by treatment: no table of all pairs of wells exists at any time. What would still grow with
the square of the wells is drawn by a fixed seed from a stated number on (``ReplicateRules``); below it nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.profiling.activity import (
    NULL_SIZE,
    Activity,
    Ranking,
    measure_activity,
    rank_strata,
)
from bioimage_assets.core.profiling.dataset_wells import WellData, as_stored, read_metadata, read_profiles
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.null_correlations import (
    MAX_NULL_WELLS,
    NULL_DRAWS,
    NULL_PERCENTILE,
    NullCorrelations,
)
from bioimage_assets.core.profiling.profile_rows import ProfileRows
from bioimage_assets.core.profiling.replicate_findings import describe_gaps, describe_sampling
from bioimage_assets.core.profiling.replicate_wells import (
    MAX_CONTROLS,
    MAX_WELLS,
    SEED,
    ControlWells,
    PairSample,
    Replicates,
    choose_wells,
    find_control_wells,
)
from bioimage_assets.core.profiling.treatments import Treatments, build_treatments
from bioimage_assets.core.profiling.well_groups import find_well_groups
from bioimage_assets.core.settings.dataset import DatasetSettings


@dataclass(frozen=True, slots=True)
class ReplicateRules:
    """How replicate measures were made: what was drawn, how often and from which numbers on.

    ``null_rankings`` random rankings are behind each p value, ``null_groups`` groups of wells of different treatments behind
    each ``null_limit`` (each of at most ``max_null_wells``). Of a treatment, and of all controls among themselves, at most
    ``max_wells`` wells are compared, and each treatment is ranked among at most ``max_controls`` controls of its stratum.
    """

    seed: int = SEED
    null_rankings: int = NULL_SIZE
    null_groups: int = NULL_DRAWS
    max_null_wells: int = MAX_NULL_WELLS
    max_wells: int = MAX_WELLS
    max_controls: int = MAX_CONTROLS


@dataclass(frozen=True, slots=True)
class Comparisons:
    """What is compared with what: the treatments of all wells, their rows, those of them that are compared, and the controls."""

    treatments: Treatments
    positions: np.ndarray
    rows_of: Mapping[str, np.ndarray]
    groups: Mapping[str, Replicates]
    controls: ControlWells


@dataclass(frozen=True, slots=True)
class TreatmentReplicates:
    """One treatment: how alike its replicates are, and whether they differ from the controls.

    ``replicate_correlation`` is the median Pearson correlation of its well pairs, ``null_limit`` the 95th percentile of
    as many wells of different treatments. ``mean_average_precision`` ranks replicates against control wells by cosine;
    ``q_value`` is its permutation p value after Benjamini-Hochberg. ``strength`` is the median length of its profiles,
    1.0 being the length that 95 % of the control wells stay below. Active means significant and stronger than that: with
    many replicates a position effect alone is significant. None where a value cannot be computed.
    ``wells_compared`` of its ``replicate_count`` wells were compared, and ranked among ``controls_ranked`` control wells.
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
    wells_compared: int = 0
    controls_ranked: int = 0


@dataclass(frozen=True, slots=True)
class ReplicateReport:
    """Replicability of all treatments of a dataset, and the correlation of its control wells among themselves.

    ``null_pair_limit`` is the correlation that 95 % of ``null_pairs`` stay below, where these were read from storage as the
    middles of intervals.
    """

    treatments: tuple[TreatmentReplicates, ...]
    percent_replicating: float | None
    percent_active: float | None
    control_correlation: float | None
    control_well_count: int
    replicate_pairs: tuple[float, ...]
    null_pairs: tuple[float, ...]
    findings: tuple[Finding, ...] = ()
    rules: ReplicateRules = ReplicateRules()
    null_pair_limit: float | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON and run metadata; the pair samples of the picture are left out."""
        return {name: value for name, value in asdict(self).items() if not name.endswith("_pairs")}


def measure_replicates(
    wells: WellData, settings: DatasetSettings, *, null_size: int = NULL_SIZE
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
    stored = as_stored(wells)
    values = read_profiles(stored, list_profile_features(stored.schema))
    return measure_profiles(read_metadata(stored), values, settings, null_size=null_size)


def find_comparisons(frame: pd.DataFrame, settings: DatasetSettings) -> Comparisons:
    """Find the wells of each treatment and its controls, from the metadata of all wells."""
    treatments = build_treatments(frame, settings, find_well_groups(frame, settings).columns)
    positions, _ = pd.factorize(
        frame["well_id" if "well_id" in frame else "Metadata_Well"], use_na_sentinel=False
    )
    rows_of = treatments.groups()
    groups = {label: choose_wells(rows, positions) for label, rows in rows_of.items()}
    return Comparisons(treatments, positions, rows_of, groups, find_control_wells(treatments, rows_of))


def measure_profiles(
    frame: pd.DataFrame,
    values: np.ndarray,
    settings: DatasetSettings,
    *,
    null_size: int = NULL_SIZE,
    rank: Ranking = rank_strata,
) -> ReplicateReport:
    """The same, of the metadata of wells and their profiles (one row per well, one column per feature).

    Memory beside the two is bounded by the controls that treatments are ranked among and a block of wells. ``rank`` gives
    the average precision of every well.
    """
    profiles = ProfileRows(values)
    if not profiles.are_finite():
        raise ProfilingError("Replicate measures need well profiles without nulls; select features first.")
    compared = find_comparisons(frame, settings)
    treatments, groups, controls = compared.treatments, compared.groups, compared.controls
    # One generator, used in a fixed order: equal wells give equal numbers.
    random = np.random.default_rng(SEED)
    activity = measure_activity(
        profiles, groups, controls.ranked, controls.stratum, random, null_size, rank=rank
    )
    nulls = NullCorrelations(profiles, treatments, random, null_size)
    strengths = _strengths(profiles, controls)
    pairs = PairSample(groups)
    rows = [
        _describe(
            label,
            group,
            pairs.take(group.pair_values(profiles)),
            nulls,
            activity.get(label),
            strengths[compared.rows_of[label]],
            controls.count_ranked(label),
            settings.hits_significance,
        )
        for label, group in groups.items()
    ]
    of_controls = choose_wells(np.flatnonzero(treatments.is_control), compared.positions)
    return ReplicateReport(
        treatments=tuple(rows),
        percent_replicating=_percent([row.is_replicating for row in rows if row.null_limit is not None]),
        percent_active=_percent([row.is_active for row in rows if row.q_value is not None]),
        control_correlation=_median(of_controls.pair_values(profiles)),
        control_well_count=of_controls.well_count,
        replicate_pairs=pairs.drawn(),
        null_pairs=nulls.sample_pairs(),
        findings=(*describe_gaps(groups, controls), *describe_sampling(groups, controls, of_controls)),
        rules=ReplicateRules(null_rankings=null_size, null_groups=nulls.draw_count),
    )


def _describe(
    label: str,
    group: Replicates,
    pairs: np.ndarray,
    nulls: NullCorrelations,
    activity: Activity | None,
    strengths: np.ndarray,
    controls_ranked: int,
    significance: float,
) -> TreatmentReplicates:
    alike = _median(pairs)
    limit = nulls.limit(group.rows.size) if alike is not None else None
    median = float(np.median(strengths))
    strength = None if np.isnan(median) else median
    is_significant = activity is not None and activity.q_value < significance
    return TreatmentReplicates(
        treatment=label,
        replicate_count=group.well_count,
        replicate_correlation=alike,
        null_limit=limit,
        is_replicating=alike is not None and limit is not None and alike > limit,
        mean_average_precision=activity.mean_average_precision if activity else None,
        p_value=activity.p_value if activity else None,
        q_value=activity.q_value if activity else None,
        strength=strength,
        # Significant alone is not enough: see the class.
        is_active=is_significant and strength is not None and strength > 1.0,
        wells_compared=int(group.rows.size),
        controls_ranked=controls_ranked if activity else 0,
    )


def _strengths(profiles: ProfileRows, controls: ControlWells) -> np.ndarray:
    """Length of each profile over the 95th percentile of the lengths of its controls; NaN with fewer than two of them."""
    lengths = profiles.lengths()
    limits = np.full(len(controls.rows), np.nan)
    for code, rows in controls.rows.items():
        if rows.size > 1:
            limits[code] = np.percentile(lengths[rows], NULL_PERCENTILE) or np.nan
    return np.asarray(lengths / limits[controls.stratum_of_rows])


def _median(values: np.ndarray) -> float | None:
    """Median of values that nobody needs in their order afterwards."""
    return float(np.median(values, overwrite_input=True)) if values.size else None


def _percent(flags: list[bool]) -> float | None:
    return 100.0 * sum(flags) / len(flags) if flags else None
