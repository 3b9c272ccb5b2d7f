"""OME-Zarr 0.3: axes are a list of names, no pixel sizes.

https://ngff.openmicroscopy.org/0.3/index.html#multiscale-md
"""

from __future__ import annotations

from bioimage_assets.core.formats.ome_zarr.levels import place_levels, read_axes, read_levels
from bioimage_assets.core.formats.ome_zarr.model import Issue, Multiscale
from bioimage_assets.core.formats.zarr.documents import JsonObject


def build_multiscale(entry: JsonObject, version: str | None) -> Multiscale:
    """Build the image of one entry whose axes are text."""
    issues: list[Issue] = []
    listed = read_levels(entry, issues)
    axes = read_axes(entry.get("axes"), issues)
    levels = place_levels(listed, axes)
    return Multiscale(version or "0.3", axes, tuple(levels), tuple(issues))
