"""One SELECT over catalog and warehouse: every stored table as a view of an in-memory DuckDB.

Only the tables that a statement names are opened. A local warehouse table is the Arrow dataset of one of its
states, a catalog table the files of its snapshot, both with DuckDB's projection and filter pushdown; what it
cannot read alone (remote files, files with row deletes) goes through memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa
from pyiceberg.schema import sanitize_column_names

from bioimage_assets.cli.project_tables import StoredTable, StoredTables
from bioimage_assets.cli.query_links import add_link_macros
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import resolve_identifier
from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets.core.settings.project import read_project_settings
from bioimage_assets.core.sql import quote_identifier
from bioimage_assets.core.sql_files import parquet_relation

_EXPLAIN = re.compile(r"^\s*explain\s+(analyze\s+)?", re.IGNORECASE)
_GUESS = re.compile(r" Did you mean \".*?\"\?")
_MISSING = re.compile(r"(?:Table with name|Catalog) \"?([^\s\"]+)\"? does not exist", re.IGNORECASE)


@contextmanager
def open_query(tables: StoredTables, sql: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the views that a reading statement needs; UsageError for any other statement.

    What DuckDB says while the statement runs in the block becomes UsageError or MissingTableError, too.
    """
    connection = duckdb.connect()
    try:
        _require_reading(connection, sql)
        add_link_macros(connection, read_project_settings().browse_url)
        known = tables.list()
        chosen = choose_tables(sql, known)
        register_views(connection, tables, chosen or known, names_only=not chosen)
        yield connection
    except duckdb.Error as error:
        raise _explain(error, tables) from error
    finally:
        connection.close()


def _require_reading(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    statements = connection.extract_statements(sql)
    if statements and not any(statement.query.strip() for statement in statements):
        return  # DuckDB 1 takes a PIVOT apart into steps without a text
    if len(statements) != 1:
        raise UsageError(f"One statement is expected, {len(statements)} were given.")
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:
        kind = connection.extract_statements(_EXPLAIN.sub("", statements[0].query))[0].type
    if kind not in (duckdb.StatementType.SELECT, getattr(duckdb.StatementType, "MULTI", None)):
        raise UsageError(f"Queries only read: {kind.name} is not possible; expected a SELECT.")


def choose_tables(sql: str, known: Sequence[StoredTable]) -> list[StoredTable]:
    """Tables whose name occurs in the statement."""
    return [
        table for table in known if re.search(rf"(?<!\w){re.escape(table.leaf)}(?!\w)", sql, re.IGNORECASE)
    ]


def register_views(
    connection: duckdb.DuckDBPyConnection,
    tables: StoredTables,
    chosen: Iterable[StoredTable],
    *,
    names_only: bool = False,
) -> None:
    """Make ``<home>.<table>`` for each table, ``<namespace>.<table>`` where it has one, and the bare name.

    With ``names_only`` these are tables of zero rows: a statement that names none of them can only list them.
    """
    kind, rows = ("TABLE", " LIMIT 0") if names_only else ("VIEW", "")
    bare: set[str] = set()
    for table in chosen:
        source = _source(connection, tables, table)
        names: list[tuple[str, str]] = [(table.home, table.leaf)]
        if "." in table.name:
            names.append((table.name.rpartition(".")[0], table.leaf))
        for schema, name in names:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(schema)}")
            connection.execute(
                f"CREATE {kind} {quote_identifier(schema)}.{quote_identifier(name)} AS {source}{rows}"
            )
        if table.leaf not in bare:
            bare.add(table.leaf)
            connection.execute(f"CREATE {kind} {quote_identifier(table.leaf)} AS {source}{rows}")
        if names_only:
            connection.unregister(_hidden_name(table))


def _source(connection: duckdb.DuckDBPyConnection, tables: StoredTables, table: StoredTable) -> str:
    files = _catalog_files(tables, table) if table.home == "catalog" else []
    if files:
        return f"SELECT * FROM {parquet_relation(files)}"
    hidden = _hidden_name(table)
    if table.home == "warehouse" and tables.warehouse is not None and tables.warehouse.files_at.is_local:
        connection.register(hidden, tables.warehouse.dataset(table.name))
    else:
        connection.register(hidden, _plain(tables.read(table)))
    return f"SELECT * FROM {quote_identifier(hidden)}"


def _hidden_name(table: StoredTable) -> str:
    return f"rows of {table.home} {table.name}"


def _catalog_files(tables: StoredTables, table: StoredTable) -> list[str]:
    """Data files of the present snapshot; empty where reading them needs more than a Parquet reader."""
    assert tables.catalog is not None
    identifier = resolve_identifier(tables.catalog, tables.namespace, table.name)
    with catalog_errors(f"Reading {'.'.join(identifier)}"):
        loaded = tables.catalog.load_table(identifier)
        tasks = list(loaded.scan().plan_files())
    if any(task.delete_files or str(task.file.file_format).rpartition(".")[2] != "PARQUET" for task in tasks):
        return []
    # Columns are found by field id, which a plain Parquet reader does not do: they may have been renamed, and
    # names that Avro does not allow are encoded in the files.
    if len(loaded.schemas()) > 1 or sanitize_column_names(loaded.schema()) != loaded.schema():
        return []
    # The paths of data files hold percent signs of their own (a plate key has a slash): they are not escapes.
    paths = [task.file.file_path.removeprefix("file://") for task in tasks]
    return paths if not any("://" in path for path in paths) else []


def _plain(table: pa.Table) -> pa.Table:
    """Columns of null type, which DuckDB takes for integers, become text."""
    fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


def _explain(error: duckdb.Error, tables: StoredTables) -> UsageError | MissingTableError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(line for line in lines if set(line) != {"^"})
    if _MISSING.search(text):
        text = _GUESS.sub("", text)  # DuckDB proposes tables of its own
        known = ", ".join(sorted({f"{table.home}.{table.leaf}" for table in tables.list()})) or "none"
        return MissingTableError(f"{text} Tables: {known}.")
    return UsageError(text)
