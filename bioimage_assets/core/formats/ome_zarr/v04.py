"""OME-Zarr 0.4 and 0.5: axes are objects, each level has a scale, and one more may apply to all levels.

https://ngff.openmicroscopy.org/0.5/index.html#multiscale-md
"""

from __future__ import annotations

from bioimage_assets.core.formats.ome_zarr.levels import check_scales, read_axes, read_levels
from bioimage_assets.core.formats.ome_zarr.model import Issue, Level, Multiscale
from bioimage_assets.core.formats.ome_zarr.transforms import multiply_scales, read_scale
from bioimage_assets.core.formats.zarr.documents import JsonObject


def build_multiscale(entry: JsonObject, version: str | None) -> Multiscale:
    """Build the image of one entry; dataset scales are multiplied with the entry's own."""
    issues: list[Issue] = []
    common = read_scale(entry.get("coordinateTransformations"))
    axes = read_axes(entry.get("axes"), issues)
    levels = [Level(level.path, multiply_scales(level.scale, common)) for level in read_levels(entry, issues)]
    checked = check_scales(levels, axes, issues)
    return Multiscale(version or "0.4", axes, checked, tuple(issues))
