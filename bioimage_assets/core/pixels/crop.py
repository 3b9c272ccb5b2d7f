"""Read the pixels of a location: only the chunks, tiles or strips that it touches."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import product

import numpy as np
import zarr
from obstore.exceptions import BaseError
from zarr.abc.store import Store as ZarrStore
from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata
from zarr.errors import ArrayNotFoundError

from bioimage_assets.core.errors import CorruptStoreError, StoreError, StoreNotFoundError
from bioimage_assets.core.pixels.location import ImageGeometry, PixelLocation
from bioimage_assets.core.pixels.png_planes import PngPlanes
from bioimage_assets.core.pixels.tiff_planes import Pixels, TiffPlanes
from bioimage_assets.core.stores.pixel_store import CountedStore, ReadCount, open_pixel_store


def read_crop(
    location: PixelLocation,
    *,
    store: ZarrStore | None = None,
    planes: TiffPlanes | None = None,
    count: ReadCount | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> Pixels:
    """Cut the located pixels.

    Parameters
    ----------
    store
        An open Zarr store of ``location.uri``, to be used for many crops; left open.
    planes
        Open TIFF files of the image, to be used for many crops; left open. What is read is counted where they were opened.
    count
        Filled with the chunks, tiles and strips that were read.
    storage_options
        Of the object store that the image is in (the project's ``BIOIMAGE_STORAGE_*``).

    Returns
    -------
    Pixels
        In the image's axis order, as long along each axis as its slice; along ``c`` one entry per channel.

    Raises
    ------
    StoreNotFoundError, CorruptStoreError, StoreError
        The pixels cannot be read.

    Examples
    --------
    >>> read_crop(locate(row, image_assets=images)).shape
    (2, 20, 18)
    """
    count = count or ReadCount()
    if location.geometry.is_in_files:
        return _read_files(location, count, storage_options, planes)
    opened = open_pixel_store(location.uri, storage_options) if store is None else store
    try:
        return _read_zarr(location, CountedStore(opened, count))
    finally:
        if store is None:
            opened.close()


def open_level(
    geometry: ImageGeometry, level: int, store: ZarrStore
) -> zarr.Array[ArrayV2Metadata] | zarr.Array[ArrayV3Metadata]:
    """Open the array of one level."""
    path = geometry.levels[level].path
    try:
        return zarr.open_array(store, path=path, mode="r")
    except (ArrayNotFoundError, FileNotFoundError) as error:
        raise StoreNotFoundError(f"Array '{path}' of store '{geometry.uri}' does not exist.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptStoreError(f"Array '{path}' of store '{geometry.uri}': {error}") from error
    except (BaseError, OSError) as error:
        raise StoreError(f"Array '{path}' of store '{geometry.uri}' cannot be opened: {error}") from error


def _read_zarr(location: PixelLocation, store: ZarrStore) -> Pixels:
    try:
        array = open_level(location.geometry, location.level, store)
        channel_axis = location.geometry.axis("c")
        slices = [slice(*interval) for interval in location.slices]
        # Neighbouring channels are one slice, and one chunk may hold several.
        if channel_axis is None or _is_contiguous(location.channel_indices):
            return np.asarray(array[tuple(slices)])
        parts = []
        # One slice per channel: only the chunks that it touches are read.
        for channel in location.channel_indices:
            slices[channel_axis] = slice(channel, channel + 1)
            parts.append(np.asarray(array[tuple(slices)]))
        return np.concatenate(parts, axis=channel_axis)
    except StoreError:
        raise
    except (ValueError, RuntimeError, OSError, BaseError) as error:
        raise CorruptStoreError(f"Array '{location.array_path}' of '{location.uri}': {error}") from error


def _read_files(
    location: PixelLocation,
    count: ReadCount,
    storage_options: Mapping[str, object] | None,
    planes: TiffPlanes | None,
) -> Pixels:
    y, x = location.interval("y"), location.interval("x")
    if y is None or x is None:
        raise CorruptStoreError(f"Image {location.image_id} has no y and x axes.")
    leading, ranges = plane_indexes(location)
    if location.geometry.is_png:
        pngs = PngPlanes(location.geometry, count, storage_options)
        boxes = [pngs.read(dict(zip(leading, index, strict=True)), y, x) for index in product(*ranges)]
        return np.stack(boxes).reshape(*(len(r) for r in ranges), *boxes[0].shape)
    own: AbstractContextManager[TiffPlanes] = (
        nullcontext(planes) if planes else TiffPlanes(location.geometry, count, storage_options)
    )
    with own as opened:
        crops = [
            opened.read(dict(zip(leading, index, strict=True)), location.level, y, x)
            for index in product(*ranges)
        ]
    return np.stack(crops).reshape(*(len(r) for r in ranges), *crops[0].shape)


def plane_indexes(location: PixelLocation) -> tuple[list[str], list[list[int]]]:
    """The axes before y and x, and the indexes along each of them that a location means."""
    leading = [axis for axis in location.axes if axis not in ("y", "x", "s")]
    return leading, [_indices(location, axis) for axis in leading]


def _indices(location: PixelLocation, axis: str) -> list[int]:
    if axis == "c":
        return list(location.channel_indices)
    return list(range(*(location.interval(axis) or (0, 1))))


def _is_contiguous(indices: tuple[int, ...]) -> bool:
    return list(indices) == list(range(indices[0], indices[0] + len(indices))) if indices else True
