"""Parts that all versions share: the list of level paths and the list of axes.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#multiscale-md
"""

from __future__ import annotations

from math import inf

from bioimage_assets.core.formats.ome_zarr.limits import MAX_LEVELS, MAX_NAME, cut_list
from bioimage_assets.core.formats.ome_zarr.model import Axis, Issue, Level
from bioimage_assets.core.formats.ome_zarr.transforms import read_scale
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_list, as_object, as_text
from bioimage_assets.core.model.axes import name_axes
from bioimage_assets.core.model.store_paths import is_safe_path


def read_levels(entry: JsonObject, issues: list[Issue]) -> list[Level]:
    """Read paths and scales of the datasets in order, largest first; unsafe and repeated ones are dropped and said."""
    levels: list[Level] = []
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
        levels.append(Level(cleaned, read_scale(dataset.get("coordinateTransformations"))))
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


def check_scales(
    levels: list[Level], axes: tuple[Axis, ...] | None, issues: list[Issue]
) -> tuple[Level, ...]:
    """Drop scales that do not have one positive number per axis; that is said once."""
    checked = tuple(
        level
        if level.scale
        and axes
        and len(level.scale) == len(axes)
        and all(0 < item < inf for item in level.scale)
        else Level(level.path)
        for level in levels
    )
    if axes and any(level.scale is None for level in checked):
        issues.append(
            Issue("unusable-scale", "warning", "a level has no scale with one positive number per axis")
        )
    return checked
