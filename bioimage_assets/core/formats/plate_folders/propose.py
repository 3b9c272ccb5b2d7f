"""Propose a ``file_pattern`` for names that no layout explains, tried on the names before it is shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Literal

from bioimage_assets.core.formats.plate_folders.patterns import USER_LAYOUT, NameParts, build_parts

# What is shown where the names themselves say nothing.
EXAMPLE = r"(?P<well>[A-P]\d{1,2})_(?P<site>\d+)_(?P<channel>[A-Za-z0-9]+)\.tif"
_WELL = re.compile(r"(?<![A-Za-z0-9])[A-Pa-p]\d{1,2}(?!\d)|(?<=[_\-. ])[A-Pa-p]\d{1,2}(?!\d)")
# Row and column as numbers behind a word: "r02c03", "Row2_Col3".
_ROW_COLUMN = re.compile(
    r"(?<![A-Za-z])(?P<r>r(?:ow)?[_ -]?)\d{1,2}(?P<c>[_ -]?c(?:ol(?:umn)?)?[_ -]?)\d{1,2}(?!\d)",
    re.IGNORECASE,
)
_SITE = re.compile(
    r"(?<![A-Za-z])(?:site|field|fld|fov|view|tile|pos(?:ition)?|point|xy|s|f)[_ -]?(?P<number>\d+)",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"(?<![A-Za-z])(?P<axis>t(?:p|ime(?:[_ ]?point)?)?|z(?:step|plane)?)[_ -]?(?P<number>\d+)", re.IGNORECASE
)
_CHANNEL = re.compile(r"(?<![A-Za-z])(?:w|ch|c|d)\d{1,2}(?!\d)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![A-Za-z0-9])(?P<number>\d+)(?![A-Za-z0-9])")
_MAX_TRIED = 200  # names a proposal is tried on: the names of a plate follow one rule
_MAX_LEADS = 20  # the search is cubic in these

# Start, end and expression of a part of the name.
Span = tuple[int, int, str]


def build_pattern_line(pattern: str | None) -> str:
    """The lines to write into ``dataset.toml``: the proposed pattern, else one to adapt."""
    adapt = (
        ""
        if pattern
        else " (an example; adapt it to the names, with groups well, site, channel, z, t, acquisition)"
    )
    return f"Write into the dataset's dataset.toml: [images] file_pattern = '{pattern or EXAMPLE}'{adapt}."


def propose_pattern(
    files: Sequence[str],
    others: Sequence[str] = (),
    well_id: str | None = None,
    *,
    differ_in: Literal["channel", "acquisition"] = "channel",
) -> str | None:
    """A regular expression for the names of one-channel files; None where the names do not say enough.

    Parameters
    ----------
    files
        Files of one field of view, which differ in their channel, or else in their acquisition.
    others
        Further names of the plate, most of which the pattern must fit.
    well_id
        The field's well where it is known.
    """
    depth = 1 if len({_tail(key, 1) for key in files}) == len({*files}) else 2
    # The well may be the folder, where there are several; a lone folder may as well be the plate P1.
    has_folders = len({key.split("/")[-2] for key in others if "/" in key}) > 1
    for part_count in (1, 2) if depth == 1 and has_folders else (depth,):
        pattern = _propose(files, others, well_id, differ_in, part_count)
        if pattern is not None:
            return pattern
    return None


def _propose(
    files: Sequence[str],
    others: Sequence[str],
    well_id: str | None,
    differ_in: Literal["channel", "acquisition"],
    depth: int,
) -> str | None:
    names = [_tail(key, depth) for key in dict.fromkeys(files)]
    if not names or any("'" in name for name in names):  # ends a literal text of TOML
        return None
    spans: list[Span] = []
    _add(spans, _differing_span(names, differ_in))
    if not _add(spans, _well_span(names[0], well_id, spans)):
        return None
    _add_numbers(spans, names[0])
    pattern = _compose(names[0], sorted(spans))
    tried = [_tail(key, depth) for key in others[:_MAX_TRIED]]
    return pattern if _fits(pattern, names, tried, well_id, differ_in) else None


def propose_for_plate(keys: Sequence[str], well_ids: Sequence[str] = ()) -> str | None:
    """A pattern for all names of a plate of which nothing is known but, at best, its wells.

    Two files of one well whose names differ in letters are taken for two channels of a field.
    """
    for key in keys[:_MAX_LEADS]:
        for well in (None, *well_ids[:_MAX_LEADS]):
            found = _well_span(_tail(key, 1), well, ())
            if found is None:
                if (pattern := propose_pattern([key], keys, well)) is not None:
                    return pattern
                continue
            token = _tail(key, 1)[found[0] : found[1]]
            mates = [other for other in keys[:_MAX_TRIED] if other != key and token in _tail(other, 1)]
            for mate in mates[:_MAX_LEADS]:
                span = _differing_span([_tail(key, 1), _tail(mate, 1)], "channel")
                if span is not None and not key.rpartition("/")[2][span[0] : span[1]].isdigit():
                    pattern = propose_pattern([key, mate], keys, well)
                    if pattern is not None:
                        return pattern
            pattern = propose_pattern([key], keys, well)
            if pattern is not None:
                return pattern
    return None


def _tail(key: str, depth: int) -> str:
    """File name; with its folder where the channels have folders of their own."""
    return "/".join(key.split("/")[-depth:])


def _differing_span(names: Sequence[str], group: str) -> Span | None:
    """What differs between the files, widened to whole letters, and with the letters before a number."""
    if len(names) < 2:
        return None
    start = _shared(names)
    end = len(names[0]) - min(_shared([name[::-1] for name in names]), *(len(n) - start for n in names))
    while start and names[0][start - 1].isalpha():
        start -= 1
    while end < len(names[0]) and names[0][end].isalnum() and names[0][end - 1].isalnum():
        end += 1
    text = names[0][start:end]
    if not text or not all(char.isalnum() or char in "-_ " for char in text):
        return None
    letters = text.rstrip("0123456789")
    is_numbered = letters != text and all(name[start : start + len(letters)] == letters for name in names)
    text = rf"{re.escape(letters)}\d+" if is_numbered else "[A-Za-z0-9-]+"
    return start, end, f"(?P<{group}>{text})"


def _shared(names: Sequence[str]) -> int:
    """Letters that all names begin with."""
    return sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False)))


def _well_span(name: str, well_id: str | None, taken: Sequence[Span]) -> Span | None:
    regex = _WELL
    if (
        well_id is None
        and (match := _ROW_COLUMN.search(name))
        and _is_free(match.start(), match.end(), taken)
    ):
        return (
            match.start(),
            match.end(),
            rf"{re.escape(match['r'])}(?P<row>\d{{1,2}}){re.escape(match['c'])}(?P<column>\d{{1,2}})",
        )
    if well_id is not None:
        letters = well_id.rstrip("0123456789")
        regex = re.compile(
            rf"(?<![A-Za-z]){letters}[-_ ]?0*{int(well_id[len(letters) :])}(?!\d)", re.IGNORECASE
        )
    for match in regex.finditer(name):
        if _is_free(match.start(), match.end(), taken):
            gap = r"[-_ ]?" if re.search(r"[-_ ]", match[0]) else ""
            return match.start(), match.end(), rf"(?P<well>[A-Za-z]{{1,2}}{gap}\d{{1,2}})"
    return None


def _add_numbers(spans: list[Span], name: str) -> None:
    """Channel, site, time point and z step by their letters; else the first number that stands alone is the site."""
    if not any("<channel>" in span[2] for span in spans):
        for match in reversed(list(_CHANNEL.finditer(name))):
            letters = match[0].rstrip("0123456789")
            if _add(spans, (match.start(), match.end(), rf"(?P<channel>{letters}\d+)")):
                break
    for match in _SITE.finditer(name):
        if _add(spans, (match.start("number"), match.end("number"), r"(?P<site>\d+)")):
            break
    for axis in ("t", "z"):
        for match in _STEP.finditer(name):
            if match["axis"].lower().startswith(axis) and _add(
                spans, (match.start("number"), match.end("number"), rf"(?P<{axis}>\d+)")
            ):
                break
    if not any("<site>" in span[2] for span in spans):
        well_end = next(end for _, end, text in spans if "<well>" in text or "<row>" in text)
        for match in _NUMBER.finditer(name):
            if match.start() >= well_end and _add(spans, (match.start(), match.end(), r"(?P<site>\d+)")):
                break


def _add(spans: list[Span], span: Span | None) -> bool:
    if span is None or not _is_free(span[0], span[1], spans):
        return False
    spans.append(span)
    return True


def _is_free(start: int, end: int, taken: Sequence[Span]) -> bool:
    return all(end <= other[0] or start >= other[1] for other in taken)


def _compose(name: str, spans: Sequence[Span]) -> str:
    """Groups with the text between them, in which numbers may be others; what comes before the first is left open."""
    parts: list[str] = []
    at = spans[0][0]
    for start, end, text in spans:
        parts += [_literal(name[at:start]), text]
        at = end
    return "".join([*parts, _literal(name[at:]), "$"])


def _literal(text: str) -> str:
    return "".join(r"\d+" if part.isdigit() else re.escape(part) for part in re.split(r"(\d+)", text))


def _fits(
    pattern: str, names: Sequence[str], others: Sequence[str], well_id: str | None, differ_in: str
) -> bool:
    """Whether the pattern reads the files as those of one field, each as its own, and most other names at all."""
    regex = re.compile(pattern)  # made here, of literal texts and runs of digits

    def parse(name: str) -> NameParts | None:
        match = regex.search(name)
        return None if match is None else build_parts(match.groupdict(), USER_LAYOUT, "", None)

    parts = [parse(name) for name in names]
    found = [part for part in parts if isinstance(part, NameParts)]
    if len(found) < len(names) or len({(part.well_id, part.site_id) for part in found}) != 1:
        return False
    if well_id is not None and found[0].well_id != well_id:
        return False
    if len(names) > 1 and len({getattr(part, differ_in) for part in found}) < len(names):
        return False
    return sum(parse(name) is not None for name in others) >= 0.9 * len(others)
