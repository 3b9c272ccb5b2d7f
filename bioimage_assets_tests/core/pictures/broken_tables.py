"""Tables as they should not be: every number of a good table made null, infinite, constant, huge or text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

HEALTHY = "healthy"
BROKEN = (
    "empty",
    "one row",
    "all null",
    "null type",
    "all infinite",
    "partly infinite",
    "constant",
    "huge",
    "tiny",
    "text",
)
_KEYS = frozenset(IMAGE_ASSETS.names) | {"Metadata_ObjectNumber"}


def break_table(table: pa.Table, how: str) -> pa.Table:
    """The table with all of its numbers broken; keys and text stay, so that rows still belong to wells and cells."""
    if how == HEALTHY:
        return table
    if how in ("empty", "one row"):
        return table.slice(0, 0 if how == "empty" else 1)
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        is_number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        breaks = (is_number or pa.types.is_boolean(column.type)) and name not in _KEYS
        columns[name] = _break_column(column, how) if breaks else column
    return pa.table(columns)


def _break_column(column: pa.ChunkedArray, how: str) -> pa.Array | pa.ChunkedArray:
    count, kind = len(column), column.type
    if how == "all null":
        return pa.nulls(count, kind)
    if how == "null type":
        return pa.nulls(count)
    if how == "text":
        return pa.array(["many"] * count)
    if not pa.types.is_floating(kind):  # whole numbers and flags have no infinity
        return pa.nulls(count, kind) if "infinite" in how else _limit(column, how)
    rows = np.arange(count)
    values = {
        "all infinite": np.full(count, np.inf),
        "partly infinite": np.choose(rows % 4, [np.inf, -np.inf, np.nan, rows * 1.0]),
        "constant": np.full(count, 7.25),
        "huge": np.where(rows % 2, 1e308, -1e308) * (1 - rows / (4 * count)),
        "tiny": rows * 5e-324,
    }[how]
    return pa.array(values, kind)


def _limit(column: pa.ChunkedArray, how: str) -> pa.ChunkedArray | pa.Array:
    """Whole numbers: all the same, or as large as their type holds."""
    if not pa.types.is_integer(column.type) or how == "tiny":
        return column
    largest = 7 if how == "constant" else np.iinfo(column.type.to_pandas_dtype()).max // 4
    return pa.array([largest] * len(column), column.type)
