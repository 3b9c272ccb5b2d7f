"""Images in TIFF or PNG files in, virtual arrays out: one per level, axes t c z y x as far as the image has them.

Source of truth: OME-TIFF specification (axes), https://ngff.openmicroscopy.org/0.5/index.html#axes-md (their order).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from bioimage_assets.core.errors import UnsupportedStoreError
from bioimage_assets.core.formats.ome_tiff.page_codec import PageCodec, read_page_codec
from bioimage_assets.core.virtual.array_documents import ChunkEncoding, build_v2_document, build_v3_document
from bioimage_assets.core.virtual.chunk_columns import LevelChunks
from bioimage_assets.core.virtual.image_rows import ImageRow, LevelShape
from bioimage_assets.core.virtual.model import ChunkRefs, VirtualArray
from bioimage_assets.core.virtual.source_table import SourceTable
from bioimage_assets.core.virtual.tiff_codec import TiffDecoding, build_decoding
from bioimage_assets.core.virtual.tiff_places import PagePlaces, find_places, is_plain

_ORDER = ("t", "c", "z", "y", "x")
_PAGE_AXES = frozenset("yxs")
# What bioformats2raw, too, makes of the pages of a TIFF that does not say what they are: time points.
_UNNAMED_BECOMES = ("t", "z", "c")
_STANDARD = ("none", "zstd", "deflate")
_FEW = 64  # chunks that take less time one by one than together

Range = tuple[str, int, int]
ReadRanges = Callable[[Iterable[Range]], Mapping[Range, bytes]]


@dataclass(frozen=True, slots=True)
class AxisPlan:
    """How an image's axes become those of a virtual array.

    ``names`` are those of the array; ``lead`` gives for each of them the position among the plane's indexes, None for y, x and where samples alone
    make channels.
    """

    names: tuple[str, ...]
    lead: tuple[int | None, ...]


def build_tiff_arrays(
    image: ImageRow, path: str, levels: Sequence[LevelChunks], sources: SourceTable, read_ranges: ReadRanges
) -> tuple[VirtualArray, ...]:
    """Arrays of all levels.

    Parameters
    ----------
    path
        Of the image in the plate.
    sources
        Takes the files that are referred to.
    read_ranges
        Reads the JPEG tables that the tiles of some pages share; nothing else is read.

    Raises
    ------
    UnsupportedStoreError
        The image cannot be expressed; the message goes on after "image … ".
    """
    by_level = {chunks.level: chunks for chunks in levels}
    arrays: list[VirtualArray] = []
    for level in image.levels:
        own = by_level.get(level.level)
        places = None if own is None else find_places(own, is_file_set=image.is_in_folder)
        if places is not None:
            arrays.append(
                _build_array(
                    image, level, f"{path}/{len(arrays)}", by_level[level.level], places, sources, read_ranges
                )
            )
        elif level.level == 0:
            raise UnsupportedStoreError("none of its chunks is stored, or its files could not be read.")
    return tuple(arrays)


def _build_array(
    image: ImageRow, level: LevelShape, path: str, chunks: LevelChunks, places: PagePlaces, sources: SourceTable,
    read_ranges: ReadRanges,
) -> VirtualArray:  # fmt: skip
    page = places.page
    extents = dict(zip(image.axes, level.shape, strict=True))
    if (page.height, page.width) != (extents.get("y"), extents.get("x")) or page.dtype != image.dtype:
        raise UnsupportedStoreError(
            f"its files hold pages of {page.height} x {page.width} {page.dtype}, the image has {extents.get('y')} x {extents.get('x')} "
            f"{image.dtype}. Scan the plate again."
        )
    plan = plan_axes(image.axes, page.samples)
    numbers = _number_files(image, chunks, places, sources)
    tables = _read_tables(chunks, places, numbers, sources, read_ranges) if page.name == "jpeg" else b""
    shape = _build_shape(plan, image.axes, extents, page)
    chunk_shape = tuple(_chunk_extent(name, page) for name in plan.names)
    coords = _build_coords(plan, places, shape, chunk_shape)
    size, is_exact = _trim(places, page, chunk_shape)
    documents = _build_documents(shape, chunk_shape, plan.names, page, tables, is_exact)
    refs = ChunkRefs(coords, numbers, places.offset.astype(np.int64), size)
    return VirtualArray(path, shape, chunk_shape, page.dtype, plan.names, *documents, refs)


@lru_cache(maxsize=256)
def plan_axes(axes: tuple[str, ...], samples: int) -> AxisPlan:
    """Axes of the array; UnsupportedStoreError where the image has more that are none of t, c, z, y, x than can be renamed."""
    lead = [name for name in axes if name not in _PAGE_AXES]
    if samples > 1 and "s" not in axes:  # samples of a page are the channels of the image
        lead.remove("c")
    named = {name: position for position, name in enumerate(lead) if name in _ORDER}
    free = [name for name in _UNNAMED_BECOMES if name not in named and (name != "c" or samples == 1)]
    for position, name in enumerate(lead):
        if name not in _ORDER:
            if not free:
                raise UnsupportedStoreError(
                    f"its axes {','.join(axes)} are more than OME-Zarr has: t, c, z, y and x."
                )
            named[free.pop(0)] = position
    names = tuple(n for n in _ORDER if n in named or n in "yx" or (n == "c" and samples > 1))
    return AxisPlan(names, tuple(named.get(name) for name in names))


def _build_shape(
    plan: AxisPlan, axes: Sequence[str], extents: Mapping[str, int], page: PageCodec
) -> tuple[int, ...]:
    lead = [
        extents[name]
        for name in axes
        if name not in _PAGE_AXES and not (name == "c" and page.samples > 1 and "s" not in axes)
    ]
    shape = []
    for name, position in zip(plan.names, plan.lead, strict=True):
        extent = extents[name] if name in "yx" else 1 if position is None else lead[position]
        shape.append(extent * page.samples if name == "c" else extent)
    return tuple(shape)


def _chunk_extent(name: str, page: PageCodec) -> int:
    height, width = page.tile or (min(page.rows, page.height), page.width)
    if name == "c":
        return 1 if page.is_planar else page.samples
    return {"y": height, "x": width}.get(name, 1)


def _build_coords(
    plan: AxisPlan, places: PagePlaces, shape: Sequence[int], chunk_shape: Sequence[int]
) -> np.ndarray:
    coords = np.zeros((len(places.offset), len(plan.names)), np.int32)
    for axis, (name, position) in enumerate(zip(plan.names, plan.lead, strict=True)):
        if name in "yx":
            coords[:, axis] = places.y if name == "y" else places.x
        elif position is not None:
            coords[:, axis] = places.lead[:, position]
        if name == "c" and places.page.is_planar:
            coords[:, axis] = coords[:, axis] * places.page.samples + places.sample
    grid = [-(-extent // step) for extent, step in zip(shape, chunk_shape, strict=True)]
    if (coords >= grid).any():
        raise UnsupportedStoreError("its chunk index names chunks beyond its edge. Scan the plate again.")
    return coords


def _trim(places: PagePlaces, page: PageCodec, chunk_shape: Sequence[int]) -> tuple[np.ndarray, bool]:
    """Sizes, of uncompressed chunks without what some writers put behind them, and whether such chunks are whole."""
    size = places.size.astype(np.int64)
    if not is_plain(page):
        return size, True
    whole = prod(chunk_shape) * np.dtype(page.dtype).itemsize
    return np.minimum(size, whole), bool((size >= whole).all())


def _number_files(
    image: ImageRow, chunks: LevelChunks, places: PagePlaces, sources: SourceTable
) -> np.ndarray:
    if len(places.names) <= _FEW:
        few = [sources.add(image.file_uri(chunks.all_names[code])) for code in places.names.tolist()]
        return np.array(few, np.int32)
    codes, inverse = np.unique(places.names, return_inverse=True)
    numbers = [sources.add(image.file_uri(chunks.all_names[code])) for code in codes.tolist()]
    return np.array(numbers, np.int32)[inverse]


def _read_tables(
    chunks: LevelChunks,
    places: PagePlaces,
    numbers: np.ndarray,
    sources: SourceTable,
    read_ranges: ReadRanges,
) -> bytes:
    """The JPEG tables of all pages; UnsupportedStoreError where they differ."""
    uris = sources.uris
    wanted = []
    for code, number in np.unique(np.stack([places.tables, numbers]), axis=1).T.tolist():
        page = read_page_codec(chunks.all_codecs[code])
        wanted.append(
            (uris[number], *page.jpeg_tables) if page is not None and page.jpeg_tables is not None else None
        )
    found = read_ranges(one for one in wanted if one is not None)
    tables = {b"" if one is None else found[one] for one in wanted}
    if len(tables) > 1:
        raise UnsupportedStoreError(
            "its JPEGs were written with different tables, which one Zarr array cannot say."
        )
    return tables.pop()


@lru_cache(maxsize=1024)
def _build_documents(
    shape: tuple[int, ...], chunk_shape: tuple[int, ...], axes: tuple[str, ...], page: PageCodec, tables: bytes, is_exact: bool
) -> tuple[Mapping[str, object], Mapping[str, object]]:  # fmt: skip
    decoding = build_decoding(page, tables)
    is_interleaved = page.samples > 1 and not page.is_planar
    encoding = ChunkEncoding(
        _find_standard(page, decoding, is_exact), page.byte_order, is_interleaved, decoding
    )
    return (
        build_v3_document(shape, chunk_shape, axes, page.dtype, encoding),
        build_v2_document(shape, chunk_shape, page.dtype, encoding),
    )


def _find_standard(page: PageCodec, decoding: TiffDecoding, is_exact: bool) -> str | None:
    """The compression where every Zarr library decodes these chunks; short strips at the edge are not whole chunks for them."""
    is_whole = is_exact and (page.tile is not None or decoding.chunk == decoding.edge)
    has_plain_samples = is_plain(PageCodec(1, *[getattr(page, name) for name in page.__slots__[1:]]))
    return page.name if page.name in _STANDARD and is_whole and has_plain_samples else None
