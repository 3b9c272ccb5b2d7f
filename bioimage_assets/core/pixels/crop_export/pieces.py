"""The stored pieces of one image (Zarr chunks, TIFF tiles and strips, PNG files) as blocks of its full-resolution array.

A box of pixels is answered by the pieces that it touches; each of them is read and decoded by itself, so that a caller who
keeps them reads every piece once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from obstore.exceptions import BaseError
from zarr.abc.store import Store as ZarrStore

from bioimage_assets.core.errors import CorruptStoreError, StoreError, UsageError
from bioimage_assets.core.pixels.crop import open_level
from bioimage_assets.core.pixels.location import ImageGeometry, Interval
from bioimage_assets.core.pixels.png_planes import PngPlanes
from bioimage_assets.core.pixels.tiff_planes import OpenTiffs, Pixels, TiffBlock, TiffPlanes
from bioimage_assets.core.stores.pixel_store import CountedStore, ReadCount, ShardIndexStore


@dataclass(frozen=True, slots=True)
class Piece:
    """One stored piece: ``key`` tells it from all others of its image, ``box`` is (start, stop) per axis of the image."""

    key: tuple[object, ...]
    box: tuple[Interval, ...]


class PieceReader(Protocol):
    """Finds and reads the pieces of one image."""

    def find(self, box: Sequence[Interval], channels: Sequence[int]) -> Iterator[Piece]:
        """Pieces that hold pixels of a box inside the image, of these channels; none comes twice."""

    def read(self, piece: Piece) -> Pixels:
        """Pixels of a piece, in the image's axis order, of the shape of its box."""

    def close(self) -> None:
        """Close what the image alone keeps open."""


def open_pieces(
    geometry: ImageGeometry,
    count: ReadCount,
    store: ZarrStore | None,
    tiffs: OpenTiffs,
    storage_options: Mapping[str, object] | None,
) -> PieceReader:
    """Open an image; ``store`` is the open Zarr store of its plate, where it is in one, ``tiffs`` the TIFF files that are open."""
    if geometry.is_png:
        return PngPieces(geometry, count, storage_options)
    if geometry.is_in_files:
        return TiffPieces(geometry, count, tiffs)
    assert store is not None
    return ZarrPieces(geometry, ShardIndexStore(CountedStore(store, count)))


