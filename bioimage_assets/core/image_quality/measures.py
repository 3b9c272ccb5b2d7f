"""Turns one plane of a field into all of its measures of quality."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from bioimage_assets.core.image_quality import formulas, structure


@dataclass(frozen=True, slots=True)
class PlaneMeasures:
    """Measures of one field and channel; NaN where one was not measured. Intensities are on CellProfiler's scale of 0 to 1.

    The first eleven are CellProfiler's (:mod:`.formulas`), the others the project's own (:mod:`.structure`). ``snr`` is
    the 99.9th percentile less the background, in deviations of the noise. ``percent_at_type_maximum`` is NaN for pixels
    that are no whole numbers: their type has no end.
    """

    power_log_log_slope: float = math.nan
    focus_score: float = math.nan
    percent_maximal: float = math.nan
    percent_minimal: float = math.nan
    mean_intensity: float = math.nan
    median_intensity: float = math.nan
    std_intensity: float = math.nan
    mad_intensity: float = math.nan
    min_intensity: float = math.nan
    max_intensity: float = math.nan
    total_area_px: float = math.nan
    percent_at_type_maximum: float = math.nan
    laplacian_variance: float = math.nan
    detail_ratio: float = math.nan
    contrast: float = math.nan
    background: float = math.nan
    noise: float = math.nan
    snr: float = math.nan
    illumination_ratio: float = math.nan
    illumination_slope_share: float = math.nan
    bright_place: float = math.nan
    bright_percent: float = math.nan
    bright_ratio: float = math.nan


MEASURES = tuple(field.name for field in fields(PlaneMeasures))


def measure_plane(pixels: npt.NDArray[np.generic]) -> PlaneMeasures:
    """Measure a plane of (y, x) pixels of any type; all NaN where no pixel is a number.

    Pixels that are no numbers count as the mean of the others, as CellProfiler fills what is masked.
    """
    plane = _fill(formulas.scale_plane(pixels))
    if plane.size == 0 or np.isnan(plane).any():
        return PlaneMeasures()
    low, median, high = np.percentile(
        plane, [structure.BACKGROUND_PERCENTILE, 50.0, structure.BRIGHT_PERCENTILE]
    )
    noise = structure.measure_noise(plane)
    place = structure.find_bright_place(plane, float(low))
    detail, contrast = structure.measure_detail(plane, noise, place.mask)
    illumination, slope_share = structure.measure_illumination(plane)
    maximal = formulas.measure_percent_maximal(plane)
    return PlaneMeasures(
        power_log_log_slope=formulas.measure_power_slope(plane),
        focus_score=formulas.measure_focus_score(plane),
        percent_maximal=maximal,
        percent_minimal=formulas.measure_percent_minimal(plane),
        mean_intensity=float(plane.mean()),
        median_intensity=float(median),
        std_intensity=float(plane.std()),
        mad_intensity=formulas.measure_mad(plane, float(median)),
        min_intensity=float(plane.min()),
        max_intensity=float(plane.max()),
        total_area_px=float(plane.size),
        percent_at_type_maximum=_at_type_maximum(pixels, plane, maximal),
        laplacian_variance=structure.measure_laplacian_variance(plane),
        detail_ratio=detail,
        contrast=contrast,
        background=float(low),
        noise=noise,
        snr=float(high - low) / noise if noise > 0 else math.nan,
        illumination_ratio=illumination,
        illumination_slope_share=slope_share,
        bright_place=place.height,
        bright_percent=place.percent,
        bright_ratio=place.ratio,
    )


def _fill(plane: formulas.Plane) -> formulas.Plane:
    known = np.isfinite(plane)
    if known.all() or not known.any():
        return plane if known.any() else np.full_like(plane, np.nan)
    return np.where(known, plane, plane[known].mean())


def _at_type_maximum(pixels: npt.NDArray[np.generic], plane: formulas.Plane, maximal: float) -> float:
    if not np.issubdtype(pixels.dtype, np.integer):
        return math.nan
    return maximal if plane.max() >= 1.0 else 0.0
