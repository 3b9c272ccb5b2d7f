"""Filter a metadata table of any kind into Arrow; DuckDB sees only the filter columns.

Rows are chosen in DuckDB and taken in Arrow, so nested and payload columns keep type, values and nulls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import duckdb
import pyarrow as pa

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.joins.sources import ProfileSource, open_profiles
from bioimage_assets.core.sql import quote_identifier

Filter = tuple[str, str, object]
FILTER_OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "IS", "IS NOT")


def create_duckdb_connection(
    database: str | Path = ":memory:", *, read_only: bool = False
) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB database; UsageError when the file cannot be opened as one.

    Examples
    --------
    >>> create_duckdb_connection().execute("SELECT 1 + 1").fetchall()
    [(2,)]
    """
    try:
        return duckdb.connect(str(database), read_only=read_only)
    except duckdb.Error as error:
        raise UsageError(f"DuckDB cannot open '{database}': {error}") from error


def query_metadata_table(
    source: object,
    *,
    columns: Sequence[str] | str | None = None,
    filters: Sequence[Filter] | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> pa.Table:
    """Choose columns and rows of a metadata table, in its own order.

    Parameters
    ----------
    source
        Path, folder or glob pattern of Parquet or CSV, Arrow, pandas or polars table, or list of rows.
    columns
        Names, one or several; None for all. They are names, never SQL.
    filters
        ``(column, operator, value)``, all of which must hold; operators ``= != < <= > >= IS "IS NOT"``, where
        null asks for ``IS`` or ``IS NOT``.
    connection
        Where the filters run; a fresh in-memory database by default.
    storage_options
        Of the object store that the table is in; by default the project's (``BIOIMAGE_STORAGE_*``).

    Raises
    ------
    UsageError
        An unknown column or operator, or a value that does not compare with its column.

    Examples
    --------
    >>> query_metadata_table([{"well": "A01"}, {"well": "B02"}], filters=[("well", "=", "A01")]).num_rows
    1
    """
    table = open_profiles(source, storage_options)
    wanted = [columns] if isinstance(columns, str) else columns
    _check_columns(table.schema, wanted or (), "column")
    _check_filters(table.schema, filters or ())
    names = table.schema.names
    positions = list(range(len(names))) if wanted is None else [names.index(name) for name in wanted]
    if not filters:
        return _read(table, positions)
    if not table.is_rereadable:
        table = open_profiles(_read(table, range(len(names))))
    needed = sorted({names.index(column) for column, _, _ in filters})
    rows = _select_rows(_read(table, needed), needed, names, filters, connection)
    return _read(table, positions).take(rows)


def _read(source: ProfileSource, positions: Sequence[int]) -> pa.Table:
    ordered = sorted(set(positions))
    schema = pa.schema([source.schema.field(p) for p in ordered], source.schema.metadata)
    # Arrow cannot cast a part of a struct that has a column of nulls, as pandas frames give it.
    batches = [b if b.schema.equals(schema) else b.cast(schema) for b in source.batches(ordered)]
    table = pa.Table.from_batches(batches, schema)
    return table if ordered == list(positions) else table.select([ordered.index(p) for p in positions])


def _select_rows(
    narrow: pa.Table,
    needed: Sequence[int],
    names: Sequence[str],
    filters: Sequence[Filter],
    connection: duckdb.DuckDBPyConnection | None,
) -> pa.Array:
    """Numbers of the rows that pass; DuckDB gets columns under neutral names."""
    renamed = narrow.rename_columns([f"f{i}" for i in range(len(needed))])
    renamed = renamed.append_column("row_number", pa.array(range(narrow.num_rows), pa.int64()))
    clauses, values = [], []
    for column, operator, value in filters:
        name = f"f{needed.index(names.index(column))}"
        if value is None:
            clauses.append(f"{name} {operator.upper()} NULL")
        else:
            symbol = {"IS": "IS NOT DISTINCT FROM", "IS NOT": "IS DISTINCT FROM"}.get(
                operator.upper(), operator
            )
            clauses.append(f"{name} {symbol} ?")
            values.append(value)
    cursor = (connection or create_duckdb_connection()).cursor()
    view = f"metadata_{uuid4().hex}"
    try:
        cursor.register(view, renamed)
        found = cursor.execute(
            f"SELECT row_number FROM {quote_identifier(view)} WHERE {' AND '.join(clauses)} ORDER BY row_number",
            values,
        ).fetchnumpy()
    except duckdb.Error as error:
        raise UsageError(f"The filters cannot be applied: {error}") from error
    finally:
        cursor.close()
    return pa.array(found["row_number"])


def _check_columns(schema: pa.Schema, columns: Sequence[str], what: str) -> None:
    for column in columns:
        if column not in schema.names:
            raise UsageError(f"Unknown {what} {column!r}. Available columns: {schema.names}.")


def _check_filters(schema: pa.Schema, filters: Sequence[Filter]) -> None:
    _check_columns(schema, [column for column, _, _ in filters], "filter column")
    for _, operator, value in filters:
        if operator.upper() not in FILTER_OPERATORS:
            raise UsageError(
                f"Unsupported filter operator {operator!r}. Allowed operators: {list(FILTER_OPERATORS)}."
            )
        if value is None and operator.upper() not in ("IS", "IS NOT"):
            raise UsageError("None filter values require 'IS' or 'IS NOT' operators.")
