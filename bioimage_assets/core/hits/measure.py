"""Everything about the treatments of a dataset or campaign from the profiles of its wells: activity, distances, dose-response curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.hits.control_space import MIN_CONTROLS, project_profiles
from bioimage_assets.core.hits.copairs_ranking import ARGUMENTS, BUILT_IN, CALL, choose_ranking
from bioimage_assets.core.hits.distances import Distance, measure_distances
from bioimage_assets.core.hits.dose_curves import DoseCurve, fit_curves
from bioimage_assets.core.hits.doses import DoseSeries, find_dose_series
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.library_calls import LibraryCall
from bioimage_assets.core.profiling.profile_rows import ProfileRows
from bioimage_assets.core.profiling.replicate_wells import SEED
from bioimage_assets.core.profiling.replicates import (
    Comparisons,
    ReplicateReport,
    find_comparisons,
    measure_profiles,
)
from bioimage_assets.core.settings.dataset import DatasetSettings


@dataclass(frozen=True, slots=True)
class HitMeasures:
    """What was measured of all treatments; ``curves`` are None where no treatment column holds doses."""

    report: ReplicateReport
    compared: Comparisons
    distances: Mapping[str, Distance]
    series: DoseSeries | None
    curves: list[DoseCurve] | None
    component_count: int
    average_precision_by: str
    findings: tuple[Finding, ...]
    calls: tuple[LibraryCall, ...]


def measure_hits(
    frame: pd.DataFrame, values: np.ndarray, settings: DatasetSettings, *, with_curves: bool = True
) -> HitMeasures:
    """Measure the treatments of some wells: ``frame`` has their metadata, ``values`` their profiles, one row per well.

    Raises
    ------
    ProfilingError
        When there are no wells or no features, or a profile holds nulls.
    MissingExtraError
        When the settings ask for a library that is not installed.
    """
    compared = find_comparisons(frame, settings)
    most_controls = max((rows.size for rows in compared.controls.ranked.values()), default=0)
    rank, ranked_by = choose_ranking(settings.hits_average_precision, most_controls)
    report = measure_profiles(frame, values, settings, null_size=settings.hits_null_size, rank=rank)
    scores = project_profiles(ProfileRows(values), settings.hits_explained_variance)
    # A generator of its own: the null of activity stays what it is.
    random = np.random.default_rng(SEED)
    distances = measure_distances(
        scores, compared.rows_of, compared.controls, settings.hits_null_size, random
    )
    series = find_dose_series(frame, settings)
    curves = None
    if with_curves and series is not None:
        controls = compared.controls
        curves = fit_curves(scores, series, controls.stratum_of_rows, controls.rows, settings)
    return HitMeasures(
        report,
        compared,
        distances,
        series,
        curves,
        scores.shape[1],
        ranked_by,
        (*report.findings, *_describe_unmeasured(compared, distances)),
        tuple(_list_calls(ranked_by, curves)),
    )


def _describe_unmeasured(compared: Comparisons, distances: Mapping[str, Distance]) -> tuple[Finding, ...]:
    missing = [label for label in compared.rows_of if label not in distances]
    if not missing:
        return ()
    have = count_words(len(missing), "treatment has", "treatments have")
    message = (
        f"{have} no distance from controls, because the group has fewer than {MIN_CONTROLS} control wells that differ: "
        f"{', '.join(missing[:4])}. Name the control wells in the platemap ([controls] column and values in dataset.toml)."
    )
    return (Finding("distance-without-controls", "warning", ", ".join(missing[:4]), message),)


def _list_calls(ranked_by: str, curves: list[DoseCurve] | None) -> list[LibraryCall]:
    calls = []
    if ranked_by != BUILT_IN:
        notes = {"rows": "wells of each treatment and control wells of its group, some treatments at a time"}
        calls.append(LibraryCall(CALL, dict(ARGUMENTS), notes))
    if curves is not None:
        notes = {
            "rows": "control wells at dose 0 and wells of each compound; start and bounds as docs/hits.md says"
        }
        calls.append(LibraryCall("scipy.optimize.curve_fit", {"f": "hill_curve"}, notes))
    return calls
