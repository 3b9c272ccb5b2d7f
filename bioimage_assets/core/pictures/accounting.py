"""Pictures of a plate's counts: completeness per well, outcomes of the join, cells on their way to profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from bioimage_assets.core.joins.report import COLUMN_OUTCOMES
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.geometry import PlateGeometry, choose_geometry, well_place
from bioimage_assets.core.pictures.plate_map import draw_empty_plate
from bioimage_assets.core.pictures.style import (
    ACCENT,
    ALARM,
    CATEGORIES,
    GRID,
    MUTED,
    build_label,
    finish,
    new_figure,
    style,
)
from bioimage_assets.core.pictures.well_numbers import read_counts
from bioimage_assets.core.tables.completeness_reasons import WHOLE

# Good, doubtful and bad verdicts, in words the completeness table uses; others take further colours.
_VERDICT_COLOURS = {
    "complete": "#56B4E9",
    "measured": "#56B4E9",
    "partial": "#E69F00",
    "incomplete": "#E69F00",
    "missing": "#D55E00",
}
_OUTCOME_COLOURS = {"matched": ACCENT, "no-images": MUTED}

# The step of a plate's cells that a page must not praise when nobody takes it.
LINKED = "joined to their image"


@dataclass(frozen=True, slots=True)
class CountStep:
    """One station of the cells of a plate: how many arrived, and what happened to those that did not."""

    label: str
    count: int
    lost: str = ""


def draw_completeness(
    completeness: pa.Table, title: str, *, geometry: PlateGeometry | None = None
) -> Drawing:
    """Draw the verdict of each well with its fields found of those declared; not drawn without wells."""
    rows = completeness.select(["well_id", "fields_declared", "fields_found", "verdict"]).to_pylist()
    if not rows:
        return NotDrawn(title, "no well of this plate is declared or has images")
    names = [row["well_id"] for row in rows]
    if not any(map(well_place, names)):
        return NotDrawn(title, "no row of plate_completeness names a well", is_odd=True)
    declared = (None, None) if geometry is None else (geometry.row_count, geometry.column_count)
    shape = choose_geometry(names, row_count=declared[0], column_count=declared[1])
    verdicts = list(dict.fromkeys(str(row["verdict"]) for row in rows))
    spare = cycle(CATEGORIES[3:])
    colours = {verdict: _VERDICT_COLOURS.get(verdict) or next(spare) for verdict in verdicts}
    with style():
        figure = new_figure(5.6, max(2.2, 5.0 * (shape.row_count + 1.6) / (shape.column_count + 1.6)))
        axis = figure.add_subplot()
        draw_empty_plate(axis, shape)
        for row in rows:
            _draw_well(axis, shape, row["well_id"], colours[str(row["verdict"])], _fields_text(row))
        axis.set_title(title, fontsize=12)
        handles = [Patch(facecolor=colour, label=build_label(verdict)) for verdict, colour in colours.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
        caption = _completeness_caption([str(row["verdict"]) for row in rows])
        return finish(figure, "completeness", title, caption)


def _completeness_caption(verdicts: Sequence[str]) -> str:
    if set(verdicts) == {"measured"}:
        wells = f"{count_words(len(verdicts), 'well')} {'was' if len(verdicts) == 1 else 'were'} measured"
        return f"{wells}; the plate has no images, so that none can be compared."
    good = sum(verdict in WHOLE for verdict in verdicts)
    wells = f"{count_words(len(verdicts), 'well')} {'is' if good == 1 else 'are'} complete"
    return f"{good:,} of {wells}. Numbers are fields found (of those declared, where they differ)."


def _fields_text(row: dict[str, object]) -> str:
    found, declared = row["fields_found"], row["fields_declared"]
    if found is None:
        return ""
    return f"{found}" if declared in (None, found) else f"{found}/{declared}"


def _draw_well(axis: Axes, shape: PlateGeometry, well: str, colour: str, text: str) -> None:
    place = well_place(well)
    if place is None:
        return
    axis.add_patch(
        Rectangle((place[1] + 0.04, place[0] + 0.04), 0.92, 0.92, facecolor=colour, edgecolor="none")
    )
    if shape.row_count * shape.column_count <= 96:
        written = axis.text(place[1] + 0.5, place[0] + 0.53, text, ha="center", va="center", fontsize=7)
        written.set_in_layout(False)


def draw_join_report(join_report: pa.Table, title: str) -> Drawing:
    """Draw the outcomes of a plate's join as bars; not drawn for an empty report."""
    lines = zip(join_report.to_pylist(), read_counts(join_report), strict=True)
    rows = [row | {"row_count": count} for row, count in lines if row["outcome"] not in COLUMN_OUTCOMES]
    if not rows:
        return NotDrawn(title, "no profile row was joined on this plate")
    labels = [
        f"{row['outcome']} ({row['join_rule']})" if row["join_rule"] else str(row["outcome"]) for row in rows
    ]
    counts = [int(row["row_count"]) for row in rows]
    colours = [_OUTCOME_COLOURS.get(str(row["outcome"]), ALARM if row["row_count"] else GRID) for row in rows]
    with style():
        figure = new_figure(7.4, 0.34 * len(rows) + 1.1)
        axis = figure.add_subplot()
        _draw_bars(axis, labels, counts, colours)
        axis.set_title(title, fontsize=12)
        matched = sum(count for row, count in zip(rows, counts, strict=True) if row["outcome"] == "matched")
        caption = f"{count_words(matched, 'profile row')} {'is' if matched == 1 else 'are'} linked to an image; orange bars want a look."
        if any(row["outcome"] == "no-images" for row in rows):
            caption = (
                "The plate has no images by design: its cells are linked once the images lie beside them."
            )
        return finish(figure, "join_report", title, caption)


def draw_lineage(steps: Sequence[CountStep], title: str) -> Drawing:
    """Draw how many cells arrive at each step and what became of the others; not drawn without steps."""
    if not steps:
        return NotDrawn(title, "nothing was measured on this plate, or its measurements are not read yet")
    with style():
        figure = new_figure(7.4, 0.42 * len(steps) + 0.9)
        axis = figure.add_subplot()
        _draw_bars(
            axis, [step.label for step in steps], [step.count for step in steps], [ACCENT] * len(steps)
        )
        for place, step in enumerate(steps):
            if step.lost:
                axis.annotate(
                    step.lost, (float(step.count), place), xytext=(52, 0), textcoords="offset points", va="center",
                    fontsize=7.5, color=ALARM,
                )  # fmt: skip
        axis.set_title(title, fontsize=12)
        return finish(figure, "lineage", title, _lineage_caption(steps))


def _lineage_caption(steps: Sequence[CountStep]) -> str:
    if any(step.label == LINKED and not step.count for step in steps):
        return "No cell is linked to an image of this plate: what follows is made of the measurements alone."
    return "Every cell is accounted for, from measurement to profile."


def _draw_bars(axis: Axes, labels: Sequence[str], counts: Sequence[int], colours: Sequence[str]) -> None:
    places = np.arange(len(labels))
    lengths = [float(count) for count in counts]
    axis.barh(places, lengths, color=list(colours), height=0.62)
    for place, count, length in zip(places, counts, lengths, strict=True):
        axis.annotate(
            f"{count:,}", (length, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.set_yticks(places, [build_label(label) for label in labels])
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_xlim(0, max([*lengths, 1.0]) * 1.35)
    axis.tick_params(axis="y", length=0, labelcolor=MUTED)
    axis.xaxis.set_visible(False)
    axis.spines["bottom"].set_visible(False)
