"""The picture of replicate measures: pair correlations against their null, and activity per treatment."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.style import (
    ACCENT,
    ALARM,
    CONTROL,
    GRID,
    INK,
    MUTED,
    build_label,
    finish,
    new_figure,
    style,
)
from bioimage_assets.core.profiling.replicates import ReplicateReport, TreatmentReplicates

_MAX_BARS = 40  # treatments whose names can still be read


def draw_replicates(report: ReplicateReport, title: str) -> Drawing:
    """Draw the replicate picture; not drawn where no treatment has two wells."""
    repeated = [row for row in report.treatments if row.replicate_correlation is not None]
    if not repeated:
        return NotDrawn(title, "no treatment has two wells that could be compared")
    judged = [row for row in repeated if _is_number(row.replicate_correlation)]
    if not judged:
        return NotDrawn(title, "the wells of no treatment have a correlation that is a number", is_odd=True)
    with style():
        shown = sorted(judged, key=lambda row: row.replicate_correlation or 0.0)[-_MAX_BARS:]
        figure = new_figure(9.6, max(3.4, 0.22 * len(shown) + 1.4))
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.15))
        _draw_distributions(left, report)
        _draw_bars(right, shown)
        return finish(figure, "replicates", title, _caption(report, len(judged), len(shown)))


def _draw_distributions(axis: Axes, report: ReplicateReport) -> None:
    edges = [float(edge) for edge in np.linspace(-1, 1, 41)]
    null_pairs, replicate_pairs = _correlations(report.null_pairs), _correlations(report.replicate_pairs)
    for pairs, colour, label in (
        (null_pairs, CONTROL, "different compounds"),
        (replicate_pairs, ACCENT, "replicates"),
    ):
        if pairs:
            weights = np.full(len(pairs), 1 / len(pairs))
            axis.hist(pairs, edges, weights=weights, color=colour, alpha=0.6, label=label)
    if null_pairs:
        stored = report.null_pair_limit
        limit = float(np.percentile(null_pairs, 95)) if stored is None else stored
        axis.axvline(
            limit, color=INK, linewidth=1.0, linestyle="--", label=f"95 % of these pairs ({limit:.2f})"
        )
    axis.set_title("Correlation of well pairs")
    axis.set_xlabel("Pearson correlation of profiles")
    axis.set_ylabel("fraction of pairs")
    axis.grid(axis="y", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    if null_pairs or replicate_pairs:
        axis.legend(loc="upper left")


def _draw_bars(axis: Axes, rows: list[TreatmentReplicates]) -> None:
    names = [build_label(row.treatment) for row in rows]
    for place, row in enumerate(rows):
        colour = ACCENT if row.is_active else CONTROL if row.q_value is not None else GRID
        axis.barh(place, _within_one(row.replicate_correlation), color=colour, height=0.7)
        if row.null_limit is not None and _is_number(row.null_limit):
            axis.plot(
                [_within_one(row.null_limit)] * 2, [place - 0.35, place + 0.35], color=ALARM, linewidth=1.4
            )
        if row.mean_average_precision is not None and _is_number(row.mean_average_precision):
            precision = f"{_within_one(row.mean_average_precision):.2f}"
            axis.text(1.02, place, precision, va="center", fontsize=7.5, color=MUTED)
    axis.text(1.02, len(rows) - 0.3, "mAP", fontsize=7.5, color=MUTED, va="bottom")
    axis.set_yticks(range(len(rows)), names, fontsize=7.5)
    axis.axvline(0, color=MUTED, linewidth=0.8)
    axis.set_xlim(min(-0.2, *(_within_one(row.replicate_correlation) for row in rows)), 1.0)
    axis.set_title("Median replicate correlation")
    axis.set_xlabel("blue: active against controls; orange line: null 95 %")
    axis.grid(axis="x", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)


def _correlations(pairs: tuple[float, ...]) -> list[float]:
    """Those that are numbers; rounding leaves a correlation of one a little above it, outside the last bin."""
    return [_within_one(pair) for pair in pairs if math.isfinite(pair)]


def _within_one(value: float | None) -> float:
    return min(1.0, max(-1.0, value or 0.0))


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _caption(report: ReplicateReport, judged: int, shown: int) -> str:
    parts = []
    if _is_number(report.percent_replicating):
        verb = "replicates" if judged == 1 else "replicate"
        parts.append(f"{report.percent_replicating:.0f} % of {count_words(judged, 'treatment')} {verb}")
    if _is_number(report.percent_active):
        parts.append(f"{report.percent_active:.0f} % are active")
    if _is_number(report.control_correlation):
        wells = count_words(report.control_well_count, "control well")
        parts.append(f"median correlation of the {wells} {report.control_correlation:.2f}")
    if shown < judged:
        parts.append(f"the {shown} best of {judged} treatments are shown")
    return f"{'; '.join(parts) or 'Correlations of the wells of each treatment'}."
