"""Names that look like wells and count something else: ``t01.tif … t05.tif`` are time points, no wells of a row T.

A letter and two digits is a well only where the folder says so. Rows beyond P are those of 1536-well plates: several of
them, double letters or a sidecar tell such a plate. Of the letters up to P, C (channel), F (field, frame) and P (position)
count up alone in a folder more often than they are the one row of a plate whose names have neither site nor channel.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.plate_folders.patterns import NameParts
from bioimage_assets.core.formats.plate_folders.propose import build_pattern_line, propose_pattern

# Layouts that are little more than a letter and digits; all others say by their form that an instrument wrote them.
_LOOSE_LAYOUTS = ("imagexpress", "well-site", "well-channel", "well-number")
_COUNTED = {
    "T": "time points",
    "Z": "z steps",
    "C": "channels",
    "S": "sites or series",
    "F": "fields or frames",
    "P": "positions",
}
_LAST_ROW_OF_384 = "P"
_BARE = re.compile(r"(?:.*_)?[A-Z]{1,2}\d{2}(?:\.ome)?\.[A-Za-z0-9]+", re.IGNORECASE)
_GUID = re.compile(r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}", re.IGNORECASE)
_ENDS_IN_WELL = re.compile(r"(?:^|.*[_\-. ])[A-P]\d{2}", re.IGNORECASE)


@dataclass(slots=True)
class SeriesFiles:
    """Files of one letter that are not taken for wells, with what their names would say if they were."""

    letter: str
    parts: dict[str, NameParts] = field(default_factory=dict)


def find_series(names: Mapping[str, NameParts], trusted: Collection[str] = ()) -> list[SeriesFiles]:
    """Files whose names are not believed to be wells, by letter. ``trusted`` are files that a sidecar places."""
    groups: dict[str | None, dict[str, NameParts]] = defaultdict(dict)
    for key, parts in names.items():
        if parts.layout in _LOOSE_LAYOUTS and key not in trusted:
            groups[parts.plate][key] = parts
    found: dict[str, SeriesFiles] = {}
    for plate, group in groups.items():
        columns: dict[str, set[int]] = defaultdict(set)
        for parts in group.values():
            columns[_row(parts)].add(int(parts.well_id[-2:]))
        follows_well = plate is not None and _ENDS_IN_WELL.fullmatch(plate) is not None
        doubtful = {row for row in columns if _is_doubtful(row, columns, follows_well=follows_well)}
        for key, parts in group.items() if doubtful else ():
            row = _row(parts)
            if row in doubtful and not _is_of_instrument(key.rpartition("/")[2], row):
                found.setdefault(row, SeriesFiles(row)).parts[key] = parts
    return [found[row] for row in sorted(found)]


def _row(parts: NameParts) -> str:
    return parts.well_id[:-2]


def _is_doubtful(row: str, columns: Mapping[str, set[int]], *, follows_well: bool) -> bool:
    """Whether the rows and columns of all names of one plate leave it open that a row is none."""
    if len(row) > 1 or (row <= _LAST_ROW_OF_384 and row not in _COUNTED):
        return False
    others = columns.keys() - _COUNTED.keys()
    if follows_well and not others:
        return True
    if row > _LAST_ROW_OF_384:
        beyond = sum(other > _LAST_ROW_OF_384 for other in columns)
        is_grid = len(others) > 1 or (len(others) == 1 and beyond > 1)
        return not (is_grid or any(len(other) > 1 for other in columns))
    if others or any(columns[other] == columns[row] for other in columns if other != row):
        return False
    return len(columns[row]) > 1 and columns[row] == set(range(1, len(columns[row]) + 1))


def _is_of_instrument(name: str, row: str) -> bool:
    """Whether the rest of a name says that an instrument wrote it: for rows up to P a site or channel, for others its GUID."""
    if row > _LAST_ROW_OF_384:
        return _GUID.search(name) is not None
    return _BARE.fullmatch(name) is None


def place_whole_fields(series: Iterable[SeriesFiles], drafts: Iterable[ImageDraft], plate_name: str) -> None:
    """Give the wells of row C back to files that hold several channels each: what they count are no channels."""
    by_key = {draft.key: draft for draft in drafts}
    for found in series:
        own = {key: by_key[key] for key in found.parts if key in by_key}
        if found.letter != "C" or not all(_holds_channels(draft) for draft in own.values()):
            continue
        for key, draft in own.items():
            parts = found.parts[key]
            draft.position = PlatePosition(
                parts.plate or plate_name, parts.well_id, parts.site_id, parts.acquisition
            )


def _holds_channels(draft: ImageDraft) -> bool:
    is_free = draft.position is None and draft.series is None and not draft.files
    return is_free and "c" in draft.axes and draft.shape[draft.axes.index("c")] > 1


def note_series(series: Sequence[SeriesFiles], drafts: Iterable[ImageDraft], log: FindingLog) -> None:
    """Say which files were not taken for wells, as what they were read, and what to write if they are wells."""
    owners: dict[str, ImageDraft] = {}
    for draft in drafts if series else ():
        owners[draft.key] = draft
        owners.update((record.path, draft) for record in draft.files if record.path)
    for found in series:
        images = {id(owners[key]): owners[key] for key in found.parts if key in owners}
        if not images or any(draft.position is not None for draft in images.values()):
            continue  # other metadata place them
        first, parts = next(iter(found.parts.items()))
        is_row = found.letter > _LAST_ROW_OF_384
        why = f"names of a plate do not count up one letter alone{', and only 1536-well plates have a row ' + found.letter if is_row else ''}"
        text = (
            f"{len(found.parts)} file names such as {first!r} are not taken for wells of row {found.letter}: {why}. They are read as "
            f"{'one image' if len(images) == 1 else f'{len(images)} images'} without a well{_meaning(found.letter)}. If they are wells: "
            f"{build_pattern_line(propose_pattern([first], list(found.parts), parts.well_id))}"
        )
        log.note("series-not-wells", "warning", first, text)


def _meaning(letter: str) -> str:
    return f" ({letter} stands for {_COUNTED[letter]})" if letter in _COUNTED else ""
