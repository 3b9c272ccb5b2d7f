"""OME-Zarr 0.6 (release candidate): axes live in coordinate systems that transformations lead to.

https://github.com/ome/ngff-spec (main, 0.6rc0): the intrinsic system of an image is the one that the
transformations of its datasets have as output.
"""

from __future__ import annotations

from bioimage_assets.core.formats.ome_zarr.levels import (
    note_unplaced,
    place_level,
    read_axes,
    read_levels,
)
from bioimage_assets.core.formats.ome_zarr.model import Axis, Issue, Level, Multiscale
from bioimage_assets.core.formats.ome_zarr.transforms import AxisMap, read_axis_map
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_list, as_object, as_text


def build_multiscale(entry: JsonObject, version: str | None) -> Multiscale:
    """Build the image of one entry with coordinate systems."""
    issues: list[Issue] = []
    axes = _read_intrinsic_axes(entry, issues)
    listed = read_levels(entry, issues)
    if axes is None:
        return Multiscale(version or "0.6", None, tuple(Level(level.path) for level in listed), tuple(issues))
    count = len(axes)
    # An empty list says nothing; "identity" says that pixels are one unit apart.
    maps = [read_axis_map(level.transforms, count) if level.transforms else None for level in listed]
    order = maps[0].source if maps and maps[0] else tuple(range(count))
    levels = [
        place_level(level.path, _by_dimension(item) if item and item.source == order else None)
        for level, item in zip(listed, maps, strict=True)
    ]
    note_unplaced(levels, listed, issues)
    # ``mapAxis`` may order the axes of the system otherwise than the array has its dimensions.
    own_axes = tuple(axes[order.index(dimension)] for dimension in range(count))
    return Multiscale(version or "0.6", own_axes, tuple(levels), tuple(issues))


def _by_dimension(placed: AxisMap) -> AxisMap:
    """Scale and offset in the order of the array's dimensions."""
    places = [placed.source.index(dimension) for dimension in range(len(placed.source))]
    return placed._replace(
        source=tuple(range(len(places))),
        scale=tuple(placed.scale[place] for place in places),
        offset=tuple(placed.offset[place] for place in places),
    )


def _read_intrinsic_axes(entry: JsonObject, issues: list[Issue]) -> tuple[Axis, ...] | None:
    systems = {
        as_text(as_object(item).get("name")): as_object(item)
        for item in as_list(entry.get("coordinateSystems"))
    }
    name = next(
        (
            _system_name(as_object(transform).get("output"))
            for item in as_list(entry.get("datasets"))
            for transform in as_list(as_object(item).get("coordinateTransformations"))
        ),
        None,
    )
    system = systems.get(name) if name is not None else None
    if system is None and len(systems) == 1:
        system = next(iter(systems.values()))
    if system is None:
        issues.append(
            Issue("unusable-axes", "warning", f"no coordinate system {name!r:.60} to take axes from")
        )
        return None
    return read_axes(system.get("axes"), issues)


def _system_name(reference: object) -> str | None:
    """Name of a coordinate system, written as text or as ``{"name": …}``."""
    return as_text(reference) or as_text(as_object(reference).get("name"))
