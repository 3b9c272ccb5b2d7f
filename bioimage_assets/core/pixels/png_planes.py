"""Reads a box of one plane of a PNG plate. A PNG is decoded as a whole, by imagecodecs or by Pillow, whichever is there."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np

from bioimage_assets.core.errors import (
    CorruptStoreError,
    KeyMissingError,
    StoreNotFoundError,
    UnsupportedStoreError,
)
from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.formats.png.header import HEADER_BYTES, read_header
from bioimage_assets.core.pixels.location import ImageGeometry, Interval
from bioimage_assets.core.pixels.tiff_planes import Pixels
from bioimage_assets.core.stores.open import open_store, split_file_uri
from bioimage_assets.core.stores.pixel_store import ReadCount

_MAX_EXTRA_BYTES = 64 * 2**20  # texts and profiles that a PNG may carry besides its pixels
Decode = Callable[[bytes], object]


class PngPlanes:
    """The files of one image; what was decoded last is kept for further boxes of it."""

    def __init__(
        self, geometry: ImageGeometry, count: ReadCount, storage_options: Mapping[str, object] | None = None
    ) -> None:
        self._geometry = geometry
        self._count = count
        self._storage_options = storage_options
        self._last: tuple[str, Pixels] | None = None

    def read(self, plane: Mapping[str, int], y: Interval, x: Interval) -> Pixels:
        """Pixels of one plane (index per leading axis) inside a box; (y, x), with samples last where RGB.

        Raises
        ------
        StoreNotFoundError, CorruptStoreError
            No file holds the plane, or the file is broken or another one than was scanned.
        UnsupportedStoreError
            Nothing that decodes PNGs is installed.
        """
        name = self.find_file(plane)
        uri = f"{self._geometry.uri.rstrip('/')}/{name}" if self._geometry.files else self._geometry.uri
        if self._last is None or self._last[0] != uri:
            self._last = (uri, self._decode(uri))
        return self._last[1][y[0] : y[1], x[0] : x[1]]

    def find_file(self, plane: Mapping[str, int]) -> str:
        """Name of the file that holds a plane, as the chunk index has it."""
        if not self._geometry.files:
            return self._geometry.uri.rstrip("/").rpartition("/")[2]
        for file in self._geometry.files:
            wanted = {"c": file.c, "z": file.z, "t": file.t}
            if file.role == "image" and all(v is None or v == plane.get(a, 0) for a, v in wanted.items()):
                return file.path
        raise StoreNotFoundError(f"Image {self._geometry.image_id}: no file holds plane {dict(plane)}.")

    def _decode(self, uri: str) -> Pixels:
        shape = dict(zip(self._geometry.axes, self._geometry.levels[0].shape, strict=True))
        expected = tuple(shape[axis] for axis in ("y", "x", "s") if axis in shape)
        nominal = int(np.prod(expected)) * np.dtype(self._geometry.dtype).itemsize
        folder, name = split_file_uri(uri)
        store = open_store(folder, storage_options=self._storage_options)
        try:
            raw = store.get(name, max_bytes=2 * nominal + _MAX_EXTRA_BYTES)
        except KeyMissingError as error:
            raise StoreNotFoundError(f"PNG '{uri}' does not exist.") from error
        finally:
            store.close()
        self._count.add(uri, len(raw))
        header = read_header(raw[:HEADER_BYTES], uri, len(raw))
        if (header.shape, header.dtype) != (expected, self._geometry.dtype):
            raise CorruptStoreError(
                f"{uri}: the PNG is {header.dtype} {header.shape}, it was {self._geometry.dtype} {expected} when it was scanned. "
                "Scan the plate again."
            )
        with foreign_file(uri):
            pixels = np.asarray(_find_decoder(uri)(raw))
        if (pixels.shape, pixels.dtype) != (expected, np.dtype(self._geometry.dtype)):
            raise UnsupportedStoreError(
                f"{uri}: decoded as {pixels.dtype} {pixels.shape} instead of {header.dtype} {expected}; Pillow cannot read colours of "
                "16 bits. Install imagecodecs."
            )
        return pixels


def _find_decoder(uri: str) -> Decode:
    """What decodes a PNG here; it is loaded by its first use, since most plates are none."""
    try:
        return cast("Decode", importlib.import_module("imagecodecs").png_decode)
    except (ImportError, AttributeError):
        pass
    try:
        image = importlib.import_module("PIL.Image")
    except ImportError as error:
        raise UnsupportedStoreError(
            f"{uri}: the pixels of PNG plates are read by imagecodecs or Pillow, neither is installed. Install imagecodecs."
        ) from error
    return lambda raw: np.asarray(image.open(io.BytesIO(raw)))
