"""Square windows of pixels around the cells of joined profiles, for pictures.

The place comes from ``core.pixels.locate``, the pixels from ``core.pixels.crop``; what is outside the image is black.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.pictures.channel_colours import Crop
from bioimage_assets.core.pixels.boxes import PixelBox, find_box_columns, read_box
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, build_location, with_planes
from bioimage_assets.core.pixels.location import ImageGeometry, PixelLocation, read_geometry


class StoreCropReader:
    """Cuts windows from the stores that a plate's ``image_assets`` name; only the touched chunks are read."""

    def __init__(self, image_assets: pa.Table, storage_options: Mapping[str, object] | None = None) -> None:
        ids = image_assets["image_id"].to_pylist()
        self._images = image_assets
        self._storage_options = storage_options
        self._row_of_image = {image_id: row for row, image_id in enumerate(ids)}
        self._geometries: dict[str, ImageGeometry] = {}

    def __call__(self, row: pa.Table, *, size_px: int) -> Crop | None:
        """Cut the window of one cell; None where it is linked to no image.

        Raises
        ------
        ContractError, UsageError, StoreError
            The row has no place, the place is outside the image, or its pixels cannot be read.
        """
        values = row.slice(0, 1).to_pylist()[0]
        if values.get("image_id") is None:
            return None
        geometry = self._geometry(str(values["image_id"]))
        window = _window(values, size_px)
        location = build_location(geometry, window, with_planes(CropChoice(), values, geometry))
        pixels = _to_channels(location, read_crop(location, storage_options=self._storage_options))
        names = tuple(name or f"channel {number}" for number, name in enumerate(location.channel_names))
        return Crop(_pad(pixels, location, window, size_px), names, geometry.pixel_size_x_um)

    def _geometry(self, image_id: str) -> ImageGeometry:
        if image_id not in self._row_of_image:
            raise MissingTableError(f"Image {image_id!r} is not in the given image_assets.")
        if image_id not in self._geometries:
            row = self._images.slice(self._row_of_image[image_id], 1).to_pylist()[0]
            self._geometries[image_id] = read_geometry(row)
        return self._geometries[image_id]


def _window(values: Mapping[str, object], size_px: int) -> PixelBox:
    """Square around the middle of the cell's box or centre."""
    box = read_box(values, find_box_columns(values))
    y, x = (box.y_start + box.y_stop) // 2 - size_px // 2, (box.x_start + box.x_stop) // 2 - size_px // 2
    return PixelBox(y, y + size_px, x, x + size_px)


def _to_channels(location: PixelLocation, pixels: np.ndarray) -> np.ndarray:
    """Bring pixels of any axis order to (channel, y, x): brightest plane of z, first of everything else."""
    axes = list(location.axes)
    for axis in [axis for axis in axes if axis not in ("c", "z", "y", "x")]:
        pixels = pixels.take(0, axis=axes.index(axis))
        axes.remove(axis)
    if "z" in axes:
        pixels = pixels.max(axis=axes.index("z"))
        axes.remove("z")
    if "c" not in axes:
        pixels, axes = pixels[None], ["c", *axes]
    return np.asarray(pixels.transpose([axes.index(axis) for axis in ("c", "y", "x")]))


def _pad(pixels: np.ndarray, location: PixelLocation, window: PixelBox, size_px: int) -> np.ndarray:
    y, x = location.interval("y"), location.interval("x")
    if y is None or x is None or pixels.shape[1:] == (size_px, size_px):
        return pixels
    padded = np.zeros((pixels.shape[0], size_px, size_px), pixels.dtype)
    top, left = y[0] - window.y_start, x[0] - window.x_start
    padded[:, top : top + pixels.shape[1], left : left + pixels.shape[2]] = pixels
    return padded
