"""Reads a whole field small: the coarsest level that has enough pixels, averaged to the size in which it is shown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bioimage_assets.browse.open_images import OpenImages, whole
from bioimage_assets.core.pictures.channel_colours import Crop
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.pixels.location import ImageGeometry, PixelLocation

MAX_CHANNELS = 5  # of more, colours repeat


def read_small_field(images: OpenImages, geometry: ImageGeometry, fingerprint: str, size_px: int) -> Crop:
    """The field in about ``size_px`` pixels along its longer side, (channel, y, x); the middle plane of z, the first of t.

    Samples of a colour image are its channels. StoreError where the pixels cannot be read.
    """
    level = choose_level(geometry, size_px)
    channels = tuple(range(min(geometry.channel_count, MAX_CHANNELS)))
    z = geometry.axis("z")
    middle = None if z is None else geometry.levels[level].shape[z] // 2
    choice = CropChoice(level=level, channels=channels, z=middle, t=0)
    location = build_location(geometry, whole(geometry), choice)
    pixels = _to_channels(images.read(location, fingerprint), location)
    names = [geometry.channel_names[c] if c < len(geometry.channel_names) else None for c in channels]
    return Crop(shrink(pixels, size_px), tuple(name or f"channel {c}" for c, name in enumerate(names)))


def choose_level(geometry: ImageGeometry, size_px: int) -> int:
    """The coarsest level whose longer side has ``size_px`` pixels; the finest where none has."""
    whole(geometry)
    best, best_side = 0, 0
    for number, level in enumerate(geometry.levels):
        side = max(level.shape[geometry.axes.index(axis)] for axis in "yx")
        if side >= size_px and (best_side == 0 or side < best_side):
            best, best_side = number, side
    return best


def shrink(pixels: npt.NDArray[np.float32], size_px: int) -> npt.NDArray[np.float32]:
    """Average blocks of pixels so that the longer side has ``size_px`` pixels, or a little more."""
    step = max(pixels.shape[1:]) // size_px
    if step <= 1:
        return pixels
    channels, height, width = pixels.shape[0], pixels.shape[1] // step, pixels.shape[2] // step
    if not height or not width:
        return pixels
    cut = pixels[:, : height * step, : width * step]
    averaged: npt.NDArray[np.float32] = cut.reshape(channels, height, step, width, step).mean(
        (2, 4), dtype=np.float32
    )
    return averaged


def _to_channels(pixels: np.ndarray, location: PixelLocation) -> npt.NDArray[np.float32]:
    """Any axis order as (channel, y, x); the first of what is neither channel, y nor x."""
    axes = list(location.axes)
    if pixels.ndim > len(axes):
        axes.append("s")
    if "s" in axes and "c" in axes:
        pixels = pixels.take(0, axis=axes.index("c"))
        axes.remove("c")
    channel = "s" if "s" in axes else "c"
    for axis in [name for name in axes if name not in (channel, "y", "x")]:
        pixels = pixels.take(0, axis=axes.index(axis))
        axes.remove(axis)
    if channel not in axes:
        pixels, axes = pixels[None], [channel, *axes]
    return np.ascontiguousarray(
        pixels.transpose([axes.index(axis) for axis in (channel, "y", "x")]), np.float32
    )
