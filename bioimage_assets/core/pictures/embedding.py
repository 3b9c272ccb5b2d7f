"""A map of wells (principal components) and dose-response curves, from well profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from sklearn.decomposition import PCA

from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.dose_curves import name_dose
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.plate_map import LayoutWell, build_layout
from bioimage_assets.core.pictures.style import (
    CONTROL,
    GRID,
    INK,
    MUTED,
    build_label,
    categories_of,
    finish,
    new_figure,
    style,
)
from bioimage_assets.core.pictures.well_numbers import list_features, read_numbers, read_well_names
from bioimage_assets.core.profiling.features import with_profiles
from bioimage_assets.core.profiling.profile_rows import clip_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings

_MAX_LEGEND = 12  # colours that the eye keeps apart
_MAX_TICKS = 12
_MIN_WELLS = 4  # two components of fewer wells are a plane through all of them
_MIN_FEATURES = 2
# Features are in deviations: a smaller difference is none, and its square may be zero.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class DoseRows:
    """Rows of the wells that a picture of doses shows, and the number of treatments that there are."""

    treated: np.ndarray
    controls: np.ndarray
    name_count: int


def draw_well_pca(
    wells: pa.Table, settings: DatasetSettings, title: str, *, of: int | None = None
) -> Drawing:
    """Place wells by their first two principal components; colour is compound, size is dose, lines join doses.

    ``of`` is the number of wells of which these were drawn, where they are not all.
    Not drawn with fewer than four wells that have a profile. Features with a null in any of these wells are left out;
    single values count for at most ten deviations, or one feature that a compound moves by a hundred would be the whole
    picture.
    """
    wells, all_count = with_profiles(wells), wells.num_rows
    if wells.num_rows < _MIN_WELLS:
        have = f"{wells.num_rows} of {count_words(all_count, 'well')} {'has' if wells.num_rows == 1 else 'have'} a profile"
        return NotDrawn(
            title, f"{have}, and comparing them takes {_MIN_WELLS}", is_odd=all_count >= _MIN_WELLS
        )
    values = clip_profiles(_complete_values(wells))
    differs = int((np.ptp(values, axis=0) > _SAME).sum()) if values.shape[1] else 0
    if differs < _MIN_FEATURES:
        known = count_words(values.shape[1], "feature")
        reason = f"{known} with a value in every well, of which {differs} differ between wells; it takes {_MIN_FEATURES}"
        return NotDrawn(title, f"there is too little to compare: {reason}", is_odd=True)
    model = PCA(n_components=2, svd_solver="full").fit(values)
    points = model.transform(values)
    layout = _layout_of(wells, settings)
    names = sorted({well.label for well in layout if well.label and not well.is_control})
    colours = categories_of(names)
    with style():
        figure = new_figure(7.4, 5.2)
        axis = figure.add_subplot()
        axis.set_title(title, fontsize=12)
        _draw_points(axis, points, layout, colours)
        first, second = model.explained_variance_ratio_
        axis.set_xlabel(f"PC1 ({first:.0%} of variance)")
        axis.set_ylabel(f"PC2 ({second:.0%} of variance)")
        axis.grid(color=GRID, linewidth=0.6)
        axis.set_axisbelow(True)
        figure.legend(handles=_legend(layout, names, colours), loc="outside right upper", title_fontsize=8)
        left_out = f" ({all_count - wells.num_rows} without profile)" if wells.num_rows < all_count else ""
        caption = (
            f"{count_words(values.shape[0], 'well')}{left_out}, {count_words(values.shape[1], 'feature')}. Larger points are higher doses; "
            "lines join the dose means."
        )
        if of is not None and of > all_count:
            caption = f"{all_count:,} of {of:,} wells, drawn by a fixed seed. {caption}"
        return finish(figure, "well_pca", title, caption)


def _layout_of(wells: pa.Table, settings: DatasetSettings) -> tuple[LayoutWell, ...]:
    layout = build_layout(wells, settings)
    if len(layout) == wells.num_rows:
        return layout
    return tuple(LayoutWell(well, "", 1.0, False) for well in read_well_names(wells))


def _complete_values(wells: pa.Table) -> np.ndarray:
    """Features that have a finite value in every well, one column each."""
    columns = (read_numbers(wells[name]) for name in list_features(wells))
    complete = [values for values in columns if values.size and np.isfinite(values).all()]
    return np.column_stack(complete) if complete else np.empty((wells.num_rows, 0))


def _draw_points(
    axis: Axes, points: np.ndarray, layout: Sequence[LayoutWell], colours: dict[str, tuple[str, str]]
) -> None:
    frame = pd.DataFrame({"x": points[:, 0], "y": points[:, 1]})
    frame["label"] = [well.label for well in layout]
    frame["level"] = [well.level for well in layout]
    frame["control"] = [well.is_control for well in layout]
    origin = frame[frame.control][["x", "y"]].mean() if frame.control.any() else None
    for label, group in frame[~frame.control].groupby("label", sort=False):
        colour, marker = colours.get(str(label), (MUTED, "o"))
        means = group.groupby("level")[["x", "y"]].mean().sort_index()
        if len(means) > 1:
            if origin is not None:
                means = pd.concat([origin.to_frame().T, means])
            axis.plot(means.x, means.y, color=colour, linewidth=1.2, alpha=0.55, zorder=1)
        axis.scatter(
            group.x, group.y, s=18 + 75 * group.level, color=colour, marker=marker, edgecolor="white", linewidth=0.6,
            alpha=0.9, zorder=3,
        )  # fmt: skip
    controls = frame[frame.control]
    axis.scatter(controls.x, controls.y, s=38, color=CONTROL, edgecolor=INK, linewidth=0.7, zorder=2)


def _legend(
    layout: Sequence[LayoutWell], names: Sequence[str], colours: dict[str, tuple[str, str]]
) -> list[Line2D]:
    def dot(label: str, colour: str, marker: str, edge: str) -> Line2D:
        return Line2D(
            [],
            [],
            linestyle="",
            marker=marker,
            color=colour,
            markeredgecolor=edge,
            markersize=7,
            label=build_label(label),
        )

    controls = dict.fromkeys(well.label for well in layout if well.is_control)
    handles = [dot(f"{name or 'control'} (control)", CONTROL, "o", INK) for name in controls]
    handles += [dot(name, *colours[name], "white") for name in names[:_MAX_LEGEND]]
    if len(names) > _MAX_LEGEND:
        handles.append(dot(f"and {len(names) - _MAX_LEGEND} more", "none", "o", "none"))
    return handles


def choose_dose_rows(wells: pa.Table, settings: DatasetSettings) -> DoseRows:
    """Wells of the first treatments that have doses, and control wells, from the metadata of all wells."""
    column, layout = _dose_column(wells, settings), build_layout(wells, settings)
    if column is None or len(layout) != wells.num_rows:
        return DoseRows(np.arange(wells.num_rows), np.empty(0, np.int64), 0)
    labels = np.asarray([well.label for well in layout], dtype=object)
    is_control = np.asarray([well.is_control for well in layout])
    doses = read_numbers(wells[column])
    is_treated = ~is_control & (labels != "") & (doses > 0) & (doses < np.inf)
    names = sorted(set(labels[is_treated]))
    is_shown = is_treated & np.isin(labels.astype(str), names[:_MAX_LEGEND])
    return DoseRows(np.flatnonzero(is_shown), np.flatnonzero(is_control), len(names))


def draw_dose_response(
    wells: pa.Table, settings: DatasetSettings, title: str, *, name_count: int = 0
) -> Drawing:
    """Draw how far each compound's wells are from the controls by dose; not drawn without doses.

    ``name_count`` is the number of treatments where the wells are those of some.

    The distance is the root mean square of the profile, in deviations of the reference cells, so that it does not grow
    with the number of features; single values count for at most ten deviations.
    """
    dose_column = _dose_column(wells, settings)
    if dose_column is None:
        return NotDrawn(title, "no treatment column of the platemap holds doses (numbers)")
    wells = with_profiles(wells)
    values = _complete_values(wells)
    if values.shape[1] == 0:
        return NotDrawn(
            title, "no feature has a value in every well that has a profile", is_odd=wells.num_rows > 0
        )
    layout = _layout_of(wells, settings)
    frame = pd.DataFrame(
        {"label": [well.label for well in layout], "control": [well.is_control for well in layout]}
    )
    frame["dose"] = read_numbers(wells[dose_column])
    frame["distance"] = np.sqrt((clip_profiles(values) ** 2).mean(axis=1))
    is_dose = (frame.dose > 0) & (frame.dose < np.inf)
    treated = frame[~frame.control & (frame.label != "") & is_dose]
    if treated.empty:
        return NotDrawn(title, "no treated well has a dose above zero")
    names = sorted(set(treated.label))
    colours = categories_of(names)
    with style():
        figure = new_figure(7.4, 4.4)
        axis = figure.add_subplot()
        axis.set_title(title, fontsize=12)
        _draw_control_band(axis, frame[frame.control].distance)
        for name in names[:_MAX_LEGEND]:
            _draw_curve(axis, treated[treated.label == name], name, *colours[name])
        axis.set_xscale("log")
        doses = sorted(set(treated.dose))
        if len(doses) <= _MAX_TICKS:
            axis.set_xticks(doses, [f"{dose:g}" for dose in doses])
        else:
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # the default writes formulas
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.set_xlabel(build_label(name_dose(dose_column)))
        axis.set_ylabel("distance from controls (RMS, control SD)")
        axis.grid(color=GRID, linewidth=0.6)
        axis.set_axisbelow(True)
        figure.legend(loc="outside right upper")
        caption = "Points are wells, lines the median per dose" + (
            "; the band is the middle 90 % of the control wells." if int(frame.control.sum()) > 1 else "."
        )
        if max(len(names), name_count) > _MAX_LEGEND:
            caption += f" The first {_MAX_LEGEND} of {max(len(names), name_count)} treatments."
        return finish(figure, "dose_response", title, caption)


def _dose_column(wells: pa.Table, settings: DatasetSettings) -> str | None:
    for name in reversed(settings.treatment_columns[1:]):
        if name in wells.column_names and np.isfinite(read_numbers(wells[name])).any():
            return name
    return None


def _draw_control_band(axis: Axes, distances: pd.Series) -> None:
    if len(distances) < 2:
        return
    low, middle, high = np.percentile(distances, [5, 50, 95])
    axis.axhspan(low, high, color=CONTROL, alpha=0.18, linewidth=0, label="controls (90 %)")
    axis.axhline(middle, color=CONTROL, linewidth=1.0)


def _draw_curve(axis: Axes, wells: pd.DataFrame, name: str, colour: str, marker: str) -> None:
    medians = wells.groupby("dose").distance.median().sort_index()
    axis.plot(medians.index, medians, color=colour, linewidth=1.6)
    axis.scatter(
        wells.dose,
        wells.distance,
        s=22,
        color=colour,
        marker=marker,
        edgecolor="white",
        linewidth=0.5,
        label=build_label(name),
        zorder=3,
    )
