"""Tables and values as HTML: all text escaped, long tables cut, wide ones scroll in their own box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bioimage_assets.core.page_html import Link, build_link
from bioimage_assets.core.pictures.drawing import NotDrawn
from bioimage_assets.core.pictures.page_parts import ReportTable

MAX_TABLE_ROWS = 400  # a 384-well plate in full; a browser stays quick


def build_table(table: ReportTable | NotDrawn) -> str:
    """One table, or the sentence that stands in its place."""
    if isinstance(table, NotDrawn):
        return build_sentence(table)
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.header)
    head = "".join(_heading(name, values) for name, values in zip(table.header, columns, strict=True))
    rows = "".join(map(_row, table.rows[:MAX_TABLE_ROWS]))
    title = "" if table.is_folded else f"<caption>{escape(table.title)}</caption>"
    body = f'<div class="scroll"><table>{title}<tr>{head}</tr>{rows}</table></div>{_more(len(table.rows))}'
    return f"<details><summary>{escape(table.title)}</summary>{body}</details>" if table.is_folded else body


def build_sentence(missing: NotDrawn) -> str:
    """What a reader sees in place of something that could not be made."""
    return f'<p class="missing">{escape(missing.sentence)}</p>'


def build_text(value: object) -> str:
    """A value as a reader wants it, escaped; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, Link):
        return build_link(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if math.isfinite(value) else _not_finite(value)
    return escape(str(value))


def _more(count: int) -> str:
    return f'<p class="none">and {count - MAX_TABLE_ROWS:,} more rows</p>' if count > MAX_TABLE_ROWS else ""


def _row(values: Sequence[object]) -> str:
    kind = f' class="{values[0]}"' if values and values[0] in ("error", "warning") else ""
    return f"<tr{kind}>{''.join(map(_cell, values))}</tr>"


def _heading(name: str, values: Sequence[object]) -> str:
    """A heading stands over its values: on the right above numbers."""
    is_number = any(map(_is_number, values)) and all(value is None or _is_number(value) for value in values)
    return f'<th class="number">{escape(name)}</th>' if is_number else f"<th>{escape(name)}</th>"


def _cell(value: object) -> str:
    return (
        f'<td class="number">{build_text(value)}</td>'
        if _is_number(value)
        else f"<td>{build_text(value)}</td>"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _not_finite(value: float) -> str:
    return "" if math.isnan(value) else "∞" if value > 0 else "-∞"
