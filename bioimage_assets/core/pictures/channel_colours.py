"""Pixels as they are shown: channels mixed into colours, with one black and one white point per channel for a whole picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.model.display_colours import COLOUR_NAMES, COLOURS
from bioimage_assets.core.pictures.well_numbers import clip_numbers

_COLOURS = np.array(COLOURS, dtype=np.float64)
_BRIGHT_WELLS = 75  # percentile of the wells' own white points


@dataclass(frozen=True, slots=True)
class Crop:
    """Pixels around one cell: (channel, y, x), the channels' names and the size of a pixel where it is known."""

    pixels: np.ndarray
    channel_names: tuple[str, ...] = ()
    pixel_size_um: float | None = None


def find_limits(crops: Sequence[Crop]) -> list[tuple[float, float]]:
    """Black and white point per channel, from the darkest and brightest per mille of the given cells."""
    count = min(crop.pixels.shape[0] for crop in crops)
    limits = []
    for channel in range(count):
        values = np.concatenate([_finite_pixels(crop.pixels[channel]).ravel() for crop in crops])
        seen = (
            values[values > 0] if (values > 0).any() else values
        )  # windows over the border are padded with zeros
        low, high = (float(end) for end in np.percentile(seen, [2.0, 99.8]))
        limits.append((low, max(high, low + max(1.0, 1e-6 * abs(low)))))
    return limits


def _finite_pixels(pixels: np.ndarray) -> np.ndarray:
    """Pixels as float64; what is not a number is black, what is infinite as bright as can be calculated with."""
    return clip_numbers(np.nan_to_num(pixels.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf))


def compose(crop: Crop, limits: Sequence[tuple[float, float]]) -> np.ndarray:
    """Mix the channels into RGB; a single channel is shown in grey."""
    height, width = crop.pixels.shape[1:]
    mixed = np.zeros((height, width, 3))
    colours = np.ones((1, 3)) if len(limits) == 1 else _COLOURS
    for channel, (low, high) in enumerate(limits[: crop.pixels.shape[0]]):
        level = np.clip((_finite_pixels(crop.pixels[channel]) - low) / (high - low), 0, 1)
        mixed += level[..., None] * colours[channel % len(colours)]
    return np.asarray(np.clip(mixed / max(1.0, 0.75 * np.sqrt(len(limits))), 0, 1))


def share_limits(crops: Sequence[Crop]) -> list[tuple[float, float]]:
    """One black and one white point per channel, from those of each well: a few saturated wells do not leave the others dark."""
    count = min(crop.pixels.shape[0] for crop in crops)
    own = np.asarray([find_limits([crop])[:count] for crop in crops], np.float64).reshape(
        len(crops), count, 2
    )
    low, high = np.median(own[:, :, 0], axis=0), np.percentile(own[:, :, 1], _BRIGHT_WELLS, axis=0)
    least = np.maximum(1.0, 1e-6 * np.abs(low))
    return [
        (float(black), float(white)) for black, white in zip(low, np.maximum(high, low + least), strict=True)
    ]


def name_colours(channels: Sequence[str]) -> list[str]:
    """Each channel with the colour it is mixed in."""
    if len(channels) == 1:
        return [f"{channels[0]} (grey)"]
    return [f"{name} ({COLOUR_NAMES[number % len(COLOUR_NAMES)]})" for number, name in enumerate(channels)]
