"""Rows of ``joined_profiles`` become windows of pixels cut straight from their stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.joins.boxes import PixelBox, find_box_columns, read_box
from bioimage_assets.core.joins.crop import read_crop
from bioimage_assets.core.joins.locate import CropChoice, build_location
from bioimage_assets.core.joins.location import read_geometry
from bioimage_assets.core.pictures.montage import Crop, CropReader


@dataclass(frozen=True, slots=True)
class StoreCropReader:
    """Cuts square windows around cells; ``images`` holds the rows of ``image_assets`` by image id."""

    images: Mapping[str, Mapping[str, object]]

    def __call__(self, row: pa.Table, *, size_px: int) -> Crop | None:
        """Give the pixels around the first row's cell, None where it has no image, no place or no pixels."""
        cell = row.slice(0, 1).to_pylist()[0]
        image = self.images.get(cell.get("image_id"))
        if image is None:
            return None
        try:
            geometry = read_geometry(image)
            box = read_box(cell, find_box_columns(cell, None), size_px)
            y, x = (box.y_start + box.y_stop - size_px) // 2, (box.x_start + box.x_stop - size_px) // 2
            window = PixelBox(y, y + size_px, x, x + size_px)
            location = build_location(geometry, window, CropChoice(t=0))
            pixels = read_crop(location)
        except BioimageError:  # a montage without one cell is still a montage
            return None
        names = tuple(name or f"channel {number}" for number, name in enumerate(location.channel_names))
        return Crop(_planes(pixels, location.axes), names, geometry.pixel_size_x_um)


def _planes(pixels: np.ndarray, axes: tuple[str, ...]) -> np.ndarray:
    """Reduce to (channel, y, x): the first time point, the brightest of a z stack."""
    for name in ("t", "z"):
        if name in axes:
            position = axes.index(name)
            pixels = pixels.max(axis=position) if name == "z" else pixels.take(0, axis=position)
            axes = tuple(axis for axis in axes if axis != name)
    return pixels if "c" in axes else pixels[np.newaxis]


def build_crop_reader(image_assets: pa.Table) -> CropReader:
    """Make the reader that montages use, for the images of one plate."""
    return StoreCropReader({row["image_id"]: row for row in image_assets.to_pylist()})
