"""Batches of ``chunk_index`` in, numpy columns out, those of each level of each image together.

Columns: ``bioimage_assets.core.tables.schemas.CHUNK_INDEX``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NOTHING = -1
"""Stands for null in integer columns."""

KINDS = ("object", "inner", "tile", "strip")
_WANTED = ("level", "kind", "chunk_key", "chunk_coords", "strip_count", "stored_bytes", "stored_offset", "is_present", "strip_offsets",
           "strip_bytes", "codec")  # fmt: skip
_FIRST_PAGE = "#0(:[0-9]+)?$"  # behind the file's name, before the number of a tile or strip
_LISTS = ("strip_offsets", "strip_bytes")


@dataclass(frozen=True, slots=True, eq=False)
class LevelChunks:
    """Rows of one level of one image.

    Parameters
    ----------
    level
        Its number.
    kind
        Position in ``KINDS`` of each row.
    coords
        Rows × axes, int32; without columns where the rows have different numbers of axes.
    names
        Codes of ``all_names``: the file of a TIFF's chunk, the key of a Zarr's.
    is_first_page
        Whether a TIFF's chunk is of the first page of its file.
    codecs
        Codes of ``all_codecs``, ``NOTHING`` for null.
    strips
        Strips that a row folds, one where null.
    stored, offset
        Bytes and first byte, ``NOTHING`` where null.
    is_absent
        True where it is known that the chunk is not stored; false where it is, or nobody looked.
    strip_offsets, strip_bytes
        Places of the strips of each row, null where they follow from equal sizes; None where those of all rows do.
    """

    level: int
    kind: np.ndarray
    coords: np.ndarray
    names: np.ndarray
    is_first_page: np.ndarray
    codecs: np.ndarray
    strips: np.ndarray
    stored: np.ndarray
    offset: np.ndarray
    is_absent: np.ndarray
    strip_offsets: pa.Array | None
    strip_bytes: pa.Array | None
    all_names: Sequence[str]
    all_codecs: Sequence[str]

    def __len__(self) -> int:
        return len(self.kind)

    def select(self, wanted: np.ndarray) -> LevelChunks:
        """The rows for which a mask is true."""
        if wanted.all():
            return self
        mask = pa.array(wanted)
        offsets, sizes = (
            None if one is None else one.filter(mask) for one in (self.strip_offsets, self.strip_bytes)
        )
        return LevelChunks(
            self.level, self.kind[wanted], self.coords[wanted], self.names[wanted], self.is_first_page[wanted],
            self.codecs[wanted], self.strips[wanted], self.stored[wanted], self.offset[wanted], self.is_absent[wanted], offsets, sizes, self.all_names, self.all_codecs,
        )  # fmt: skip


def gather_chunks(
    batches: Iterable[pa.RecordBatch], image_ids: Sequence[str]
) -> Iterator[tuple[int, list[LevelChunks]]]:
    """Levels of each image that has rows, with its position in ``image_ids``; rows of other images are left out.

    All rows are held at once, each text once.
    """
    wanted = pa.array(image_ids, pa.string())
    parts = [_encode(batch, wanted) for batch in batches]
    if not parts:
        return
    table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
    order = _find_order(table)
    if order is not None:
        table = table.take(pa.array(order))
    yield from _split_levels(table)


def _encode(batch: pa.RecordBatch, wanted: pa.Array) -> pa.Table:
    """The columns that planning needs, texts as codes; the file of a TIFF's key stands before the last ``#``."""
    table = pa.Table.from_batches([batch])
    names = set(table.column_names)
    images = pc.index_in(table["image_id"], value_set=wanted)
    columns = {name: table[name] if name in names else _nulls(name, len(table)) for name in _WANTED}
    columns["kind"] = pc.index_in(columns["kind"], value_set=pa.array(KINDS))
    parts = pc.split_pattern(columns["chunk_key"], "#", max_splits=1, reverse=True)
    is_page = pc.greater_equal(columns["kind"], KINDS.index("tile"))
    columns["chunk_key"] = pc.dictionary_encode(
        pc.if_else(is_page, pc.list_element(parts, 0), columns["chunk_key"])
    )
    columns["is_first_page"] = pc.match_substring_regex(table["chunk_key"], _FIRST_PAGE)
    columns["codec"] = pc.dictionary_encode(columns["codec"])
    encoded = pa.table({"image": images, **columns})
    return encoded if images.null_count == 0 else encoded.filter(images.is_valid())


