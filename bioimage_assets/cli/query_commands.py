"""`query`: SQL over all tables of catalog and warehouse."""

from __future__ import annotations

import csv
import functools
import json
import re
import sys
from typing import TYPE_CHECKING, Annotated

import click

from bioimage_assets.cli.command import PLACE, argument, command, flag, option
from bioimage_assets.cli.options import CatalogChoice, WarehouseChoice
from bioimage_assets.cli.output import print_progress, print_table, staged_output
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import UsageError

if TYPE_CHECKING:
    import duckdb

_ADDRESS = re.compile(r"https?://\S{1,2000}")
_CELL_CHARACTERS = 60
_FETCH_ROWS = 4096  # rows that wait in memory while a pager reads


@functools.partial(command, context_settings={"ignore_unknown_options": True})  # SQL may begin with a comment
def query(
    sql: Annotated[str, argument("SQL", "one statement; '-' reads it from standard input")],
    catalog: CatalogChoice,
    warehouse: WarehouseChoice,
    limit: Annotated[int, option("N", "rows of the text table; 0: all")] = 50,
    as_json: Annotated[bool, flag("print all rows as JSON", "--json")] = False,
    as_csv: Annotated[bool, flag("print all rows as CSV", "--csv")] = False,
    output: Annotated[
        str | None, option("FILE", "write all rows to a .parquet or .csv file", type=PLACE)
    ] = None,
    links: Annotated[
        bool, flag("add a column browse_url: each row's pixels in 'bioimage-assets browse'")
    ] = False,
    spreadsheet: Annotated[
        bool, flag("in CSV, put an apostrophe before texts that a spreadsheet would run as a formula")
    ] = False,
) -> None:
    """Run SQL (DuckDB) over the tables of catalog and warehouse.

    One SELECT. A bare name is the catalog's table where both have one; catalog.TABLE and warehouse.TABLE say which.
    SHOW TABLES lists them. browse_url(plate_key, well := …, image := …, cell := …) gives the address of pixels.

    Examples:
        bioimage-assets query "SHOW TABLES"
        bioimage-assets query "SELECT plate_key, count(*) AS cells FROM joined_profiles GROUP BY ALL"
        bioimage-assets query "SELECT * FROM hits" --output hits.csv
    """
    from bioimage_assets.cli.project_tables import open_project_tables
    from bioimage_assets.cli.query_links import with_links
    from bioimage_assets.cli.query_views import open_query
    from bioimage_assets.cli.spreadsheet import guard_texts

    if sum((as_json, as_csv, output is not None)) > 1:
        raise click.UsageError("Only one of --json, --csv and --output can be given.")
    sql = sys.stdin.read() if sql == "-" else sql
    if output is not None and not output.endswith((".parquet", ".csv")):
        raise UsageError(f"--output {output}: expected a name that ends in .parquet or .csv.")
    if not sql.strip():
        raise UsageError("The statement is empty.")
    if spreadsheet and not (as_csv or (output or "").endswith(".csv")):
        raise UsageError(
            "--spreadsheet changes CSV only: add --csv, or --output with a name that ends in .csv."
        )
    with open_query(open_project_tables(catalog, warehouse), sql) as connection:
        sql = with_links(connection, sql) if links else sql
        if output is not None:
            relation = connection.sql(sql)
            _write(guard_texts(relation) if spreadsheet else relation, output)
            return
        with show_progress("Running the query"):
            cursor = connection.execute(guard_texts(connection.sql(sql)).sql_query() if spreadsheet else sql)
        if as_json:
            _print_json(cursor)
        elif as_csv:
            _print_csv(cursor)
        else:
            _print_text(cursor, limit)


def _write(relation: duckdb.DuckDBPyRelation, output: str) -> None:
    with staged_output(output) as staged, show_progress(f"Writing {output}"):
        if output.endswith(".parquet"):
            relation.write_parquet(str(staged))
        else:
            relation.write_csv(str(staged), header=True)
    print_progress(f"Written: {output}")


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
    # Half of an address leads nowhere.
    return (
        text
        if len(text) <= _CELL_CHARACTERS or _ADDRESS.fullmatch(text)
        else f"{text[: _CELL_CHARACTERS - 1]}…"
    )
