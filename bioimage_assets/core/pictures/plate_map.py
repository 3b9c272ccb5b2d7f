"""Plate heatmaps of values per well: what is in each well, cells, QC failures, features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.geometry import PlateGeometry, choose_geometry, well_place
from bioimage_assets.core.pictures.style import (
    CONTROL,
    COUNT_MAP,
    EMPTY,
    FRACTION_MAP,
    INK,
    SIGNED_MAP,
    build_label,
    categories_of,
    finish,
    new_figure,
    style,
)
from bioimage_assets.core.pictures.well_numbers import drop_infinite, read_numbers, read_well_names
from bioimage_assets.core.settings.dataset import DatasetSettings

ValueKind = Literal["count", "fraction", "signed"]

# Numbers are written into the wells up to this plate size; beyond, they could not be read.
MAX_WELLS_WITH_TEXT = 96
_MAX_LEGEND = 10
_PANEL_WIDTH_IN = 4.6


@dataclass(frozen=True, slots=True)
class WellValues:
    """One panel: a value per well, with a title that carries the unit.

    ``count`` starts at zero, ``fraction`` is shown in percent, ``signed`` is centred at zero. ``outlined`` wells (the
    controls) get a dark frame.
    """

    title: str
    values: Mapping[str, float | None]
    kind: ValueKind = "count"
    outlined: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class LayoutWell:
    """What is in a well: its treatment, the dose's place in the series (0 to 1) and whether it is a control."""

    well: str
    label: str
    level: float
    is_control: bool


def draw_plate_heatmaps(
    name: str,
    title: str,
    caption: str,
    panels: Sequence[WellValues],
    *,
    geometry: PlateGeometry | None = None,
    layout: Sequence[LayoutWell] = (),
    columns: int = 2,
    is_one_scale: bool = False,
) -> Drawing:
    """Draw panels side by side on one plate shape; a plate too small for its wells is drawn larger.

    ``layout`` (see ``build_layout``) adds a first panel of treatments. ``is_one_scale`` gives all panels, of one kind,
    the same colours for the same values. Not drawn where nothing is known about any well.
    """
    wells = [well for panel in panels for well in panel.values]
    wells += [well.well for well in layout]
    if not any(map(well_place, wells)):
        return NotDrawn(title, "no row of the well profiles names a well", is_odd=bool(wells))
    everything = drop_infinite(
        np.asarray([np.nan if v is None else v for p in panels for v in p.values.values()], np.float64)
    )
    if not layout and not np.isfinite(everything).any():
        return NotDrawn(title, "no well has a value", is_odd=True)
    shape = _hold_all(wells, geometry)
    count = len(panels) + bool(layout)
    columns = min(columns, max(count, 1))
    rows = math.ceil(count / columns)
    panel_height = _PANEL_WIDTH_IN * (shape.row_count + 1.6) / (shape.column_count + 3.2) + 0.55
    with style():
        figure = new_figure(_PANEL_WIDTH_IN * columns, max(1.8, panel_height) * rows + 0.5)
        figure.suptitle(
            build_label(title, max_characters=80), x=0.01, ha="left", fontsize=12, fontweight="bold"
        )
        axes = [figure.add_subplot(rows, columns, index + 1) for index in range(count)]
        if layout:
            _draw_layout(axes[0], shape, layout)
        for axis, panel in zip(axes[count - len(panels) :], panels, strict=True):
            _draw_panel(figure, axis, shape, panel, everything if is_one_scale else None)
        return finish(figure, name, title, caption)


def _hold_all(wells: Sequence[str], declared: PlateGeometry | None) -> PlateGeometry:
    if declared is None:
        return choose_geometry(wells)
    return choose_geometry(wells, row_count=declared.row_count, column_count=declared.column_count)


def _draw_panel(
    figure: Figure, axis: Axes, shape: PlateGeometry, panel: WellValues, scaled_by: np.ndarray | None
) -> None:
    grid = drop_infinite(shape.grid(panel.values))
    if not np.isfinite(grid).any():
        draw_empty_plate(axis, shape)
        axis.set_title(f"{build_label(panel.title, max_characters=64)}: no values")
        return
    colours, norm = _scale(grid if scaled_by is None else scaled_by, panel.kind)
    mesh = _draw_grid(axis, shape, grid, colours, norm)
    axis.set_title(build_label(panel.title, max_characters=64))
    bar = figure.colorbar(mesh, ax=axis, fraction=0.035, pad=0.02, aspect=18)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    if panel.kind == "fraction":
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{_value_text(value, panel.kind)}%")
    if shape.row_count * shape.column_count <= MAX_WELLS_WITH_TEXT:
        _write_values(axis, grid, colours, norm, panel.kind)
    _outline(axis, panel.outlined)