class ZarrPieces:
    """Chunks of a Zarr array; of a sharded one the inner chunks."""

    def __init__(self, geometry: ImageGeometry, store: ZarrStore) -> None:
        self._geometry = geometry
        self._array = open_level(geometry, 0, store)
        if tuple(self._array.shape) != tuple(geometry.levels[0].shape):
            raise CorruptStoreError(
                f"Array '{geometry.levels[0].path}' of '{geometry.uri}' is {self._array.shape}, it was "
                f"{geometry.levels[0].shape} when it was scanned. Scan the plate again."
            )

    def find(self, box: Sequence[Interval], channels: Sequence[int]) -> Iterator[Piece]:
        channel = self._geometry.axis("c")
        chunks, shape = self._array.chunks, self._array.shape
        ranges = [
            sorted({pixel // size for pixel in channels})
            if axis == channel
            else range(start // size, -(-stop // size))
            for axis, (size, (start, stop)) in enumerate(zip(chunks, box, strict=True))
        ]
        for coords in product(*ranges):
            yield Piece(
                coords,
                tuple(
                    (at * size, min((at + 1) * size, length))
                    for at, size, length in zip(coords, chunks, shape, strict=True)
                ),
            )

    def read(self, piece: Piece) -> Pixels:
        try:
            return np.asarray(self._array[tuple(slice(*interval) for interval in piece.box)])
        except StoreError:
            raise
        except (ValueError, RuntimeError, OSError, BaseError) as error:
            place = f"Array '{self._geometry.levels[0].path}' of '{self._geometry.uri}'"
            raise CorruptStoreError(f"{place}, chunk {piece.key}: {error}") from error

    def close(self) -> None:
        pass  # the store is its plate's


class TiffPieces:
    """Tiles and strips of the TIFF files of one image; samples of a page may be channels of the image."""

    def __init__(self, geometry: ImageGeometry, count: ReadCount, tiffs: OpenTiffs) -> None:
        self._geometry = geometry
        self._planes = TiffPlanes(geometry, count, files=tiffs)
        self._leading = leading_axes(geometry)
        self._blocks: dict[tuple[object, ...], TiffBlock] = {}

    def find(self, box: Sequence[Interval], channels: Sequence[int]) -> Iterator[Piece]:
        seen: set[tuple[object, ...]] = set()
        y, x = (box[self._geometry.axes.index(axis)] for axis in "yx")
        for index in plane_numbers(self._geometry, box, channels):
            plane = dict(zip(self._leading, index, strict=True))
            for block in self._planes.list_blocks(plane, 0, y, x):
                places = {axis: (at, at + 1) for axis, at in plane.items()}
                places |= {"y": block.y, "x": block.x}
                if block.holds_samples and "s" not in self._geometry.axes:
                    places["c"] = (0, self._geometry.channel_count)
                # One page may stand for several planes, as where a file says nothing of z.
                key = (*block.key, *(places[axis] for axis in self._leading))
                if key in seen:
                    continue
                seen.add(key)
                self._blocks[key] = block
                yield Piece(key, self._box(places))

    def _box(self, places: Mapping[str, Interval]) -> tuple[Interval, ...]:
        sizes = zip(self._geometry.axes, self._geometry.levels[0].shape, strict=True)
        return tuple(places.get(axis, (0, size)) for axis, size in sizes)

    def read(self, piece: Piece) -> Pixels:
        block = self._blocks.pop(piece.key)
        pixels = self._planes.read_block(block)
        axes = ["y", "x"]
        if pixels.ndim == 3:
            axes.append("s" if "s" in self._geometry.axes else "c")
        if axes[-1] not in self._geometry.axes:
            raise CorruptStoreError(
                f"TIFF '{block.file}': a pixel has {pixels.shape[2]} samples, the image was scanned with axes "
                f"{','.join(self._geometry.axes)}. Scan the plate again."
            )
        missing = [axis for axis in self._geometry.axes if axis not in axes]
        pixels = pixels.reshape((1,) * len(missing) + pixels.shape)
        return pixels.transpose([[*missing, *axes].index(axis) for axis in self._geometry.axes])

    def close(self) -> None:
        self._blocks.clear()  # the files are the cutter's


class PngPieces:
    """PNG files, one for each plane; each is decoded as a whole."""

    def __init__(
        self, geometry: ImageGeometry, count: ReadCount, storage_options: Mapping[str, object] | None
    ) -> None:
        self._geometry = geometry
        self._planes = PngPlanes(geometry, count, storage_options)
        self._leading = leading_axes(geometry)

    def find(self, box: Sequence[Interval], channels: Sequence[int]) -> Iterator[Piece]:
        whole = dict(zip(self._geometry.axes, self._geometry.levels[0].shape, strict=True))
        for index in plane_numbers(self._geometry, box, channels):
            places = {axis: (at, at + 1) for axis, at in zip(self._leading, index, strict=True)}
            yield Piece(index, tuple(places.get(axis, (0, size)) for axis, size in whole.items()))

    def read(self, piece: Piece) -> Pixels:
        sizes = dict(zip(self._geometry.axes, self._geometry.levels[0].shape, strict=True))
        plane = {axis: piece.box[self._geometry.axes.index(axis)][0] for axis in self._leading}
        pixels = self._planes.read(plane, (0, sizes["y"]), (0, sizes["x"]))
        return pixels.reshape((1,) * len(self._leading) + pixels.shape)

    def close(self) -> None:
        pass


def leading_axes(geometry: ImageGeometry) -> tuple[str, ...]:
    """Axes before y and x; UsageError for an image without y and x."""
    if "y" not in geometry.axes or "x" not in geometry.axes:
        raise UsageError(
            f"Image {geometry.image_id} has axes {','.join(geometry.axes)}; a window needs y and x."
        )
    return tuple(axis for axis in geometry.axes if axis not in "yxs")


def plane_numbers(
    geometry: ImageGeometry, box: Sequence[Interval], channels: Sequence[int]
) -> Iterator[tuple[int, ...]]:
    """Index along each leading axis of every plane that a box means."""
    ranges = [
        sorted(set(channels)) if axis == "c" else range(*interval)
        for axis, interval in zip(geometry.axes, box, strict=True)
        if axis not in "yxs"
    ]
    yield from product(*ranges)
