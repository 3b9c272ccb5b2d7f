"""One HTML page from pictures, tables and findings that stands alone: no network, no scripts, all text escaped.

A picture or table that could not be made has its sentence in its place.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn, build_findings
from bioimage_assets.core.pictures.style import Picture

MAX_TABLE_ROWS = 400  # a 384-well plate in full; a browser stays quick
_SEVERITIES = ("error", "warning", "info")

_CSS = """
:root { color-scheme: light; --ink: #1f2328; --muted: #667085; --line: #e4e7ec; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink); background: #f7f8fa; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 60px; }
header h1 { margin: 0; font-size: 26px; }
header p { margin: 4px 0 18px; color: var(--muted); }
nav a { margin-right: 14px; color: var(--accent); text-decoration: none; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 18px 0; }
.fact { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.fact b { display: block; font-size: 21px; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.fact span { color: var(--muted); font-size: 13px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 18px 22px; margin: 18px 0; }
section h2 { margin: 0 0 6px; font-size: 19px; }
section > p { margin: 0 0 12px; color: var(--muted); }
figure { margin: 14px 0; }
figure img { max-width: 100%; height: auto; }
figcaption { color: var(--muted); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; width: 100%; }
caption { text-align: left; font-weight: 600; padding: 6px 0; }
th, td { text-align: left; padding: 5px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--muted); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.error td:first-child { color: #b42318; font-weight: 600; }
.warning td:first-child { color: #b54708; font-weight: 600; }
.none { color: var(--muted); }
.missing { color: var(--muted); border-left: 3px solid var(--line); padding-left: 10px; }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table of a report; numbers are right-aligned, null cells empty."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A part of a report: a sentence, pictures and tables; None is nothing to show."""

    title: str
    text: str
    pictures: tuple[Drawing, ...] = ()
    tables: tuple[ReportTable | NotDrawn | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A finished page, the pictures on it, those that could not be drawn, and every finding that it lists."""

    html: str
    pictures: tuple[Picture, ...]
    not_drawn: tuple[NotDrawn, ...] = ()
    findings: tuple[Finding, ...] = ()

    def picture(self, name: str) -> Picture | None:
        """Find a picture by its file name without suffix."""
        return next((picture for picture in self.pictures if picture.name == name), None)


def build_html_report(
    title: str,
    subtitle: str,
    facts: Sequence[tuple[str, object]],
    findings: Iterable[Finding],
    sections: Sequence[ReportSection],
) -> Report:
    """Build one self-contained page; sections without content are left out.

    A picture that should be there and is not becomes a finding ``picture-not-drawn`` besides the given ones.
    """
    parts = [part for section in sections for part in (*section.pictures, *section.tables)]
    known = tuple(dict.fromkeys((*findings, *build_findings(parts, title))))
    shown = [section for section in sections if section.pictures or section.tables or section.text]
    links = "".join(
        f'<a href="#s{number}">{escape(section.title)}</a>' for number, section in enumerate(shown)
    )
    body = "".join(_section(number, section) for number, section in enumerate(shown))
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_CSS}</style></head>\n<body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p><nav>{links}</nav></header>\n"
        f'<div class="facts">{"".join(_fact(name, value) for name, value in facts)}</div>\n'
        f"{_findings(known)}{body}</main></body></html>\n"
    )
    pictures = tuple(part for part in parts if isinstance(part, Picture))
    return Report(page, pictures, tuple(part for part in parts if isinstance(part, NotDrawn)), known)


def _fact(name: str, value: object) -> str:
    return f'<div class="fact"><b>{_text(value)}</b><span>{escape(name)}</span></div>'


def _findings(findings: Sequence[Finding]) -> str:
    order = {severity: place for place, severity in enumerate(_SEVERITIES)}
    ordered = sorted(findings, key=lambda finding: order.get(finding.severity, len(order)))
    if not ordered:
        return '<section><h2>What wants attention</h2><p class="none">No findings.</p></section>\n'
    rows = "".join(
        f'<tr class="{escape(finding.severity, quote=True)}"><td>{escape(finding.severity)}</td><td>{escape(finding.code)}</td>'
        f"<td>{escape(finding.message)}</td></tr>"
        for finding in ordered[:MAX_TABLE_ROWS]
    )
    more = _more(len(ordered))
    head = "<tr><th>severity</th><th>code</th><th>what was found</th></tr>"
    return f'<section><h2>What wants attention</h2><div class="scroll"><table>{head}{rows}</table></div>{more}</section>\n'


def _section(number: int, section: ReportSection) -> str:
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    pictures = "".join(_figure(picture) for picture in section.pictures)
    tables = "".join(_table(table) for table in section.tables if table is not None)
    return f'<section id="s{number}"><h2>{escape(section.title)}</h2>{text}{pictures}{tables}</section>\n'


def _figure(picture: Drawing) -> str:
    if isinstance(picture, NotDrawn):
        return _sentence(picture)
    data = base64.b64encode(picture.png).decode("ascii")
    return (
        f'<figure><img alt="{escape(picture.title, quote=True)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _sentence(missing: NotDrawn) -> str:
    return f'<p class="missing">{escape(missing.sentence)}</p>'


def _table(table: ReportTable | NotDrawn) -> str:
    if isinstance(table, NotDrawn):
        return _sentence(table)
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.header)
    head = "".join(_heading(name, values) for name, values in zip(table.header, columns, strict=True))
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows[:MAX_TABLE_ROWS])
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption><tr>{head}</tr>{rows}</table></div>'
        + _more(len(table.rows))
    )


def _more(count: int) -> str:
    return f'<p class="none">and {count - MAX_TABLE_ROWS:,} more rows</p>' if count > MAX_TABLE_ROWS else ""


def _heading(name: str, values: Sequence[object]) -> str:
    """A heading stands over its values: on the right above numbers."""
    is_number = any(map(_is_number, values)) and all(value is None or _is_number(value) for value in values)
    return f'<th class="number">{escape(name)}</th>' if is_number else f"<th>{escape(name)}</th>"


def _cell(value: object) -> str:
    return f'<td class="number">{_text(value)}</td>' if _is_number(value) else f"<td>{_text(value)}</td>"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if math.isfinite(value) else _not_finite(value)
    return escape(str(value))


def _not_finite(value: float) -> str:
    return "" if math.isnan(value) else "∞" if value > 0 else "-∞"
