"""Rows of the tables about hits: one per treatment, one per interval of pair correlations, one per compound with doses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from bioimage_assets.core.hits.dose_curves import DoseCurve
from bioimage_assets.core.hits.measure import HitMeasures
from bioimage_assets.core.profiling.null_correlations import NULL_PERCENTILE
from bioimage_assets.core.profiling.replicates import ReplicateReport
from bioimage_assets.core.tables.schemas import DOSE_RESPONSES, PAIR_CORRELATIONS

REPLICATES, DIFFERENT = "replicates", "different compounds"
_INTERVALS = 40  # of correlations from -1 to 1
_CONTROL_BAND = (5.0, 50.0, 95.0)


def build_hit_rows(
    measured: HitMeasures, plates: np.ndarray, *, significance: float
) -> list[dict[str, object]]:
    """One row per treatment, the strongest first; ``plates`` are numbers of the plates of all wells."""
    report, compared, series = measured.report, measured.compared, measured.series
    ranks = _rank([row.strength for row in report.treatments])
    rows: list[dict[str, object]] = []
    for row, rank in zip(report.treatments, ranks, strict=True):
        members = compared.rows_of[row.treatment]
        found = measured.distances.get(row.treatment)
        dose = np.nan if series is None else series.doses[members[0]]
        rows.append(
            {
                "treatment": row.treatment,
                "compound": str(compared.treatments.compounds[members[0]]) or None,
                "dose": None if np.isnan(dose) else float(dose),
                "stratum": str(compared.treatments.strata[members[0]]) or None,
                "rank": rank,
                "replicate_count": row.replicate_count,
                "plate_count": int(np.unique(plates[members]).size),
                "strength": row.strength,
                "is_active": None if row.q_value is None else row.is_active,
                "mean_average_precision": row.mean_average_precision,
                "p_value": row.p_value,
                "q_value": row.q_value,
                "distance": None if found is None else found.distance,
                "distance_null_limit": None if found is None else found.null_limit,
                "distance_p_value": None if found is None else found.p_value,
                "distance_q_value": None if found is None else found.q_value,
                "is_distant": None if found is None else found.q_value < significance,
                "replicate_correlation": row.replicate_correlation,
                "null_limit": row.null_limit,
                "is_replicating": None if row.null_limit is None else row.is_replicating,
                "wells_compared": row.wells_compared,
                "controls_ranked": row.controls_ranked,
                "control_well_count": report.control_well_count,
                "control_correlation": report.control_correlation,
                "average_precision_by": measured.average_precision_by,
            }
        )
    order = sorted(range(len(rows)), key=lambda place: (ranks[place] is None, ranks[place] or 0))
    return [rows[place] for place in order]


def _rank(strengths: Sequence[float | None]) -> list[int | None]:
    """1 for the strongest; equal strengths in the order of the wells; None where there is no strength."""
    values = pd.Series([np.nan if value is None else value for value in strengths], dtype=np.float64)
    ranks = values.rank(method="first", ascending=False)
    return [None if pd.isna(rank) else int(rank) for rank in ranks]


def build_pair_table(report: ReplicateReport, dataset_id: str) -> pa.Table:
    """How often pairs of wells have which correlation: replicates, and wells of different compounds."""
    edges = np.linspace(-1, 1, _INTERVALS + 1)
    rows: list[dict[str, object]] = []
    for kind, pairs in ((REPLICATES, report.replicate_pairs), (DIFFERENT, report.null_pairs)):
        # Rounding leaves a correlation of one a little above it.
        values = np.clip([pair for pair in pairs if np.isfinite(pair)], -1.0, 1.0)
        if not values.size:
            continue
        counts, _ = np.histogram(values, edges)
        limit = float(np.percentile(values, NULL_PERCENTILE))
        rows += [
            {
                "dataset_id": dataset_id, "pairs": kind, "low": float(low), "high": float(high),
                "pair_count": int(count), "percentile_95": limit,
            }
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PAIR_CORRELATIONS)


def build_curve_table(
    curves: Iterable[DoseCurve], column: str, dataset_id: str, significance: float
) -> pa.Table:
    """One row per compound with doses."""
    rows = [
        {"dataset_id": dataset_id, "dose_column": column, **_describe_curve(curve, significance)}
        for curve in curves
    ]
    return pa.Table.from_pylist(rows, schema=DOSE_RESPONSES)


def _describe_curve(curve: DoseCurve, significance: float) -> dict[str, object]:
    order = np.argsort(curve.doses, kind="stable")
    responses = curve.responses[order] if curve.responses.size else np.full(order.size, np.nan)
    return {
        "compound": curve.compound,
        "dose_count": int(np.unique(curve.doses).size),
        "well_count": int(curve.doses.size),
        "control_well_count": int(curve.controls.size),
        "status": curve.status,
        "reason": curve.reason,
        "effect": curve.effect,
        "q_value": curve.q_value,
        "spearman_rho": curve.rho,
        "spearman_p_value": curve.rho_p_value,
        "is_monotone": (
            None
            if curve.rho is None or curve.rho_p_value is None
            else curve.rho > 0 and curve.rho_p_value < significance
        ),
        "doses": curve.doses[order].tolist(),
        "responses": [None if np.isnan(value) else float(value) for value in responses],
        **_describe_fit(curve),
        **_describe_controls(curve.controls),
    }


def _describe_fit(curve: DoseCurve) -> dict[str, object]:
    """The curve's parameters; those of a line that is flat mean nothing, an EC50 beyond the doses is no number."""
    fit = curve.fit
    if fit is None:
        return {}
    found: dict[str, object] = {"p_value": fit.p_value, "r_squared": fit.r_squared}
    if curve.is_called:
        found |= {"bottom": fit.bottom, "top": fit.top, "slope": fit.slope}
    if curve.status == "fitted":
        lowest, highest = curve.doses.min(), curve.doses.max()
        found["ec50"] = fit.ec50
        found["ec50_low"] = fit.ec50_low if fit.ec50_low is not None and fit.ec50_low >= lowest else None
        found["ec50_high"] = fit.ec50_high if fit.ec50_high is not None and fit.ec50_high <= highest else None
    return found


def _describe_controls(controls: np.ndarray) -> dict[str, object]:
    if not controls.size:
        return {}
    values = np.percentile(controls, _CONTROL_BAND)
    return dict(zip(("control_low", "control_median", "control_high"), map(float, values), strict=True))