def _scale(grid: np.ndarray, kind: ValueKind) -> tuple[Colormap, Normalize]:
    finite = grid[np.isfinite(grid)]
    top = float(finite.max()) if finite.size else 1.0
    if kind == "signed":
        reach = float(np.percentile(np.abs(finite), 98)) if finite.size else 1.0
        return _with_empty(SIGNED_MAP), Normalize(-max(reach, 1e-9), max(reach, 1e-9))
    if kind == "fraction":
        return _with_empty(FRACTION_MAP), Normalize(0.0, max(top, 0.05))
    return _with_empty(COUNT_MAP), Normalize(0.0, max(top, 1.0))


def _with_empty(name: str) -> Colormap:
    return colormaps[name].with_extremes(bad=EMPTY)


def _draw_grid(
    axis: Axes, shape: PlateGeometry, grid: np.ndarray, colours: Colormap, norm: Normalize
) -> QuadMesh:
    gap = 1.5 if shape.column_count <= 12 else 0.6 if shape.column_count <= 24 else 0.25
    mesh = axis.pcolormesh(
        np.ma.masked_invalid(grid),
        cmap=colours,
        norm=norm,
        edgecolors="white",
        linewidth=gap,
        antialiased=True,
    )
    _label_axes(axis, shape)
    return mesh


def draw_empty_plate(axis: Axes, shape: PlateGeometry) -> None:
    """Draw the wells of a plate in the colour of nothing, with row letters and column numbers."""
    _draw_grid(axis, shape, shape.grid({}), _with_empty(COUNT_MAP), Normalize(0.0, 1.0))


def _label_axes(axis: Axes, shape: PlateGeometry) -> None:
    axis.set_xlim(0, shape.column_count)
    axis.set_ylim(shape.row_count, 0)
    axis.set_aspect("equal")
    label_wells(axis, shape, font_pt=8 if shape.column_count <= 12 else 6.5)


def label_wells(
    axis: Axes, shape: PlateGeometry, *, pitch: float = 1.0, middle: float = 0.5, font_pt: float = 8.0
) -> None:
    """Write row letters to the left and column numbers above; of 1536 wells every second letter and fourth number.

    ``pitch`` is the distance of two wells and ``middle`` the middle of the first one, in the units of the axes.
    """
    step = 1 if shape.column_count <= 24 else 4
    row_step = 1 if shape.row_count <= 16 else 2
    columns, rows = range(0, shape.column_count, step), range(0, shape.row_count, row_step)
    axis.set_xticks([column * pitch + middle for column in columns], shape.column_labels[::step])
    axis.set_yticks([row * pitch + middle for row in rows], shape.row_labels[::row_step])
    axis.tick_params(
        length=0, labelsize=font_pt, top=True, bottom=False, labeltop=True, labelbottom=False, pad=2
    )
    for side in axis.spines.values():
        side.set_visible(False)


def _write_values(axis: Axes, grid: np.ndarray, colours: Colormap, norm: Normalize, kind: ValueKind) -> None:
    size = 7.5 if grid.shape[1] <= 6 else 6.0
    for row, column in np.argwhere(np.isfinite(grid)):
        value = float(grid[row, column])
        red, green, blue, _ = colours(norm(value))
        ink = INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"
        place = (column + 0.5, row + 0.52)
        text = axis.text(*place, _value_text(value, kind), ha="center", va="center", fontsize=size, color=ink)
        text.set_in_layout(False)  # it is inside its well; measuring it again and again takes seconds


def _value_text(value: float, kind: ValueKind) -> str:
    if abs(value) >= 1e4:
        return f"{value * (100 if kind == 'fraction' else 1):.0e}"
    if kind == "fraction":
        return f"{value * 100:.0f}"
    if kind == "signed":
        return f"{round(value, 1) + 0.0:.1f}"  # + 0.0: no negative zero
    return f"{value:.0f}"


