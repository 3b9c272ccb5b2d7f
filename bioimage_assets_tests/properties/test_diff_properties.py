"""Whatever is done to rows, what is told of it is what a plain loop over Python values finds."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from hypothesis import given, settings
from hypothesis import strategies as st

from bioimage_assets.core.release.compare.compare_partition import (
    PartitionResult,
    TwoPartitions,
    compare_partition,
)
from bioimage_assets.core.release.compare.diff_model import RowCounts
from bioimage_assets.core.release.compare.partition_rows import PartitionRows

Row = dict[str, Any]

FLOATS = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1.0, math.nextafter(1.0, 2.0), 5e-324]),
    st.floats(),
)
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "value": (pa.float64(), FLOATS),
    "count": (pa.int64(), st.one_of(st.none(), st.integers(-(1 << 63), (1 << 63) - 1))),
    "flag": (pa.bool_(), st.one_of(st.none(), st.booleans())),
    "items": (pa.list_(pa.float64()), st.one_of(st.none(), st.lists(FLOATS, max_size=3))),
    "place": (
        pa.struct([("x", pa.float64()), ("label", pa.string())]),
        st.one_of(st.none(), st.fixed_dictionaries({"x": FLOATS, "label": st.sampled_from(["", "a", None])})),
    ),
}
VALUES = st.fixed_dictionaries({name: strategy for name, (_, strategy) in KINDS.items()})
SCHEMA = pa.schema([("id", pa.string()), *((name, kind) for name, (kind, _) in KINDS.items())])


def canonical(value: Any) -> object:
    """A value that equals another one exactly when they are no difference."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    if isinstance(value, list):
        return tuple(canonical(item) for item in value)
    if isinstance(value, dict):
        return tuple((name, canonical(item)) for name, item in sorted(value.items()))
    return value


def compare(a: list[Row], b: list[Row], schema: pa.Schema) -> PartitionResult:
    tables = [pa.Table.from_pylist(rows, schema=schema) for rows in (a, b)]
    pieces = [ds.dataset([table.slice(0, 2), table.slice(2)]) for table in tables]
    sides = [PartitionRows(piece) for piece in pieces]
    return compare_partition(TwoPartitions("s/P", sides[0], sides[1], (("id",),), max_bytes=64))


@st.composite
def two_states(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Rows by id, and what became of them: kept, lost, changed in some columns, new, in any order."""
    before = draw(st.lists(VALUES, max_size=8))
    a = [{"id": f"cell {number}", **row} for number, row in enumerate(before)]
    b: list[Row] = []
    for row in a:
        what = draw(st.sampled_from(["kept", "kept", "lost", "changed"]))
        if what == "changed":
            names = draw(st.sets(st.sampled_from(sorted(KINDS)), min_size=1, max_size=2))
            b.append({**row, **{name: draw(KINDS[name][1]) for name in sorted(names)}})
        elif what == "kept":
            b.append(row)
    b += [{"id": f"new {number}", **row} for number, row in enumerate(draw(st.lists(VALUES, max_size=2)))]
    return a, draw(st.permutations(b))


@given(two_states())
@settings(max_examples=150)
def test_lost_added_and_changed_rows_and_values_are_those_that_a_loop_finds(
    states: tuple[list[Row], list[Row]],
) -> None:
    a, b = ({row["id"]: row for row in rows} for rows in states)
    both = [key for key in a if key in b]
    columns = {
        name: sum(canonical(a[key][name]) != canonical(b[key][name]) for key in both) for name in KINDS
    }
    rows = sum(any(canonical(a[key][name]) != canonical(b[key][name]) for name in KINDS) for key in both)
    found = compare(*states, SCHEMA)
    expected = RowCounts(len(a.keys() - b.keys()), len(b.keys() - a.keys()), rows)
    assert (found.partition.rows if found.partition is not None else RowCounts()) == expected
    assert {column.name: column.changed for column in found.columns} == {
        name: count for name, count in columns.items() if count
    }


@given(st.lists(VALUES, max_size=6), st.lists(VALUES, max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_rows_without_a_key_are_lost_and_added_as_often_as_they_stand_there(
    shared: list[Row], other: list[Row], random: Any
) -> None:
    schema = pa.schema([SCHEMA.field(name) for name in KINDS if name != "count"])
    a, b = [*shared, *shared, *other], [*shared, *other[1:]]
    random.shuffle(b)

    def count(rows: list[Row]) -> Counter[object]:
        return Counter(canonical({name: row[name] for name in schema.names}) for row in rows)

    lost, added = count(a) - count(b), count(b) - count(a)
    found = compare(a, b, schema)
    rows = found.partition.rows if found.partition is not None else RowCounts()
    assert rows == RowCounts(lost.total(), added.total(), 0)


@given(FLOATS, FLOATS)
@settings(max_examples=200)
def test_how_far_two_numbers_are_apart_is_told(x: float | None, y: float | None) -> None:
    schema = pa.schema([("id", pa.string()), ("value", pa.float64())])
    found = compare([{"id": "1", "value": x}], [{"id": "1", "value": y}], schema)
    if canonical(x) == canonical(y):
        assert found.columns == ()
        return
    (column,) = found.columns
    if x is None or y is None or not (math.isfinite(x) and math.isfinite(y)):
        assert column.max_abs is None
        assert column.nan_changed == (x is not None and y is not None)
        return
    assert column.max_abs == min(abs(x - y), 1.7976931348623157e308)
    assert column.max_relative is not None
    assert 0 < column.max_relative <= 2
