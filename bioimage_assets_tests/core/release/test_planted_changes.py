"""More than fifty changes are planted in the tables of a root: each is found, and nothing else."""

from __future__ import annotations

import datetime as dt
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.release.compare.compare_states import DiffOptions, compare_states
from bioimage_assets.core.release.compare.diff_model import StateDiff, TableDiff
from bioimage_assets.core.release.compare.open_warehouse_state import list_warehouse_tables
from bioimage_assets.core.release.compare.state import ComparedState
from bioimage_assets.core.warehouse.root import open_warehouse

PLATE = "screen/P1"
ROWS = 24
BIG = 1 << 60
Fact = tuple[object, ...]


def build_rows() -> pa.Table:
    """One plate with a column of every kind; cells 0 and 1 have what is special."""
    draw = np.random.default_rng(5)
    values = draw.normal(10, 2, ROWS)
    special = [math.nan, 0.0, math.inf, None, *values[4:]]
    moments = [dt.datetime(2026, 1, 1, 12, 0, second, tzinfo=dt.UTC) for second in range(ROWS)]
    return pa.table(
        {
            "plate_key": [PLATE] * ROWS,
            "Metadata_Well": [f"A{1 + row // 6:02d}" for row in range(ROWS)],
            "Metadata_ObjectID": [f"{PLATE}/{row}" for row in range(ROWS)],
            "value": values,
            "other": values * 2,
            "special": pa.array(special, pa.float64()),
            "single": pa.array(values.astype(np.float32)),
            "count": pa.array(range(ROWS), pa.int64()),
            "small": pa.array(range(ROWS), pa.int32()),
            "big": pa.array([BIG + row for row in range(ROWS)], pa.int64()),
            "flag": [row % 2 == 0 for row in range(ROWS)],
            "text": pa.array([None, "é", "DMSO", *["taxol"] * (ROWS - 3)]),
            "raw": pa.array([b"ab"] * ROWS, pa.binary()),
            "moment": pa.array(moments, pa.timestamp("us", tz="UTC")),
            "exact": pa.array([Decimal("1.25")] * ROWS, pa.decimal128(10, 4)),
            "items": pa.array([[], None, *[[1.0, math.nan, 3.0]] * (ROWS - 2)], pa.list_(pa.float64())),
            "words": pa.array([["DNA", "ER"]] * ROWS, pa.list_(pa.string())),
            "place": pa.array([{"x": 1.0, "y": None}] * ROWS, pa.struct([("x", pa.float64()), ("y", pa.float64())])),
            "empty": pa.nulls(ROWS, pa.float64()),
        }
    )  # fmt: skip


BASE = build_rows()
IDS = BASE["Metadata_ObjectID"].to_pylist()


