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
import pyarrow.compute as pc

from bioimage_assets.core.formats.ome_tiff.pages import PageExtents, PageGeometry
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.tables.schemas import CHUNK_INDEX

BATCH_ROWS = 100_000  # bounds the memory of a stream of chunk rows
_PLACES = CHUNK_INDEX.field("strip_offsets").type
_BATCH_STRIPS = 1_000_000  # 16 MB of offsets and sizes


class ChunkPlace(NamedTuple):
    """Which image, level and plane a page is. ``lead`` are the plane's indexes along the axes before the page's."""

    image: ImageRecord
    array_path: str
    level: int
    file_name: str
    ifd: int | str
    lead: tuple[int, ...]


class _StripLists(NamedTuple):
    """Offsets and sizes of the strips of all rows of a block one after another; each row has as many as it has strips.

    ``is_listed`` says which rows list them.
    """

    offsets: np.ndarray
    sizes: np.ndarray
    is_listed: np.ndarray


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of one page, or one row of each of several. ``numbers`` names the chunk inside the page, None for a whole page."""

    places: Sequence[ChunkPlace]
    kind: str
    coords: np.ndarray
    nominal: np.ndarray
    stored: np.ndarray
    offsets: np.ndarray
    strips: np.ndarray | None
    numbers: np.ndarray | None
    lists: _StripLists | None = None


class _Single(NamedTuple):
    """The one row of one page; offset and stored bytes are -1 where it is not present."""

    place: ChunkPlace
    width: int
    nominal: int
    stored: int
    offset: int
    strips: int


@dataclass(slots=True)
class ChunkRows:
    """Rows waiting for a batch; ``count`` is their number, ``listed_strips`` that of the strips whose places they list."""

    blocks: list[_Block] = field(default_factory=list)
    singles: list[_Single] = field(default_factory=list)
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
        if geometry.is_tiled:
            self._add(_build_tiles(place, geometry, extents, file_bytes))
        elif len(extents.offsets) == 1:
            self.add_strip(place, geometry, int(extents.offsets[0]), int(extents.byte_counts[0]), file_bytes)
        else:
            self._add(_build_strips(place, geometry, extents, file_bytes))

    def add_strip(
        self, place: ChunkPlace, geometry: PageGeometry, offset: int, size: int, file_bytes: int
    ) -> None:
        """Take a page whose pixels are one run of bytes."""
        # Tiles that were never written have zero for both (sparse files, GDAL's convention).
        is_present = offset > 0 and size > 0 and offset + size <= file_bytes
        width = len(place.lead) + (2 if geometry.samples == 1 else 3)
        stored, start = (size, offset) if is_present else (-1, -1)
        self.singles.append(
            _Single(place, width, geometry.nominal_bytes, stored, start, geometry.chunk_count)
        )
        self.count += 1

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
        block = _Block(
            [place], "strip", coords, ones * size, np.where(is_present, size, -1), np.where(is_present, offsets, -1),
            ones * geometry.chunk_count, planes * geometry.chunk_count,
        )  # fmt: skip
        self._add(block)

    def _add(self, block: _Block) -> None:
        self._gather_single_chunks()
        self.blocks.append(block)
        self.count += len(block.stored)
        self.listed_strips += 0 if block.lists is None else len(block.lists.offsets)

    def flush(self) -> pa.RecordBatch:
        """Give the waiting rows as one batch and forget them."""
        self._gather_single_chunks()
        batch = _build_batch(self.blocks)
        self.blocks, self.count, self.listed_strips = [], 0, 0
        return batch

    def _gather_single_chunks(self) -> None:
        """Turn the waiting single rows into blocks, one per run of rows with as many coordinates."""
        for (width, _), rows in groupby(self.singles, key=lambda row: (row.width, len(row.place.lead))):
            self.blocks.append(_build_single_chunks(list(rows), width))
        self.singles = []


def _page_coords(place: ChunkPlace, geometry: PageGeometry, numbers: np.ndarray) -> np.ndarray:
    """Chunk coordinates over the image's axes; chunk numbers run over samples (if separate), rows, columns."""
    across, down = geometry.chunks_across, geometry.chunks_down
    lead = np.broadcast_to(np.array(place.lead, np.int32), (len(numbers), len(place.lead)))
    y, x = (numbers // across) % down, numbers % across
    parts = [y, x]
    if geometry.samples > 1:
        parts = [numbers // (across * down), y, x] if geometry.is_planar else [y, x, np.zeros_like(y)]
    return np.column_stack([lead, *parts]).astype(np.int32)


def _build_tiles(place: ChunkPlace, geometry: PageGeometry, extents: PageExtents, file_bytes: int) -> _Block:
    present = extents.present(file_bytes)
    numbers = np.arange(len(present), dtype=np.int64)
    return _Block(
        [place], "tile", _page_coords(place, geometry, numbers),
        np.full(len(present), geometry.chunk_nominal_bytes, np.int64),
        np.where(present, np.asarray(extents.byte_counts), -1), np.where(present, np.asarray(extents.offsets), -1),
        None, numbers,
    )  # fmt: skip


def _build_single_chunks(rows: Sequence[_Single], width: int) -> _Block:
    places = [row.place for row in rows]
    coords = np.zeros((len(rows), width), np.int32)
    lead = len(places[0].lead)
    if lead:
        coords[:, :lead] = [place.lead for place in places]
    numbers = np.array([row[2:] for row in rows], np.int64)
    return _Block(places, "strip", coords, numbers[:, 0], numbers[:, 1], numbers[:, 2], numbers[:, 3], None)


def _build_strips(place: ChunkPlace, geometry: PageGeometry, extents: PageExtents, file_bytes: int) -> _Block:
    offsets, counts = np.asarray(extents.offsets), np.asarray(extents.byte_counts)
    present = extents.present(file_bytes)
    numbers = np.arange(len(offsets), dtype=np.int64)
    joins = present[1:] & present[:-1] & (offsets[1:] == offsets[:-1] + counts[:-1])
    joins |= ~present[1:] & ~present[:-1]
    joins &= numbers[1:] % geometry.chunks_down != 0  # samples in separate planes are separate runs
    starts = np.concatenate([[0], np.flatnonzero(~joins) + 1])
    strips = np.diff(np.append(starts, len(offsets)))
    first_rows = (starts % geometry.chunks_down) * geometry.chunk_height
    last_rows = np.minimum(first_rows + strips * geometry.chunk_height, geometry.height)
    sums = np.add.reduceat(np.where(present, counts, 0), starts)
    found = present[starts]
    return _Block(
        [place], "strip", _page_coords(place, geometry, starts), geometry.strip_nominal_bytes(last_rows - first_rows),
        np.where(found, sums, -1), np.where(found, offsets[starts], -1), strips,
        starts if len(starts) > 1 else None, _list_strips(geometry, offsets, counts, starts, strips, found),
    )  # fmt: skip


def _list_strips(
    geometry: PageGeometry, offsets: np.ndarray, counts: np.ndarray, starts: np.ndarray, strips: np.ndarray, found: np.ndarray,
) -> _StripLists | None:  # fmt: skip
    """Places of the strips of runs whose strips are not stored with the bytes that their rows have; None for no such run."""
    numbers = np.arange(len(counts), dtype=np.int64)
    tops = (numbers % geometry.chunks_down) * geometry.chunk_height
    plain = geometry.strip_nominal_bytes(np.minimum(geometry.chunk_height, geometry.height - tops))
    is_other = (counts != plain) if geometry.codec == "none" else np.ones(len(counts), np.bool_)
    is_listed = found & (strips > 1) & np.logical_or.reduceat(is_other, starts)
    return _StripLists(offsets, counts, is_listed) if is_listed.any() else None


def _build_batch(blocks: list[_Block]) -> pa.RecordBatch:
    lengths = np.concatenate(
        [np.full(len(block.places), len(block.stored) // len(block.places)) for block in blocks]
    )
    owner = pa.array(np.repeat(np.arange(len(lengths), dtype=np.int32), lengths))
    places = [place for block in blocks for place in block.places]
    stored = np.concatenate([block.stored for block in blocks])
    offsets = np.concatenate([block.offsets for block in blocks])
    strips = np.concatenate(
        [np.zeros(len(b.stored), np.int64) if b.strips is None else b.strips for b in blocks]
    )
    columns: dict[str, pa.Array] = {
        "plate_key": _spread([place.image.plate_key for place in places], owner),
        "dataset_id": _spread([place.image.dataset_id for place in places], owner),
        "plate_id": _spread([place.image.plate_id for place in places], owner),
        "image_id": _spread([place.image.image_id for place in places], owner),
        "array_path": _spread([place.array_path for place in places], owner),
        "level": pa.array([place.level for place in places], pa.int32()).take(owner),
        "kind": _spread([block.kind for block in blocks for _ in block.places], owner),
        "chunk_key": _build_keys(blocks, places, owner),
        "chunk_coords": _list_coords(blocks),
        "strip_count": pa.array(strips, pa.int32(), mask=strips == 0),
        "nominal_bytes": pa.array(np.concatenate([block.nominal for block in blocks]), pa.int64()),
        "stored_bytes": pa.array(stored, pa.int64(), mask=stored < 0),
        "stored_offset": pa.array(offsets, pa.int64(), mask=offsets < 0),
        "is_present": pa.array(stored >= 0, pa.bool_()),
        **_list_strip_places(blocks),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in CHUNK_INDEX.names], schema=CHUNK_INDEX)


def _list_strip_places(blocks: list[_Block]) -> dict[str, pa.Array]:
    rows = sum(len(block.stored) for block in blocks)
    lengths = np.zeros(rows, np.int64)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    row = 0
    for block in blocks:
        if block.lists is not None and block.strips is not None:
            is_listed = block.lists.is_listed
            lengths[row : row + len(block.stored)] = np.where(is_listed, block.strips, 0)
            kept = np.repeat(is_listed, block.strips)
            parts.append((block.lists.offsets[kept], block.lists.sizes[kept]))
        row += len(block.stored)
    if not parts:
        return {name: pa.nulls(rows, _PLACES) for name in ("strip_offsets", "strip_bytes")}
    ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    mask = pa.array(lengths == 0)
    values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return {
        name: pa.ListArray.from_arrays(ends, pa.array(column, pa.int64()), type=_PLACES, mask=mask)
        for name, column in zip(("strip_offsets", "strip_bytes"), values, strict=True)
    }


def _spread(values: list[str | None] | list[str], owner: pa.Array) -> pa.Array:
    return pa.array(values, pa.string()).take(owner)


def _build_keys(blocks: list[_Block], places: list[ChunkPlace], owner: pa.Array) -> pa.Array:
    pages = pa.array([f"{place.file_name}#{place.ifd}" for place in places], pa.string()).take(owner)
    if all(block.numbers is None for block in blocks):
        return pages
    numbers = np.concatenate([np.full(len(b.stored), -1) if b.numbers is None else b.numbers for b in blocks])
    named = pc.binary_join_element_wise(pages, pc.cast(pa.array(numbers), pa.string()), pa.scalar(":"))
    return pc.if_else(pa.array(numbers < 0), pages, named)


def _list_coords(blocks: list[_Block]) -> pa.Array:
    widths = np.concatenate([np.full(len(block.stored), block.coords.shape[1], np.int64) for block in blocks])
    offsets = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)
    values = np.concatenate([block.coords.reshape(-1) for block in blocks]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=pa.list_(pa.int32()))
