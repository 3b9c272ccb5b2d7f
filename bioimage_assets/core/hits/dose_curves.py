"""One dose-response curve per compound: what was fitted, how sure it is, and why there is none where there is none.

A compound has a curve where it is better than a flat line and rises out of the controls' noise, at a tested dose and in the
curve itself: the three conditions of tcplfit2 (https://github.com/USEPA/CompTox-ToxCast-tcplFit2, ``hitlogic``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import spearmanr

from bioimage_assets.core.hits.doses import DoseSeries
from bioimage_assets.core.hits.hill import HillFit, fit_hill
from bioimage_assets.core.hits.responses import ResponseSpaces, build_response_spaces
from bioimage_assets.core.profiling.activity import adjust_p_values
from bioimage_assets.core.profiling.replicate_wells import SEED, draw_rows
from bioimage_assets.core.settings.dataset import DatasetSettings

CurveStatus = Literal["fitted", "beyond the doses", "flat", "not fitted"]
ROBUST_DEVIATION = 1.4826  # makes the median absolute deviation that of a normal distribution
# Of a compound with more wells, or a stratum with more controls, as many are drawn: a curve does not change any more.
MAX_POINTS = 1_000


@dataclass(frozen=True, slots=True)
class DoseCurve:
    """What is known of one compound; ``fit`` is there for curves that rise, ``reason`` says why there is no EC50.

    ``effect`` is the rise of the curve and ``highest_median`` the median response of the strongest dose above the median
    control, both in robust deviations of the controls' responses. ``rho`` is Spearman's correlation of dose and response.
    """

    compound: str
    doses: np.ndarray
    responses: np.ndarray
    controls: np.ndarray
    status: CurveStatus
    reason: str | None
    fit: HillFit | None = None
    q_value: float | None = None
    effect: float | None = None
    highest_median: float | None = None
    rho: float | None = None
    rho_p_value: float | None = None

    @property
    def is_called(self) -> bool:
        """Whether the compound has a curve, with an EC50 within its doses or beyond them."""
        return self.status in ("fitted", "beyond the doses")


def fit_curves(
    scores: np.ndarray,
    series: DoseSeries,
    strata: np.ndarray,
    controls: Mapping[int, np.ndarray],
    settings: DatasetSettings,
) -> list[DoseCurve]:
    """Fit the curve of every compound; ``strata`` and ``controls`` are those of the wells, ``scores`` wells on the components."""
    random = np.random.default_rng(SEED)
    spaces: dict[int, ResponseSpaces | None] = {}
    curves = []
    for compound, all_rows in series.rows_of.items():
        rows = draw_rows(all_rows, MAX_POINTS)
        stratum = int(strata[rows[0]])
        if stratum not in spaces:
            chosen = (
                draw_rows(controls[stratum], MAX_POINTS) if stratum in controls else np.empty(0, np.int64)
            )
            spaces[stratum] = build_response_spaces(scores[chosen], random)
        curves.append(_measure(compound, scores[rows], series.doses[rows], spaces[stratum], settings))
    return _judge(curves, settings)


def _measure(
    compound: str,
    scores: np.ndarray,
    doses: np.ndarray,
    spaces: ResponseSpaces | None,
    settings: DatasetSettings,
) -> DoseCurve:
    nothing = np.empty(0)
    if spaces is None:
        reason = "too few control wells that differ: responses are measured against them"
        return DoseCurve(compound, doses, nothing, nothing, "not fitted", reason)
    responses, controls = spaces.score(scores, doses)
    known = np.isfinite(responses)
    doses, responses = doses[known], responses[known]
    if not np.isfinite(controls).all() or not doses.size:
        return DoseCurve(compound, doses, nothing, nothing, "not fitted", "no well gives a direction")
    rho, rho_p_value = _correlate(doses, responses)
    levels = np.unique(doses)
    if len(levels) < settings.hits_min_doses:
        reason = f"{len(levels)} of at least {settings.hits_min_doses} doses ([hits] min_doses)"
        return DoseCurve(
            compound, doses, responses, controls, "not fitted", reason, rho=rho, rho_p_value=rho_p_value
        )
    fit = fit_hill(
        np.concatenate([np.zeros(controls.size), doses]),
        np.concatenate([controls, responses]),
        1 - settings.hits_significance,
    )
    if fit is None:
        reason = "the fit did not converge"
        return DoseCurve(
            compound, doses, responses, controls, "not fitted", reason, rho=rho, rho_p_value=rho_p_value
        )
    middle = float(np.median(controls))
    # Controls without any spread: whatever rises, rises out of their noise.
    noise = ROBUST_DEVIATION * float(np.median(np.abs(controls - middle))) or float(np.finfo(np.float64).tiny)
    highest = max(float(np.median(responses[doses == level])) for level in levels)
    return DoseCurve(
        compound, doses, responses, controls, "flat", None, fit,
        effect=(fit.top - fit.bottom) / noise, highest_median=(highest - middle) / noise, rho=rho, rho_p_value=rho_p_value,
    )  # fmt: skip


def _correlate(doses: np.ndarray, responses: np.ndarray) -> tuple[float | None, float | None]:
    """Spearman's correlation, None where all doses or all responses are equal."""
    if doses.size < 3 or np.ptp(doses) == 0 or np.ptp(responses) == 0:
        return None, None
    found = spearmanr(doses, responses)
    return float(found.statistic), float(found.pvalue)


def _judge(curves: list[DoseCurve], settings: DatasetSettings) -> list[DoseCurve]:
    """Say which curves rise, and whether their EC50 is within the doses; multiple testing is that of all fitted curves."""
    fits = [curve for curve in curves if curve.fit is not None]
    adjusted = iter(adjust_p_values([curve.fit.p_value for curve in fits if curve.fit is not None]))
    return [
        curve if curve.fit is None else _judge_one(curve, curve.fit, next(adjusted), settings)
        for curve in curves
    ]


def _judge_one(curve: DoseCurve, fit: HillFit, q_value: float, settings: DatasetSettings) -> DoseCurve:
    limit = settings.hits_min_effect
    status: CurveStatus = "flat"
    reason: str | None = None
    if not q_value < settings.hits_significance:
        reason = f"no better than a flat line (q {q_value:.2g})"
    elif (least := min(curve.effect or 0.0, curve.highest_median or 0.0)) < limit:
        reason = f"rises by {least:.1f} deviations of controls, of at least {limit:g} ([hits] min_effect)"
    elif fit.ec50 > curve.doses.max():
        reason, status = f"EC50 above the highest dose ({curve.doses.max():g})", "beyond the doses"
    elif fit.ec50 < curve.doses.min():
        reason, status = f"EC50 below the lowest dose ({curve.doses.min():g})", "beyond the doses"
    else:
        status = "fitted"
    return replace(curve, q_value=q_value, reason=reason, status=status)
