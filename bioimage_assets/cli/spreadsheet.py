"""CSV that is safe to open in a spreadsheet: texts it would take for a formula begin with an apostrophe.

A spreadsheet runs what begins with one of a few signs, quoted or not: https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bioimage_assets.core.sql import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

# The last four are the first four in full width.
FORMULA_SIGNS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
# What is printed of these begins with a digit, a sign of a number, a bracket or a word.
_HARMLESS = frozenset(
    [
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "UHUGEINT",
        "FLOAT",
        "DOUBLE",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMP_S",
        "TIMESTAMP_MS",
        "TIMESTAMP_NS",
        "INTERVAL",
    ]
)
_HARMLESS_BEGINNINGS = ("DECIMAL(", "TIMESTAMP WITH", "TIME WITH", "STRUCT(", "MAP(")


def guard_texts(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The same rows with an apostrophe before each text, and column name, that begins with one of `FORMULA_SIGNS`."""
    columns = zip(relation.columns, relation.types, strict=True)
    return relation.project(", ".join(_guarded(name, str(kind)) for name, kind in columns))


def _guarded(name: str, kind: str) -> str:
    column = quote_identifier(name)
    shown = quote_identifier(f"'{name}" if name.startswith(tuple(FORMULA_SIGNS)) else name)
    if kind in _HARMLESS or kind.startswith(_HARMLESS_BEGINNINGS) or kind.endswith("]"):
        return f"{column} AS {shown}"
    text, signs, apostrophe = f"CAST({column} AS VARCHAR)", quote_literal(FORMULA_SIGNS), quote_literal("'")
    is_formula = f"{text} <> '' AND contains({signs}, {text}[1])"
    return f"CASE WHEN {is_formula} THEN {apostrophe} || {text} ELSE {text} END AS {shown}"
