"""The page of all pages: every dataset with its plates, their cells and their worst finding, made from what lies in the folder.

Whoever stores or removes a page makes it again. The numbers come from the small files beside the pages, which are never read themselves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote

from bioimage_assets.core.finding_codes.catalogue import find_code
from bioimage_assets.core.model.identity import CAMPAIGN_PREFIX, campaign_name, dimension_of
from bioimage_assets.core.page_html import Link, build_document, build_link
from bioimage_assets.core.phrases import count_words, plural_of
from bioimage_assets.core.storage.page_files import write_file
from bioimage_assets.core.storage.pages import INDEX, locate_page, locate_summary, page_errors

# More are counted, not listed: a browser still opens the page at once.
MAX_LISTED = 5_000
# A summary has a tenth of this; what is longer was not written here.
_MAX_SUMMARY_BYTES = 4_000
# Pages that others store meanwhile are looked for again. Each of them makes the index again itself, too.
_MAX_ROUNDS = 5

Stamps = Mapping[str, tuple[int, int]]
"""Time of change and size of every page, by plate or dataset."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One page as the index shows it."""

    partition: str
    cells: int | None = None
    linked: int | None = None
    errors: int = 0
    warnings: int = 0
    worst: str = ""
    made_at: str = ""


def write_index(reports_dir: Path) -> Path:
    """Make the index from the pages that are stored now.

    Of writers at the same time the last one wins; it has looked again after its rename, so that no page is left out.
    BioimageError where the folder cannot be written.
    """
    path = reports_dir / INDEX
    with page_errors(path):
        reports_dir.mkdir(parents=True, exist_ok=True)
        for _ in range(_MAX_ROUNDS):
            pages = list_pages(reports_dir)
            write_file(path, build_index(reports_dir, pages).encode("utf-8", "replace"))
            if list_pages(reports_dir) == pages:
                break
    return path


def list_pages(reports_dir: Path) -> Stamps:
    """Pages that are stored, by plate, dataset or campaign, sorted."""
    found = dict(_list_folder(reports_dir / "datasets", ""))
    found |= _list_folder(reports_dir / "campaigns", CAMPAIGN_PREFIX)
    for dataset in _list_folders(reports_dir / "plates"):
        found |= _list_folder(reports_dir / "plates" / dataset, f"{dataset}/")
    return dict(sorted(found.items()))


def build_index(reports_dir: Path, pages: Iterable[str]) -> str:
    """The page of all pages; their summaries are read, one small file each."""
    keys = list(pages)
    plates = [key for key in keys if "/" in key]
    campaigns = [_read_entry(reports_dir, key) for key in keys if dimension_of(key) == "campaign"]
    listed: dict[str, list[IndexEntry]] = {key: [] for key in keys if dimension_of(key) == "dataset"}
    for key in plates[:MAX_LISTED]:
        listed.setdefault(key.partition("/")[0], []).append(_read_entry(reports_dir, key))
    entries = [entry for found in listed.values() for entry in found]
    own = {key: _read_entry(reports_dir, key) for key in keys if dimension_of(key) == "dataset"}
    body = _campaigns(campaigns)
    body += "".join(_dataset(name, own.get(name), found) for name, found in sorted(listed.items()))
    more = (
        f'<p class="none">and {len(plates) - MAX_LISTED:,} more plates</p>'
        if len(plates) > MAX_LISTED
        else ""
    )
    head = "<header><h1>Plates and datasets</h1><p>Every page that is stored, with its cells and its worst finding</p></header>\n"
    return build_document(
        "Plates and datasets", f"{head}{_facts(len(listed), len(plates), entries)}{body}{more}"
    )


def _list_folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [entry.name for entry in found if entry.is_dir()]
    except FileNotFoundError:
        return []


