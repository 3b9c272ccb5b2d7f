"""Tests of many features at once between the wells of a treatment and control wells, by scipy; missing values are left out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu, ttest_ind_from_stats

from bioimage_assets.core.settings.dataset import FeatureTest

MEASURES = ("well_count", "control_well_count", "mean_difference", "effect_size", "statistic", "p_value")


@dataclass(frozen=True, slots=True)
class Moments:
    """Number, mean and standard deviation of each column; NaN for the deviation of less than two values."""

    values: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


def build_moments(values: np.ndarray) -> Moments:
    """Of some wells, one row per well and one column per feature."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    filled = np.where(known, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / count
        squares = (np.where(known, values - mean, 0.0) ** 2).sum(axis=0)
        deviation = np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan)
    return Moments(values, count, mean, deviation)


def compare_features(treated: Moments, controls: Moments, test: FeatureTest) -> np.ndarray:
    """One row per measure (``MEASURES``), one column per feature; NaN where there is no such number.

    The effect size is Hedges' g: the difference of the means in pooled standard deviations, corrected for few wells.
    """
    difference = treated.mean - controls.mean
    freedom = treated.count + controls.count - 2
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = (treated.count - 1) * treated.deviation**2 + (controls.count - 1) * controls.deviation**2
        pooled = np.sqrt(squares / freedom)
        effect = np.where(pooled > 0, difference / pooled, np.nan) * (1 - 3 / (4 * freedom - 1))
    if test == "mann_whitney":
        statistic, p_values = _mann_whitney(treated, controls)
    else:
        statistic, p_values = _compare_means(treated, controls, is_equal=test == "student")
    return np.stack([treated.count, controls.count, difference, effect, statistic, p_values])


def _compare_means(treated: Moments, controls: Moments, *, is_equal: bool) -> tuple[np.ndarray, np.ndarray]:
    """Student's t test where variances are taken as equal, else Welch's; no p value where either group has less than two wells."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        found = ttest_ind_from_stats(
            treated.mean, treated.deviation, treated.count,
            controls.mean, controls.deviation, controls.count,
            equal_var=is_equal,
        )  # fmt: skip
    # A feature that is the same in all wells is no evidence, though its t is infinite where the groups differ.
    varies = (treated.deviation > 0) | (controls.deviation > 0)
    is_told = varies & (treated.count > 1) & (controls.count > 1)
    return np.where(is_told, found.statistic, np.nan), np.where(is_told, found.pvalue, np.nan)


def _mann_whitney(treated: Moments, controls: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Columns without ties and gaps in one call, the others one by one: scipy chooses exact or normal p values per call."""
    enough = (treated.count > 1) & (controls.count > 1)
    pooled = np.sort(np.concatenate([treated.values, controls.values]), axis=0)
    is_plain = enough & np.isfinite(pooled).all(axis=0) & (np.diff(pooled, axis=0) > 0).all(axis=0)
    statistic, p_values = np.full(enough.shape, np.nan), np.full(enough.shape, np.nan)
    together = [np.flatnonzero(is_plain)] if is_plain.any() else []
    for columns in [*together, *np.flatnonzero(enough & ~is_plain)[:, None]]:
        found = mannwhitneyu(
            treated.values[:, columns], controls.values[:, columns], axis=0, nan_policy="omit"
        )
        statistic[columns], p_values[columns] = found.statistic, found.pvalue
    return statistic, p_values
