"""OME-Zarr 0.1 and 0.2: five implied axes, no pixel sizes.

https://ngff.openmicroscopy.org/0.1/index.html#image-layout: "All image arrays are 5-dimensional with dimension
order (t, c, z, y, x)".
"""

from __future__ import annotations

from bioimage_assets.core.formats.ome_zarr.levels import place_levels, read_levels
from bioimage_assets.core.formats.ome_zarr.model import IMPLIED_AXES, Issue, Multiscale
from bioimage_assets.core.formats.zarr.documents import JsonObject


def build_multiscale(entry: JsonObject, version: str | None) -> Multiscale:
    """Build the image of one entry without axes."""
    issues: list[Issue] = []
    levels = place_levels(read_levels(entry, issues), IMPLIED_AXES)
    return Multiscale(version or "0.1", IMPLIED_AXES, tuple(levels), tuple(issues))
