"""Cuts windows of one image after another, in their planned order; each stored piece is read once and kept as long as needed.

Windows come by t, z and bands of rows (``BAND_PX``). A piece is let go once no later window of that order can touch it, so
that about two bands of an image are in memory, however many windows it has.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from zarr.abc.store import Store as ZarrStore

from bioimage_assets.core.errors import BioimageError, CorruptStoreError, UsageError
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.crop_export.pieces import Piece, PieceReader, open_pieces
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.pixels.location import ImageGeometry, Interval, PixelLocation
from bioimage_assets.core.pixels.tiff_planes import OpenTiffs, Pixels
from bioimage_assets.core.stores.pixel_store import ReadCount, open_pixel_store

# Windows whose first rows lie in one band of an image are cut together.
BAND_PX = 512
_OPEN_TIFFS = 16  # stay open for the next image, which may lie in the same files
_OME_AXES = "tczyx"
_ORIGIN = (0, 0, 0)
_Last = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class CutWindow:
    """Pixels (t, c, z, y, x) of a window; those outside of the image have the fill value."""

    pixels: Pixels
    location: PixelLocation
    channel_names: tuple[str | None, ...]


class WindowCutter:
    """Cuts the windows of many images; a context manager that closes what is open.

    Parameters
    ----------
    fill
        Value of pixels outside of the image.
    max_bytes
        Decoded pieces that are kept at most; where more are needed at once, the ones not used for longest are read again.
    """

    def __init__(
        self,
        count: ReadCount,
        *,
        fill: float = 0,
        max_bytes: int,
        storage_options: Mapping[str, object] | None = None,
    ) -> None:
        self._count = count
        self._fill = fill
        self._storage_options = storage_options
        self._pieces = _KeptPieces(max_bytes)
        self._store: tuple[str, ZarrStore] | None = None
        self._tiffs = OpenTiffs(storage_options)
        self._image: tuple[ImageGeometry, PieceReader | BioimageError] | None = None

    def __enter__(self) -> WindowCutter:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_image()
        self._close_store()
        self._tiffs.trim()

    def cut(self, geometry: ImageGeometry, window: PixelBox, choice: CropChoice) -> CutWindow:
        """Pixels of one window, which has to touch the image.

        Raises
        ------
        UsageError
            The window lies outside, or the image lacks a chosen channel or plane, or has axes that OME-Arrow has not.
        StoreError
            A piece cannot be read; every other window of it is told the same, without another try.
        """
        location = build_location(geometry, window, choice)
        _require_known_axes(geometry)
        reader = self._open(geometry)
        self._pieces.forget_before(_first_needed(location, window, choice))
        box = _window_box(location, window)
        shape = tuple(
            len(location.channel_indices) if axis == "c" else stop - start
            for axis, (start, stop) in zip(geometry.axes, box, strict=True)
        )
        out = np.full(shape, self._fill, dtype=_read_dtype(geometry))
        for piece in reader.find(location.slices, location.channel_indices):
            block = self._pieces.get(piece, reader, geometry)
            _paste(out, block, box, piece.box, geometry.axis("c"), location.channel_indices)
        return _to_tczyx(out, location)

    def _open(self, geometry: ImageGeometry) -> PieceReader:
        if self._image is None or self._image[0] is not geometry:
            self._close_image()
            try:
                store = None if geometry.is_in_files else self._open_store(geometry.uri)
                reader: PieceReader | BioimageError = open_pieces(
                    geometry, self._count, store, self._tiffs, self._storage_options
                )
            except BioimageError as error:
                reader = error
            self._image = (geometry, reader)
        if isinstance(self._image[1], BioimageError):
            raise self._image[1]
        return self._image[1]

    def _open_store(self, uri: str) -> ZarrStore:
        if self._store is None or self._store[0] != uri:
            self._close_store()
            self._store = (uri, open_pixel_store(uri, self._storage_options))
        return self._store[1]

    def _close_image(self) -> None:
        self._pieces.clear()
        if self._image is not None and not isinstance(self._image[1], BioimageError):
            self._image[1].close()
        self._tiffs.trim(_OPEN_TIFFS)
        self._image = None

    def _close_store(self) -> None:
        if self._store is not None:
            self._store[1].close()
        self._store = None


class _KeptPieces:
    """Decoded pieces of one image, and the errors of those that could not be read."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept_bytes = 0
        self._blocks: OrderedDict[tuple[object, ...], tuple[_Last, Pixels]] = OrderedDict()
        self._errors: dict[tuple[object, ...], BioimageError] = {}
        self._now: _Last = _ORIGIN

    def get(self, piece: Piece, reader: PieceReader, geometry: ImageGeometry) -> Pixels:
        if piece.key in self._errors:
            raise self._errors[piece.key]
        if piece.key in self._blocks:
            self._blocks.move_to_end(piece.key)
            return self._blocks[piece.key][1]
        try:
            block = _read_checked(piece, reader, geometry)
        except BioimageError as error:
            self._errors[piece.key] = error
            raise
        self._blocks[piece.key] = (_last_needed(geometry, piece), block)
        self._kept_bytes += block.nbytes
        while self._kept_bytes > self._max_bytes and len(self._blocks) > 1:
            self._drop(next(iter(self._blocks)))
        return block

    def forget_before(self, now: _Last) -> None:
        """Let go what no window from here on touches."""
        if now == self._now:
            return
        self._now = now
        for key in [key for key, (last, _) in self._blocks.items() if last < now]:
            self._drop(key)

    def _drop(self, key: tuple[object, ...]) -> None:
        self._kept_bytes -= self._blocks.pop(key)[1].nbytes

    def clear(self) -> None:
        self._blocks.clear()
        self._errors.clear()
        self._kept_bytes, self._now = 0, _ORIGIN


