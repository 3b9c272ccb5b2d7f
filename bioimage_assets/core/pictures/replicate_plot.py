"""Replicate measures of a dataset become a picture: pair correlations against their null, and activity per treatment."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from bioimage_assets.core.pictures.style import (
    ACCENT,
    ALARM,
    CONTROL,
    GRID,
    INK,
    MUTED,
    Picture,
    finish,
    new_figure,
    style,
)
from bioimage_assets.core.profiling.activity import SIGNIFICANCE
from bioimage_assets.core.profiling.replicates import ReplicateReport, TreatmentReplicates

_MAX_BARS = 40


def draw_replicates(report: ReplicateReport, title: str) -> Picture | None:
    """Draw the replicate picture; None where no treatment has two wells."""
    judged = [row for row in report.treatments if row.replicate_correlation is not None]
    if not judged:
        return None
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
    for pairs, colour, label in (
        (report.null_pairs, CONTROL, "different compounds"),
        (report.replicate_pairs, ACCENT, "replicates"),
    ):
        if pairs:
            weights = np.full(len(pairs), 1 / len(pairs))
            axis.hist(pairs, edges, weights=weights, color=colour, alpha=0.6, label=label)
    if report.null_pairs:
        limit = float(np.percentile(report.null_pairs, 95))
        axis.axvline(limit, color=INK, linewidth=1.0, linestyle="--", label=f"95th percentile ({limit:.2f})")
    axis.set_title("Correlation of well pairs")
    axis.set_xlabel("Pearson correlation of profiles")
    axis.set_ylabel("fraction of pairs")
    axis.grid(axis="y", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.legend(loc="upper left")


def _draw_bars(axis: Axes, rows: list[TreatmentReplicates]) -> None:
    names = [row.treatment for row in rows]
    for place, row in enumerate(rows):
        colour = ACCENT if row.is_active else CONTROL if row.q_value is not None else GRID
        axis.barh(place, row.replicate_correlation or 0.0, color=colour, height=0.7)
        if row.null_limit is not None:
            axis.plot([row.null_limit] * 2, [place - 0.35, place + 0.35], color=ALARM, linewidth=1.4)
        if row.mean_average_precision is not None:
            axis.text(
                1.02, place, f"{row.mean_average_precision:.2f}", va="center", fontsize=7.5, color=MUTED
            )
    axis.text(1.02, len(rows) - 0.3, "mAP", fontsize=7.5, color=MUTED, va="bottom")
    axis.set_yticks(range(len(rows)), names, fontsize=7.5)
    axis.axvline(0, color=MUTED, linewidth=0.8)
    axis.set_xlim(min(-0.2, *(row.replicate_correlation or 0.0 for row in rows)), 1.0)
    axis.set_title("Median replicate correlation")
    axis.set_xlabel("blue: active against controls; orange line: null 95 %")
    axis.grid(axis="x", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)


def _caption(report: ReplicateReport, judged: int, shown: int) -> str:
    parts = []
    if report.percent_replicating is not None:
        parts.append(f"{report.percent_replicating:.0f} % of {judged} treatments replicate")
    if report.percent_active is not None:
        parts.append(f"{report.percent_active:.0f} % are active (q < {SIGNIFICANCE}, stronger than controls)")
    if report.control_correlation is not None:
        parts.append(
            f"median correlation of the {report.control_well_count} control wells {report.control_correlation:.2f}"
        )
    if shown < judged:
        parts.append(f"the {shown} best of {judged} treatments are shown")
    return "; ".join(parts) + "."
