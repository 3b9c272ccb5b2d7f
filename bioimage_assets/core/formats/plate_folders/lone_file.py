"""Place on a plate of the images of one TIFF that is scanned alone: from the given pattern, else its metadata, else its name."""

from __future__ import annotations

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_tiff.ome_scan import FileScan
from bioimage_assets.core.formats.plate_folders.pattern_places import follow_pattern
from bioimage_assets.core.formats.plate_folders.patterns import parse_by_user, parse_name
from bioimage_assets.core.formats.plate_folders.propose import build_pattern_line, propose_for_plate
from bioimage_assets.core.formats.plate_folders.series import find_series, note_series
from bioimage_assets.core.formats.plate_folders.stage_names import place_by_labels
from bioimage_assets.core.formats.plate_folders.whole_field_files import position_of


def place_lone_file(found: FileScan, plate_name: str, file_pattern: str | None) -> tuple[Finding, ...]:
    """Give the images of a file their positions; ``plate_name`` is the folder's, for names that say no plate.

    The images stay where the pattern does not fit the file: it was asked for by its name.
    """
    log = FindingLog("")
    if file_pattern is None and len(found.drafts) == 1 and not found.plates:
        _use_name(found, plate_name, log)
    if file_pattern is None:
        place_by_labels(found.drafts, plate_name, log)
    else:
        _use_pattern(found, plate_name, file_pattern, log)
    return log.findings()


def _use_pattern(found: FileScan, plate_name: str, file_pattern: str, log: FindingLog) -> None:
    keys = {draft.key: None for draft in found.drafts}
    keys |= {file.path: None for draft in found.drafts for file in draft.files if file.path}
    names = parse_by_user(file_pattern, keys)
    if all(parts is None for parts in names.values()):
        first = next(iter(keys), "")
        text = (
            "The name does not match file_pattern; the place on the plate is what the metadata say. "
            f"{build_pattern_line(propose_for_plate([first]))}"
        )
        log.note("file-not-matched", "warning", first, text)
        return
    drafts, is_declared = follow_pattern(found.drafts, names, plate_name, log)
    indexes = dict(zip(map(id, found.drafts), found.sample_indexes, strict=True))
    found.drafts, found.sample_indexes = drafts, [indexes[id(draft)] for draft in drafts]
    found.plates = found.plates if is_declared else ()
    for draft in drafts:
        parts = names.get(draft.key)
        draft.is_one_channel = not draft.files and parts is not None and parts.channel is not None


def _use_name(found: FileScan, plate_name: str, log: FindingLog) -> None:
    (draft,) = found.drafts
    parts = parse_name(draft.key)
    if parts is None:
        return
    if series := find_series({draft.key: parts}):
        note_series(series, [draft], log)
        return
    draft.position = position_of(parts, plate_name)
    draft.is_one_channel = parts.channel is not None
