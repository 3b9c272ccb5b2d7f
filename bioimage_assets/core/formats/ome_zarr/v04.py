"""OME-Zarr 0.4 and 0.5: axes are objects, each level has a scale, and one more may apply to all levels.

https://ngff.openmicroscopy.org/0.5/index.html#multiscale-md
"""

from __future__ import annotations

from bioimage_assets.core.formats.ome_zarr.levels import (
    ListedLevel,
    note_unplaced,
    place_level,
    read_axes,
    read_levels,
)
from bioimage_assets.core.formats.ome_zarr.model import Issue, Level, Multiscale
from bioimage_assets.core.formats.ome_zarr.transforms import (
    AxisMap,
    follow,
    has_scale,
    leads_elsewhere,
    read_axis_map,
)
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_list


def build_multiscale(entry: JsonObject, version: str | None) -> Multiscale:
    """Build the image of one entry; dataset scales are multiplied with the entry's own."""
    issues: list[Issue] = []
    axes = read_axes(entry.get("axes"), issues)
    listed = read_levels(entry, issues)
    if axes is None:
        return Multiscale(version or "0.4", None, tuple(Level(level.path) for level in listed), tuple(issues))
    # SpatialData lists here how the image lies in each of its coordinate systems.
    common = [item for item in as_list(entry.get("coordinateTransformations")) if not leads_elsewhere(item)]
    levels = [place_level(level.path, _place(level, common, len(axes))) for level in listed]
    note_unplaced(levels, listed, issues)
    return Multiscale(version or "0.4", axes, tuple(levels), tuple(issues))


def _place(level: ListedLevel, common: list[object], axis_count: int) -> AxisMap | None:
    own = read_axis_map(level.transforms, axis_count) if has_scale(level.transforms) else None
    whole = read_axis_map(common, axis_count)
    return None if own is None or whole is None else follow(own, whole)
