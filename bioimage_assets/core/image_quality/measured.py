"""Turns the image table of a plate into measures of its fields, where CellProfiler's MeasureImageQuality was run.

Names: https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/measurement.html#measureimagequality
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bioimage_assets.core.image_quality.fields import QualityField
from bioimage_assets.core.image_quality.measures import PlaneMeasures
from bioimage_assets.core.model.identity import normalize_site, normalize_well, subtract_site_offset

# CellProfiler's name of a measure, and the field of PlaneMeasures that holds it.
MEASURED_NAMES = {
    "PowerLogLogSlope": "power_log_log_slope",
    "FocusScore": "focus_score",
    "PercentMaximal": "percent_maximal",
    "PercentMinimal": "percent_minimal",
    "MeanIntensity": "mean_intensity",
    "MedianIntensity": "median_intensity",
    "StdIntensity": "std_intensity",
    "MADIntensity": "mad_intensity",
    "MinIntensity": "min_intensity",
    "MaxIntensity": "max_intensity",
    "TotalArea": "total_area_px",
}
_COLUMN = re.compile(rf"(?:Metadata_)?(?:Image_)?ImageQuality_({'|'.join(MEASURED_NAMES)})_(.+)")
# A mean alone tells nothing of the quality: CellProfiler has it from other modules, too.
_TELLING = ("power_log_log_slope", "focus_score", "percent_maximal")


@dataclass(frozen=True, slots=True)
class MeasuredPlane:
    """Measures of one field and channel, as they stand in the image table."""

    field: QualityField
    channel: str
    measures: PlaneMeasures


@dataclass(frozen=True, slots=True)
class MeasuredQuality:
    """Measured fields, and how many rows of the image table were left out because they fit several images or none."""

    planes: tuple[MeasuredPlane, ...]
    unlinked: int = 0


def find_measured_columns(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Columns by channel and measure; channels of which nothing tells the quality are left out."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        match = _COLUMN.fullmatch(name)
        if match is not None:
            found[match[2]].setdefault(MEASURED_NAMES[match[1]], name)
    return {channel: own for channel, own in found.items() if any(name in own for name in _TELLING)}


def read_measured_quality(
    measured_images: pa.Table | None, fields: Sequence[QualityField], *, profile_site_offset: int = 0
) -> MeasuredQuality:
    """Measures by field; a row belongs to the image of its well and site.

    Where the plate has no images at all, its rows are fields of their own. ``profile_site_offset`` is the site in the image
    table minus that of the image.
    """
    if measured_images is None:
        return MeasuredQuality(())
    columns = find_measured_columns(measured_images.column_names)
    names = measured_images.column_names
    if not columns or "Metadata_Well" not in names:
        return MeasuredQuality((), measured_images.num_rows if columns else 0)
    places = _list_places(measured_images, profile_site_offset if fields else 0)
    linked = _link(places, fields)
    values = {name: _numbers(measured_images[name]) for own in columns.values() for name in own.values()}
    planes = [
        MeasuredPlane(field, channel, _take(values, own, row))
        for row, field in enumerate(linked)
        if field is not None
        for channel, own in columns.items()
    ]
    return MeasuredQuality(tuple(planes), sum(field is None for field in linked))


def _list_places(table: pa.Table, offset: int) -> list[tuple[str | None, str | None]]:
    """Well and site of the image that each row was measured on."""
    wells = [normalize_well(_plain(value)) for value in table["Metadata_Well"].to_pylist()]
    given = (
        table["Metadata_Site"].to_pylist() if "Metadata_Site" in table.column_names else [None] * len(wells)
    )
    sites = [normalize_site(value) for value in given]
    return [
        (well, None if site is None else subtract_site_offset(site, offset))
        for well, site in zip(wells, sites, strict=True)
    ]


def _link(
    places: Sequence[tuple[str | None, str | None]], fields: Sequence[QualityField]
) -> list[QualityField | None]:
    """Field of each row; None where several images or rows are at one place, or none."""
    if not fields:
        return [
            None if well is None else QualityField(None, None, well, site, None, ()) for well, site in places
        ]
    by_place: dict[tuple[str | None, str | None], list[QualityField]] = defaultdict(list)
    of_well: dict[str | None, list[QualityField]] = defaultdict(list)
    for field in fields:
        by_place[field.well_id, normalize_site(field.site_id)].append(field)
        of_well[field.well_id].append(field)
    linked: list[QualityField | None] = []
    for well, site in places:
        found = by_place.get((well, site)) or (of_well.get(well, []) if site is None else [])
        linked.append(found[0] if well is not None and len(found) == 1 else None)
    counts = Counter(id(field) for field in linked)
    return [None if counts[id(field)] > 1 else field for field in linked]


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Values as float64; NaN where there is no number."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return np.full(len(column), np.nan)
    values: np.ndarray = column.cast(pa.float64()).to_numpy()
    return values


def _take(values: Mapping[str, np.ndarray], columns: Mapping[str, str], row: int) -> PlaneMeasures:
    return PlaneMeasures(**{measure: float(values[name][row]) for measure, name in columns.items()})


def _plain(value: object) -> str | None:
    return None if value is None else str(value)
