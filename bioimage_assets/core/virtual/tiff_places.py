"""Rows of one level of TIFF (or PNG) files in, the place of every chunk of its array out.

A row is a tile, a run of strips or a whole file. Uncompressed strips that follow one another are one chunk as high as the page;
others are one chunk each. Where the files of an image are stored in different ways, as the channels of CellProfiler's ExampleHuman are,
each file is one chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pyarrow.compute as pc

from bioimage_assets.core.errors import UnsupportedStoreError
from bioimage_assets.core.formats.ome_tiff.page_codec import (
    WHOLE_TIFF,
    PageCodec,
    natural_bits,
    read_page_codec,
)
from bioimage_assets.core.virtual.chunk_columns import NOTHING, LevelChunks
from bioimage_assets.core.virtual.model import WHOLE_FILE

_MANY_STRIPS = 16


@dataclass(frozen=True, slots=True, eq=False)
class PagePlaces:
    """Chunks of pages of one kind.

    Parameters
    ----------
    page
        How they are decoded; its ``rows`` are those of a chunk.
    lead
        (n, axes before the page) indexes of the planes.
    sample, y, x
        Chunk coordinates inside the page; ``sample`` is zero where samples stand together.
    names, tables
        Code of the file of each chunk, and of the text that says where its JPEG tables are.
    offset, size
        First byte and bytes of each.
    """

    page: PageCodec
    lead: np.ndarray
    sample: np.ndarray
    y: np.ndarray
    x: np.ndarray
    names: np.ndarray
    tables: np.ndarray
    offset: np.ndarray
    size: np.ndarray


def find_places(chunks: LevelChunks, *, is_file_set: bool = False) -> PagePlaces | None:
    """Places of the stored chunks of a level, None where none is stored.

    Of an image that is a set of files (``is_file_set``), a file with very many compressed strips is one chunk: Bio-Formats writes a strip
    for each row of pixels, and a plate would have millions of references.

    UnsupportedStoreError where the pages differ, or rows do not say how they are decoded.
    """
    stored = chunks.select(~chunks.is_absent & (chunks.stored != 0))
    if len(stored) == 0:
        return None
    pages = read_codecs(stored)
    if len(pages) > 1:
        return _place_files(stored, pages)
    page = pages[0]
    if stored.coords.shape[1] < (2 if page.samples == 1 else 3):
        raise UnsupportedStoreError("the rows of its chunk index have different axes. Scan the plate again.")
    if is_file_set and page.tile is None and not is_plain(page) and _count_strips(page) > _MANY_STRIPS:
        whole = _place_whole_files(stored, pages)
        if whole is not None:
            return whole
    if (
        is_plain(page)
        and page.tile is None
        and (stored.strips == _count_strips(page)).all()
        and _are_unlisted(stored)
    ):
        page = _as_one_strip(page)
        return _place(
            stored,
            page,
            np.arange(len(stored)),
            np.zeros(len(stored), np.int64),
            stored.offset,
            stored.stored,
        )
    return _place(stored, page, *_unfold_strips(stored, page))


def read_codecs(chunks: LevelChunks) -> list[PageCodec]:
    """The ways in which the chunks are decoded, apart from the places of JPEG tables; UnsupportedStoreError where one is not known."""
    first = chunks.codecs[0]
    codes = (
        chunks.codecs[:1] if first != NOTHING and (chunks.codecs == first).all() else np.unique(chunks.codecs)
    )
    if codes[0] == NOTHING:
        raise UnsupportedStoreError(
            "its chunk index does not say how its chunks are decoded, and its files could not be read; scan the plate again."
        )
    found: dict[PageCodec, None] = {}
    for text in (chunks.all_codecs[code] for code in codes):
        page = _read_without_tables(text)
        if page is None:
            raise UnsupportedStoreError(f"it is stored in a way that is not known here ({text}).")
        found[page] = None
    return list(found)


def _place_files(chunks: LevelChunks, pages: Sequence[PageCodec]) -> PagePlaces:
    """As ``_place_whole_files``; UnsupportedStoreError where that cannot be."""
    places = _place_whole_files(chunks, pages)
    if places is None:
        shown = " and ".join(sorted({chunks.all_codecs[code] for code in np.unique(chunks.codecs)})[:2])
        raise UnsupportedStoreError(
            f"its pages are stored in different ways ({shown}), which one Zarr array can say only of files of one page and of one "
            "type and size. Write them alike."
        )
    return places


def _place_whole_files(chunks: LevelChunks, pages: Sequence[PageCodec]) -> PagePlaces | None:
    """One chunk for each file, which says itself how its page is stored; None where a file holds several planes, or pages differ."""
    dtype, height, width = pages[0].dtype, pages[0].height, pages[0].width
    page = PageCodec(WHOLE_TIFF, dtype, height, width, None, height, natural_bits(dtype), pages[0].samples)
    is_alike = all(
        (one.dtype, one.height, one.width, one.samples) == (page.dtype, page.height, page.width, page.samples)
        for one in pages
    )
    first = np.unique(chunks.names, return_index=True)[1]
    lead = chunks.coords[:, : chunks.coords.shape[1] - (2 if page.samples == 1 else 3)]
    planes = np.unique(np.column_stack([chunks.names, lead]), axis=0)
    if not (is_alike and chunks.is_first_page.all() and len(planes) == len(first)):
        return None
    nothing = np.zeros(len(first), np.int64)
    return PagePlaces(
        page, lead[first], nothing, nothing, nothing, chunks.names[first], chunks.codecs[first], nothing,
        np.full(len(first), WHOLE_FILE),
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _read_without_tables(text: str) -> PageCodec | None:
    page = read_page_codec(text)
    return None if page is None else replace(page, jpeg_tables=None)


@lru_cache(maxsize=1024)
def _as_one_strip(page: PageCodec) -> PageCodec:
    return replace(page, rows=page.height)


@lru_cache(maxsize=1024)
def is_plain(page: PageCodec) -> bool:
    """Whether stored bytes are the samples themselves, as numpy has them."""
    is_whole = page.bits == natural_bits(page.dtype) and page.dtype != "bool" and page.sample_format is None
    return (
        page.name == "none"
        and is_whole
        and (page.predictor, page.fill_order, page.subsampling) == (1, 1, (1, 1))
    )


def _count_strips(page: PageCodec) -> int:
    """Strips of a page, of each sample where these are stored by themselves."""
    return -(-page.height // page.rows)


def _are_unlisted(chunks: LevelChunks) -> bool:
    return chunks.strip_offsets is None or chunks.strip_offsets.null_count == len(chunks)


def _unfold_strips(
    chunks: LevelChunks, page: PageCodec
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, number inside the row, offset and size of each strip or tile."""
    if page.tile is not None or (chunks.strips == 1).all():
        count = len(chunks)
        size = np.where(chunks.offset == NOTHING, WHOLE_FILE, chunks.stored)
        return np.arange(count), np.zeros(count, np.int64), np.maximum(chunks.offset, 0), size
    rows = np.repeat(np.arange(len(chunks)), chunks.strips)
    first = np.cumsum(chunks.strips) - chunks.strips
    number = np.arange(len(rows)) - first[rows]
    step = page.rows * _row_bytes(page)
    top = (chunks.coords[:, _y_axis(page)][rows] + number) * page.rows
    size = np.minimum(page.rows, page.height - top) * _row_bytes(page)
    offset = chunks.offset[rows] + number * step
    if chunks.strip_offsets is not None and chunks.strip_bytes is not None:
        is_listed = chunks.strip_offsets.is_valid().to_numpy(zero_copy_only=False)[rows]
        offset[is_listed] = pc.list_flatten(chunks.strip_offsets).to_numpy(zero_copy_only=False)
        size[is_listed] = pc.list_flatten(chunks.strip_bytes).to_numpy(zero_copy_only=False)
    kept = size > 0
    return rows[kept], number[kept], offset[kept], size[kept]


def _row_bytes(page: PageCodec) -> int:
    return -(-page.width * page.bits * (1 if page.is_planar else page.samples) // 8)


def _y_axis(page: PageCodec) -> int:
    """Position of a chunk's row among its coordinates, from the end: y and x stand before or behind the sample."""
    return -3 if page.samples > 1 and not page.is_planar else -2


def _place(
    chunks: LevelChunks, page: PageCodec, rows: np.ndarray, number: np.ndarray, offset: np.ndarray, size: np.ndarray
) -> PagePlaces:  # fmt: skip
    coords = chunks.coords[rows]
    at = _y_axis(page)
    inside = 2 if page.samples == 1 else 3
    sample = coords[:, -3] if page.is_planar else np.zeros(len(rows), np.int32)
    lead = coords[:, : coords.shape[1] - inside]
    is_folded = page.tile is None and page.rows == page.height
    y = np.zeros(len(rows), np.int64) if is_folded else coords[:, at] + number
    return PagePlaces(
        page, lead, sample, y, coords[:, at + 1], chunks.names[rows], chunks.codecs[rows], offset, size
    )
