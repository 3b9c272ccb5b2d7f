"""A pixel location becomes pixels: only the chunks, tiles or strips that it touches are read."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import zarr
from zarr.abc.store import Store as ZarrStore
from zarr.errors import ArrayNotFoundError
from zarr.storage import FsspecStore, LocalStore, ZipStore

from bioimage_assets.core.errors import CorruptStoreError, StoreNotFoundError
from bioimage_assets.core.joins.location import ImageGeometry, PixelLocation
from bioimage_assets.core.joins.tiff_planes import Pixels, ReadCount, TiffPlanes

_ARCHIVE_SUFFIXES = (".zip", ".ozx")


def read_crop(
    location: PixelLocation, *, store: ZarrStore | None = None, count: ReadCount | None = None
) -> Pixels:
    """Cut the located pixels.

    Parameters
    ----------
    store
        An open Zarr store of ``location.uri``, to be used for many crops; left open.
    count
        Filled with the tiles and strips that were read (TIFF only).

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
    >>> read_crop(locate(row, image_assets=images)).shape  # doctest: +SKIP
    (5, 48, 52)
    """
    if location.geometry.is_tiff:
        return _read_tiff(location, count or ReadCount())
    return _read_zarr(location, store)


def open_pixel_store(uri: str) -> ZarrStore:
    """Open a Zarr folder, zip archive or object-store prefix for reading; StoreNotFoundError where nothing is."""
    if "://" in uri and not uri.startswith("file://"):
        return FsspecStore.from_url(uri, read_only=True)
    path = Path(uri.removeprefix("file://"))
    if not path.exists():
        raise StoreNotFoundError(f"Store '{uri}' does not exist.")
    if path.is_file() and path.suffix.lower() in _ARCHIVE_SUFFIXES:
        return ZipStore(path, mode="r", read_only=True)
    return LocalStore(path, read_only=True)


def open_level(geometry: ImageGeometry, level: int, store: ZarrStore) -> zarr.Array:
    """Open the array of one level."""
    path = geometry.levels[level].path
    try:
        return zarr.open_array(store, path=path, mode="r")
    except (ArrayNotFoundError, FileNotFoundError) as error:
        raise StoreNotFoundError(f"Array '{path}' of store '{geometry.uri}' does not exist.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptStoreError(f"Array '{path}' of store '{geometry.uri}': {error}") from error


def _read_zarr(location: PixelLocation, store: ZarrStore | None) -> Pixels:
    opened = open_pixel_store(location.uri) if store is None else store
    try:
        array = open_level(location.geometry, location.level, opened)
        channel_axis = location.geometry.axis("c")
        slices = [slice(*interval) for interval in location.slices]
        if channel_axis is None or _is_contiguous(location.channel_indices):
            return np.asarray(array[tuple(slices)])
        parts = []
        for channel in location.channel_indices:
            slices[channel_axis] = slice(channel, channel + 1)
            parts.append(np.asarray(array[tuple(slices)]))
        return np.concatenate(parts, axis=channel_axis)
    except (ValueError, RuntimeError, OSError) as error:
        if isinstance(error, StoreNotFoundError | CorruptStoreError):
            raise
        raise CorruptStoreError(f"Array '{location.array_path}' of '{location.uri}': {error}") from error
    finally:
        if store is None:
            opened.close()


def _read_tiff(location: PixelLocation, count: ReadCount) -> Pixels:
    y, x = location.interval("y"), location.interval("x")
    if y is None or x is None:
        raise CorruptStoreError(f"Image {location.image_id} has no y and x axes.")
    leading = [axis for axis in location.axes if axis not in ("y", "x", "s")]
    ranges = [_indices(location, axis) for axis in leading]
    with TiffPlanes(location.geometry, count) as planes:
        crops = [
            planes.read(dict(zip(leading, index, strict=True)), location.level, y, x)
            for index in product(*ranges)
        ]
    return np.stack(crops).reshape(*(len(r) for r in ranges), *crops[0].shape)


def _indices(location: PixelLocation, axis: str) -> list[int]:
    if axis == "c":
        return list(location.channel_indices)
    return list(range(*(location.interval(axis) or (0, 1))))


def _is_contiguous(indices: tuple[int, ...]) -> bool:
    return list(indices) == list(range(indices[0], indices[0] + len(indices))) if indices else True
