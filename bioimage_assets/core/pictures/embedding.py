"""Well profiles become a map of wells (principal components) and dose-response curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from sklearn.decomposition import PCA

from bioimage_assets.core.pictures.plate_map import LayoutWell, build_layout
from bioimage_assets.core.pictures.style import (
    CONTROL,
    GRID,
    INK,
    MUTED,
    Picture,
    categories_of,
    finish,
    new_figure,
    style,
)
from bioimage_assets.core.profiling.activity import clip_profiles
from bioimage_assets.core.profiling.features import list_profile_features, with_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings

_MAX_LEGEND = 12
_MAX_TICKS = 12
_MIN_WELLS = 4


def draw_well_pca(wells: pa.Table, settings: DatasetSettings, title: str) -> Picture | None:
    """Place wells by their first two principal components; colour is compound, size is dose, lines join doses.

    None with fewer than four wells that have a profile. Features with a null in any of these wells are left out; single values count for
    at most ten deviations, or one feature that a compound moves by a hundred would be the whole picture.
    """
    wells, all_count = with_profiles(wells), wells.num_rows
    values = _complete_values(wells)
    if values.shape[0] < _MIN_WELLS or values.shape[1] < 2:
        return None
    values = clip_profiles(values)
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
            f"{values.shape[0]} wells{left_out}, {values.shape[1]} features. Larger points are higher doses; "
            "lines join the dose means."
        )
        return finish(figure, "well_pca", title, caption)


def _layout_of(wells: pa.Table, settings: DatasetSettings) -> tuple[LayoutWell, ...]:
    layout = build_layout(wells, settings)
    if len(layout) == wells.num_rows:
        return layout
    return tuple(LayoutWell(str(well), "", 1.0, False) for well in wells["well_id"].to_pylist())


def _complete_values(wells: pa.Table) -> np.ndarray:
    names = list_profile_features(wells.schema)
    values = wells.select(names).to_pandas().to_numpy(dtype=np.float64)
    return values[:, np.isfinite(values).all(axis=0)] if values.size else values.reshape(wells.num_rows, 0)


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
            [], [], linestyle="", marker=marker, color=colour, markeredgecolor=edge, markersize=7, label=label
        )

    controls = dict.fromkeys(well.label for well in layout if well.is_control)
    handles = [dot(f"{name or 'control'} (control)", CONTROL, "o", INK) for name in controls]
    handles += [dot(name, *colours[name], "white") for name in names[:_MAX_LEGEND]]
    if len(names) > _MAX_LEGEND:
        handles.append(dot(f"and {len(names) - _MAX_LEGEND} more", "none", "o", "none"))
    return handles


def draw_dose_response(wells: pa.Table, settings: DatasetSettings, title: str) -> Picture | None:
    """Draw how far each compound's wells are from the controls by dose; None without doses or controls.

    The distance is the root mean square of the profile, in deviations of the reference cells, so that it does not grow
    with the number of features; single values count for at most ten deviations.
    """
    wells = with_profiles(wells)
    dose_column = _dose_column(wells, settings)
    values = _complete_values(wells)
    layout = build_layout(wells, settings)
    if dose_column is None or values.shape[1] == 0 or len(layout) != wells.num_rows:
        return None
    frame = pd.DataFrame(
        {"label": [well.label for well in layout], "control": [well.is_control for well in layout]}
    )
    frame["dose"] = wells[dose_column].to_numpy().astype(np.float64)
    frame["distance"] = np.sqrt((clip_profiles(values) ** 2).mean(axis=1))
    treated = frame[~frame.control & (frame.label != "") & (frame.dose > 0)]
    if treated.empty:
        return None
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
            axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.set_xlabel(_dose_label(dose_column))
        axis.set_ylabel("profile strength (RMS, control SD)")
        axis.grid(color=GRID, linewidth=0.6)
        axis.set_axisbelow(True)
        figure.legend(loc="outside right upper")
        caption = (
            "Points are wells, lines the median per dose; the band is the middle 90 % of the control wells."
        )
        return finish(figure, "dose_response", title, caption)


def _dose_column(wells: pa.Table, settings: DatasetSettings) -> str | None:
    for name in reversed(settings.treatment_columns[1:]):
        if name in wells.column_names and pa.types.is_floating(wells[name].type):
            return name
    return None


def _dose_label(column: str) -> str:
    name = column.removeprefix("Metadata_")
    for suffix, unit in (("_um", "µM"), ("_nm", "nM"), ("_mm", "mM")):
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix).replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


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
        label=name,
        zorder=3,
    )
