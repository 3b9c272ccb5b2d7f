"""Key columns of two sets of rows in; one integer per row out, equal where the keys are equal; and which columns are a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from bioimage_assets.core.release.compare.table_types import as_plain, plain_type

MAX_KEY_COLUMNS = 24  # a table of 200 whole numbers has no key among them
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RowCodes:
    """``columns`` are the key; codes of the rows of A and of B. Not unique where several rows share the key in both."""

    columns: tuple[str, ...]
    a: Codes
    b: Codes

    @property
    def is_unique(self) -> bool:
        """Whether no two rows of one side share a key."""
        return is_unique(self.a) and is_unique(self.b)


def is_unique(codes: Codes) -> bool:
    """Whether no value is there twice."""
    return len(np.unique(codes)) == len(codes)


def find_row_codes(
    a: pa.Schema,
    b: pa.Schema,
    rows: tuple[int, int],
    read: Callable[[str], tuple[pa.ChunkedArray, pa.ChunkedArray]],
    preferred: Sequence[Sequence[str]] = (),
) -> RowCodes:
    """Choose the smallest key of two tables whose rows are to be paired.

    The first of ``preferred`` that tells the rows of one side; else the shortest run of columns that does, without those that
    are not needed: texts first, then whole numbers, in the order of A, since identifiers come first in tables. Where no run does,
    all texts, which then several rows share. ``read`` gives a column of both sides, and is asked for few.
    """
    known: dict[str, Codes] = {}

    def combine(names: Sequence[str]) -> tuple[Codes, Codes]:
        for name in names:
            if name not in known:
                known[name] = _code_column(*read(name))
        return _combine([known[name] for name in names], rows)

    texts, numbers = _list_candidates(a, b)
    for names in preferred:
        if names and {*names} <= {*texts, *numbers} and _tells(found := combine(names)):
            return RowCodes(tuple(names), *found)
    candidates = [*texts, *numbers[: max(0, MAX_KEY_COLUMNS - len(texts))]]
    for count in range(1, len(candidates) + 1):
        if _tells(combine(candidates[:count])):
            chosen = _leave_out(candidates[:count], combine)
            return RowCodes(tuple(chosen), *combine(chosen))
    return RowCodes(tuple(texts), *combine(texts))


def _list_candidates(a: pa.Schema, b: pa.Schema) -> tuple[list[str], list[str]]:
    common = [name for name in a.names if name in b.names]
    kinds = {name: (plain_type(a.field(name).type), plain_type(b.field(name).type)) for name in common}
    texts = [name for name, (x, y) in kinds.items() if pt.is_string(x) and pt.is_string(y)]
    numbers = [name for name, (x, y) in kinds.items() if pt.is_integer(x) and pt.is_integer(y)]
    return texts, numbers


def _leave_out(names: Sequence[str], combine: Callable[[Sequence[str]], tuple[Codes, Codes]]) -> list[str]:
    """Without the columns that tell nothing, from the front: the last one is what made it a key."""
    chosen = list(names)
    for name in names[:-1]:
        rest = [each for each in chosen if each != name]
        if _tells(combine(rest)):
            chosen = rest
    return chosen


def _tells(codes: tuple[Codes, Codes]) -> bool:
    """A key of one side will do: a row that stands twice on the other is a row too many there."""
    return any(len(side) and is_unique(side) for side in codes)


def _code_column(a: pa.ChunkedArray, b: pa.ChunkedArray) -> Codes:
    """Codes of both sides, one behind the other; null is a value of its own."""
    x, y = as_plain(a), as_plain(b)
    if x.type != y.type:
        x, y = x.cast(pa.decimal128(20, 0)), y.cast(pa.decimal128(20, 0))
    encoded = pc.dictionary_encode(pa.chunked_array([x, y]).combine_chunks(), null_encoding="encode")
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _combine(columns: Sequence[Codes], rows: tuple[int, int]) -> tuple[Codes, Codes]:
    if not columns:
        return np.zeros(rows[0], np.int64), np.zeros(rows[1], np.int64)
    codes = columns[0]
    for column in columns[1:]:
        # Counted anew after each: the product of two counts of rows fits into 64 bits.
        pairs = codes * (int(column.max(initial=0)) + 1) + column
        codes = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
    return codes[: rows[0]], codes[rows[0] :]
