"""SQL words that make an address in `bioimage-assets browse`, and a column of them beside the rows of a query."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from bioimage_assets.core.browse_link import PATH
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.sql import quote_identifier, quote_literal

LINK_COLUMN = "browse_url"
# (column of the rows, parameter of the macro), most narrow first.
_NAMED = (("Metadata_ObjectID", "cell"), ("image_id", "image"), ("well_id", "well"))


def add_link_macros(connection: duckdb.DuckDBPyConnection, base_url: str) -> None:
    """Make ``browse_url(plate_key, cell := …, image := …, well := …)``, which gives what `core.browse_link` gives."""
    dataset = "CASE WHEN contains(plate_key, '/') THEN split_part(plate_key, '/', 1) END"
    plate = "CASE WHEN contains(plate_key, '/') THEN plate_key[instr(plate_key, '/') + 1:] ELSE plate_key END"
    parts = {"dataset": dataset, "plate": plate, "well": "well", "image": "image", "cell": "cell"}
    asked = ", ".join(
        f"'{name}=' || url_encode(CAST(nullif(CAST({value} AS VARCHAR), '') AS VARCHAR))"
        for name, value in parts.items()
    )
    start = quote_literal(f"{base_url}/{PATH}?")
    connection.execute(
        f"CREATE MACRO browse_url(plate_key, well := NULL, image := NULL, cell := NULL) AS {start} || concat_ws('&', {asked})"
    )


def with_links(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The statement with a column ``browse_url`` behind the others.

    UsageError where its rows name neither a cell nor a plate.
    """
    statement = sql.strip().rstrip(";")
    names = connection.sql(sql).columns
    return f"SELECT *, {_address(names)} AS {LINK_COLUMN} FROM (\n{statement}\n)"


def _address(names: Sequence[str]) -> str:
    given = [f"{parameter} := {quote_identifier(column)}" for column, parameter in _NAMED if column in names]
    if "plate_key" in names:
        return f"browse_url({', '.join(['plate_key', *given])})"
    if "Metadata_ObjectID" in names:  # a cell's id begins with its plate
        return f"browse_url({', '.join(['NULL', *given])})"
    raise UsageError(
        f"--links needs a column plate_key or Metadata_ObjectID; the statement gives {', '.join(names)}."
    )
