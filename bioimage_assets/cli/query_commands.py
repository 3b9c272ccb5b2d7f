"""`query`: SQL over all tables of catalog and warehouse."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioimage_assets.cli.arguments import add_catalog_flags, add_warehouse_flag
from bioimage_assets.cli.output import OK, print_progress, print_table
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import UsageError

if TYPE_CHECKING:
    import duckdb

DEFAULT_LIMIT = 50
_CELL_CHARACTERS = 60
_FETCH_ROWS = 4096  # rows that wait in memory while a pager reads


def add_commands(commands: Any) -> None:
    """Add `query`."""
    parser = commands.add_parser(
        "query",
        help="run SQL (DuckDB) over the tables of catalog and warehouse",
        description="Run one SELECT over the tables of catalog and warehouse. A bare name is the catalog's table "
        "where both have one; catalog.TABLE and warehouse.TABLE say which. SHOW TABLES lists them.",
    )
    parser.add_argument("sql", metavar="SQL", help="one statement; '-' reads it from standard input")
    add_catalog_flags(parser)
    add_warehouse_flag(parser)
    parser.add_argument(
        "--limit",
        type=int,
        default=DEFAULT_LIMIT,
        metavar="N",
        help="rows of the text table (default: 50; 0: all)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print all rows as JSON")
    form.add_argument("--csv", action="store_true", help="print all rows as CSV")
    form.add_argument("--output", metavar="FILE", help="write all rows to a .parquet or .csv file")
    parser.add_argument(
        "--spreadsheet",
        action="store_true",
        help="in CSV, put an apostrophe before texts that a spreadsheet would run as a formula",
    )
    parser.set_defaults(handler=run_query)


def run_query(arguments: argparse.Namespace) -> int:
    """Run the statement and print or write its rows."""
    from bioimage_assets.cli.project_tables import open_project_tables
    from bioimage_assets.cli.query_views import open_query
    from bioimage_assets.cli.spreadsheet import guard_texts

    sql = sys.stdin.read() if arguments.sql == "-" else arguments.sql
    if arguments.output is not None and not arguments.output.endswith((".parquet", ".csv")):
        raise UsageError(f"--output {arguments.output}: expected a name that ends in .parquet or .csv.")
    if not sql.strip():
        raise UsageError("The statement is empty.")
    if arguments.spreadsheet and not (arguments.csv or (arguments.output or "").endswith(".csv")):
        raise UsageError(
            "--spreadsheet changes CSV only: add --csv, or --output with a name that ends in .csv."
        )
    with open_query(open_project_tables(arguments), sql) as connection:
        if arguments.output is not None:
            relation = connection.sql(sql)
            _write(guard_texts(relation) if arguments.spreadsheet else relation, Path(arguments.output))
            return OK
        with show_progress("Running the query"):
            cursor = connection.execute(
                guard_texts(connection.sql(sql)).sql_query() if arguments.spreadsheet else sql
            )
        if arguments.json:
            _print_json(cursor)
        elif arguments.csv:
            _print_csv(cursor)
        else:
            _print_text(cursor, arguments.limit)
    return OK


def _write(relation: duckdb.DuckDBPyRelation, path: Path) -> None:
    """Write beside the target and rename, so a failed query leaves no half file."""
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}.")
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with show_progress(f"Writing {path}"):
            if path.suffix == ".parquet":
                relation.write_parquet(str(staged))
            else:
                relation.write_csv(str(staged), header=True)
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)
    print_progress(f"Written: {path}")


def _names(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    return [column[0] for column in cursor.description or ()]


def _print_json(cursor: duckdb.DuckDBPyConnection) -> None:
    """A JSON array, one row per line."""
    names = _names(cursor)
    separator = "["
    while rows := cursor.fetchmany(_FETCH_ROWS):
        for row in rows:
            print(separator)
            print(json.dumps(dict(zip(names, row, strict=True)), default=str), end="")
            separator = ","
    print("[]" if separator == "[" else "\n]")


class _Lines:
    """Prints rows that end in a line feed. The writer gets both signs, or it leaves a carriage return unquoted."""

    def write(self, row: str) -> None:
        sys.stdout.write(row.removesuffix("\r\n") + "\n")


def _print_csv(cursor: duckdb.DuckDBPyConnection) -> None:
    writer = csv.writer(_Lines())
    writer.writerow(_names(cursor))
    while rows := cursor.fetchmany(_FETCH_ROWS):
        writer.writerows(rows)


def _print_text(cursor: duckdb.DuckDBPyConnection, limit: int) -> None:
    rows = cursor.fetchmany(limit + 1) if limit > 0 else cursor.fetchall()
    if _names(cursor) == ["explain_key", "explain_value"]:
        print("\n".join(str(plan) for _, plan in rows))
        return
    is_cut = limit > 0 and len(rows) > limit
    print_table(_names(cursor), [[_shorten(value) for value in row] for row in rows[: limit or None]])
    if is_cut:
        print_progress(
            f"Only the first {limit} rows are shown; --limit 0, --csv, --json or --output give all."
        )


def _shorten(value: object) -> object:
    if value is None:
        return None
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= _CELL_CHARACTERS else f"{text[: _CELL_CHARACTERS - 1]}…"
