"""Metadata queries: names are names, values are parameters, nested columns come back as they are."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.joins.query import create_duckdb_connection, query_metadata_table

TABLE = pa.table(
    {
        "Cells-Area x": [3.0, 1.0, None],
        "well": ["A01", "B02", "'; DROP TABLE x; --"],
        "shape": pa.array([[1, 2], None, []], pa.list_(pa.int32())),
        "struct": pa.array(
            [{"b": 1, "a": None}, None, {"b": 2, "a": "x"}],
            pa.struct([("b", pa.int16()), ("a", pa.string())]),
        ),
    }
)


def test_columns_and_filters_choose_in_table_order() -> None:
    found = query_metadata_table(TABLE, columns=["well", "Cells-Area x"], filters=[("Cells-Area x", ">=", 1)])
    assert found.to_pylist() == [{"well": "A01", "Cells-Area x": 3.0}, {"well": "B02", "Cells-Area x": 1.0}]
    assert query_metadata_table(TABLE, columns="well").column_names == ["well"]


def test_nested_columns_keep_type_and_values() -> None:
    found = query_metadata_table(TABLE, filters=[("well", "!=", "B02")])
    assert found.schema.equals(TABLE.schema)
    assert found.equals(TABLE.take([0, 2]))


def test_values_are_never_sql() -> None:
    assert query_metadata_table(TABLE, filters=[("well", "=", "'; DROP TABLE x; --")]).num_rows == 1


def test_null_is_asked_for_with_is() -> None:
    assert query_metadata_table(TABLE, filters=[("Cells-Area x", "IS", None)]).num_rows == 1
    assert query_metadata_table(TABLE, filters=[("Cells-Area x", "is not", None)]).num_rows == 2
    assert query_metadata_table(TABLE, filters=[("well", "IS NOT", "A01")]).num_rows == 2
    with pytest.raises(UsageError, match="None filter values require 'IS' or 'IS NOT' operators"):
        query_metadata_table(TABLE, filters=[("well", "=", None)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": [("x", "=", 1)]}, "Unknown filter column 'x'. Available columns:"),
        ({"columns": ["1; SELECT"]}, "Unknown column '1; SELECT'"),
        ({"filters": [("well", "LIKE", "A%")]}, "Unsupported filter operator 'LIKE'. Allowed operators:"),
        ({"filters": [("Cells-Area x", ">", "many")]}, "The filters cannot be applied"),
    ],
)
def test_bad_questions_are_refused_with_what_is_there(options, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        query_metadata_table(TABLE, **options)


def test_files_and_streams_can_be_queried(tmp_path) -> None:
    pq.write_table(TABLE, tmp_path / "t.parquet")
    for source in (tmp_path / "t.parquet", TABLE.to_reader()):
        assert query_metadata_table(
            source, columns=["shape"], filters=[("well", "=", "A01")]
        ).to_pylist() == [{"shape": [1, 2]}]


def test_a_given_connection_is_used_and_left_as_it_was(tmp_path) -> None:
    connection = create_duckdb_connection(tmp_path / "x.duckdb")
    assert query_metadata_table(TABLE, filters=[("well", "=", "A01")], connection=connection).num_rows == 1
    assert connection.sql("SHOW TABLES").fetchall() == []
    connection.close()
    with pytest.raises(UsageError, match="cannot open"):
        create_duckdb_connection(tmp_path / "none.duckdb", read_only=True)
