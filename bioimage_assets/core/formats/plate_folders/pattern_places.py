"""Places that a given ``file_pattern`` gives to images that other metadata composed: the pattern is followed, also against OME-XML.

What belongs together is told by the OME-XML of a set; where it stands is told by the pattern, as far as it speaks: a pattern
without a site leaves the site of the XML, else counts the images of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.plate_folders.patterns import NameParts


def follow_pattern(
    drafts: Sequence[ImageDraft], names: Mapping[str, NameParts | None], plate_name: str, log: FindingLog
) -> tuple[list[ImageDraft], bool]:
    """Images of files that the pattern fits, at the places it gives; and whether all are where their metadata say.

    Images of which no file fits are left out. ``names`` are the parts by file, None where the pattern does not fit.
    """
    kept: list[ImageDraft] = []
    moved: list[tuple[ImageDraft, PlatePosition, PlatePosition]] = []
    in_file = Counter(draft.key for draft in drafts)
    rank: Counter[str] = Counter()
    for draft in drafts:
        number = rank[draft.key]
        rank[draft.key] += 1
        parts = _agreed_parts(draft, names, log)
        if parts is None:
            if any(names.get(key) is not None for key in _files_of(draft)):
                kept.append(draft)  # said; the metadata are followed
            continue
        before = draft.position
        site = parts.site_id
        if in_file[draft.key] > 1:
            site = _site_of_several(before, parts, number)
            if site is None:
                text = f"file_pattern gives the site {parts.site_id!r} to {in_file[draft.key]} images of this file; they have no site."
                log.note_repeated("site-of-several-images", "warning", draft.key, text)
        elif site is None and before is not None:
            site = before.site_id
        run = parts.acquisition or (before.acquisition_id if before is not None else None)
        plate = parts.plate or (before.plate_id if before is not None else plate_name)
        draft.position = PlatePosition(
            plate, parts.well_id, site, run, before is not None and before.is_repeated
        )
        if before is not None and before[:3] != draft.position[:3]:
            moved.append((draft, before, draft.position))
        kept.append(draft)
    _note_moved(moved, log)
    return kept, not moved


def _site_of_several(before: PlatePosition | None, parts: NameParts, number: int) -> str | None:
    """Site of one of several images of a file: that of the metadata, else its number where the pattern leaves it open."""
    if before is not None:
        return before.site_id
    return None if parts.site_id is not None else str(number)


def _files_of(draft: ImageDraft) -> list[str]:
    return [file.path for file in draft.files if file.role == "image" and file.path] or [draft.key]


def _agreed_parts(
    draft: ImageDraft, names: Mapping[str, NameParts | None], log: FindingLog
) -> NameParts | None:
    """What the pattern says of the files of one image; None where it fits none of them, or puts them at several places."""
    found = {key: parts for key in _files_of(draft) if (parts := names.get(key)) is not None}
    places = {(parts.plate, parts.well_id, parts.site_id): key for key, parts in found.items()}
    if len(places) < 2:
        return next(iter(found.values()), None)
    (first, one), (second, other) = list(places.items())[:2]
    text = (
        f"file_pattern puts {one!r} at {_show(first)} and {other!r} at {_show(second)}, but their OME-XML makes them one image; "
        "its place is that of the OME-XML. Correct file_pattern ([images] in dataset.toml)."
    )
    log.note("pattern-splits-image", "error", draft.key, text)
    return None


def _note_moved(moved: Sequence[tuple[ImageDraft, PlatePosition, PlatePosition]], log: FindingLog) -> None:
    if not moved:
        return
    is_site_only = all(before[:2] == after[:2] for _, before, after in moved)
    draft, before, after = next((item for item in moved if item[1][:2] != item[2][:2]), moved[0])
    text = (
        f"file_pattern puts this file at {_show(after)}, its metadata at {_show(before)}; so it is for {len(moved)} images. "
        "file_pattern is followed; remove it from dataset.toml if the metadata are right."
    )
    log.note("pattern-over-metadata", "info" if is_site_only else "warning", draft.key, text)


def _show(place: Sequence[object]) -> str:
    plate, well, site = place[:3]
    return f"plate {plate}, well {well}, site {site}" if plate else f"well {well}, site {site}"
