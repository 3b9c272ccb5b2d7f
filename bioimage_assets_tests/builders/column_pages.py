"""How the columns of a stored table differ from those that ``docs/tables.md`` describes."""

import re
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from bioimage_assets.cli.column_rows import say_type
from bioimage_assets.core.tables.measured_columns import AS_MEASURED, CATEGORIES, MEASURED_COLUMNS
from bioimage_assets.core.tables.schemas import TABLE_SCHEMAS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tables.md"


def list_differences(table: str, stored: pa.Schema) -> list[str]:
    """What a reader of the page would look for in vain, or find without a word about it; empty where all is as it says."""
    documented = read_columns(table)
    wrong = [f"{table}.{name}: no meaning" for name, (_, _, meaning) in documented.items() if not meaning]
    if table in TABLE_SCHEMAS:
        own = {name for name in documented if "." not in name}
        wrong += [f"{table}.{name}: not stored" for name in own - set(stored.names)]
    else:
        always = {column.name for column in MEASURED_COLUMNS[table] if column.is_always_there}
        wrong += [f"{table}.{name}: not stored" for name in always - set(stored.names)]
    return [*wrong, *(text for field in stored if (text := _compare(table, field, documented)))]


def _compare(table: str, field: pa.Field, documented: dict[str, tuple[str, str, str]]) -> str:
    kind = say_type(_plain(field.type))
    name = field.name
    if name not in documented:
        fits = [
            column for column in MEASURED_COLUMNS.get(table, ()) if column.is_family and column.fits(name)
        ]
        if not fits:
            return f"{table}.{name}: not on the page"
        name = fits[0].name
        if "<Category>" in name and field.name.split("_")[1] not in CATEGORIES:
            return f"{table}.{field.name}: a category that the page does not have"
    written, nullable, _ = documented[name]
    if written not in (kind, AS_MEASURED):
        return f"{table}.{field.name}: stored as {kind}, the page says {written}"
    if nullable == "no" and field.nullable and table in TABLE_SCHEMAS:
        return f"{table}.{field.name}: may be null, the page says no"
    return ""


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind


@lru_cache
def read_columns(table: str) -> dict[str, tuple[str, str, str]]:
    """Type, nullability and meaning of each column on the page."""
    section = PAGE.read_text("utf-8").split(f"\n### {table}\n")[1].split("\n##")[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*) \| (yes|no) \| [^|]* \| (.*) \|$", section, re.MULTILINE)
    assert rows, table
    return {name: (kind, nullable, meaning) for name, kind, nullable, meaning in rows}
