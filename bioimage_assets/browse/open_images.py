"""Opens stores and image files once for many requests, a bounded number of them, and reads planes of them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from zarr.abc.store import Store as ZarrStore

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.pixels.location import ImageGeometry, PixelLocation
from bioimage_assets.core.pixels.tiff_planes import TiffPlanes
from bioimage_assets.core.stores.pixel_store import ReadCount, open_pixel_store

MAX_OPEN = 24
MAX_IDLE_S = 60.0
"""After so long without a request a store is opened anew: its files may have been replaced."""


@dataclass(slots=True)
class _Opened:
    """A store, or the open files of one image, and who uses it; files have one reader at a time."""

    thing: ZarrStore | TiffPlanes
    count: ReadCount
    users: int = 0
    used_at: float = 0.0
    reading: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class Planes:
    """Which planes, at which level: one for each channel; z and t are 0 where an image has no such axis."""

    level: int = 0
    channels: tuple[int, ...] = (0,)
    z: int = 0
    t: int = 0


class OpenImages:
    """Reads pixels of images whose stores stay open between requests; safe for threads."""

    def __init__(
        self, storage_options: Mapping[str, object] | None = None, *, max_open: int = MAX_OPEN
    ) -> None:
        self._storage_options = storage_options
        self._max_open = max_open
        self._opened: OrderedDict[tuple[str, str], _Opened] = OrderedDict()
        self._lock = threading.Lock()
        self.opened_count = 0

    def read(self, location: PixelLocation, fingerprint: str) -> np.ndarray:
        """The same as ``read_crop``; StoreError where the pixels cannot be read."""
        geometry = location.geometry
        with foreign_file(geometry.uri):
            if geometry.is_png:
                return np.asarray(read_crop(location, storage_options=self._storage_options))
            with self._lease(geometry, fingerprint) as opened:
                if isinstance(opened.thing, TiffPlanes):
                    with opened.reading:
                        return np.asarray(read_crop(location, planes=opened.thing))
                return np.asarray(read_crop(location, store=opened.thing))

    def read_planes(
        self, geometry: ImageGeometry, fingerprint: str, planes: Planes, box: PixelBox
    ) -> np.ndarray:
        """Pixels (c, y, x) of some channels inside a box of their level; UsageError where there is no such plane or box."""
        is_colour = "s" in geometry.axes  # the samples of a pixel are stored together
        channels = None if is_colour else planes.channels
        choice = CropChoice(level=planes.level, z=planes.z, t=planes.t, channels=channels)
        location = place_in_level(build_location(geometry, whole(geometry), choice), box)
        pixels = order_axes(self.read(location, fingerprint), location.axes, "s" if is_colour else "c")
        if not is_colour:
            return pixels
        missing = [channel for channel in planes.channels if channel >= pixels.shape[0]]
        if missing:
            raise UsageError(
                f"Image {geometry.image_id} has no channel {missing[0]}: it has {pixels.shape[0]}."
            )
        return pixels[list(planes.channels)]

    def close(self) -> None:
        """Close everything."""
        with self._lock:
            for opened in self._opened.values():
                _close(opened.thing)
            self._opened.clear()

    @contextmanager
    def _lease(self, geometry: ImageGeometry, fingerprint: str) -> Iterator[_Opened]:
        key = (geometry.uri, f"{geometry.image_id} {fingerprint}" if geometry.is_in_files else "")
        opened = self._take(key, lambda count: self._open(geometry, count))
        try:
            yield opened
        finally:
            with self._lock:
                opened.users -= 1
                opened.used_at = time.monotonic()
                self._close_some()

    def _take(self, key: tuple[str, str], make: Callable[[ReadCount], ZarrStore | TiffPlanes]) -> _Opened:
        with self._lock:
            found = self._opened.get(key)
            if found is not None and not found.users and time.monotonic() - found.used_at > MAX_IDLE_S:
                _close(self._opened.pop(key).thing)
                found = None
            if found is None:
                count = ReadCount()
                found = self._opened[key] = _Opened(make(count), count)
                self.opened_count += 1
            found.users += 1
            self._opened.move_to_end(key)
            return found

    def _open(self, geometry: ImageGeometry, count: ReadCount) -> ZarrStore | TiffPlanes:
        if geometry.is_in_files:  # its files are opened by the first read
            return TiffPlanes(geometry, count, self._storage_options)
        return open_pixel_store(geometry.uri, self._storage_options, is_contained=True)

    def _close_some(self) -> None:
        for key in [key for key, opened in self._opened.items() if not opened.users]:
            if len(self._opened) <= self._max_open:
                return
            _close(self._opened.pop(key).thing)


def whole(geometry: ImageGeometry) -> PixelBox:
    """All pixels of an image; UsageError where it has no y and x axes."""
    y, x = geometry.axis("y"), geometry.axis("x")
    if y is None or x is None:
        raise UsageError(f"Image {geometry.image_id} has axes {','.join(geometry.axes)}; y and x are needed.")
    shape = geometry.levels[0].shape
    return PixelBox(0, shape[y], 0, shape[x])


def order_axes(pixels: np.ndarray, axes: Sequence[str], channel_axis: str) -> np.ndarray:
    """Pixels as (channel, y, x), whatever the order of their axes; the first of what is none of these."""
    names = list(axes)
    if pixels.ndim > len(names):  # samples of a file that does not tell them
        names.append("s")
    for name in [name for name in names if name not in (channel_axis, "y", "x")]:
        pixels = pixels.take(0, axis=names.index(name))
        names.remove(name)
    if channel_axis not in names:
        pixels, names = pixels[None], [channel_axis, *names]
    return pixels.transpose([names.index(name) for name in (channel_axis, "y", "x")])


def place_in_level(location: PixelLocation, box: PixelBox) -> PixelLocation:
    """The same location with a box of the level's own pixels; UsageError where it is not inside."""
    y, x = location.interval("y"), location.interval("x")
    assert y is not None
    assert x is not None
    if not (0 <= box.y_start < box.y_stop <= y[1] and 0 <= box.x_start < box.x_stop <= x[1]):
        raise UsageError(
            f"The box y {box.y_start}:{box.y_stop}, x {box.x_start}:{box.x_stop} is not inside level {location.level} of "
            f"image {location.image_id}, {y[1]} x {x[1]} pixels."
        )
    own = {"y": (box.y_start, box.y_stop), "x": (box.x_start, box.x_stop)}
    slices = tuple(own.get(axis, found) for axis, found in zip(location.axes, location.slices, strict=True))
    return replace(location, slices=slices)


def _close(thing: ZarrStore | TiffPlanes) -> None:
    thing.close()
