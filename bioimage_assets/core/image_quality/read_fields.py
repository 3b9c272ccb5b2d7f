"""Reads planes of fields from the stores where they lie, each field once, and gives them channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

import numpy as np
import numpy.typing as npt
from zarr.abc.store import Store as ZarrStore

from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.pixels.location import ImageGeometry, PixelLocation
from bioimage_assets.core.pixels.tiff_planes import OpenTiffs, TiffPlanes
from bioimage_assets.core.stores.pixel_store import ReadCount, open_pixel_store

Planes = npt.NDArray[np.generic]

# Many fields may lie in one file, whose directories are then read once.
_OPEN_FILES = 16


class PlaneReader:
    """Reads whole fields; stores and files stay open, and are closed by the context manager. Reads are counted in ``count``."""

    def __init__(self, storage_options: Mapping[str, object] | None = None) -> None:
        self.count = ReadCount(keeps_keys=False)
        self._storage_options = storage_options
        self._stores: dict[str, ZarrStore] = {}
        self._tiffs = OpenTiffs(storage_options)

    def __enter__(self) -> PlaneReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tiffs.trim()
        for store in self._stores.values():
            store.close()

    def read(self, geometry: ImageGeometry, level: int) -> Planes:
        """All channels of a field, (c, y, x), in the type they are stored in.

        Of a stack the middle plane, of a time series the first point; samples of a colour are averaged.

        Raises
        ------
        BioimageError
            The pixels cannot be read.
        """
        full = geometry.levels[0].shape
        height, width = (full[geometry.axes.index(axis)] for axis in "yx")
        z = None if geometry.axis("z") is None else full[geometry.axes.index("z")] // 2
        location = build_location(geometry, PixelBox(0, height, 0, width), CropChoice(level=level, z=z, t=0))
        with foreign_file(geometry.uri):
            pixels = self._read(location)
        self._tiffs.trim(_OPEN_FILES)
        return _as_channels(np.asarray(pixels), location)

    def _read(self, location: PixelLocation) -> Planes:
        geometry, options = location.geometry, self._storage_options
        if not geometry.is_in_files:
            return read_crop(location, store=self._open(geometry.uri), count=self.count)
        if geometry.is_png:
            return read_crop(location, count=self.count, storage_options=options)
        planes = TiffPlanes(geometry, self.count, options, self._tiffs)
        return read_crop(location, planes=planes, count=self.count, storage_options=options)

    def _open(self, uri: str) -> ZarrStore:
        if uri not in self._stores:
            self._stores[uri] = open_pixel_store(uri, self._storage_options)
        return self._stores[uri]


def _as_channels(pixels: Planes, location: PixelLocation) -> Planes:
    """(c, y, x) of what was read in the order of the image's axes, with samples last where it has any."""
    axes = list(location.axes)
    if pixels.ndim > len(axes):
        axes.append("s")
    for axis in [name for name in axes if name not in ("c", "y", "x")]:
        position = axes.index(axis)
        # Whole numbers stay whole: the largest of their type is the scale.
        reduced = pixels.mean(position).astype(pixels.dtype) if axis == "s" else pixels.take(0, position)
        pixels = np.asarray(reduced)
        axes.pop(position)
    if "c" not in axes:
        pixels, axes = pixels[None], ["c", *axes]
    return pixels.transpose([axes.index(axis) for axis in ("c", "y", "x")])
