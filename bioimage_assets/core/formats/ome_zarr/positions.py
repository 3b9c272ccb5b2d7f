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


def merge_facts(stated: AcquisitionFacts | None, moved: AcquisitionFacts | None) -> AcquisitionFacts | None:
    """What an OME-XML states of an image, with the position of its translation where the XML has none; then both are its source."""
    if stated is None or moved is None:
        return stated or moved
    if stated.stage_x_um is not None or stated.stage_y_um is not None:
        return stated
    z = moved.stage_z_um if stated.stage_z_um is None else stated.stage_z_um
    source = f"{stated.source}, {SOURCE}"
    return stated._replace(
        source=source, stage_x_um=moved.stage_x_um, stage_y_um=moved.stage_y_um, stage_z_um=z
    )


def drop_zero_positions(images: Sequence[ImageRecord]) -> Sequence[ImageRecord]:
    """The images without the positions of their translations, where all of these are zero."""
    placed = {
        image.acquisition
        for image in images
        if image.acquisition is not None and image.acquisition.source.endswith(SOURCE)
    }
    moved = any(place.stage_x_um or place.stage_y_um or place.stage_z_um for place in placed)
    if moved or not placed:
        return images
    return [
        replace(image, acquisition=_without_position(image.acquisition))
        if image.acquisition in placed
        else image
        for image in images
    ]


def _without_position(facts: AcquisitionFacts | None) -> AcquisitionFacts | None:
    stated, found, _ = facts.source.partition(f", {SOURCE}") if facts is not None else ("", "", "")
    if facts is None or not found:
        return None
    return drop_empty(facts._replace(source=stated, stage_x_um=None, stage_y_um=None, stage_z_um=None))
