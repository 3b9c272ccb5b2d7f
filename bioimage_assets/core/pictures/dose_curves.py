"""The picture and the table of dose-response curves: wells, the fitted curve, its EC50 with the interval, and the band of controls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from bioimage_assets.core.hits.hill import hill_curve
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.page_parts import ReportTable
from bioimage_assets.core.pictures.style import (
    ACCENT,
    ALARM,
    CONTROL,
    GRID,
    MUTED,
    build_label,
    finish,
    new_figure,
    style,
)

_MAX_PANELS = 12
_COLUMNS = 4
_CURVE_POINTS = 200
_DRAWABLE = 1e12  # larger responses are no deviations, and no axis holds them
_ORDER = ("fitted", "beyond the doses", "flat", "not fitted")
_UNITS = (("_um", "µM"), ("_nm", "nM"), ("_mm", "mM"))


def sort_curves(curves: pa.Table) -> list[Mapping[str, object]]:
    """Compounds with a curve first, those that rise most before the others."""
    return sorted(
        curves.to_pylist(), key=lambda row: (_place(row["status"]), -(_number(row["effect"]) or 0.0))
    )


def draw_dose_curves(curves: pa.Table, title: str) -> Drawing:
    """Draw the first twelve compounds, one panel each on one scale; not drawn where no well has a response."""
    rows = [row for row in sort_curves(curves) if _points(row)[0].size]
    if not rows:
        return NotDrawn(title, "no compound has wells with a dose and a response")
    shown = rows[:_MAX_PANELS]
    columns = min(_COLUMNS, len(shown))
    height = math.ceil(len(shown) / columns)
    with style():
        figure = new_figure(2.6 * columns + 0.8, 2.3 * height + 0.7)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        panels = figure.subplots(height, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axis, row in zip(panels, shown, strict=False):
            _draw_panel(axis, row)
        for axis in panels[len(shown) :]:
            axis.set_visible(False)
        figure.supxlabel(build_label(name_dose(str(shown[0]["dose_column"]))), fontsize=9)
        figure.supylabel("response (deviations of control wells)", fontsize=9)
        return finish(figure, "dose_response", title, _caption(len(shown), len(rows)))


def _draw_panel(axis: Axes, row: Mapping[str, object]) -> None:
    doses, responses = _points(row)
    low, high = _number(row["control_low"]), _number(row["control_high"])
    if low is not None and high is not None:
        axis.axhspan(low, high, color=CONTROL, alpha=0.18, linewidth=0)
    axis.set_xscale("log")
    has_curve = row["status"] == "fitted"
    colour = ACCENT if has_curve else MUTED
    if has_curve:
        _draw_curve(axis, row, doses)
    else:
        levels = np.unique(doses)
        axis.plot(
            levels, [np.median(responses[doses == level]) for level in levels], color=MUTED, linewidth=1.0,
            linestyle="--",
        )  # fmt: skip
    axis.scatter(doses, responses, s=14, color=colour, edgecolor="white", linewidth=0.4, zorder=3)
    axis.set_title(_panel_title(row), fontsize=8)
    axis.grid(color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.minorticks_off()
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # the default writes formulas


def _draw_curve(axis: Axes, row: Mapping[str, object], doses: np.ndarray) -> None:
    bottom, top, ec50, slope = (_number(row[name]) for name in ("bottom", "top", "ec50", "slope"))
    if bottom is None or top is None or ec50 is None or slope is None or ec50 <= 0:
        return
    lowest, highest = float(doses.min()), float(doses.max())
    # An end that the doses do not bound is drawn to the edge of the doses.
    low, high = _number(row["ec50_low"]) or lowest, _number(row["ec50_high"]) or highest
    axis.axvspan(low, high, color=ALARM, alpha=0.12, linewidth=0)
    axis.axvline(ec50, color=ALARM, linewidth=1.2)
    places = np.geomspace(lowest, highest, _CURVE_POINTS)
    axis.plot(
        places, hill_curve(places, bottom, top - bottom, math.log10(ec50), slope), color=ACCENT, linewidth=1.6
    )


def _panel_title(row: Mapping[str, object]) -> str:
    name = build_label(str(row["compound"]))
    ec50 = _number(row["ec50"])
    if row["status"] == "fitted" and ec50 is not None:
        return f"{name}\nEC50 {ec50:.2g} ({_interval(row)})"
    return f"{name}\n{row['status']}"


def _interval(row: Mapping[str, object]) -> str:
    low, high = _number(row["ec50_low"]), _number(row["ec50_high"])
    return f"{'…' if low is None else f'{low:.2g}'} to {'…' if high is None else f'{high:.2g}'}"


def _caption(shown: int, count: int) -> str:
    text = (
        "Points are wells, grey bands the middle 90 % of the control wells, orange the EC50 and its interval; dashed lines join "
        "medians where there is no curve, or none with an EC50 within the doses."
    )
    return text + (f" The {shown} strongest of {count_words(count, 'compound')}." if shown < count else "")


def build_curve_table(curves: pa.Table) -> ReportTable | None:
    """One row per compound, those with a curve first."""
    if not curves.num_rows:
        return None
    unit = name_dose(str(curves["dose_column"][0].as_py()))
    header = (
        "compound",
        "status",
        f"EC50, {unit}",
        "interval",
        "slope",
        "rise",
        "R²",
        "monotone",
        "q",
        "wells",
        "why no EC50",
    )
    rows = tuple(
        (
            row["compound"], row["status"], row["ec50"], _interval(row) if row["ec50"] is not None else None, row["slope"],
            row["effect"], row["r_squared"] if row["slope"] is not None else None, row["is_monotone"], row["q_value"],
            row["well_count"], row["reason"],
        )
        for row in sort_curves(curves)
    )  # fmt: skip
    return ReportTable("Dose-response curves", header, rows)


def name_dose(column: str) -> str:
    """``Metadata_concentration_um`` as people read it: ``concentration (µM)``."""
    name = column.removeprefix("Metadata_")
    for suffix, unit in _UNITS:
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix).replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


def _points(row: Mapping[str, object]) -> tuple[np.ndarray, np.ndarray]:
    """Doses and responses of the wells that have both."""
    doses, responses = (_numbers(row[name]) for name in ("doses", "responses"))
    known = (doses > 0) & (doses < _DRAWABLE) & (np.abs(responses) < _DRAWABLE)
    return doses[known], responses[known]


def _numbers(values: object) -> np.ndarray:
    given = values if isinstance(values, Sequence) else ()
    return np.asarray([np.nan if value is None else value for value in given], dtype=np.float64)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < _DRAWABLE else None


def _place(status: object) -> int:
    return _ORDER.index(status) if status in _ORDER else len(_ORDER)
