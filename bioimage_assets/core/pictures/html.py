"""One HTML page from pictures, tables and findings that stands alone: no network, no scripts, all text escaped.

A picture or table that could not be made has its sentence in its place.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.page_html import MADE_HERE, Link, build_document, build_nav
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn, build_findings
from bioimage_assets.core.pictures.findings_box import build_findings_box
from bioimage_assets.core.pictures.page_parts import InlineDrawing, Notice, PageFrame, Report, ReportSection
from bioimage_assets.core.pictures.style import Picture
from bioimage_assets.core.pictures.table_html import build_sentence, build_table, build_text

_ALONE = PageFrame()


def build_html_report(
    title: str,
    subtitle: str,
    facts: Sequence[tuple[str, object]],
    findings: Iterable[Finding],
    sections: Sequence[ReportSection],
    frame: PageFrame = _ALONE,
) -> Report:
    """Build one self-contained page; sections without content are left out.

    A picture that should be there and is not becomes a finding ``picture-not-drawn`` besides the given ones.
    """
    parts = [part for section in sections for part in (*section.pictures, *section.tables)]
    known = tuple(dict.fromkeys((*findings, *build_findings(parts, title))))
    shown = [section for section in sections if section.pictures or section.tables or section.text]
    links = [Link(section.title, f"#s{number}") for number, section in enumerate(shown)]
    body = "".join(_section(number, section, frame.pictures_path) for number, section in enumerate(shown))
    page = build_document(
        title,
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p>\n{MADE_HERE}\n{build_nav(frame.links)}{build_nav(links)}</header>\n"
        f"{''.join(map(_notice, frame.notices))}"
        f'<div class="facts">{"".join(_fact(name, value) for name, value in facts)}</div>\n'
        f"{build_findings_box(known, frame.plates)}{body}{_made_of(frame)}",
    )
    pictures = tuple(part for part in parts if isinstance(part, Picture))
    return Report(page, pictures, tuple(part for part in parts if isinstance(part, NotDrawn)), known)


def _notice(notice: Notice) -> str:
    return f'<p class="notice {notice.tone}">{escape(notice.text)}</p>\n'


def _fact(name: str, value: object) -> str:
    return f'<div class="fact"><b>{build_text(value)}</b><span>{escape(name)}</span></div>'


def _section(number: int, section: ReportSection, pictures_path: str) -> str:
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    pictures = "".join(_figure(picture, pictures_path) for picture in section.pictures)
    tables = "".join(build_table(table) for table in section.tables if table is not None)
    inline = "".join(map(_inline, section.inline))
    content = f"{text}{pictures}{inline}{tables}{_terms(section.terms)}"
    return f'<section id="s{number}"><h2>{escape(section.title)}</h2>{content}</section>\n'


def _figure(picture: Drawing, pictures_path: str) -> str:
    if isinstance(picture, NotDrawn):
        return build_sentence(picture)
    data = base64.b64encode(picture.png).decode("ascii")
    image = f'<img alt="{escape(picture.title, quote=True)}" src="data:image/png;base64,{data}">'
    if pictures_path:  # full size on a phone
        href = escape(f"{pictures_path}/{picture.name}.png", quote=True)
        image = f'<a href="{href}">{image}</a>'
    return f"<figure>{image}<figcaption>{escape(picture.caption)}</figcaption></figure>"


def _inline(drawing: InlineDrawing) -> str:
    return f"<figure>{drawing.svg}<figcaption>{escape(drawing.caption)}</figcaption></figure>"


def _terms(terms: Sequence[tuple[str, str]]) -> str:
    made = "".join(f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for term, meaning in terms)
    return f"<dl>{made}</dl>" if made else ""


def _made_of(frame: PageFrame) -> str:
    if not frame.made_of:
        return ""
    tables = "".join(map(build_table, frame.made_of))
    return f'<section id="made-of"><h2>What this page was made of</h2>{tables}</section>\n'
