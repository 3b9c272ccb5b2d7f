"""One partition of a table as Arrow reads it, columns by columns: what is in memory at once is bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.types as pt

_TEXT_BYTES = 40  # a text of an identifier, or a path of an image, with its offset
_NESTED_BYTES = 400


@dataclass(frozen=True, slots=True)
class PartitionRows:
    """Rows of one partition in one state; each call of :meth:`read` opens the columns anew."""

    dataset: ds.Dataset

    @property
    def schema(self) -> pa.Schema:
        """Columns of the partition's own."""
        return self.dataset.schema

    @property
    def row_count(self) -> int:
        """Rows, from the footers of the files."""
        return int(self.dataset.count_rows())

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of all rows, in stored order."""
        return self.dataset.to_table(columns=list(columns))


def plan_columns(schema: pa.Schema, names: Sequence[str], rows: int, max_bytes: int) -> Iterator[list[str]]:
    """Groups of columns of at most so many bytes together, at least one column each."""
    group: list[str] = []
    size = 0
    for name in names:
        each = rows * _width(schema.field(name).type)
        if group and size + each > max_bytes:
            yield group
            group, size = [], 0
        group.append(name)
        size += each
    if group:
        yield group


def _width(kind: pa.DataType) -> int:
    if pt.is_nested(kind):
        return _NESTED_BYTES
    if pt.is_primitive(kind):
        return max(1, kind.bit_width // 8)
    return _TEXT_BYTES
