"""Blocks of chunk rows of TIFF pages, and the batch of ``chunk_index`` that they become.

Columns: ``bioimage_assets.core.tables.schemas.CHUNK_INDEX``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.model.chunk import ABSENT, NO_OFFSET
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.tables.schemas import CHUNK_INDEX

_PLACES = CHUNK_INDEX.field("strip_offsets").type

WHOLE_PAGE = -1  # number of a chunk that is all of its page: its key names the page alone


class ChunkPlace(NamedTuple):
    """Which image, level and plane a page is. ``lead`` are the plane's indexes along the axes before the page's.

    ``codec`` says how its chunks are decoded, in the words of ``page_codec``.
    """

    image: ImageRecord
    array_path: str
    level: int
    file_name: str
    ifd: int | str
    lead: tuple[int, ...]
    codec: str


class StripLists(NamedTuple):
    """Offsets and sizes of the strips of all rows of a block one after another; each row has as many as it has strips.

    ``is_listed`` says which rows list them.
    """

    offsets: np.ndarray
    sizes: np.ndarray
    is_listed: np.ndarray


@dataclass(frozen=True, slots=True)
class ChunkBlock:
    """Rows of some pages, ``row_counts`` of each. ``numbers`` names the chunk inside the page, ``WHOLE_PAGE`` where it has one row."""

    places: Sequence[ChunkPlace]
    row_counts: np.ndarray
    kind: str
    coords: np.ndarray
    nominal: np.ndarray
    stored: np.ndarray
    offsets: np.ndarray
    strips: np.ndarray | None
    numbers: np.ndarray | None
    lists: StripLists | None = None


def build_batch(blocks: list[ChunkBlock]) -> pa.RecordBatch:
    """Give the rows of some blocks as one batch of ``chunk_index``."""
    lengths = np.concatenate([block.row_counts for block in blocks])
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
        "stored_bytes": pa.array(stored, pa.int64(), mask=stored == ABSENT),
        "stored_offset": pa.array(offsets, pa.int64(), mask=offsets == NO_OFFSET),
        "is_present": pa.array(stored != ABSENT, pa.bool_()),
        **_list_strip_places(blocks),
        "codec": _spread([place.codec for place in places], owner),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in CHUNK_INDEX.names], schema=CHUNK_INDEX)


def _list_strip_places(blocks: list[ChunkBlock]) -> dict[str, pa.Array]:
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


def _build_keys(blocks: list[ChunkBlock], places: list[ChunkPlace], owner: pa.Array) -> pa.Array:
    pages = pa.array([f"{place.file_name}#{place.ifd}" for place in places], pa.string()).take(owner)
    if all(block.numbers is None for block in blocks):
        return pages
    numbers = np.concatenate(
        [np.full(len(b.stored), WHOLE_PAGE) if b.numbers is None else b.numbers for b in blocks]
    )
    named = pc.binary_join_element_wise(pages, pc.cast(pa.array(numbers), pa.string()), pa.scalar(":"))
    return pc.if_else(pa.array(numbers == WHOLE_PAGE), pages, named)


def _list_coords(blocks: list[ChunkBlock]) -> pa.Array:
    widths = np.concatenate([np.full(len(block.stored), block.coords.shape[1], np.int64) for block in blocks])
    offsets = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)
    values = np.concatenate([block.coords.reshape(-1) for block in blocks]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=pa.list_(pa.int32()))
