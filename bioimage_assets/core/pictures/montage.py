"""Cells that failed QC, beside cells that passed, cut from the image stores: is the QC right?

The pixels are read where they lie (a few dozen small windows), never copied into tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.channel_colours import Crop, compose, find_limits, name_colours
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn, try_to_make
from bioimage_assets.core.pictures.style import ALARM, INK, Picture, build_label, finish, new_figure, style
from bioimage_assets.core.pictures.well_numbers import read_column
from bioimage_assets.core.pictures.worst_cells import PER_CONDITION, list_worst_cells
from bioimage_assets.core.profiling.cosmicqc import QcReport
from bioimage_assets.core.profiling.features import select_feature_columns
from bioimage_assets.core.profiling.result_columns import FAILED, OBJECT_ID
from bioimage_assets.core.profiling.sources import CellSource, open_cells, read_columns

_SIZE_PX = 72  # of a cell with its neighbours at 20x (0.65 µm): 47 µm
_SEED = 7  # the same cells are drawn in every run
_GAP_PX = 3
_BAR_LENGTHS_UM = (1, 2, 5, 10, 20, 50, 100, 200)


class CropReader(Protocol):
    """Cuts a square window around the cell of one row of ``joined_profiles``; None where that is impossible."""

    def __call__(self, row: pa.Table, *, size_px: int) -> Crop | None: ...


@dataclass(frozen=True, slots=True)
class _Strip:
    """A row of windows; those that could not be cut have the reason in their place."""

    title: str
    is_alarm: bool
    crops: tuple[Crop | NotDrawn | None, ...]

    @property
    def cut(self) -> list[Crop]:
        return [crop for crop in self.crops if isinstance(crop, Crop)]


def draw_qc_montage(
    joined: CellSource,
    qc: pa.Table,
    report: QcReport,
    read_crop: CropReader,
    title: str,
    *,
    per_row: int = PER_CONDITION,
    size_px: int = _SIZE_PX,
) -> Drawing:
    """Draw the worst cells of each condition and random cells that passed; not drawn where no pixel could be read.

    All crops share one intensity scale per channel, taken from the cells that passed, so that saturated and
    empty cells look it.
    """
    if OBJECT_ID not in qc.column_names or OBJECT_ID not in open_cells(joined).schema.names:
        return NotDrawn(title, f"the cells have no column {OBJECT_ID} that tells them apart", is_odd=True)
    rows = _row_of_object(joined)
    strips = []
    for condition in report.conditions:
        worst = [rows[name] for name in list_worst_cells(qc, condition, per_row) if name in rows]
        if worst:
            label = f"{build_label(condition.name, max_characters=32)}\n{count_words(condition.flagged_count, 'cell')}"
            strips.append(_cut(joined, worst, read_crop, size_px, label, True))
    passed = [rows[name] for name in _random_passed(qc, per_row) if name in rows]
    label = f"passed\n{count_words(qc.num_rows - report.failed_count, 'cell')}"
    strips.append(_cut(joined, passed, read_crop, size_px, label, False))
    crops = [crop for strip in strips for crop in strip.cut]
    if not crops:
        return _why_not(strips, title)
    limits = find_limits(strips[-1].cut or crops)
    with style():
        return _draw(strips, limits, title, size_px, crops[0])


def _why_not(strips: Sequence[_Strip], title: str) -> NotDrawn:
    """Say why there is not one pixel to show."""
    tried = [crop for strip in strips for crop in strip.crops]
    if not tried:
        return NotDrawn(title, "there is no cell to show")
    unread = [crop for crop in tried if isinstance(crop, NotDrawn)]
    chosen = count_words(len(tried), "cell")
    if not unread:
        return NotDrawn(
            title, f"no cell that was chosen for it ({chosen}) is linked to an image", is_odd=True
        )
    reason = f"no pixels could be read of the cells that were chosen for it ({chosen}); the first: {unread[0].reason}"
    return NotDrawn(title, reason, is_odd=True)


def _row_of_object(joined: CellSource) -> dict[str, int]:
    names = read_columns(open_cells(joined), [OBJECT_ID])[OBJECT_ID].to_pylist()
    return {name: row for row, name in enumerate(names)}


def _random_passed(qc: pa.Table, count: int) -> list[str]:
    passed = np.flatnonzero(read_column(qc, FAILED) != 1)
    chosen = np.random.default_rng(_SEED).permutation(passed)[:count]
    return [str(name) for name in qc[OBJECT_ID].take(pa.array(chosen, pa.int64())).to_pylist()]


def _cut(
    joined: CellSource, rows: Sequence[int], read_crop: CropReader, size_px: int, title: str, is_alarm: bool
) -> _Strip:
    cells = open_cells(joined)
    features = set(
        select_feature_columns(cells.schema).profiled
    )  # wide, and nothing that says where a cell is
    columns = [name for name in cells.schema.names if name not in features]
    table = cells.scanner(columns=columns).take(pa.array(rows, pa.int64()))
    return _Strip(
        title, is_alarm, tuple(_cut_one(table.slice(row, 1), read_crop, size_px) for row in range(len(rows)))
    )


def _cut_one(row: pa.Table, read_crop: CropReader, size_px: int) -> Crop | NotDrawn | None:
    """A picture of cells is worth having also where some stores cannot be read any more."""
    return try_to_make("pixels", lambda: _checked(read_crop(row, size_px=size_px), size_px))


def _checked(crop: Crop | None, size_px: int) -> Crop | None:
    """Refuse pixels that cannot be laid out beside the others."""
    shape = None if crop is None else crop.pixels.shape
    if shape is not None and (len(shape) != 3 or 0 in shape or max(shape[1:]) > size_px):
        raise UsageError(f"Pixels of shape {shape} are no channels of {size_px} x {size_px} pixels.")
    return crop


def _draw(
    strips: Sequence[_Strip], limits: Sequence[tuple[float, float]], title: str, size_px: int, sample: Crop
) -> Picture:
    """Lay all crops out in one image: an axis per crop would take ten times as long."""
    mosaic = _build_mosaic(strips, limits, size_px)
    step, scale = size_px + _GAP_PX, 0.92 / size_px
    figure = new_figure(mosaic.shape[1] * scale + 1.6, mosaic.shape[0] * scale + 0.45)
    axis = figure.add_subplot()
    axis.imshow(mosaic, interpolation="nearest")
    axis.set_title(title, fontsize=12)
    axis.set_xticks([])
    labels = [strip.title.replace("_", " ") for strip in strips]
    axis.set_yticks([row * step + size_px / 2 for row in range(len(strips))], labels)
    for label, strip in zip(axis.get_yticklabels(), strips, strict=True):
        label.set_color(ALARM if strip.is_alarm else INK)
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    _scale_bar(axis, sample, size_px, (len(strips) - 1) * step)
    return finish(figure, "qc_montage", title, _caption(strips, sample), dpi=130)


def _caption(strips: Sequence[_Strip], sample: Crop) -> str:
    channels = ", ".join(name_colours(sample.channel_names))
    missing = sum(not isinstance(crop, Crop) for strip in strips for crop in strip.crops)
    return (
        "Rows of failed cells start with the worst, the last row shows random cells that passed; brackets mark the "
        "cell. One intensity scale for all"
        + (f"; channels {channels}" if channels else "")
        + (f"; grey: no pixels could be read of {count_words(missing, 'cell')}." if missing else ".")
    )


def _build_mosaic(
    strips: Sequence[_Strip], limits: Sequence[tuple[float, float]], size_px: int
) -> np.ndarray:
    step = size_px + _GAP_PX
    columns = max(len(strip.crops) for strip in strips)
    mosaic = np.ones((len(strips) * step - _GAP_PX, columns * step - _GAP_PX, 3))
    for row, strip in enumerate(strips):
        for column, crop in enumerate(strip.crops):
            if isinstance(crop, Crop):
                tile = _mark_center(compose(crop, limits))
            else:
                tile = np.full((size_px, size_px, 3), 0.93)
            y, x = row * step, column * step
            mosaic[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return mosaic


def _mark_center(tile: np.ndarray) -> np.ndarray:
    """Mark the middle of a window with corner brackets: in a crowd it must be clear which cell is meant."""
    height, width = tile.shape[:2]
    arm = max(2, width // 16)
    top, bottom, left, right = height * 3 // 10, height * 7 // 10, width * 3 // 10, width * 7 // 10
    for y in (top, bottom):
        for part in (slice(left, left + arm), slice(right - arm + 1, right + 1)):
            tile[y, part] = 1.0
    for x in (left, right):
        for part in (slice(top, top + arm), slice(bottom - arm + 1, bottom + 1)):
            tile[part, x] = 1.0
    return tile


def _scale_bar(axis: Axes, crop: Crop, size_px: int, top_px: int) -> None:
    """Draw a bar of a round length, about a third of a crop, in the first one below ``top_px``."""
    pixel_size_um = crop.pixel_size_um
    if not pixel_size_um or not math.isfinite(pixel_size_um) or pixel_size_um < 0:
        return
    length_um = min(_BAR_LENGTHS_UM, key=lambda um: abs(um / pixel_size_um - size_px / 3))
    if length_um / pixel_size_um > size_px - 10:  # no length of the list fits into a window
        return
    start, end, y = size_px - 5 - length_um / pixel_size_um, size_px - 5, top_px + size_px - 6
    axis.plot([start, end], [y, y], color="white", linewidth=2.0, solid_capstyle="butt")
    axis.text(
        (start + end) / 2, y - 3, f"{length_um} µm", color="white", fontsize=6, ha="center", va="bottom"
    )