def _read_checked(piece: Piece, reader: PieceReader, geometry: ImageGeometry) -> Pixels:
    block = reader.read(piece)
    expected = tuple(stop - start for start, stop in piece.box)
    dtype = _read_dtype(geometry)
    if block.shape != expected or block.dtype.newbyteorder("=") != dtype:
        raise CorruptStoreError(
            f"{geometry.uri}, image {geometry.image_id}: a piece is {block.dtype} {block.shape}, expected {dtype} "
            f"{expected} as it was scanned. Scan the plate again."
        )
    return block


def _read_dtype(geometry: ImageGeometry) -> np.dtype[np.generic]:
    try:
        return np.dtype(geometry.dtype).newbyteorder("=")
    except TypeError as error:
        raise UsageError(
            f"Image {geometry.image_id} has pixels of type {geometry.dtype!r}, no number."
        ) from error


def _require_known_axes(geometry: ImageGeometry) -> None:
    other = [axis for axis in geometry.axes if axis not in (*_OME_AXES, "s")]
    if other:
        raise UsageError(
            f"Image {geometry.image_id} has axes {','.join(geometry.axes)}; OME-Arrow knows t, c, z, y and x."
        )


def _first_needed(location: PixelLocation, window: PixelBox, choice: CropChoice) -> _Last:
    """Place of a window in the planned order: t, z, first row of its band."""
    t = (location.interval("t") or (0, 1))[0]
    # A window of all planes of z may be followed by one of plane 0.
    z = 0 if choice.z is None else (location.interval("z") or (0, 1))[0]
    is_alone = choice.z is not None or (location.interval("z") or (0, 1))[1] == 1
    return (t, z, band_start(window.y_start) if is_alone else 0)


def band_start(y_start: int) -> int:
    """First row of the band that a window begins in."""
    return y_start // BAND_PX * BAND_PX


def _last_needed(geometry: ImageGeometry, piece: Piece) -> _Last:
    places = dict(zip(geometry.axes, piece.box, strict=True))
    t, z, y = (places.get(axis, (0, 1))[1] - 1 for axis in "tzy")
    return (t, z, y)


def _window_box(location: PixelLocation, window: PixelBox) -> tuple[Interval, ...]:
    """The window along every axis: along y and x as it was asked for, outside of the image, too."""
    own = {"y": (window.y_start, window.y_stop), "x": (window.x_start, window.x_stop)}
    return tuple(
        own.get(axis, interval) for axis, interval in zip(location.axes, location.slices, strict=True)
    )


def _paste(
    out: Pixels,
    block: Pixels,
    window: Sequence[Interval],
    piece: Sequence[Interval],
    channel_axis: int | None,
    channels: Sequence[int],
) -> None:
    """Copy what a window and a piece share; along the channel axis the window has one entry per channel."""
    to: list[slice] = []
    source: list[slice] = []
    for (start, stop), (first, last) in zip(window, piece, strict=True):
        low, high = max(start, first), min(stop, last)
        to.append(slice(low - start, high - start))
        source.append(slice(low - first, high - first))
    if channel_axis is None:
        out[tuple(to)] = block[tuple(source)]
        return
    first, last = piece[channel_axis]
    for number, channel in enumerate(channels):
        if first <= channel < last:
            to[channel_axis] = slice(number, number + 1)
            source[channel_axis] = slice(channel - first, channel - first + 1)
            out[tuple(to)] = block[tuple(source)]


def _to_tczyx(out: Pixels, location: PixelLocation) -> CutWindow:
    """Axes in OME-Arrow's order; samples of a colour pixel become channels."""
    axes = list(location.axes)
    names = location.channel_names or (None,)
    for axis in _OME_AXES:
        if axis not in axes:
            out, axes = out[None], [axis, *axes]
    if "s" not in axes:
        return CutWindow(out.transpose([axes.index(axis) for axis in _OME_AXES]), location, names)
    samples = out.shape[axes.index("s")]
    ordered = out.transpose([axes.index(axis) for axis in "tcszyx"])
    merged = ordered.reshape(ordered.shape[0], -1, *ordered.shape[3:])
    colours = ("R", "G", "B", "A") if samples in (3, 4) else tuple(str(n) for n in range(samples))
    named = tuple(f"{name} {c}" if name else c for name in names for c in colours[:samples])
    return CutWindow(merged, location, named)
