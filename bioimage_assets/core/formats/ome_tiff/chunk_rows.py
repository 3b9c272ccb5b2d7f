"""Pages become columns of ``chunk_index``: tiles one row each, strips one row per contiguous run.

Columns: ``bioimage_assets.core.tables.schemas.CHUNK_INDEX``. A run of strips carries their count, the offset of
the first and the summed bytes, so that ``[offset, offset + bytes)`` of the file is exactly its data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.formats.ome_tiff.pages import PageExtents, PageGeometry
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.tables.schemas import CHUNK_INDEX


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """Which image, level and plane a page is. ``lead`` are the plane's indexes along the axes before the page's."""

    image: ImageRecord
    array_path: str
    level: int
    file_name: str
    ifd: int | str
    lead: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of one page. ``numbers`` names the chunk inside the page, None for the one row of a whole page."""

    place: ChunkPlace
    kind: str
    coords: np.ndarray
    nominal: np.ndarray
    stored: np.ndarray
    offsets: np.ndarray
    strips: np.ndarray | None
    numbers: np.ndarray | None


@dataclass(slots=True)
class ChunkRows:
    """Rows waiting for a batch."""

    blocks: list[_Block] = field(default_factory=list)
    count: int = 0

    def add_page(
        self, place: ChunkPlace, geometry: PageGeometry, extents: PageExtents, file_bytes: int
    ) -> None:
        """Take all chunks of one page."""
        if geometry.is_tiled:
            block = _build_tiles(place, geometry, extents, file_bytes)
        elif len(extents.offsets) == 1:
            block = _build_single(
                place, geometry, int(extents.offsets[0]), int(extents.byte_counts[0]), file_bytes
            )
        else:
            block = _build_strips(place, geometry, extents, file_bytes)
        self._add(block)

    def add_stack(
        self, place: ChunkPlace, geometry: PageGeometry, offset: int, planes: int, file_bytes: int
    ) -> None:
        """Take an ImageJ stack whose planes follow one another behind a single page."""
        size = geometry.nominal_bytes * planes
        block = _build_single(place, geometry, offset, size, file_bytes)
        strips = np.array([planes * geometry.chunk_count], np.int64)
        self._add(
            _Block(place, "strip", block.coords, np.array([size]), block.stored, block.offsets, strips, None)
        )

    def _add(self, block: _Block) -> None:
        self.blocks.append(block)
        self.count += len(block.stored)

    def flush(self) -> pa.RecordBatch:
        """Give the waiting rows as one batch and forget them."""
        batch = _build_batch(self.blocks)
        self.blocks, self.count = [], 0
        return batch


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
        place, "tile", _page_coords(place, geometry, numbers),
        np.full(len(present), geometry.chunk_nominal_bytes, np.int64),
        np.where(present, np.asarray(extents.byte_counts), -1), np.where(present, np.asarray(extents.offsets), -1),
        None, numbers,
    )  # fmt: skip


def _build_single(
    place: ChunkPlace, geometry: PageGeometry, offset: int, count: int, file_bytes: int
) -> _Block:
    is_present = offset > 0 and count > 0 and offset + count <= file_bytes
    coords = np.zeros((1, len(place.lead) + (2 if geometry.samples == 1 else 3)), np.int32)
    coords[0, : len(place.lead)] = place.lead
    return _Block(
        place, "strip", coords, np.array([geometry.nominal_bytes], np.int64),
        np.array([count if is_present else -1], np.int64), np.array([offset if is_present else -1], np.int64),
        np.ones(1, np.int64), None,
    )  # fmt: skip


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
    row_bytes = -(-geometry.width * geometry.bits * (1 if geometry.is_planar else geometry.samples) // 8)
    sums = np.add.reduceat(np.where(present, counts, 0), starts)
    found = present[starts]
    return _Block(
        place, "strip", _page_coords(place, geometry, starts), (last_rows - first_rows) * row_bytes,
        np.where(found, sums, -1), np.where(found, offsets[starts], -1), strips,
        starts if len(starts) > 1 else None,
    )  # fmt: skip


def _build_batch(blocks: list[_Block]) -> pa.RecordBatch:
    lengths = np.array([len(block.stored) for block in blocks], np.int64)
    owner = pa.array(np.repeat(np.arange(len(blocks), dtype=np.int32), lengths))
    places = [block.place for block in blocks]
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
        "kind": _spread([block.kind for block in blocks], owner),
        "chunk_key": _build_keys(blocks, lengths, owner),
        "chunk_coords": _list_coords(blocks),
        "strip_count": pa.array(strips, pa.int32(), mask=strips == 0),
        "nominal_bytes": pa.array(np.concatenate([block.nominal for block in blocks]), pa.int64()),
        "stored_bytes": pa.array(stored, pa.int64(), mask=stored < 0),
        "stored_offset": pa.array(offsets, pa.int64(), mask=offsets < 0),
        "is_present": pa.array(stored >= 0, pa.bool_()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in CHUNK_INDEX.names], schema=CHUNK_INDEX)


def _spread(values: list[str | None] | list[str], owner: pa.Array) -> pa.Array:
    return pa.array(values, pa.string()).take(owner)


def _build_keys(blocks: list[_Block], lengths: np.ndarray, owner: pa.Array) -> pa.Array:
    pages = pa.array([f"{block.place.file_name}#{block.place.ifd}" for block in blocks], pa.string()).take(
        owner
    )
    if all(block.numbers is None for block in blocks):
        return pages
    numbers = np.concatenate(
        [
            np.full(length, -1) if b.numbers is None else b.numbers
            for b, length in zip(blocks, lengths, strict=True)
        ]
    )
    named = pc.binary_join_element_wise(pages, pc.cast(pa.array(numbers), pa.string()), pa.scalar(":"))
    return pc.if_else(pa.array(numbers < 0), pages, named)


def _list_coords(blocks: list[_Block]) -> pa.Array:
    widths = np.concatenate([np.full(len(block.stored), block.coords.shape[1], np.int64) for block in blocks])
    offsets = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)
    values = np.concatenate([block.coords.reshape(-1) for block in blocks]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=pa.list_(pa.int32()))
