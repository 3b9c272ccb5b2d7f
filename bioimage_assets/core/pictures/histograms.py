"""Histograms of single-cell features with the QC thresholds drawn in."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.style import (
    ALARM,
    GRID,
    INK,
    MUTED,
    build_label,
    finish,
    new_figure,
    style,
)
from bioimage_assets.core.pictures.well_numbers import LARGEST, clip_numbers, read_numbers
from bioimage_assets.core.profiling.cosmicqc import QcCondition, QcReport, QcThreshold

_BINS = 60  # of single cells, thousands of which fill them
_MAX_PANELS = 30


def draw_qc_histograms(cells: pa.Table, report: QcReport, title: str) -> Drawing:
    """Draw one histogram per condition and threshold feature; not drawn where no condition was evaluated.

    ``cells`` holds the threshold features of the plate (other columns are not needed). The shaded side of the line is
    what the condition calls an outlier; a cell fails only beyond every line of its condition. A feature without a finite
    value has its panel, with words in place of the bars.
    """
    panels = [
        (condition, threshold)
        for condition in report.conditions
        for threshold in condition.thresholds
        if threshold.feature in cells.column_names
    ]
    if not panels:
        return NotDrawn(title, "no condition of quality control could be evaluated on this plate")
    shown = panels[:_MAX_PANELS]
    if not any(_finite(cells[limit.feature]).size for _, limit in shown):
        return NotDrawn(title, "no cell has a value in any feature of the thresholds", is_odd=True)
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    with style():
        figure = new_figure(3.6 * columns, 2.5 * rows + 0.5)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        for index, (condition, threshold) in enumerate(shown):
            axis = figure.add_subplot(rows, columns, index + 1)
            _draw_one(axis, condition, threshold, _finite(cells[threshold.feature]))
        return finish(figure, "qc_histograms", title, _caption(report, len(shown), len(panels)))


def _caption(report: QcReport, shown: int, count: int) -> str:
    more = f" The first {shown} of {count} thresholds." if shown < count else ""
    return (
        f"{report.failed_count} of {count_words(report.cell_count, 'cell')} ({report.fail_fraction:.1%}) "
        f"{'fails' if report.failed_count == 1 else 'fail'} at least one condition. Shaded: beyond the threshold; a cell "
        f"fails a condition beyond all of its thresholds.{more}"
    )


def _finite(column: pa.ChunkedArray) -> np.ndarray:
    values = read_numbers(column)
    return clip_numbers(values[np.isfinite(values)])


def _draw_one(axis: Axes, condition: QcCondition, threshold: QcThreshold, values: np.ndarray) -> None:
    axis.set_title(
        f"{build_label(condition.name.replace('_', ' '))}: {count_words(condition.flagged_count, 'cell')}",
        fontsize=9,
    )
    axis.set_xlabel(build_label(threshold.feature, max_characters=60), fontsize=8)
    if not values.size:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.text(
            0.5, 0.5, "no cell has a value", ha="center", va="center", transform=axis.transAxes, color=MUTED
        )
        return
    if (
        not abs(threshold.cutoff) <= LARGEST
    ):  # not a number, too: the spread of the feature is more than a number holds
        _draw_bars(axis, values, np.zeros(_BINS, bool), _edges(values))
        axis.text(0.5, 0.98, "no threshold", ha="center", va="top", transform=axis.transAxes, color=MUTED)
        return
    edges = _edges(values, threshold.cutoff)
    # The edges are as good as numbers of their size are: the line stands between the first and the last.
    threshold = replace(threshold, cutoff=float(np.clip(threshold.cutoff, edges[0], edges[-1])))
    middle = (edges[:-1] + edges[1:]) / 2
    above = threshold.zscore > 0
    _draw_bars(axis, values, middle > threshold.cutoff if above else middle < threshold.cutoff, edges)
    _draw_threshold(axis, threshold, edges)


def _edges(values: np.ndarray, *within: float) -> np.ndarray:
    """Edges of the bins, which leave out the thousandth at both ends but hold the numbers given besides."""
    low, high = (float(end) for end in np.percentile(values, [0.1, 99.9]))
    low, high = min(low, *within, high), max(high, *within, low)
    pad = 0.04 * (high - low)
    if pad <= 1e-12 * max(abs(low), abs(high)):  # one value: bins around it that its digits can tell apart
        pad = max(1e-6 * abs(low), 1.0)
    return np.linspace(low - pad, high + pad, _BINS + 1)


def _draw_bars(axis: Axes, values: np.ndarray, beyond: np.ndarray, edges: np.ndarray) -> None:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    for part, colour in ((~beyond, "#9fb8cc"), (beyond, ALARM)):
        axis.stairs(np.where(part, counts, 0), edges, fill=True, color=colour)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_yscale("function", functions=(_root, np.square))  # tails are a handful of cells beside thousands
    axis.set_ylim(0, max(float(counts.max()), 1.0) * 1.3)
    axis.set_ylabel("cells (square-root scale)", fontsize=8)
    axis.grid(axis="y", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)


def _draw_threshold(axis: Axes, threshold: QcThreshold, edges: np.ndarray) -> None:
    """The line, the side that is beyond it, and its number."""
    above = threshold.zscore > 0
    axis.axvline(threshold.cutoff, color=INK, linewidth=1.2)
    beyond = (threshold.cutoff, edges[-1]) if above else (edges[0], threshold.cutoff)
    axis.axvspan(*beyond, color=ALARM, alpha=0.07, lw=0)
    sign = ">" if above else "<"
    is_left = threshold.cutoff < edges[0] / 2 + edges[-1] / 2
    axis.text(
        threshold.cutoff, axis.get_ylim()[1] * 0.97, f" {sign} {_short(threshold.cutoff)}  (z {sign} {threshold.zscore:g}) ",
        ha="left" if is_left else "right", va="top", fontsize=7.5, color=MUTED,
    )  # fmt: skip


def _root(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(values, 0.0)))


def _short(value: float) -> str:
    """A number as a reader wants it: three digits, thousands with a comma instead of an exponent."""
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e7 else f"{value:.3g}"
