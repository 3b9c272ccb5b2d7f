"""The drift board of a dataset: focus, background, saturation and signal of every plate in order, and the plates that drift."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from bioimage_assets.core.image_quality.drift import DRIFT_MEASURES, PlateLevel
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn, try_to_make
from bioimage_assets.core.pictures.page_parts import ReportSection, ReportTable
from bioimage_assets.core.pictures.style import (
    ALARM,
    CATEGORIES,
    GRID,
    build_label,
    finish,
    new_figure,
    style,
)

_TITLE = "Image quality over the plates"
_MAX_CHANNELS = 8
_MAX_NAMED = 32  # plates whose names can still be read below the axis


def build_board_section(levels: Sequence[PlateLevel], limit: float) -> tuple[ReportSection, ...]:
    """The section of a dataset's page; none where no plate has image quality."""
    if not levels:
        return ()
    drifting = dict.fromkeys(level.plate_key for level in levels if level.is_drifting)
    unknown = sorted({level.batch or "the dataset" for level in levels if level.distance is None})
    text = (
        f"Median of the fields of each plate, by batch. A plate drifts where it is more than {limit:g} spreads of fields from "
        f"its batch: {', '.join(drifting) if drifting else 'none does'}."
    )
    if unknown:
        text += f" Too few plates or fields to tell in {', '.join(unknown[:5])}."
    picture = try_to_make(_TITLE, lambda: draw_quality_drift(levels, _TITLE))
    table = try_to_make("Table of levels", lambda: build_level_table(levels))
    return (ReportSection("Image quality", text, (picture,), (table,)),)


def draw_quality_drift(levels: Sequence[PlateLevel], title: str) -> Drawing:
    """A row per channel and a column per measure; plates in order, batches in colours, drifting plates ringed."""
    usable = [level for level in levels if np.isfinite(level.median)]
    if not usable:
        return NotDrawn(title, "no plate has a field that was judged")
    plates = list(dict.fromkeys(level.plate_key for level in usable))
    batches = list(dict.fromkeys(level.batch for level in usable))
    order = {
        plate: number
        for number, plate in enumerate(sorted(plates, key=lambda key: (_batch_of(usable, key), key)))
    }
    channels = list(dict.fromkeys(level.channel for level in usable))[:_MAX_CHANNELS]
    measures = [name for name in DRIFT_MEASURES if any(level.measure == name for level in usable)]
    cells: dict[tuple[str, str], list[PlateLevel]] = defaultdict(list)
    for level in usable:
        cells[level.channel, level.measure].append(level)
    with style():
        figure = new_figure(3.1 * len(measures), 1.7 * len(channels) + 1.2)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        axes = figure.subplots(len(channels), len(measures), squeeze=False, sharex=True)
        for row, channel in enumerate(channels):
            for column, measure in enumerate(measures):
                axis = axes[row][column]
                _draw_cell(axis, cells[channel, measure], order, batches)
                axis.set_title(
                    f"{build_label(channel, max_characters=16)} {DRIFT_MEASURES[measure]}".strip(), fontsize=8
                )
                if row == len(channels) - 1:
                    _label_plates(axis, order)
        return finish(figure, "quality_drift", title, _caption(batches, channels, usable))


def _batch_of(levels: Sequence[PlateLevel], plate: str) -> str:
    return next(level.batch for level in levels if level.plate_key == plate)


def _draw_cell(
    axis: Axes, levels: Sequence[PlateLevel], order: Mapping[str, int], batches: Sequence[str]
) -> None:
    axis.grid(axis="y", color=GRID)
    for batch in dict.fromkeys(level.batch for level in levels):
        own = [level for level in levels if level.batch == batch]
        colour = CATEGORIES[batches.index(batch) % len(CATEGORIES)]
        x = [order[level.plate_key] for level in own]
        medians = [level.median for level in own]
        axis.errorbar(
            x, medians, [level.spread for level in own], fmt="o", color=colour, markersize=3, linewidth=0.8
        )
    far = [level for level in levels if level.is_drifting]
    axis.scatter(
        [order[level.plate_key] for level in far], [level.median for level in far], 70, facecolors="none",
        edgecolors=ALARM, linewidths=1.6, zorder=4,
    )  # fmt: skip
    axis.set_xlim(-0.6, len(order) - 0.4)


def _label_plates(axis: Axes, order: Mapping[str, int]) -> None:
    if len(order) > _MAX_NAMED:
        axis.set_xlabel("plates in order")
        return
    names = [build_label(key.rpartition("/")[2], max_characters=14) for key in order]
    axis.set_xticks(list(order.values()), names, rotation=90, fontsize=7)


def _caption(batches: Sequence[str], channels: Sequence[str], levels: Sequence[PlateLevel]) -> str:
    named = f" Batches in colours: {', '.join(batches)}." if len(batches) > 1 else ""
    left_out = len({level.channel for level in levels}) - len(channels)
    more = f" {count_words(left_out, 'channel')} left out." if left_out > 0 else ""
    return (
        "Median of the fields of each plate with their spread (robust deviation), plates in order of batch and name; ringed: "
        f"the plate drifts.{named}{more}"
    )


def build_level_table(levels: Sequence[PlateLevel]) -> ReportTable | None:
    """Levels of the plates, those that drift first."""
    if not levels:
        return None
    ordered = sorted(levels, key=lambda level: (not level.is_drifting, -abs(level.distance or 0.0)))
    rows = tuple(
        (
            level.batch, level.plate_key, level.channel, DRIFT_MEASURES[level.measure], level.field_count, level.median,
            level.spread, level.distance, "drifts" if level.is_drifting else "",
        )
        for level in ordered[:400]
    )  # fmt: skip
    header = ("batch", "plate", "channel", "measure", "fields", "median", "spread", "distance", "")
    return ReportTable("Levels of each plate", header, rows, is_folded=True)
