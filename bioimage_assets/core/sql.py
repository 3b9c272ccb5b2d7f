"""SQL pieces that are safe to paste: quoted identifiers and literals. Everything else is a parameter."""

from __future__ import annotations


def quote_identifier(name: str) -> str:
    """Quote any text as one SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Quote any text as one SQL string literal, for places where DuckDB takes no parameter."""
    return "'" + text.replace("'", "''") + "'"
