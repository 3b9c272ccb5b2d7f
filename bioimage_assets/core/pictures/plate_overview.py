"""The plate maps of one plate: layout, cells, QC failures and the features that differ most."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from bioimage_assets.core.phrases import join_words
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.plate_map import WellValues, build_layout, draw_plate_heatmaps
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.pictures.well_numbers import (
    clip_numbers,
    fail_fractions,
    find_strata,
    list_features,
    median_per_well,
    read_numbers,
    sum_per_well,
)
from bioimage_assets.core.profiling.features import with_profiles
from bioimage_assets.core.profiling.result_columns import OBJECT_COUNT

_FEATURE_PANELS = 3


def draw_plate_overview(tables: PlateTables) -> Drawing:
    """Draw layout, cell counts, QC failures and the liveliest features of a plate; not drawn without well profiles."""
    wells = tables.wells
    if wells is None or wells.num_rows == 0:
        return NotDrawn("Plate maps", "this plate has no well profiles")
    layout = build_layout(wells, tables.settings)
    controls = frozenset(well.well for well in layout if well.is_control)
    panels = [
        WellValues("Cells that passed QC", sum_per_well(wells, OBJECT_COUNT), "count", controls),
        WellValues("Cells failing QC (%)", fail_fractions(wells), "fraction", controls),
    ]
    features = choose_features(wells)
    panels += [
        WellValues(f"{feature} (SD)", median_per_well(wells, feature), "signed", controls)
        for feature in features
    ]
    return draw_plate_heatmaps(
        "plate_overview", tables.plate_key, _overview_caption(wells, bool(controls), features), panels,
        geometry=tables.geometry, layout=layout,
    )  # fmt: skip


def _overview_caption(wells: pa.Table, has_controls: bool, features: list[str]) -> str:
    parts = []
    if has_controls:
        parts.append("Framed wells are negative controls; paler colours of the layout are lower doses.")
    if features:
        parts.append(
            "Features, the ones that differ most between wells, are in deviations of the reference cells."
        )
    if strata := find_strata(wells):
        names = join_words(strata)
        parts.append(f"Wells have several profiles ({names}): cells are added up, features are the median.")
    return " ".join(parts)


def choose_features(wells: pa.Table, count: int = _FEATURE_PANELS) -> list[str]:
    """Choose features that differ most between wells and are not the same thing twice (|r| below 0.8)."""
    wells = with_profiles(wells)
    if wells.num_rows < 2:
        return []
    columns = {name: read_numbers(wells[name]) for name in list_features(wells)}
    names = [name for name, column in columns.items() if np.isfinite(column).all()]
    if not names:
        return []
    values = clip_numbers(np.column_stack([columns[name] for name in names]))
    low, high = np.percentile(values, [5, 95], axis=0)
    chosen: list[int] = []
    for index in np.argsort(low - high, kind="stable"):
        if high[index] <= low[index] or len(chosen) == count:
            break
        if all(abs(_correlation(values[:, index], values[:, other])) < 0.8 for other in chosen):
            chosen.append(int(index))
    return [names[index] for index in chosen]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    a, b = _centered(first), _centered(second)
    lengths = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / lengths if lengths else 0.0


def _centered(values: np.ndarray) -> np.ndarray:
    """Values around their mean in units of the largest distance from it, whose squares are numbers of any size."""
    distances = values - values.mean()
    reach = float(np.abs(distances).max())
    return np.asarray(distances / reach) if reach else distances
