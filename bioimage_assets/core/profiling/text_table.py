"""Small delimited files beside a dataset (platemaps, barcodes, compounds) become tables of text."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from bioimage_assets.core.errors import ProfilingError, StoreError
from bioimage_assets.core.stores.base import Store, join_path

_NULLS = frozenset({"", "na", "n/a", "nan", "null"})


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows of a file as text, null where a value is missing; ``uri`` says which file."""

    uri: str
    names: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]

    def column(self, index: int) -> list[str | None]:
        """Values of one column."""
        return [row[index] for row in self.rows]


def read_text_table(store: Store, key: str) -> TextTable:
    """Read a small delimited file as text; the delimiter is the one that splits its header."""
    path = join_path(store.uri, key)
    try:
        text = store.get(key).decode("utf-8-sig")
    except (StoreError, UnicodeDecodeError) as error:
        raise ProfilingError(f"{path} cannot be read as UTF-8 text: {error}") from error
    lines = text.splitlines()
    if not lines:
        raise ProfilingError(f"{path} is empty; expected a header and one row per well.")
    delimiter = max("\t,;", key=lines[0].count)
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if any(cell.strip() for cell in row)]
    names = tuple(name.strip() for name in rows[0])
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise ProfilingError(f"{path}, row {number}: {len(row)} values, the header has {len(names)}.")
    cleaned = tuple(tuple(_clean(cell) for cell in row) for row in rows[1:])
    return TextTable(path, names, cleaned)


def _clean(cell: str) -> str | None:
    text = cell.strip()
    return None if text.lower() in _NULLS else text
