"""Where a field lies on the stage, from the translations of OME-Zarr images.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#trafo-md. Many writers state a translation by zero for every image; that
says something only where another image of the store is moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bioimage_assets.core.formats.ome_zarr.model import Axis
from bioimage_assets.core.formats.ome_zarr.units import length_in_um
from bioimage_assets.core.model.acquisition import AcquisitionFacts, drop_empty
from bioimage_assets.core.model.image import ImageRecord

SOURCE = "ngff-translation"  # as ``acquisition.source`` names it


def read_position(axes: Sequence[Axis] | None, offset: tuple[float, ...] | None) -> AcquisitionFacts | None:
    """Where the first pixel lies, in µm; None where no translation is stated, or in no unit of length."""
    if not axes or not offset or len(axes) != len(offset):
        return None
    places = {axis.name: length_in_um(value, axis.unit) for axis, value in zip(axes, offset, strict=True)}
    return drop_empty(AcquisitionFacts(SOURCE, places.get("x"), places.get("y"), places.get("z")))


def drop_zero_positions(images: Sequence[ImageRecord]) -> Sequence[ImageRecord]:
    """The images without their positions, where all of these are zero."""
    placed = {image.acquisition for image in images if image.acquisition is not None}
    moved = any(place.stage_x_um or place.stage_y_um or place.stage_z_um for place in placed)
    if moved or not placed:
        return images
    return [image if image.acquisition is None else replace(image, acquisition=None) for image in images]