def put(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    """Another value in one cell."""
    values = table[column].to_pylist()
    values[row] = value
    kind = table.schema.field(column).type
    return table.set_column(table.schema.get_field_index(column), column, pa.array(values, kind))


def with_type(table: pa.Table, column: str, kind: pa.DataType) -> pa.Table:
    at = table.schema.get_field_index(column)
    return table.set_column(at, column, table[column].cast(kind, safe=False))


def without(*rows: int) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.take([row for row in range(table.num_rows) if row not in rows])


def cell(column: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    return lambda table: put(table, column, row, value)


def new_type(column: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    return lambda table: with_type(table, column, kind)


def swap_rows(table: pa.Table) -> pa.Table:
    first, second = table["value"][5].as_py(), table["value"][9].as_py()
    return put(put(table, "value", 5, second), "value", 9, first)


def rename(old: str, new: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.rename_columns([new if name == old else name for name in table.column_names])


def again(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(7, 1)])


def add_row(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, put(table.slice(3, 1), "Metadata_ObjectID", 0, f"{PLATE}/new")])


def rows(lost: int = 0, added: int = 0, changed: int = 0) -> Fact:
    return ("rows", lost, added, changed)


def values(
    column: str, changed: int = 1, *, null_to: int = 0, to_null: int = 0, nan: int = 0, change: str = "values"
) -> Fact:
    return ("column", column, change, changed, null_to, to_null, nan)


def one(column: str, **counts: int) -> set[Fact]:
    """One value of one row."""
    return {rows(changed=1), values(column, **counts)}


NEXT = math.nextafter(BASE["value"][4].as_py(), math.inf)
TRUNCATED = int((BASE["value"].to_numpy() != BASE["value"].to_numpy().astype(np.float32)).sum())

CHANGES: dict[str, tuple[Callable[[pa.Table], pa.Table], set[Fact]]] = {
    "first_row_lost": (without(0), {rows(lost=1)}),
    "last_row_lost": (without(ROWS - 1), {rows(lost=1)}),
    "well_lost": (without(*range(6, 12)), {rows(lost=6)}),
    "all_rows_lost": (lambda t: t.slice(0, 0), {rows(lost=ROWS)}),
    "row_added": (add_row, {rows(added=1)}),
    "row_twice": (again, {rows(added=1)}),
    "row_lost_and_added": (lambda t: add_row(without(2)(t)), {rows(lost=1, added=1)}),
    "row_lost_and_value": (lambda t: without(2)(put(t, "value", 4, 1.5)), {rows(lost=1, changed=1), values("value")}),
    "value_by_1e-12": (cell("value", 4, BASE["value"][4].as_py() + 1e-12), one("value")),
    "value_by_one_bit": (cell("value", 4, NEXT), one("value")),
    "sign": (cell("value", 4, -BASE["value"][4].as_py()), one("value")),
    "tiny": (cell("special", 1, 5e-324), one("special")),
    "value_to_null": (cell("value", 4, None), one("value", to_null=1)),
    "null_to_value": (cell("special", 3, 1.0), one("special", null_to=1)),
    "value_to_nan": (cell("value", 4, math.nan), one("value", nan=1)),
    "nan_to_value": (cell("special", 0, 1.0), one("special", nan=1)),
    "null_to_nan": (cell("special", 3, math.nan), one("special", null_to=1)),
    "nan_to_null": (cell("special", 0, None), one("special", to_null=1)),
    "value_to_infinity": (cell("value", 4, math.inf), one("value", nan=1)),
    "infinity_turned": (cell("special", 2, -math.inf), one("special", nan=1)),
    "single_by_one_bit": (cell("single", 4, float(np.nextafter(BASE["single"].to_numpy()[4], np.float32(99)))), one("single")),
    "column_scaled": (
        lambda t: t.set_column(3, "value", pc.multiply(t["value"], 1.1)), {rows(changed=ROWS), values("value", ROWS)},
    ),
    "columns_swapped": (
        lambda t: t.set_column(3, "value", t["other"]).set_column(4, "other", t["value"]),
        {rows(changed=ROWS), values("value", ROWS), values("other", ROWS)},
    ),
    "values_of_two_rows_swapped": (swap_rows, {rows(changed=2), values("value", 2)}),
    "count": (cell("count", 4, 99), one("count")),
    "big_count": (cell("big", 4, BIG + 5), one("big")),
    "flag": (cell("flag", 4, False), one("flag")),
    "case_of_text": (cell("text", 2, "dmso"), one("text")),
    "space_in_text": (cell("text", 2, "DMSO "), one("text")),
    "null_to_empty_text": (cell("text", 0, ""), one("text", null_to=1)),
    "letter_in_two_parts": (cell("text", 1, "e\u0301"), one("text")),
    "bytes": (cell("raw", 4, b"aB"), one("raw")),
    "moment": (cell("moment", 4, dt.datetime(2026, 1, 1, 12, 0, 4, 1, tzinfo=dt.UTC)), one("moment")),
    "exact_number": (cell("exact", 4, Decimal("1.2501")), one("exact")),
    "item_changed": (cell("items", 4, [1.0, math.nan, 3.5]), one("items")),
    "item_added": (cell("items", 4, [1.0, math.nan, 3.0, 4.0]), one("items")),
    "items_in_other_order": (cell("words", 4, ["ER", "DNA"]), one("words")),
    "empty_list_to_null": (cell("items", 0, None), one("items", to_null=1)),
    "null_to_empty_list": (cell("items", 1, []), one("items", null_to=1)),
    "field_of_a_struct": (cell("place", 4, {"x": 1.0, "y": 2.0}), one("place")),
    "struct_to_null": (cell("place", 4, None), one("place", to_null=1)),
    "well_of_a_row": (cell("Metadata_Well", 4, "A03"), one("Metadata_Well")),
    "id_of_a_row": (cell("Metadata_ObjectID", 4, f"{PLATE}/x"), {rows(lost=1, added=1)}),
    "column_added": (lambda t: t.append_column("new", t["value"]), {values("new", 0, change="added")}),
    "column_removed": (lambda t: t.drop_columns(["other"]), {values("other", 0, change="removed")}),
    "column_renamed": (
        rename("other", "better"), {values("other", 0, change="removed"), values("better", 0, change="added")},
    ),
    "column_filled": (cell("empty", 4, 1.0), one("empty", null_to=1)),
    "wider_type": (new_type("small", pa.int64()), {values("small", 0, change="type")}),
    "whole_to_fraction": (new_type("count", pa.float64()), {values("count", 0, change="type")}),
    "narrower_type": (
        new_type("value", pa.float32()), {rows(changed=TRUNCATED), values("value", TRUNCATED, change="type")},
    ),
    "number_to_text": (new_type("count", pa.string()), {values("count", 0, change="type")}),
    "unit_of_moments": (new_type("moment", pa.timestamp("ms", "UTC")), {values("moment", 0, change="type")}),
    "digits_of_exact_numbers": (
        new_type("exact", pa.decimal128(12, 6)), {values("exact", 0, change="type")},
    ),
    "two_columns_of_one_row": (
        lambda t: put(put(t, "value", 4, 0.0), "count", 4, -1), {rows(changed=1), values("value"), values("count")},
    ),
}  # fmt: skip

OTHER_NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]


def shuffled(table: pa.Table) -> pa.Table:
    return table.take(np.random.default_rng(1).permutation(table.num_rows))


SAME: dict[str, Callable[[pa.Table], pa.Table]] = {
    "untouched": lambda t: t,
    "rows_in_other_order": shuffled,
    "columns_in_other_order": lambda t: t.select(list(reversed(t.column_names))),
    "minus_zero": cell("special", 1, -0.0),
    "another_nan": lambda t: t.set_column(
        5, "special", pa.array(np.array([OTHER_NAN, 0.0, np.inf, 0.0, *t["value"].to_numpy()[4:]]), mask=np.arange(ROWS) == 3)
    ),
    "words_of_the_file": lambda t: t.replace_schema_metadata({"written": "elsewhere"}),
    "long_texts": new_type("text", pa.large_string()),
    "texts_by_number": new_type("Metadata_Well", pa.dictionary(pa.int32(), pa.string())),
    "long_lists": new_type("words", pa.large_list(pa.string())),
}  # fmt: skip

LAYOUTS: dict[str, Mapping[str, object]] = {
    "small_row_groups": {"row_group_size": 5, "compression": "none"},
    "other_codec": {"compression": "gzip", "use_dictionary": False, "data_page_size": 128},
    "old_format": {"version": "1.0", "write_statistics": False, "store_schema": False},
}


@dataclass(frozen=True)
class Roots:
    a: Path
    b: Path


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    """Two roots with a table for each change."""
    folder = tmp_path_factory.mktemp("planted")
    roots = Roots(folder / "a", folder / "b")
    a, b = (open_warehouse(root) for root in (roots.a, roots.b))
    everything = (
        {name: change for name, (change, _) in CHANGES.items()} | SAME | dict.fromkeys(LAYOUTS, lambda t: t)
    )
    for name, change in everything.items():
        table = f"t_{name.replace('-', '_')}"
        for warehouse, data in ((a, BASE), (b, change(BASE))):
            warehouse.replace_partitions(table, data, [PLATE], role="profiles")
    for name, options in LAYOUTS.items():
        (part,) = (roots.b / f"t_{name}").glob("part-*.parquet")
        pq.write_table(shuffled(BASE), part, **options)
    return roots


def compare(a: Path, b: Path, options: DiffOptions | None = None) -> StateDiff:
    states = [ComparedState(str(root), list_warehouse_tables(open_warehouse(root))) for root in (a, b)]
    return compare_states(states[0], states[1], options)


def facts_of(table: TableDiff) -> set[Fact]:
    found: set[Fact] = {("presence", table.presence)} if table.presence != "both" else set()
    found |= {("lost", key) for key in table.lost} | {("added", key) for key in table.added}
    found |= {("renamed", *pair) for pair in table.renamed.items()}
    found |= {rows(part.rows.lost, part.rows.added, part.rows.changed) for part in table.partitions}
    found |= {
        ("column", c.name, c.change, c.changed, c.null_to_value, c.value_to_null, c.nan_changed)
        for c in table.columns
    }
    return found


def test_every_planted_change_is_found_and_nothing_else(roots: Roots) -> None:
    found = {table.name: facts_of(table) for table in compare(roots.a, roots.b).tables}
    expected = {f"t_{name.replace('-', '_')}": facts for name, (_, facts) in CHANGES.items()}
    expected |= {f"t_{name}": set() for name in (*SAME, *LAYOUTS)}
    assert {name: facts for name, facts in found.items() if facts != expected[name]} == {}
    assert found.keys() == expected.keys()
    assert len(CHANGES) >= 50


def test_a_file_that_another_program_wrote_in_place_of_a_part_is_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        open_warehouse(tmp_path / name).replace_partitions("cells", BASE, [PLATE], role="profiles")
    (part,) = (tmp_path / "b" / "cells").glob("part-*.parquet")
    pq.write_table(put(BASE, "value", 4, 1.5), part, compression="gzip")
    (table,) = compare(tmp_path / "a", tmp_path / "b").tables
    assert facts_of(table) == one("value")


@pytest.mark.slow
def test_the_changes_backwards_are_the_same_with_both_sides_exchanged(roots: Roots) -> None:
    there, back = compare(roots.a, roots.b), compare(roots.b, roots.a)
    for one_way, other_way in zip(there.tables, back.tables, strict=True):
        turned = {
            ("rows", fact[2], fact[1], fact[3]) if fact[0] == "rows" else fact for fact in facts_of(other_way)
        }
        assert {fact for fact in turned if fact[0] == "rows"} == {
            fact for fact in facts_of(one_way) if fact[0] == "rows"
        }


@pytest.mark.slow
def test_a_root_is_the_same_as_itself_read_or_not(roots: Roots) -> None:
    assert compare(roots.a, roots.a).is_same
    assert compare(roots.a, roots.a, DiffOptions(read_all=True)).is_same
    assert compare(roots.b, roots.b, DiffOptions(read_all=True)).is_same


@pytest.mark.slow
def test_the_values_that_are_read_at_once_make_no_difference(roots: Roots) -> None:
    assert compare(roots.a, roots.b, DiffOptions(max_bytes=1)) == compare(roots.a, roots.b)


def test_how_much_and_where_is_told(roots: Roots) -> None:
    by_name = {table.name: table for table in compare(roots.a, roots.b).tables}
    (column,) = by_name["t_value_by_1e_12"].columns
    before = BASE["value"][4].as_py()
    after = before + 1e-12
    assert column.max_abs == abs(after - before)
    assert column.max_relative == pytest.approx(abs(after - before) / after)
    assert column.example is not None
    assert (column.example.value_a, column.example.value_b) == (repr(before), repr(after))
    assert column.example.row == {"Metadata_ObjectID": IDS[4]}
    (big,) = by_name["t_big_count"].columns
    assert big.max_abs == 1.0
    (scaled,) = by_name["t_column_scaled"].columns
    assert scaled.max_relative == pytest.approx(0.1 / 1.1)
    (part,) = by_name["t_well_lost"].partitions
    assert {well: counts.lost for well, counts in part.wells.items()} == {"A02": 6}
    assert part.lost_rows[0] == {"Metadata_ObjectID": IDS[6]}
    assert by_name["t_digits_of_exact_numbers"].columns[0].is_compared
    assert not by_name["t_number_to_text"].columns[0].is_compared
    (moved,) = by_name["t_well_of_a_row"].partitions
    assert {well: counts.changed for well, counts in moved.wells.items()} == {"A01": 1}
