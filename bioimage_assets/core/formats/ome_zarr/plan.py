"""What a store turns out to hold before its images are read: targets, unclaimed arrays and declared plates."""

from __future__ import annotations

from dataclasses import dataclass, field

from bioimage_assets.core.formats.ome_zarr.context import ImageTarget
from bioimage_assets.core.formats.zarr.nodes import ArrayNode
from bioimage_assets.core.model.scan import DeclaredPlate


@dataclass(slots=True)
class StorePlan:
    """Filled by the layout readers in the order of the store's own metadata."""

    targets: list[ImageTarget] = field(default_factory=list)
    arrays: dict[str, ArrayNode] = field(default_factory=dict)
    plates: list[DeclaredPlate] = field(default_factory=list)
