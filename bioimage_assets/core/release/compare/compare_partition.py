"""Rows of one partition in two states in; what became of its rows, wells and columns out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bioimage_assets.core.release.compare.diff_model import (
    ChangeExample,
    ColumnDiff,
    PartitionDiff,
    RowCounts,
)
from bioimage_assets.core.release.compare.pair_rows import PairedRows, Rows, pair_rows
from bioimage_assets.core.release.compare.partition_rows import PartitionRows, plan_columns
from bioimage_assets.core.release.compare.row_codes import find_row_codes
from bioimage_assets.core.release.compare.row_digests import Digests, add_column
from bioimage_assets.core.release.compare.table_types import are_comparable, as_plain, is_number, plain_type
from bioimage_assets.core.release.compare.value_changes import Mask, ValueChanges, compare_values

MAX_EXAMPLES = 5
# Names of a well, of which a table has one.
_WELL_COLUMNS = ("well_id", "Metadata_Well", "Image_Metadata_Well")


@dataclass(frozen=True, slots=True)
class TwoPartitions:
    """The same partition in both states.

    ``unique_by`` are keys that are tried first; ``max_bytes`` bounds what is read at once; ``ignored`` are columns whose values and
    presence do not matter.
    """

    key: str
    a: PartitionRows
    b: PartitionRows
    unique_by: tuple[tuple[str, ...], ...] = ()
    max_bytes: int = 128 << 20
    ignored: frozenset[str] = frozenset()

    @property
    def common(self) -> list[str]:
        """Columns that both have, with values that can be compared."""
        theirs = set(self.b.schema.names)
        return [
            name
            for name in self.a.schema.names
            if name in theirs
            and name not in self.ignored
            and are_comparable(self.type_in(self.a, name), self.type_in(self.b, name))
        ]

    @staticmethod
    def type_in(rows: PartitionRows, name: str) -> pa.DataType:
        """Plain type of a column."""
        return plain_type(rows.schema.field(name).type)

    def read_column(self, name: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """One column of both sides."""
        return self.a.read([name])[name], self.b.read([name])[name]

    def groups(self, names: Sequence[str]) -> Iterator[list[str]]:
        """Columns that are read together."""
        rows = self.a.row_count + self.b.row_count
        yield from plan_columns(self.a.schema, names, rows, self.max_bytes)


@dataclass(frozen=True, slots=True)
class PartitionResult:
    """What differs; None for ``partition`` where rows and values are the same. Columns may differ all the same: in their types."""

    partition: PartitionDiff | None
    columns: tuple[ColumnDiff, ...] = ()


def compare_partition(two: TwoPartitions) -> PartitionResult:
    """Pair the rows by their key, then compare column by column."""
    codes = find_row_codes(
        two.a.schema, two.b.schema, (two.a.row_count, two.b.row_count), two.read_column, two.unique_by
    )
    paired = pair_rows(codes, lambda: _digest_rows(two))
    columns: list[ColumnDiff] = list(_compare_schemas(two))
    changed = np.zeros(len(paired.a), bool)
    keys = two.a.read(codes.columns) if codes.columns else None
    for column, found in _compare_columns(two, paired, keys):
        changed |= found  # one at a time: thousands of masks of a plate would not fit
        columns.append(column)
    if not (len(paired.lost) or len(paired.added) or changed.any()):
        return PartitionResult(None, tuple(columns))
    partition = PartitionDiff(
        key=two.key,
        rows_a=two.a.row_count,
        rows_b=two.b.row_count,
        rows=RowCounts(len(paired.lost), len(paired.added), int(changed.sum())),
        changed_columns=sum(1 for column in columns if column.changed),
        wells=_count_wells(two, paired, changed),
        row_key=codes.columns,
        lost_rows=_show_rows(keys, paired.lost),
        added_rows=_show_rows(two.b.read(codes.columns) if codes.columns else None, paired.added),
    )
    return PartitionResult(partition, tuple(columns))


def _compare_schemas(two: TwoPartitions) -> Iterator[ColumnDiff]:
    """Columns that only one side has, and those whose types differ so that no value can be compared."""
    names_a, names_b = (
        [name for name in rows.schema.names if name not in two.ignored] for rows in (two.a, two.b)
    )
    for name in names_a:
        kind = two.type_in(two.a, name)
        if name not in names_b:
            yield ColumnDiff(name, "removed", 1, type_a=str(kind))
        elif not are_comparable(kind, other := two.type_in(two.b, name)):
            yield ColumnDiff(name, "type", 1, str(kind), str(other), is_compared=False)
    for name in names_b:
        if name not in names_a:
            yield ColumnDiff(name, "added", 1, type_b=str(two.type_in(two.b, name)))


def _compare_columns(
    two: TwoPartitions, paired: PairedRows, keys: pa.Table | None
) -> Iterator[tuple[ColumnDiff, Mask]]:
    for names in two.groups(two.common):
        rows_a, rows_b = two.a.read(names), two.b.read(names)
        for name in names:
            a, b = (_take(rows[name], at) for rows, at in ((rows_a, paired.a), (rows_b, paired.b)))
            found = compare_values(a, b)
            kinds = two.type_in(two.a, name), two.type_in(two.b, name)
            if found.largest is None and kinds[0] == kinds[1]:
                continue
            example = None
            if found.largest is not None:
                row = next(iter(_show_rows(keys, paired.a[[found.largest]])), {})
                values = (_show_value(array, found.largest) for array in (a, b))
                example = ChangeExample(two.key, row, *values)
            yield _describe(name, kinds, found, example), found.changed


def _take(column: pa.ChunkedArray, rows: Rows) -> pa.Array:
    array = as_plain(column)
    if len(rows) == len(array) and np.array_equal(rows, np.arange(len(array))):
        return array
    return array.take(pa.array(rows))


def _describe(
    name: str, kinds: tuple[pa.DataType, pa.DataType], found: ValueChanges, example: ChangeExample | None
) -> ColumnDiff:
    types = (None, None) if kinds[0] == kinds[1] else (str(kinds[0]), str(kinds[1]))
    return ColumnDiff(
        name,
        "values" if types == (None, None) else "type",
        partitions=1,
        type_a=types[0],
        type_b=types[1],
        changed=int(found.changed.sum()),
        null_to_value=found.null_to_value,
        value_to_null=found.value_to_null,
        nan_changed=found.nan_changed,
        max_abs=found.max_abs,
        max_relative=found.max_relative,
        example=example,
    )


def _digest_rows(two: TwoPartitions) -> tuple[Digests, Digests]:
    """Digests of whole rows over the columns that both have."""
    found = [np.zeros(rows.row_count, np.uint64) for rows in (two.a, two.b)]
    for names in two.groups(two.common):
        for side, rows in enumerate((two.a, two.b)):
            table = rows.read(names)
            for name in names:
                found[side] = add_column(found[side], table[name], name, _common_kind(two, name))
    return found[0], found[1]


def _common_kind(two: TwoPartitions, name: str) -> pa.DataType:
    """Kind of numbers in which equal values of both sides are equal."""
    a, b = two.type_in(two.a, name), two.type_in(two.b, name)
    if is_number(a) and is_number(b):
        return a if pa.types.is_floating(a) else b
    return a if is_number(a) else b


def _count_wells(two: TwoPartitions, paired: PairedRows, changed: Mask) -> dict[str, RowCounts]:
    """Rows of each well that is not as it was; empty where the rows name none."""
    counts: dict[str, Counter[str]] = {}
    sides = (
        (two.a, paired.lost, "lost"),
        (two.b, paired.added, "added"),
        (two.a, paired.a[changed], "changed"),
    )
    for rows, at, what in sides:
        name = next((name for name in _WELL_COLUMNS if name in rows.schema.names), None)
        if name is None or not len(at):
            continue
        for well in _take(rows.read([name])[name], at).to_pylist():
            if well is not None:
                counts.setdefault(str(well), Counter())[what] += 1
    return {
        well: RowCounts(found["lost"], found["added"], found["changed"])
        for well, found in sorted(counts.items())
    }


def _show_rows(keys: pa.Table | None, rows: Rows) -> tuple[dict[str, str], ...]:
    if keys is None:  # nothing tells the rows
        return ()
    chosen = keys.take(pa.array(rows[:MAX_EXAMPLES])).to_pylist()
    return tuple({name: str(value) for name, value in row.items()} for row in chosen)


def _show_value(array: pa.Array, row: int) -> str:
    value = array[row].as_py()
    return repr(value) if isinstance(value, float) else str(value)
