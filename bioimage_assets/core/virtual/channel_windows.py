"""Original pixels of a few fields in, a black and a white point for each channel of a plate out.

Twelve bits of a camera in a type of sixteen look black where all that the type can hold is shown. A few hundred pixels of three fields tell
what the channels hold; all fields of a plate are shown alike, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.pixels.location import ImageGeometry, read_geometry
from bioimage_assets.core.virtual.few_fields import choose_few_fields
from bioimage_assets.core.virtual.model import VirtualImage, VirtualPlate
from bioimage_assets.core.virtual.multiscale_metadata import Window

# Side of the part of a field that is read, in its middle; a level that has fewer pixels is read whole.
SAMPLED_PX = 256
_PERCENTILES = (2.0, 99.8)


def measure_windows(
    image_assets: pa.Table, plate: VirtualPlate, storage_options: Mapping[str, object] | None = None
) -> dict[str, list[Window | None]]:
    """Points per channel by ``image_id``: of images of integers or floating-point numbers that have one plane of bytes they are left alone.

    Images of one type and number of channels share their points. Nothing where no field can be read: that is no error here.
    """
    rows = {str(row["image_id"]): row for row in image_assets.to_pylist()}
    alike: dict[tuple[str, int], list[VirtualImage]] = {}
    for image in plate.images:
        if not image.is_label:
            alike.setdefault(_kind_of(image), []).append(image)
    found: dict[str, list[Window | None]] = {}
    for (dtype, count), images in alike.items():
        if np.dtype(dtype).itemsize > 1:
            sample = [rows[image.image_id] for image in choose_few_fields(images)]
            windows = _measure(sample, count, storage_options)
            found |= {image.image_id: windows for image in images} if any(windows) else {}
    return found


def _kind_of(image: VirtualImage) -> tuple[str, int]:
    array = image.arrays[0]
    return array.dtype, array.shape[array.axes.index("c")] if "c" in array.axes else 1


def _measure(
    rows: Sequence[Mapping[str, object]], count: int, storage_options: Mapping[str, object] | None
) -> list[Window | None]:
    values: list[list[np.ndarray]] = [[] for _ in range(count)]
    for row in rows:
        for channel, pixels in enumerate(_read_field(row, count, storage_options)):
            values[channel].append(pixels[np.isfinite(pixels)])
    return [_find_window(np.concatenate(found)) if found else None for found in values]


def _read_field(
    row: Mapping[str, object], count: int, storage_options: Mapping[str, object] | None
) -> list[np.ndarray]:
    """The middle of each channel, of the middle of a stack and the first time point; none where they cannot be read."""
    with suppress(BioimageError):
        geometry = read_geometry(row)
        level = _choose_level(geometry)
        location = build_location(geometry, _middle(geometry, level), _choose_plane(geometry, level))
        return _split_channels(read_crop(location, storage_options=storage_options), geometry, count)
    return []


def _choose_level(geometry: ImageGeometry) -> int:
    """The coarsest level that still has enough pixels."""
    sizes = [min(_plane_size(geometry, level)) for level in range(len(geometry.levels))]
    return max((level for level, size in enumerate(sizes) if size >= SAMPLED_PX), default=0)


def _plane_size(geometry: ImageGeometry, level: int) -> tuple[int, int]:
    shape = geometry.levels[level].shape
    return shape[geometry.axes.index("y")], shape[geometry.axes.index("x")]


def _middle(geometry: ImageGeometry, level: int) -> PixelBox:
    """In pixels of full resolution, the middle that has so many pixels of a level."""
    bounds = []
    for full, size in zip(_plane_size(geometry, 0), _plane_size(geometry, level), strict=True):
        side = min(full, SAMPLED_PX * full // max(1, size))
        start = (full - side) // 2
        bounds += [start, start + side]
    return PixelBox(*bounds)


def _choose_plane(geometry: ImageGeometry, level: int) -> CropChoice:
    z = geometry.axis("z")
    return CropChoice(level=level, z=None if z is None else geometry.levels[level].shape[z] // 2)


def _split_channels(pixels: np.ndarray, geometry: ImageGeometry, count: int) -> list[np.ndarray]:
    axis = geometry.axis("c") if geometry.axis("c") is not None else geometry.axis("s")
    channels = [pixels] if axis is None else list(np.moveaxis(pixels, axis, 0))
    return [channel.ravel() for channel in channels] if len(channels) == count else []


def _find_window(values: np.ndarray) -> Window | None:
    """Whole numbers, so that a digit of a percentile changes no document; None where all pixels are the same."""
    seen = values[values != 0]
    if not len(seen) or seen.min() == seen.max():
        return None
    low, high = (float(end) for end in np.percentile(seen, _PERCENTILES))
    if values.dtype.kind in "iub":
        return Window(int(low), int(np.ceil(high))) if high > low else None
    return Window(low, high) if high > low else None
