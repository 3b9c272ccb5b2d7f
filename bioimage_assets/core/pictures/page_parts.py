"""What a page is put together from: its head, sections, tables and pictures, before any of it is HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bioimage_assets.core.findings import Finding, FindingGroup
from bioimage_assets.core.page_html import Link
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.style import Picture

Tone = Literal["error", "warning", "info", "good"]


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence in the head of a page that nobody may miss."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table of a report; numbers are right-aligned, null cells empty, a ``Link`` leads to its place. A folded one opens by a click on its title."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    is_folded: bool = False


@dataclass(frozen=True, slots=True)
class InlineDrawing:
    """A drawing of vectors that is part of the page itself; ``svg`` is one ``svg`` element, all its texts escaped."""

    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class PageFrame:
    """What surrounds the sections of a page.

    Parameters
    ----------
    notices
        Sentences of its head.
    links
        Other pages.
    pictures_path
        Folder of the pictures' files relative to the page, quoted; empty where pictures are shown but not linked.
    plates
        Findings of the plates of a dataset, grouped per plate and code.
    made_of
        Tables that say what the page was made of, folded at its end.
    """

    notices: tuple[Notice, ...] = ()
    links: tuple[Link, ...] = ()
    pictures_path: str = ""
    plates: tuple[FindingGroup, ...] = ()
    made_of: tuple[ReportTable, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A part of a report: a sentence, pictures, drawings of vectors, tables (None is nothing to show) and what its words mean."""

    title: str
    text: str
    pictures: tuple[Drawing, ...] = ()
    tables: tuple[ReportTable | NotDrawn | None, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    inline: tuple[InlineDrawing, ...] = ()


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
