"""The findings of a page: one entry per code with count and places, the worst first, and the whole list behind a click."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import unquote

from bioimage_assets.core.finding_codes.catalogue import find_code
from bioimage_assets.core.findings import SEVERITIES, Finding, FindingGroup, group_findings
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.page_parts import ReportTable
from bioimage_assets.core.pictures.table_html import build_table

MAX_PLACES = 12  # more in a row are not read


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a page says about one code."""

    severity: str
    code: str
    count: int
    message: str
    places: tuple[str, ...]
    kind_of_place: str = "place"


def build_findings_box(findings: Sequence[Finding], plates: Sequence[FindingGroup] = ()) -> str:
    """The section of a page's own findings, and of those of the plates of a dataset, grouped per plate and code."""
    entries = [*_list_own(findings), *_list_of_plates(plates)]
    if not entries:
        return (
            '<section id="findings"><h2>What wants attention</h2><p class="none">No findings.</p></section>\n'
        )
    shown = "".join(map(_entry, sorted(entries, key=lambda entry: _rank(entry.severity))))
    everything = "".join(
        build_table(table) for table in (_all_own(findings), _all_of_plates(plates)) if table
    )
    return f'<section id="findings"><h2>What wants attention</h2>{shown}{everything}</section>\n'


def _list_own(findings: Iterable[Finding]) -> list[_Entry]:
    return [
        _Entry(group.severity, group.code, group.count, group.message, group.places)
        for group in group_findings("", _known(findings))
    ] + [
        _Entry(odd.severity, odd.code, 1, odd.message, (odd.location,) if odd.location else ())
        for odd in findings
        if odd.severity not in SEVERITIES
    ]


def _known(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity in SEVERITIES]


def _list_of_plates(groups: Sequence[FindingGroup]) -> list[_Entry]:
    """One entry per code over all plates; its sentence is that of the first plate that has the worst of it."""
    by_code: dict[str, list[FindingGroup]] = {}
    for group in groups:
        by_code.setdefault(group.code, []).append(group)
    entries = []
    for code, found in by_code.items():
        worst = min(found, key=lambda group: _rank(group.severity))
        names = tuple(
            f"{_plate_name(group)} ({group.count:,})" if group.count > 1 else _plate_name(group)
            for group in found
        )
        message = f"Plate {_plate_name(worst)}: {worst.message}"
        count = sum(group.count for group in found)
        entries.append(_Entry(worst.severity, code, count, message, names, "plate"))
    return entries


def _plate_name(group: FindingGroup) -> str:
    return unquote(group.partition.rpartition("/")[2])


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _entry(entry: _Entry) -> str:
    times = f" · {entry.count:,} times" if entry.count > 1 else ""
    return (
        f'<div class="finding {escape(entry.severity, quote=True)}"><p><span class="severity">{escape(entry.severity)}</span> '
        f"<code>{escape(entry.code)}</code>{times}</p><p>{escape(entry.message)}</p>{_places(entry)}{_explain(entry.code)}</div>"
    )


def _explain(code: str) -> str:
    """Cause and remedy behind a click; nothing for codes that assets of users make."""
    found = find_code(code)
    if found is None:
        return ""
    parts = (
        ("", found.code.means),
        ("<b>Cause.</b> ", found.code.cause),
        ("<b>What to do.</b> ", found.code.remedy),
    )
    text = "".join(f"<p>{label}{_with_code(sentence)}</p>" for label, sentence in parts)
    setting = f"<pre>{escape(found.code.setting)}</pre>" if found.code.setting else ""
    return f"<details><summary>Cause and remedy</summary>{text}{setting}</details>"


def _with_code(text: str) -> str:
    """What stands between backticks is code."""
    parts = enumerate(escape(part) for part in text.split("`"))
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in parts)


def _places(entry: _Entry) -> str:
    if not entry.places:
        return ""
    if len(entry.places) == 1:
        return f'<p class="places">{entry.kind_of_place}: {escape(entry.places[0])}</p>'
    named = ", ".join(entry.places[:MAX_PLACES])
    more = f" and {len(entry.places) - MAX_PLACES:,} more" if len(entry.places) > MAX_PLACES else ""
    return (
        f'<p class="places">{count_words(len(entry.places), entry.kind_of_place)}: {escape(named)}{more}</p>'
    )


def _all_own(findings: Sequence[Finding]) -> ReportTable | None:
    """Every finding for itself; None where the entries say it all."""
    if len(findings) == len({finding.code for finding in findings}):
        return None
    ordered = sorted(findings, key=lambda finding: _rank(finding.severity))
    rows = tuple((f.severity, f.code, f.location or f.store_uri, f.message) for f in ordered)
    header = ("severity", "code", "where", "what was found")
    return ReportTable(f"All {count_words(len(rows), 'finding')}", header, rows, is_folded=True)


def _all_of_plates(groups: Sequence[FindingGroup]) -> ReportTable | None:
    if not groups:
        return None
    ordered = sorted(groups, key=lambda group: _rank(group.severity))
    rows = tuple((g.severity, g.code, _plate_name(g), g.count, g.message) for g in ordered)
    header = ("severity", "code", "plate", "times", "what was found first")
    return ReportTable("Findings of each plate", header, rows, is_folded=True)
