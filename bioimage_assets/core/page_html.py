"""The HTML document of every page: one look for a wide screen, a phone and paper; no network, no scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_CSS = """
:root { color-scheme: light; --ink: #1f2328; --muted: #5b6472; --line: #e4e7ec; --accent: #0072b2; --error: #b42318;
  --warning: #b54708; --good: #00734f; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink); background: #f7f8fa;
  overflow-wrap: anywhere; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 60px; }
a { color: var(--accent); }
header h1 { margin: 0; font-size: 26px; }
header p { margin: 4px 0 10px; color: var(--muted); }
nav { margin: 6px 0; }
nav a { display: inline-block; margin-right: 14px; padding: 3px 0; text-decoration: none; }
.notice { margin: 10px 0; padding: 8px 14px; border-left: 4px solid var(--line); background: #fff; }
.notice.error { border-color: var(--error); color: var(--error); font-weight: 600; }
.notice.warning { border-color: var(--warning); color: var(--warning); }
.notice.good { border-color: var(--good); color: var(--good); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 18px 0; }
.fact { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.fact b { display: block; font-size: 21px; font-variant-numeric: tabular-nums; }
.fact span { color: var(--muted); font-size: 13px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 18px 22px; margin: 18px 0; }
section h2 { margin: 0 0 6px; font-size: 19px; }
section > p { margin: 0 0 12px; color: var(--muted); }
figure { margin: 14px 0; }
figure img, figure svg { max-width: 100%; height: auto; display: block; }
figcaption { color: var(--muted); font-size: 13px; }
.scroll { overflow-x: auto; max-width: 100%; overflow-wrap: normal; }
table { border-collapse: collapse; font-size: 13px; width: 100%; }
caption { text-align: left; font-weight: 600; padding: 6px 0; }
th, td { text-align: left; padding: 5px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
td { min-width: 4em; max-width: 40em; overflow-wrap: break-word; }
th { color: var(--muted); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.finding { border-left: 3px solid var(--line); padding: 2px 0 2px 12px; margin: 12px 0; }
.finding p { margin: 2px 0; }
.finding .severity, tr.error td:first-child, tr.warning td:first-child { font-weight: 600; }
.finding.error { border-color: var(--error); }
.finding.error .severity, tr.error td:first-child { color: var(--error); }
.finding.warning { border-color: var(--warning); }
.finding.warning .severity, tr.warning td:first-child { color: var(--warning); }
.finding details { font-size: 13px; } .finding pre { margin: 4px 0; overflow-x: auto; }
.places, .none, .made { color: var(--muted); font-size: 13px; }
dl { font-size: 13px; }
dt { font-weight: 600; }
dd { margin: 0 0 6px 14px; color: var(--muted); }
summary { cursor: pointer; color: var(--accent); padding: 4px 0; }
.missing { color: var(--muted); border-left: 3px solid var(--line); padding-left: 10px; }
@media (max-width: 600px) { main { padding: 14px 10px 40px; } section { padding: 12px; } header h1 { font-size: 21px; }
  .facts { grid-template-columns: repeat(2, 1fr); gap: 8px; } .fact b { font-size: 17px; } }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""

MADE_HERE = "<!-- made -->"
"""Where the date of a page and its run stand: written when the page is stored, and the one thing that no input decides."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link to another page; ``href`` is relative to this one and quoted."""

    text: str
    href: str


def build_document(title: str, body: str) -> str:
    """A whole document around a body that is HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_CSS}</style></head>\n<body><main>{body}</main></body></html>\n"
    )


def build_link(link: Link) -> str:
    """One link, escaped."""
    return f'<a href="{escape(link.href, quote=True)}">{escape(link.text)}</a>'


def build_nav(links: Sequence[Link]) -> str:
    """A line of links, nothing where there is none."""
    return f"<nav>{''.join(map(build_link, links))}</nav>" if links else ""
