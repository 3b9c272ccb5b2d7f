"""Which stored pieces a pixel location touches, from the store's own metadata, where no chunk index is given.

Zarr: one metadata document is read; keys follow from the array's chunk grid and chunk key encoding, byte ranges
stay unknown (https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html#chunk-key-encoding). TIFF: the
directories are read, which state every tile's and strip's byte range. PNG: the files are the pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from zarr.abc.store import Store as ZarrStore

from bioimage_assets.core.pixels.crop import open_level, plane_indexes
from bioimage_assets.core.pixels.location import ChunkLocation, PixelLocation
from bioimage_assets.core.pixels.png_planes import PngPlanes
from bioimage_assets.core.pixels.tiff_planes import TiffPlanes
from bioimage_assets.core.stores.pixel_store import ReadCount, open_pixel_store


def list_touched_pieces(
    location: PixelLocation, storage_options: Mapping[str, object] | None = None
) -> tuple[ChunkLocation, ...]:
    """Stored pieces that the slices of a location touch; StoreError where its metadata cannot be read.

    Of a sharded array these are the shards. Whether a Zarr chunk is stored at all is not looked up
    (``is_present`` is null). Strips of a TIFF come one by one, where the chunk index has one row per run of them.
    """
    if location.geometry.is_png:
        return tuple(_list_png(location))
    if location.geometry.is_in_files:
        return tuple(_list_tiff(location, storage_options))
    store = open_pixel_store(location.uri, storage_options)
    try:
        return tuple(_list_zarr(location, store))
    finally:
        store.close()


def _list_zarr(location: PixelLocation, store: ZarrStore) -> Iterator[ChunkLocation]:
    array = open_level(location.geometry, location.level, store)
    unit = array.shards or array.chunks
    channel = location.geometry.axis("c")
    ranges: list[list[int]] = []
    for axis, (size, (start, stop)) in enumerate(zip(unit, location.slices, strict=True)):
        wanted = location.channel_indices if axis == channel else range(start, stop)
        ranges.append(sorted({pixel // size for pixel in wanted}))
    for coords in product(*ranges):
        yield ChunkLocation(array.metadata.encode_chunk_key(coords), "object", coords)


def _list_png(location: PixelLocation) -> Iterator[ChunkLocation]:
    leading, ranges = plane_indexes(location)
    planes = PngPlanes(location.geometry, ReadCount())
    inner = (0,) * (len(location.axes) - len(leading))
    for index in product(*ranges):
        yield ChunkLocation(
            planes.find_file(dict(zip(leading, index, strict=True))), "object", (*index, *inner)
        )


def _list_tiff(
    location: PixelLocation, storage_options: Mapping[str, object] | None
) -> Iterator[ChunkLocation]:
    y, x = location.interval("y"), location.interval("x")
    if y is None or x is None:
        return
    leading, ranges = plane_indexes(location)
    with TiffPlanes(location.geometry, ReadCount(), storage_options) as planes:
        for index in product(*ranges):
            for piece in planes.find_pieces(dict(zip(leading, index, strict=True)), location.level, y, x):
                yield ChunkLocation(
                    piece.key,
                    piece.kind,
                    (*index, *piece.coords),
                    piece.offset,
                    piece.size,
                    piece.offset is not None,
                )
