"""Each type of Arrow is stored in Iceberg and comes back equal, by this package, PyIceberg and DuckDB, or is refused by name."""

import datetime as dt
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions, replace_table
from bioimage_assets.core.catalog.session import table_exists
from bioimage_assets.core.errors import SchemaConflictError
from bioimage_assets_tests.core.catalog.plates import TABLE

KEY = "screen/P1"
IDENTIFIER = tuple(TABLE.split("."))
MOMENT = dt.datetime(2024, 1, 2, 3, 4, 5, 678000)
NOON, DAY = dt.time(12, 30, 15), dt.date(2024, 2, 29)
SECOND = dt.timedelta(seconds=1)
UTC_MOMENT = MOMENT.replace(tzinfo=dt.UTC)
ONE_ID = uuid.UUID("12345678-1234-5678-1234-567812345678")


def each(kinds: list[pa.DataType], *values: Any) -> list[tuple[pa.Array, list[Any] | None]]:
    """Values in several types, with a null among them; they are to come back as they are."""
    return [(pa.array([*values, None], kind), None) for kind in kinds]


def extension(kind: pa.BaseExtensionType, storage: pa.Array, plain: list[Any]) -> tuple[pa.Array, list[Any]]:
    return (pa.ExtensionArray.from_storage(kind, storage), plain)


STORED: list[tuple[pa.Array, list[Any] | None]] = [
    *each([pa.bool_()], True, False),
    *each([pa.int8()], -128, 127),
    *each([pa.int16()], -32768, 32767),
    *each([pa.int32()], -(2**31), 2**31 - 1),
    *each([pa.int64()], -(2**63), 2**63 - 1),
    *each([pa.uint8()], 0, 255),
    *each([pa.uint16()], 0, 2**16 - 1),
    *each([pa.uint32()], 0, 2**32 - 1),
    *each([pa.uint64()], 0, 2**63 - 1),
    *each([pa.float16()], np.float16(0.5), np.float16(-2)),
    *each([pa.float32(), pa.float64()], 0.5, float("inf"), -0.0),
    *each(
        [pa.decimal32(5, 2), pa.decimal64(12, 2), pa.decimal128(38, 2), pa.decimal256(38, 2)], Decimal("1.25")
    ),
    *each([pa.date32(), pa.date64()], DAY),
    *each([pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")], NOON),
    *each([pa.timestamp(unit) for unit in ("ms", "us", "ns")], MOMENT),
    *each([pa.timestamp("s")], MOMENT.replace(microsecond=0)),
    *each([pa.timestamp("us", "UTC"), pa.timestamp("ns", "Europe/Berlin")], UTC_MOMENT),
    *[
        (pa.array([SECOND, None], pa.duration(unit)), [1000**power, None])
        for power, unit in enumerate(("s", "ms", "us", "ns"))
    ],
    *each([pa.string(), pa.large_string(), pa.string_view()], "", "é" * 40),
    *each([pa.binary(), pa.large_binary(), pa.binary_view()], b"", b"\x00" * 40),
    *each([pa.binary(3)], b"abc"),
    *each([pa.list_(pa.uint8()), pa.large_list(pa.uint8())], [1, None], []),
    *each([pa.list_view(pa.int32()), pa.large_list_view(pa.uint16())], [1, None], []),
    *each([pa.list_(pa.float32(), 2)], [0.5, 1.5]),
    *each([pa.struct([("x", pa.uint16()), ("y", pa.list_(pa.struct([("z", pa.int8())])))])], {"x": 1, "y": [{"z": 2}]}),
    *each([pa.map_(pa.string(), pa.int16())], [("a", 1), ("b", None)]),
    *[(pa.array(values).dictionary_encode(), None) for values in (["a", None, "a"], [1, None, 1])],
    (pa.nulls(2), [None, None]),
    extension(pa.uuid(), pa.array([ONE_ID.bytes, None], pa.binary(16)), [ONE_ID.bytes, None]),
    extension(pa.json_(), pa.array(['{"a": 1}', None]), ['{"a": 1}', None]),
    extension(pa.bool8(), pa.array([1, None], pa.int8()), [1, None]),
    extension(
        pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2], None], pa.list_(pa.int32(), 2)), [[1, 2], None]
    ),
]  # fmt: skip
REFUSED: dict[str, pa.Array] = {
    "more digits than decimals of Iceberg have": pa.array([Decimal(1)], pa.decimal256(39, 0)),
    "a decimal of tens": pa.array([Decimal(10)], pa.decimal128(3, -1)),
    "a union": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1]), pa.array(["x"])]),
    "a calendar interval": pa.array([pa.MonthDayNano([1, 2, 3])]),
    "run-end encoded": pa.RunEndEncodedArray.from_arrays([2], ["x"]),
    "a union in a list": pa.ListArray.from_arrays(
        [0, 1], pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1]), pa.array(["x"])])
    ),
    "an integer above 2^63": pa.array([2**63], pa.uint64()),
    "an integer above 2^63 in a list": pa.array([[1, 2**63]], pa.list_(pa.uint64())),
    "nanoseconds": pa.array([1704067200123456789], pa.timestamp("ns")),
    "nanoseconds of a day": pa.array([1], pa.time64("ns")),
    "struct fields that differ in case only": pa.array([{"x": 1, "X": 2}]),
    "a struct field without a name": pa.array([{"": 1}]),
    "a struct field whose name is taken by two": pa.array([{"a b": 1, "a_x20b": 2}]),
}