def _list_folder(folder: Path, prefix: str) -> dict[str, tuple[int, int]]:
    pages: dict[str, tuple[int, int]] = {}
    try:
        with os.scandir(folder) as found:
            for entry in found:
                name = entry.name.removesuffix(".html")
                if name != entry.name and not name.startswith("."):
                    stat = entry.stat()
                    pages[f"{prefix}{name}"] = (stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:  # no page yet, or one that is removed at this moment
        return pages
    return pages


def _read_entry(reports_dir: Path, partition: str) -> IndexEntry:
    """The summary of a page; a page without a readable one is listed by its name alone."""
    try:
        with locate_summary(locate_page(reports_dir, partition)).open("rb") as handle:
            content = json.loads(handle.read(_MAX_SUMMARY_BYTES))
    except (OSError, ValueError):
        return IndexEntry(partition)
    if not isinstance(content, dict):
        return IndexEntry(partition)
    counts = {name: _count(content.get(name)) for name in ("cells", "linked", "errors", "warnings")}
    worst, made_at = (str(content.get(name) or "") for name in ("worst", "made_at"))
    return IndexEntry(
        partition, counts["cells"], counts["linked"], counts["errors"] or 0, counts["warnings"] or 0, worst, made_at
    )  # fmt: skip


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _campaigns(entries: Sequence[IndexEntry]) -> str:
    """Campaigns stand first: each is over several of the datasets below."""
    if not entries:
        return ""
    head = '<tr><th>campaign</th><th class="number">cells</th><th>errors and warnings, the worst</th><th>page made</th></tr>'
    rows = "".join(
        f'<tr><td>{build_link(_link(entry.partition))}</td><td class="number">{_number(entry.cells)}</td>'
        f"<td>{_describe_worst(entry)}</td><td>{escape(entry.made_at)}</td></tr>"
        for entry in entries
    )
    return f'<section id="campaign:"><h2>Campaigns</h2><div class="scroll"><table>{head}{rows}</table></div></section>\n'


def _facts(dataset_count: int, plate_count: int, entries: Sequence[IndexEntry]) -> str:
    facts = {
        plural_of(dataset_count, "dataset"): dataset_count,
        plural_of(plate_count, "plate"): plate_count,
        "cells": sum(entry.cells or 0 for entry in entries),
        "cells linked to an image": sum(entry.linked or 0 for entry in entries),
        "plates with errors": sum(entry.errors > 0 for entry in entries),
    }
    made = (f'<div class="fact"><b>{count:,}</b><span>{name}</span></div>' for name, count in facts.items())
    return f'<div class="facts">{"".join(made)}</div>\n'


def _dataset(name: str, own: IndexEntry | None, plates: Sequence[IndexEntry]) -> str:
    title = escape(unquote(name)) if own is None else build_link(_link(name))
    found = (
        ""
        if own is None or not _describe_worst(own)
        else f'<p class="none">of the dataset: {_describe_worst(own)}</p>'
    )
    return f'<section id="{quote(name)}"><h2>{title}</h2>{found}{_table(plates)}</section>\n'


def _table(plates: Sequence[IndexEntry]) -> str:
    if not plates:
        return '<p class="none">No page of a plate.</p>'
    head = (
        '<tr><th>plate</th><th class="number">cells</th><th class="number">linked</th><th>errors and warnings, the worst</th>'
        "<th>page made</th></tr>"
    )
    return f'<div class="scroll"><table>{head}{"".join(map(_row, plates))}</table></div>'


def _row(plate: IndexEntry) -> str:
    tone = "error" if plate.errors else "warning" if plate.warnings else ""
    numbers = "".join(f'<td class="number">{_number(count)}</td>' for count in (plate.cells, plate.linked))
    return (
        f'<tr class="{tone}"><td>{build_link(_link(plate.partition))}</td>{numbers}<td>{_describe_worst(plate)}</td>'
        f"<td>{escape(plate.made_at)}</td></tr>"
    )


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _describe_worst(entry: IndexEntry) -> str:
    counts = [(entry.errors, "error"), (entry.warnings, "warning")]
    words = ", ".join(count_words(count, name) for count, name in counts if count)
    return (
        f"{words} <code{_title(entry.worst)}>{escape(entry.worst)}</code>" if words and entry.worst else words
    )


def _title(code: str) -> str:
    """What to do, shown where the pointer rests; nothing for a code that this project has not."""
    found = find_code(code)
    return "" if found is None else f' title="{escape(found.code.remedy, quote=True)}"'


def _link(partition: str) -> Link:
    return Link(
        unquote(campaign_name(partition.rpartition("/")[2])), quote(locate_page(Path(), partition).as_posix())
    )
