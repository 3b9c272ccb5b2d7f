"""OME-Zarr 0.6 (release candidate): axes live in coordinate systems that transformations lead to.

https://github.com/ome/ngff-spec (main, 0.6rc0): the intrinsic system of an image is the one that the
transformations of its datasets have as output.
"""

from __future__ import annotations

from bioimage_assets.core.formats.ome_zarr.levels import check_scales, read_axes, read_levels
from bioimage_assets.core.formats.ome_zarr.model import Axis, Issue, Multiscale
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_list, as_object, as_text


def build_multiscale(entry: JsonObject, version: str | None) -> Multiscale:
    """Build the image of one entry with coordinate systems."""
    issues: list[Issue] = []
    axes = _read_intrinsic_axes(entry, issues)
    levels = check_scales(read_levels(entry, issues), axes, issues)
    return Multiscale(version or "0.6", axes, levels, tuple(issues))


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