def with_key(column: pa.Array) -> pa.Table:
    return pa.table({"plate_key": [KEY] * len(column), "payload": column})


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "catalog.db" not in str(path)]


@pytest.mark.parametrize(
    ("column", "plain"), STORED, ids=[f"{i}-{column.type}" for i, (column, _) in enumerate(STORED)]
)
def test_a_type_comes_back_equal_by_three_readers(
    catalog: Catalog, duck: DuckDBPyConnection, column: pa.Array, plain: list[Any] | None
) -> None:
    replace_partitions(catalog, TABLE, with_key(column), [KEY])
    wanted = column.to_pylist()
    back = read_table(catalog, TABLE)["payload"]
    assert back.type == column.type
    assert back.to_pylist() == wanted
    if pa.types.is_null(column.type):
        return  # Iceberg v2 has no columns of nothing; the type alone is remembered
    wanted = wanted if plain is None else plain
    table = catalog.load_table(TABLE)
    assert as_instants(table.scan().to_arrow()["payload"].to_pylist()) == as_instants(wanted)
    rows = duck.sql(f"SELECT payload FROM iceberg_scan('{table.metadata_location}')")
    assert as_instants(rows.to_arrow_table()["payload"].to_pylist()) == as_instants(wanted)


def as_instants(values: list[Any]) -> list[Any]:
    """Moments in UTC: which zone a reader shows them in is its own."""
    return [
        value.astimezone(dt.UTC) if isinstance(value, dt.datetime) and value.tzinfo else value
        for value in values
    ]


@pytest.mark.parametrize("what", REFUSED)
def test_a_type_or_value_that_has_no_place_is_refused_by_name_before_anything_exists(
    catalog: Catalog, tmp_path: Path, what: str
) -> None:
    with pytest.raises(SchemaConflictError, match=r"payload|a_x20b") as refused:
        replace_partitions(catalog, TABLE, with_key(REFUSED[what]), [KEY])
    assert "rows" in str(refused.value)
    assert not table_exists(catalog, IDENTIFIER)
    assert files_below(tmp_path) == []
    replace_partitions(catalog, TABLE, with_key(pa.array(["corrected"])), [KEY])
    assert read_table(catalog, TABLE)["payload"].to_pylist() == ["corrected"]


NAMES: dict[str, dict[str, int]] = {
    "dots": {"a.b": 1, "a": 2, ".": 3},
    "spaces and letters of other languages": {"a b": 1, "é%/\\": 2, "🔬": 3},
    "digits first": {"1a": 1, "2": 2},
    "line breaks and quotes": {"a\nb": 1, "a\tb": 2, 'a"b': 3, "a'b": 4},
    "words of SQL": {"select": 1, "from": 2},
}
REFUSED_NAMES: dict[str, tuple[pa.Table, str]] = {
    "no name": (pa.table({"": [1]}), "Column ''"),
    "a NUL, where DuckDB ends a name": (pa.table({"a\0b": [1]}), "a.x00b"),
    "one name twice": (pa.table([pa.array([1]), pa.array([2])], ["v", "v"]), "more than once: v"),
    "a dotted name and the field that it would be": (
        pa.table({"a.b": [1], "a": pa.array([{"b": 1}])}), "name a.b",
    ),
    "two names that are one in files": (pa.table({"a b": [1], "a_x20b": [2]}), "a_x20b"),
    "nothing but nulls": (pa.table({"v": pa.nulls(1), "w": pa.nulls(1)}), "not null"),
}  # fmt: skip


@pytest.mark.parametrize("what", NAMES)
def test_odd_names_of_columns_come_back_by_three_readers(
    catalog: Catalog, duck: DuckDBPyConnection, what: str
) -> None:
    rows = pa.table({"plate_key": [KEY], **{name: [value] for name, value in NAMES[what].items()}})
    replace_partitions(catalog, TABLE, rows, [KEY])
    table = catalog.load_table(TABLE)
    scan = f"FROM iceberg_scan('{table.metadata_location}')"
    assert read_table(catalog, TABLE).to_pylist() == rows.to_pylist()
    assert table.scan().to_arrow().to_pylist() == rows.to_pylist()
    assert duck.sql(scan).to_arrow_table().to_pylist() == rows.to_pylist()


def test_columns_that_differ_in_case_only_keep_their_values_and_duckdb_numbers_the_second(
    catalog: Catalog, duck: DuckDBPyConnection
) -> None:
    rows = pa.table({"plate_key": [KEY], "v": [1], "V": [2]})
    replace_partitions(catalog, TABLE, rows, [KEY])
    location = catalog.load_table(TABLE).metadata_location
    assert read_table(catalog, TABLE).to_pylist() == rows.to_pylist()
    (found,) = duck.sql(f"FROM iceberg_scan('{location}')").to_arrow_table().to_pylist()
    assert found == {"plate_key": KEY, "v": 1, "V_1": 2}


@pytest.mark.parametrize("what", REFUSED_NAMES)
def test_names_that_have_no_place_are_refused_before_anything_exists(
    catalog: Catalog, tmp_path: Path, what: str
) -> None:
    rows, word = REFUSED_NAMES[what]
    with pytest.raises(SchemaConflictError, match=word) as refused:
        replace_table(catalog, TABLE, rows)
    assert TABLE in str(refused.value)
    assert not table_exists(catalog, IDENTIFIER)
    assert files_below(tmp_path) == []
