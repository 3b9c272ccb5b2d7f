"""Single-cell features become histograms with the QC thresholds drawn in."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from bioimage_assets.core.pictures.style import ALARM, GRID, INK, MUTED, Picture, finish, new_figure, style
from bioimage_assets.core.profiling.cosmicqc import QcCondition, QcReport, QcThreshold

_BINS = 60


def draw_qc_histograms(cells: pa.Table, report: QcReport, title: str) -> Picture | None:
    """Draw one histogram per condition and threshold feature; None where no condition was evaluated.

    ``cells`` holds the threshold features of the plate (other columns are not needed). The shaded side of the line is
    what the condition calls an outlier; a cell fails only beyond every line of its condition.
    """
    panels = [
        (condition, threshold)
        for condition in report.conditions
        for threshold in condition.thresholds
        if threshold.feature in cells.column_names
    ]
    if not panels:
        return None
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    with style():
        figure = new_figure(3.6 * columns, 2.5 * rows + 0.5)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        for index, (condition, threshold) in enumerate(panels):
            axis = figure.add_subplot(rows, columns, index + 1)
            values = cells[threshold.feature].to_numpy().astype(np.float64)
            _draw_one(axis, condition, threshold, values[np.isfinite(values)])
        caption = (
            f"{report.failed_count} of {report.cell_count} cells ({report.fail_fraction:.1%}) fail at least one condition. "
            "Shaded: beyond the threshold; a cell fails a condition beyond all of its thresholds."
        )
        return finish(figure, "qc_histograms", title, caption)


def _draw_one(axis: Axes, condition: QcCondition, threshold: QcThreshold, values: np.ndarray) -> None:
    low, high = np.percentile(values, [0.1, 99.9])
    low, high = min(low, threshold.cutoff), max(high, threshold.cutoff)
    pad = 0.04 * (high - low) or 1.0
    edges = np.linspace(low - pad, high + pad, _BINS + 1)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    above = threshold.zscore > 0
    middle = (edges[:-1] + edges[1:]) / 2
    beyond = middle > threshold.cutoff if above else middle < threshold.cutoff
    for part, colour in ((~beyond, "#9fb8cc"), (beyond, ALARM)):
        axis.stairs(np.where(part, counts, 0), edges, fill=True, color=colour)
    axis.axvline(threshold.cutoff, color=INK, linewidth=1.2)
    axis.axvspan(
        *((threshold.cutoff, edges[-1]) if above else (edges[0], threshold.cutoff)),
        color=ALARM,
        alpha=0.07,
        lw=0,
    )
    axis.set_xlim(edges[0], edges[-1])
    axis.set_yscale("function", functions=(_root, np.square))  # tails are a handful of cells beside thousands
    axis.set_ylim(0, max(float(counts.max()), 1.0) * 1.3)
    axis.set_ylabel("cells (square-root scale)", fontsize=8)
    axis.set_xlabel(threshold.feature, fontsize=8)
    axis.set_title(f"{condition.name.replace('_', ' ')}: {condition.flagged_count} cells", fontsize=9)
    sign = ">" if above else "<"
    is_left = threshold.cutoff < (edges[0] + edges[-1]) / 2
    axis.text(
        threshold.cutoff, max(float(counts.max()), 1.0) * 1.26, f" {sign} {_short(threshold.cutoff)}  (z {sign} {threshold.zscore:g}) ",
        ha="left" if is_left else "right", va="top", fontsize=7.5, color=MUTED,
    )  # fmt: skip
    axis.grid(axis="y", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)


def _root(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(values, 0.0)))


def _short(value: float) -> str:
    """A number as a reader wants it: three digits, thousands with a comma instead of an exponent."""
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e7 else f"{value:.3g}"
