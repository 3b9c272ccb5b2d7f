"""One image as a viewer needs to know it: axes, levels, channels, planes, pixel size; and its pixels, plane by plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bioimage_assets.browse.channels import Channel, find_limit
from bioimage_assets.browse.links import ViewerLinks
from bioimage_assets.browse.open_images import OpenImages, Planes
from bioimage_assets.browse.plates import BrowsedPlate
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.display_colours import list_channel_colours
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.location import ImageGeometry

MAX_PIXELS = 32 * 2**20
"""Of one answer; a page asks for what it shows."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the pyramid; 0 is full resolution. ``chunk`` is what is decoded at once (y, x), None where it is unknown."""

    level: int
    shape: tuple[int, ...]
    height: int
    width: int
    chunk: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class ShownImage:
    """One field of view; ``pixel_size_um`` is that of x, None where it is unknown."""

    image_id: str
    plate_key: str
    well_id: str | None
    site_id: str | None
    acquisition_id: str | None
    axes: str
    dtype: str
    levels: tuple[Level, ...]
    channels: tuple[Channel, ...]
    z_count: int
    t_count: int
    pixel_size_um: float | None
    links: ViewerLinks


@dataclass(frozen=True, slots=True)
class RawPixels:
    """Samples of some channels, little-endian, in C order (c, y, x)."""

    payload: bytes
    shape: tuple[int, int, int]
    dtype: str


def describe_image(
    plate: BrowsedPlate, image_id: str, channels: Sequence[Channel], links: ViewerLinks
) -> ShownImage:
    """What a viewer needs to know before it asks for pixels."""
    one, geometry = plate.field(image_id), plate.geometry(image_id)
    return ShownImage(
        image_id=image_id,
        plate_key=plate.plate_key,
        well_id=normalize_well(one.well_id) or one.well_id,
        site_id=one.site_id,
        acquisition_id=one.acquisition_id,
        axes="".join(geometry.axes),
        dtype=geometry.dtype,
        levels=tuple(_describe_level(geometry, number) for number in range(len(geometry.levels))),
        channels=_name_channels(geometry, channels),
        z_count=_count(geometry, "z"),
        t_count=_count(geometry, "t"),
        pixel_size_um=geometry.pixel_size_x_um,
        links=links,
    )


def read_pixels(
    images: OpenImages, geometry: ImageGeometry, fingerprint: str, planes: Planes, box: PixelBox
) -> RawPixels:
    """Pixels as they are stored; UsageError for a box that is too large or not inside the level."""
    count, height, width = len(planes.channels), box.y_stop - box.y_start, box.x_stop - box.x_start
    if count * height * width > MAX_PIXELS:
        raise UsageError(
            f"{count} x {height} x {width} pixels are more than the {MAX_PIXELS:,} of one answer."
        )
    pixels = images.read_planes(geometry, fingerprint, planes, box)
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return RawPixels(little.tobytes(), (little.shape[0], little.shape[1], little.shape[2]), pixels.dtype.name)


def _describe_level(geometry: ImageGeometry, number: int) -> Level:
    shape, chunk = geometry.levels[number].shape, geometry.levels[number].chunk_shape
    y, x = geometry.axis("y"), geometry.axis("x")
    if y is None or x is None:
        return Level(number, shape, 0, 0, None)
    is_known = chunk is not None and len(chunk) == len(shape)
    return Level(number, shape, shape[y], shape[x], (chunk[y], chunk[x]) if chunk and is_known else None)


def _name_channels(geometry: ImageGeometry, plates: Sequence[Channel]) -> tuple[Channel, ...]:
    """Channels of this image; contrast is that of the plate, so that fields can be compared."""
    samples = geometry.axis("s")
    count = geometry.channel_count if samples is None else geometry.levels[0].shape[samples]
    limit = find_limit(geometry.dtype)
    colours = ["FF0000", "00FF00", "0000FF", "FFFFFF"] if samples is not None else list_channel_colours(count)
    found = []
    for number in range(count):
        own = geometry.channel_names[number] if number < len(geometry.channel_names) else None
        shared = plates[number] if number < len(plates) else None
        low, high = (0.0, limit) if shared is None or samples is not None else (shared.min, shared.max)
        name = own or (shared.name if shared is not None else f"channel {number}")
        found.append(Channel(name, colours[number % len(colours)], low, high, limit))
    return tuple(found)


def _count(geometry: ImageGeometry, axis: str) -> int:
    position = geometry.axis(axis)
    return 1 if position is None else geometry.levels[0].shape[position]
