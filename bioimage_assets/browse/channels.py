"""How the channels of a plate are shown: names, colours, and one black and white point each for all of its wells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bioimage_assets.browse.fields import read_small_field
from bioimage_assets.browse.open_images import OpenImages
from bioimage_assets.browse.plates import BrowsedPlate, FieldRow
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.model.display_colours import list_channel_colours
from bioimage_assets.core.pictures.channel_colours import Crop, share_limits
from bioimage_assets.core.pixels.location import ImageGeometry

SAMPLED_WELLS = 6
_SAMPLE_PX = 96


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel: its colour as RRGGBB, the values that are shown black and white, and the largest that its type has."""

    name: str
    color: str
    min: float
    max: float
    limit: float


def find_channels(project: BrowsedProject, images: OpenImages, plate: BrowsedPlate) -> tuple[Channel, ...]:
    """Channels of a plate; contrast from one field of some wells, read once."""
    return project.keep(("channels", plate.plate_key), lambda: _build_channels(images, plate))


def list_limits(channels: Sequence[Channel]) -> list[tuple[float, float]]:
    """Black and white point of each channel."""
    return [(channel.min, channel.max) for channel in channels]


def _build_channels(images: OpenImages, plate: BrowsedPlate) -> tuple[Channel, ...]:
    sample = _sample_fields(plate)
    if not sample:
        return ()
    geometry, crops = _read_some(images, plate, sample)
    if geometry is None:
        return ()
    limit = find_limit(geometry.dtype)
    names = plate.channel_names()
    count = max(len(names), crops[0].pixels.shape[0] if crops else 0)
    names += [None] * (count - len(names))
    found = share_limits(crops) if crops else []
    found += [(0.0, limit)] * (count - len(found))
    return tuple(
        Channel(name or f"channel {number}", color, low, high, limit)
        for number, (name, color, (low, high)) in enumerate(
            zip(names, list_channel_colours(count), found, strict=False)
        )
    )


def _read_some(
    images: OpenImages, plate: BrowsedPlate, sample: Sequence[FieldRow]
) -> tuple[ImageGeometry | None, list[Crop]]:
    """Fields that can be read; one that cannot be costs itself alone."""
    geometry, crops = None, []
    for one in sample:
        try:
            found = plate.geometry(one.image_id)
            geometry = geometry or found
            crops.append(read_small_field(images, found, one.fingerprint, _SAMPLE_PX))
        except BioimageError:
            continue
    return geometry, crops


def _sample_fields(plate: BrowsedPlate) -> list[FieldRow]:
    """The first field of a few wells, spread over the plate."""
    first = [fields[0] for _, fields in sorted(plate.wells().items())]
    if len(first) <= SAMPLED_WELLS:
        return first
    places = np.linspace(0, len(first) - 1, SAMPLED_WELLS + 2)[1:-1].round().astype(int)
    return [first[place] for place in places]


def find_limit(dtype: str) -> float:
    """Largest value of a type; of floating numbers 1, as normalised images have it.

    >>> find_limit("uint16"), find_limit("float32")
    (65535.0, 1.0)
    """
    try:
        kind = np.dtype(dtype)
    except TypeError:
        return 1.0
    return float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0
