"""Columns of a table as rows of a Markdown table: type, whether it may be null, unit, meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa

from bioimage_assets.core.catalog.column_units import find_unit
from bioimage_assets.core.catalog.nested_docs import describe_field
from bioimage_assets.core.tables.measured_columns import CATEGORIES, MEASURED_COLUMNS, MeasuredColumns
from bioimage_assets.core.tables.schemas import TABLE_SCHEMAS
from bioimage_assets.core.tables.text_columns import CHUNK_TEXT_COLUMNS, IMAGE_TEXT_COLUMNS

HEADER = "| column | type | null | unit | meaning |\n|---|---|---|---|---|"
_WORDS = {"double": "float64", "bool": "boolean"}


def list_column_rows(table: str) -> list[str]:
    """Rows of every column of a table, in its order; empty where the table has no columns of its own."""
    if table in TABLE_SCHEMAS:
        return [row for field in TABLE_SCHEMAS[table] for row in _rows_of_field(table, field, field.name)]
    return [_row_of_measured(table, column) for column in MEASURED_COLUMNS.get(table, ())]


def list_category_rows() -> list[str]:
    """Rows of the categories in the names of CellProfiler's features."""
    return [f"| `{name}` | {words} | {unit} |" for name, (words, unit) in CATEGORIES.items()]


def list_exported_rows() -> list[str]:
    """Rows of the columns that only the copies of the image tables in a warehouse root have."""
    kinds = {"byte_length": "int64"}
    return [
        _row(name, kinds.get(name, "string"), True, find_unit(name), describe_field(table, name))
        for table, names in (("image_assets", IMAGE_TEXT_COLUMNS), ("chunk_index", CHUNK_TEXT_COLUMNS))
        for name in names
    ]


def _rows_of_field(table: str, field: pa.Field, path: str) -> Iterator[str]:
    """The row of a column, then those of the fields inside of it."""
    inside = field.type.value_type if pa.types.is_list(field.type) else field.type
    unit = find_unit(field.name) if _is_number(inside) or pa.types.is_timestamp(inside) else None
    yield _row(path, say_type(field.type), field.nullable, unit, describe_field(table, path))
    if pa.types.is_struct(inside):
        for child in inside:
            yield from _rows_of_field(table, child, f"{path}.{child.name}")


def _row_of_measured(table: str, column: MeasuredColumns) -> str:
    unit = column.unit or (find_unit(column.name) if column.kind in ("int64", "double") else None)
    meaning = column.meaning or describe_field(table, column.name) or ""
    note = "" if column.is_always_there or column.is_family else " (where the measurements have it)"
    return _row(column.name, say_type(column.kind), column.is_nullable, unit, meaning + note)


def _row(name: str, kind: str, is_nullable: bool, unit: str | None, meaning: str | None) -> str:
    return (
        f"| `{name}` | {kind} | {'yes' if is_nullable else 'no'} | {unit or ''} | {_escape(meaning or '')} |"
    )


def say_type(kind: pa.DataType | str) -> str:
    """A type in short words: ``list of int64``."""
    text = str(kind)
    if isinstance(kind, pa.DataType) and pa.types.is_list(kind):
        return f"list of {say_type(kind.value_type)}"
    if text.startswith("struct"):
        return "record"
    if text.startswith("timestamp"):
        return "timestamp"
    found = re.fullmatch(r"list<(\w+)>", text)
    return f"list of {found[1]}" if found else _WORDS.get(text, text)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
