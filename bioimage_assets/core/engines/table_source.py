"""What an engine reads: the Parquet files of one table as they are stored, or rows in memory, and the columns of both.

Plates of one table may have other columns, and other types of one column. The footer of each file says what it holds, so
files that are alike are read together and the rest is null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from bioimage_assets.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column as one file has it: its name there, and its type there."""

    name: str
    type: pa.DataType


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file (``uri``: absolute path or URI), or ``rows`` in memory.

    ``partition`` is the plate or dataset that all of its rows are of, None where it may hold several. ``columns`` are by the
    name that the table gives them.
    """

    columns: Mapping[str, StoredColumn]
    row_count: int
    partition: str | None = None
    uri: str = ""
    rows: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class TableSource:
    """One table for an engine: its parts, and the schema that all of them together have.

    ``options`` are the storage options that the files are opened with.
    """

    name: str
    parts: tuple[Part, ...]
    schema: pa.Schema
    partition_column: str = "plate_key"
    options: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def row_count(self) -> int:
        """Rows of all parts."""
        return sum(part.row_count for part in self.parts)

    @property
    def partitions(self) -> tuple[str, ...]:
        """Partitions that have a part, sorted."""
        return tuple(sorted({part.partition for part in self.parts if part.partition is not None}))

    @property
    def place(self) -> str:
        """How many parts, and where the first of them is, for a message."""
        first = next((part.uri for part in self.parts if part.uri), "rows in memory")
        return f"{len(self.parts)} parts, {first} …"

    def prune(self, partitions: Sequence[str]) -> TableSource:
        """The source of some partitions; parts that may hold rows of several stay."""
        wanted = {*partitions, None}
        return replace(self, parts=tuple(part for part in self.parts if part.partition in wanted))

    def split(self, max_rows: int) -> Iterator[TableSource]:
        """Sources of whole partitions, each of about ``max_rows`` rows; one partition is never cut.

        Parts of unknown partition come along with all others, in one source.
        """
        if any(part.partition is None for part in self.parts):
            yield self
            return
        chosen: list[Part] = []
        of_partition: dict[str | None, list[Part]] = {}
        for part in self.parts:
            of_partition.setdefault(part.partition, []).append(part)
        for parts in of_partition.values():
            count = sum(part.row_count for part in parts)
            if chosen and sum(part.row_count for part in chosen) + count > max_rows:
                yield replace(self, parts=tuple(chosen))
                chosen = []
            chosen += parts
        if chosen:
            yield replace(self, parts=tuple(chosen))

    def chunk(self, max_rows: int) -> Iterator[TableSource]:
        """Sources of about ``max_rows`` rows in the order of the parts; rows in memory are cut, files are not."""
        chosen: list[Part] = []
        count = 0
        for part in (piece for whole in self.parts for piece in _cut(whole, max_rows)):
            if chosen and count + part.row_count > max_rows:
                yield replace(self, parts=tuple(chosen))
                chosen, count = [], 0
            chosen.append(part)
            count += part.row_count
        if chosen:
            yield replace(self, parts=tuple(chosen))

    def or_any(self, columns: Sequence[str]) -> list[str]:
        """The columns, or one that counts rows where none is asked for."""
        names = self.schema.names
        return list(columns) or ([self.partition_column] if self.partition_column in names else names[:1])

    def require(self, columns: Sequence[str]) -> None:
        """UsageError names a column that no part has."""
        known = set(self.schema.names)
        if missing := [name for name in columns if name not in known]:
            raise UsageError(
                f"Table {self.name!r} has no column {missing[0]!r} in any of {len(self.parts)} files; it has "
                f"{', '.join(self.schema.names[:12])}{' …' if len(self.schema) > 12 else ''}."
            )

    def alike(
        self, columns: Sequence[str], *, in_all: bool = False
    ) -> list[tuple[tuple[Part, ...], Mapping[str, StoredColumn]]]:
        """Parts grouped by how they store the columns that are asked for; parts without rows are left out.

        ``in_all`` columns, for engines that compare whole files whatever is asked for.
        """
        groups: dict[tuple[object, ...], list[Part]] = {}
        for part in self.parts:
            if part.row_count:
                names = sorted(part.columns) if in_all else columns
                stored = tuple((name, part.columns.get(name)) for name in names)
                groups.setdefault((part.rows is None, *stored), []).append(part)
        found: list[tuple[tuple[Part, ...], Mapping[str, StoredColumn]]] = []
        for parts in groups.values():
            columns_there = {n: parts[0].columns[n] for n in columns if n in parts[0].columns}
            found.append((tuple(parts), columns_there))
        return found


def _cut(part: Part, max_rows: int) -> Iterator[Part]:
    if part.rows is None or part.row_count <= max_rows:
        yield part
        return
    for start in range(0, part.row_count, max_rows):
        rows = part.rows.slice(start, max_rows)
        yield replace(part, rows=rows, row_count=rows.num_rows)


def is_spelt(stored: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether numbers of a file are text in the table, because other plates have words there: 10.0 is ``10`` then."""
    is_text = pa.types.is_string(wanted) or pa.types.is_large_string(wanted)
    return is_text and pa.types.is_floating(stored)