def _nulls(name: str, count: int) -> pa.Array:
    """A column that an index of an earlier version does not have."""
    return pa.nulls(count, pa.list_(pa.int64()) if name in _LISTS else pa.string())


def _find_order(table: pa.Table) -> np.ndarray | None:
    """Order by image and level, None where the rows have it."""
    image, level = (table[name].to_numpy() for name in ("image", "level"))
    rank = image.astype(np.int64) * (int(level.max(initial=0)) + 1) + level
    return None if (rank[1:] >= rank[:-1]).all() else np.argsort(rank, kind="stable")


def _split_levels(table: pa.Table) -> Iterator[tuple[int, list[LevelChunks]]]:
    if len(table) == 0:
        return
    image, level = (table[name].to_numpy() for name in ("image", "level"))
    starts = np.flatnonzero(np.r_[True, (image[1:] != image[:-1]) | (level[1:] != level[:-1])])
    ends = np.r_[starts[1:], len(image)]
    rows = _Rows(table)
    owner, levels = NOTHING, list[LevelChunks]()
    for start, end in zip(starts, ends, strict=True):
        if image[start] != owner:
            if levels:
                yield owner, levels
            owner, levels = int(image[start]), []
        levels.append(rows.cut(int(level[start]), int(start), int(end)))
    if levels:
        yield owner, levels


class _Rows:
    """Columns of all rows, of which levels are cut as views."""

    def __init__(self, table: pa.Table) -> None:
        self._kind = table["kind"].to_numpy()
        self._names, self._all_names = _codes(table["chunk_key"])
        self._is_first_page = table["is_first_page"].to_numpy()
        self._codecs, self._all_codecs = _codes(table["codec"])
        self._strips = _integers(table["strip_count"], 1)
        self._stored = _integers(table["stored_bytes"], NOTHING)
        self._offset = _integers(table["stored_offset"], NOTHING)
        self._is_absent = ~pc.fill_null(table["is_present"], True).to_numpy()
        coords = _one(table["chunk_coords"])
        self._values = pc.list_flatten(coords).to_numpy(zero_copy_only=False)
        self._ends = np.r_[
            0, np.cumsum(pc.fill_null(pc.list_value_length(coords), 0).to_numpy(zero_copy_only=False))
        ]
        self._lists = {
            name: None if table[name].null_count == len(table) else _one(table[name]) for name in _LISTS
        }

    def cut(self, level: int, start: int, end: int) -> LevelChunks:
        """The rows from ``start`` to ``end``."""
        rows = slice(start, end)
        values = self._values[self._ends[start] : self._ends[end]]
        width = int(self._ends[start + 1] - self._ends[start])
        is_even = bool((np.diff(self._ends[start : end + 1]) == width).all())
        coords = values.reshape(-1, width) if is_even and width else np.zeros((end - start, 0), np.int32)
        offsets, sizes = (
            None if found is None else found.slice(start, end - start) for found in self._lists.values()
        )
        return LevelChunks(
            level, self._kind[rows], coords, self._names[rows], self._is_first_page[rows], self._codecs[rows], self._strips[rows],
            self._stored[rows], self._offset[rows], self._is_absent[rows], offsets, sizes, self._all_names, self._all_codecs,
        )  # fmt: skip


def _one(column: pa.ChunkedArray) -> pa.Array:
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks)
        if column.num_chunks
        else pa.array([], column.type)
    )


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    encoded = _one(column)
    codes = pc.fill_null(encoded.indices, NOTHING).to_numpy(zero_copy_only=False)
    return codes, encoded.dictionary.to_pylist()


def _integers(column: pa.ChunkedArray, null: int) -> np.ndarray:
    found: np.ndarray = pc.fill_null(column, null).to_numpy()
    return found
