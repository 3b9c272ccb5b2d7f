"""Columns of ``chunk_index`` for TIFF pages: one row per tile, one per contiguous run of strips.

Columns: ``bioimage_assets.core.tables.schemas.CHUNK_INDEX``. A run of strips carries their count, the offset of
the first and the summed bytes, so that ``[offset, offset + bytes)`` of the file is exactly its data. Where the strips
are stored with other sizes than their rows have, as compressed ones are, the run lists the place of each; where the
lists are null, each strip begins after the uncompressed rows of those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bioimage_assets.core.formats.ome_tiff.chunk_batches import (
    WHOLE_PAGE,
    ChunkBlock,
    ChunkPlace,
    StripLists,
    build_batch,
)
from bioimage_assets.core.formats.ome_tiff.pages import PageExtents, PageGeometry
from bioimage_assets.core.model.chunk import ABSENT, NO_OFFSET

BATCH_ROWS = 100_000  # bounds the memory of a stream of chunk rows
_WAITING_CHUNKS = 16_384
_BATCH_STRIPS = 1_000_000  # 16 MB of offsets and sizes


@dataclass(frozen=True, slots=True)
class _Pages:
    """Pages of one file and one geometry that wait to become a block together."""

    geometry: PageGeometry
    file_bytes: int
    places: list[ChunkPlace] = field(default_factory=list)
    extents: list[PageExtents] = field(default_factory=list)

    def takes(self, place: ChunkPlace, geometry: PageGeometry, file_bytes: int) -> bool:
        """Whether a page can join."""
        return (
            geometry is self.geometry
            and file_bytes == self.file_bytes
            and len(place.lead) == len(self.places[0].lead)
            and len(self.places) * geometry.chunk_count < _WAITING_CHUNKS
        )


class _Single(NamedTuple):
    """The one row of one page; ``ABSENT`` and ``NO_OFFSET`` where it is not present."""

    place: ChunkPlace
    width: int
    nominal: int
    stored: int
    offset: int
    strips: int


@dataclass(slots=True)
class ChunkRows:
    """Rows waiting for a batch; ``count`` is their number, ``listed_strips`` that of the strips whose places they list."""

    blocks: list[ChunkBlock] = field(default_factory=list)
    singles: list[_Single] = field(default_factory=list)
    pages: _Pages | None = None
    count: int = 0
    listed_strips: int = 0

    @property
    def is_full(self) -> bool:
        """Whether a batch should leave now."""
        return self.count >= BATCH_ROWS or self.listed_strips >= _BATCH_STRIPS

    def add_page(
        self, place: ChunkPlace, geometry: PageGeometry, extents: PageExtents, file_bytes: int
    ) -> None:
        """Take all chunks of one page."""
        if not geometry.is_tiled and len(extents.offsets) == 1:
            self.add_strip(place, geometry, int(extents.offsets[0]), int(extents.byte_counts[0]), file_bytes)
            return
        if self.pages is None or not self.pages.takes(place, geometry, file_bytes):
            self.gather()
            self.pages = _Pages(geometry, file_bytes)
        self.pages.places.append(place)
        self.pages.extents.append(extents)

    def add_strip(
        self, place: ChunkPlace, geometry: PageGeometry, offset: int, size: int, file_bytes: int
    ) -> None:
        """Take a page whose pixels are one run of bytes."""
        if self.pages is not None:
            self.gather()
        # Tiles that were never written have zero for both (sparse files, GDAL's convention).
        is_present = offset > 0 and size > 0 and offset + size <= file_bytes
        width = len(place.lead) + (2 if geometry.samples == 1 else 3)
        stored, start = (size, offset) if is_present else (ABSENT, NO_OFFSET)
        self.singles.append(
            _Single(place, width, geometry.nominal_bytes, stored, start, geometry.chunk_count)
        )
        self.count += 1

    def add_strips(
        self, places: Sequence[ChunkPlace], geometry: PageGeometry, strips: Sequence[tuple[int, int]], file_bytes: int
    ) -> None:  # fmt: skip
        """Take pages of one geometry whose pixels are one run of bytes each."""
        found = np.array(strips, np.int64)
        offsets, sizes = found[:, 0], found[:, 1]
        is_present = PageExtents(offsets, sizes).present(file_bytes)
        lead = len(places[0].lead)
        coords = np.zeros((len(places), lead + (2 if geometry.samples == 1 else 3)), np.int32)
        coords[:, :lead] = [place.lead for place in places]
        ones = np.ones(len(places), np.int64)
        block = ChunkBlock(
            places, ones, "strip", coords, ones * geometry.nominal_bytes, np.where(is_present, sizes, ABSENT),
            np.where(is_present, offsets, NO_OFFSET), ones, None,
        )  # fmt: skip
        self._add(block)

    def add_stack(
        self, place: ChunkPlace, geometry: PageGeometry, offset: int, first: int, leads: Sequence[tuple[int, ...]],
        file_bytes: int,
    ) -> None:  # fmt: skip
        """Take planes that follow one another behind a single page, from plane ``first`` on; their strips are counted on."""
        planes = np.arange(first, first + len(leads), dtype=np.int64)
        size = geometry.nominal_bytes
        offsets = offset + planes * size
        is_present = offsets + size <= file_bytes
        coords = np.zeros((len(leads), len(leads[0]) + (2 if geometry.samples == 1 else 3)), np.int32)
        coords[:, : len(leads[0])] = leads
        ones = np.ones(len(leads), np.int64)
        block = ChunkBlock(
            [place], np.array([len(leads)]), "strip", coords, ones * size, np.where(is_present, size, ABSENT), np.where(is_present, offsets, NO_OFFSET),
            ones * geometry.chunk_count, planes * geometry.chunk_count,
        )  # fmt: skip
        self._add(block)

    def _add(self, block: ChunkBlock) -> None:
        self.gather()
        self._keep(block)

    def _keep(self, block: ChunkBlock) -> None:
        self.blocks.append(block)
        self.count += len(block.stored)
        self.listed_strips += 0 if block.lists is None else len(block.lists.offsets)

    def flush(self) -> pa.RecordBatch:
        """Give the waiting rows as one batch and forget them."""
        self.gather()
        batch = build_batch(self.blocks)
        self.blocks, self.count, self.listed_strips = [], 0, 0
        return batch

    def gather(self) -> None:
        """Turn waiting pages and single rows into blocks, these one per run of rows with as many coordinates.

        ``count`` is exact afterwards; until then it lacks the rows of the waiting pages.
        """
        if self.pages is not None:  # then no single rows wait
            self._keep(_build_pages(self.pages))
            self.pages = None
        for (width, _), rows in groupby(self.singles, key=lambda row: (row.width, len(row.place.lead))):
            self.blocks.append(_build_single_chunks(list(rows), width))
        self.singles = []


def _page_coords(leads: np.ndarray, geometry: PageGeometry, numbers: np.ndarray) -> np.ndarray:
    """Chunk coordinates over the image's axes; chunk numbers run over samples (if separate), rows, columns."""
    across, down = geometry.chunks_across, geometry.chunks_down
    y, x = (numbers // across) % down, numbers % across
    parts = [y, x]
    if geometry.samples > 1:
        parts = [numbers // (across * down), y, x] if geometry.is_planar else [y, x, np.zeros_like(y)]
    return np.column_stack([leads, *parts]).astype(np.int32)


def _build_single_chunks(rows: Sequence[_Single], width: int) -> ChunkBlock:
    places = [row.place for row in rows]
    coords = np.zeros((len(rows), width), np.int32)
    lead = len(places[0].lead)
    if lead:
        coords[:, :lead] = [place.lead for place in places]
    numbers = np.array([row[2:] for row in rows], np.int64)
    ones = np.ones(len(rows), np.int64)
    return ChunkBlock(
        places, ones, "strip", coords, numbers[:, 0], numbers[:, 1], numbers[:, 2], numbers[:, 3], None
    )


def _build_pages(pages: _Pages) -> ChunkBlock:
    geometry, places = pages.geometry, pages.places
    extents = PageExtents(
        np.concatenate([np.asarray(one.offsets) for one in pages.extents]),
        np.concatenate([np.asarray(one.byte_counts) for one in pages.extents]),
    )
    leads = np.array([place.lead for place in places], np.int32).reshape(len(places), len(places[0].lead))
    chunks = len(pages.extents[0].offsets)
    numbers = np.tile(np.arange(chunks, dtype=np.int64), len(places))
    present = extents.present(pages.file_bytes)
    if not geometry.is_tiled:
        return _build_strips(pages, extents, leads, numbers, present)
    return ChunkBlock(
        places, np.full(len(places), chunks), "tile", _page_coords(np.repeat(leads, chunks, axis=0), geometry, numbers),
        np.full(len(present), geometry.chunk_nominal_bytes, np.int64),
        np.where(present, extents.byte_counts, ABSENT), np.where(present, extents.offsets, NO_OFFSET), None, numbers,
    )  # fmt: skip


def _build_strips(
    pages: _Pages, extents: PageExtents, leads: np.ndarray, numbers: np.ndarray, present: np.ndarray
) -> ChunkBlock:
    geometry = pages.geometry
    offsets, counts = np.asarray(extents.offsets), np.asarray(extents.byte_counts)
    joins = present[1:] & present[:-1] & (offsets[1:] == offsets[:-1] + counts[:-1])
    joins |= ~present[1:] & ~present[:-1]
    joins &= (
        numbers[1:] % geometry.chunks_down != 0
    )  # pages, and samples in separate planes, are separate runs
    starts = np.concatenate([[0], np.flatnonzero(~joins) + 1])
    strips = np.diff(np.append(starts, len(offsets)))
    owners = starts // (len(offsets) // len(pages.places))
    row_counts = np.bincount(owners, minlength=len(pages.places))
    firsts = numbers[starts]
    first_rows = (firsts % geometry.chunks_down) * geometry.chunk_height
    last_rows = np.minimum(first_rows + strips * geometry.chunk_height, geometry.height)
    sums = np.add.reduceat(np.where(present, counts, 0), starts)
    found = present[starts]
    return ChunkBlock(
        pages.places, row_counts, "strip", _page_coords(leads[owners], geometry, firsts),
        geometry.strip_nominal_bytes(last_rows - first_rows), np.where(found, sums, ABSENT),
        np.where(found, offsets[starts], NO_OFFSET), strips, np.where(row_counts[owners] > 1, firsts, WHOLE_PAGE),
        _list_strips(geometry, extents, numbers, starts, strips, found),
    )  # fmt: skip


def _list_strips(
    geometry: PageGeometry, extents: PageExtents, numbers: np.ndarray, starts: np.ndarray, strips: np.ndarray,
    found: np.ndarray,
) -> StripLists | None:  # fmt: skip
    """Places of the strips of runs whose strips are not stored with the bytes that their rows have; None for no such run."""
    offsets, counts = np.asarray(extents.offsets), np.asarray(extents.byte_counts)
    tops = (numbers % geometry.chunks_down) * geometry.chunk_height
    plain = geometry.strip_nominal_bytes(np.minimum(geometry.chunk_height, geometry.height - tops))
    is_other = (counts != plain) if geometry.codec == "none" else np.ones(len(counts), np.bool_)
    is_listed = found & (strips > 1) & np.logical_or.reduceat(is_other, starts)
    return StripLists(offsets, counts, is_listed) if is_listed.any() else None