def _outline(axis: Axes, wells: frozenset[str]) -> None:
    for place in map(well_place, wells):
        if place is not None:
            corner = (place[1] + 0.07, place[0] + 0.07)
            width = 0.9 if axis.get_xlim()[1] <= 12 else 0.6
            # White below dark: the frame shows on the darkest and on the lightest well.
            for colour, line in (("white", 2.4 * width), (INK, width)):
                axis.add_patch(Rectangle(corner, 0.86, 0.86, fill=False, edgecolor=colour, linewidth=line))


def _draw_layout(axis: Axes, shape: PlateGeometry, layout: Sequence[LayoutWell]) -> None:
    """Colour treatments, darker with dose; controls are grey."""
    names = sorted({well.label for well in layout if well.label and not well.is_control})
    colours = categories_of(names)
    draw_empty_plate(axis, shape)
    axis.set_title("Plate layout")
    for well in layout:
        place = well_place(well.well)
        if place is None:
            continue
        if well.is_control:
            face: str | tuple[float, ...] = CONTROL
        elif well.label:
            face = _shade(colours[well.label][0], well.level)
        else:
            face = EMPTY
        corner = (place[1] + 0.03, place[0] + 0.03)
        axis.add_patch(Rectangle(corner, 0.94, 0.94, facecolor=face, edgecolor="none"))
    _outline(axis, frozenset(well.well for well in layout if well.is_control))
    _draw_legend(axis, layout, names, colours)


def _draw_legend(
    axis: Axes, layout: Sequence[LayoutWell], names: Sequence[str], colours: Mapping[str, tuple[str, str]]
) -> None:
    controls = dict.fromkeys(well.label for well in layout if well.is_control)
    labels = [(CONTROL, INK, f"{_short(name) or 'control'} (control)") for name in controls]
    labels += [(colours[name][0], "none", _short(name)) for name in names[:_MAX_LEGEND]]
    if len(names) > _MAX_LEGEND:
        labels.append(("none", "none", f"and {len(names) - _MAX_LEGEND} more"))
    if labels:
        handles = [Patch(facecolor=face, edgecolor=edge, label=label) for face, edge, label in labels]
        longest = max(len(label) for *_, label in labels)
        axis.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=3 if longest <= 22 else 2,
            handlelength=1.0, columnspacing=1.0, fontsize=7,
        )  # fmt: skip


def _short(name: str) -> str:
    return build_label(name, max_characters=24)


def _shade(colour: str, level: float) -> tuple[float, ...]:
    """Mix a colour with white: the highest dose keeps the colour, the lowest keeps a third of it."""
    strength = 0.35 + 0.65 * level
    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


def build_layout(wells: pa.Table, settings: DatasetSettings) -> tuple[LayoutWell, ...]:
    """Read the treatment of each well from well profiles (or a platemap table).

    The first treatment column names the compound, the last numeric one is the dose. Rows without a well are left out.
    """
    names = [name for name in settings.treatment_columns if name in wells.column_names]
    if not names:
        return ()
    compounds = [None if value is None else str(value) for value in wells[names[0]].to_pylist()]
    doses = _doses(wells, names[1:])
    ranks: dict[str, list[float]] = {}
    for compound, dose in zip(compounds, doses, strict=True):
        if compound is not None and dose is not None:
            ranks.setdefault(compound, []).append(dose)
    dose_levels = {compound: sorted(set(values)) for compound, values in ranks.items()}
    kinds: Sequence[object] = (
        wells[settings.control_column].to_pylist()
        if settings.control_column in wells.column_names
        else [None] * wells.num_rows
    )
    layout = []
    for well, compound, dose, kind in zip(read_well_names(wells), compounds, doses, kinds, strict=True):
        if not well:
            continue
        own_doses = dose_levels.get(compound or "", [])
        level = (own_doses.index(dose) + 1) / len(own_doses) if dose is not None and own_doses else 1.0
        layout.append(
            LayoutWell(well, compound or "", level, kind is not None and str(kind) in settings.control_values)
        )
    return tuple(layout)


def _doses(wells: pa.Table, names: Sequence[str]) -> list[float | None]:
    for name in reversed(names):
        if pa.types.is_floating(wells[name].type) or pa.types.is_integer(wells[name].type):
            return [float(value) if np.isfinite(value) else None for value in read_numbers(wells[name])]
    return [None] * wells.num_rows
