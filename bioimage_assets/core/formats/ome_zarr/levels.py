"""Parts that all versions share: the list of level paths and the list of axes.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#multiscale-md
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import NamedTuple

from bioimage_assets.core.formats.ome_zarr.limits import MAX_LEVELS, MAX_NAME, cut_list
from bioimage_assets.core.formats.ome_zarr.model import Axis, Issue, Level
from bioimage_assets.core.formats.ome_zarr.transforms import AxisMap, describe_types, has_scale, read_axis_map
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_list, as_object, as_text
from bioimage_assets.core.model.axes import name_axes
from bioimage_assets.core.model.store_paths import is_safe_path


class ListedLevel(NamedTuple):
    """One dataset as it is listed: a safe path, and the transformations that lead from its pixels to coordinates."""

    path: str
    transforms: object


def read_levels(entry: JsonObject, issues: list[Issue]) -> list[ListedLevel]:
    """Read the datasets in order, largest first; unsafe and repeated ones are dropped and said."""
    levels: list[ListedLevel] = []
    seen: set[str] = set()
    for item in cut_list(as_list(entry.get("datasets")), MAX_LEVELS, "datasets of an image", issues):
        dataset = as_object(item)
        path = as_text(dataset.get("path"))
        # 0.1 to 0.6 all ask for a path relative to the group; "./0" and "0/" are harmless spellings of it.
        cleaned = path.removeprefix("./").rstrip("/") if path else None
        if cleaned is None or not is_safe_path(cleaned):
            issues.append(
                Issue("unsafe-path", "error", f"dataset path {path!r:.80} is not below the image; ignored")
            )
            continue
        if cleaned in seen:
            issues.append(
                Issue("duplicate-level", "warning", f"dataset path {cleaned!r:.80} is listed twice")
            )
            continue
        seen.add(cleaned)
        levels.append(ListedLevel(cleaned, dataset.get("coordinateTransformations")))
    if not levels:
        issues.append(Issue("empty-multiscales", "warning", "the multiscales entry lists no usable dataset"))
    return levels


def read_axes(declared: object, issues: list[Issue]) -> tuple[Axis, ...] | None:
    """Read axes given as names or objects, and call them ``t c z y x``; None where they cannot be used."""
    axes: list[Axis] = []
    for item in as_list(declared):
        if isinstance(item, str) and item:
            axes.append(Axis(item))
            continue
        axis = as_object(item)
        name = as_text(axis.get("name"))
        if name is None:
            issues.append(Issue("unusable-axes", "warning", f"axis {item!r:.60} has no name"))
            return None
        axes.append(Axis(name, as_text(axis.get("type")), as_text(axis.get("unit"))))
    names = [axis.name for axis in axes]
    if (
        not names
        or len(set(names)) != len(names)
        or any("," in name or len(name) > MAX_NAME for name in names)
    ):
        issues.append(Issue("unusable-axes", "warning", f"axes {declared!r:.80} are empty or not unique"))
        return None
    named = name_axes(names, [axis.kind for axis in axes])
    issues.extend(Issue("unclear-axis", doubt.severity, doubt.message) for doubt in named.doubts)
    return tuple(Axis(name, axis.kind, axis.unit) for name, axis in zip(named.names, axes, strict=True))


def place_level(path: str, placed: AxisMap | None) -> Level:
    """A level with its scale, where it has one positive number per axis, and with its offset, where one is stated."""
    if placed is None or not all(0 < item < inf for item in placed.scale):
        return Level(path)
    is_moved = placed.is_moved and all(map(isfinite, placed.offset))
    return Level(path, placed.scale, placed.offset if is_moved else None)


def place_levels(listed: Sequence[ListedLevel], axes: Sequence[Axis] | None) -> list[Level]:
    """Levels of a version that knows no transformations; some writers give them all the same."""
    return [
        place_level(level.path, read_axis_map(level.transforms, len(axes)))
        if axes and has_scale(level.transforms)
        else Level(level.path)
        for level in listed
    ]


def note_unplaced(levels: Sequence[Level], listed: Sequence[ListedLevel], issues: list[Issue]) -> None:
    """Say once that the scale of a level cannot be known."""
    unplaced = next((item for level, item in zip(levels, listed, strict=True) if level.scale is None), None)
    if unplaced is None:
        return
    message = "a level has no scale with one positive number per axis"
    if unplaced.transforms:
        message += f" (its transformations: {describe_types(unplaced.transforms)})"
    issues.append(Issue("unusable-scale", "warning", message))
