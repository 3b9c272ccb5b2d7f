"""Drafts of the fields of a folder of one-channel files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_tiff.head_store import WINDOW_FILES
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.plate_folders.channel_guard import (
    note_counted_planes,
    note_equal_tokens,
    unpadded_token,
)
from bioimage_assets.core.formats.plate_folders.compose import FieldFile, compose_field
from bioimage_assets.core.formats.plate_folders.fields import FieldGrid, FieldKey, PlaneFile, build_fields
from bioimage_assets.core.formats.plate_folders.headers import HeaderPool
from bioimage_assets.core.formats.plate_folders.listing import FolderListing
from bioimage_assets.core.formats.plate_folders.patterns import NameParts
from bioimage_assets.core.formats.plate_folders.propose import build_pattern_line, propose_pattern
from bioimage_assets.core.formats.plate_folders.sidecar_facts import SidecarFacts


@dataclass(frozen=True, slots=True)
class GroupedFiles:
    """Files whose names give them a place in a field, with everything known about their folder."""

    names: Mapping[str, NameParts]
    layout: str
    listing: FolderListing
    sidecars: SidecarFacts
    plate_name: str


def compose_fields(files: GroupedFiles, pool: HeaderPool, log: FindingLog) -> list[ImageDraft]:
    """Group files to fields and compose each; a field none of whose files can be read is a finding, not a row."""
    grid = build_fields(files.names)
    for number, (key, other) in enumerate(grid.duplicates):
        text = f"The same plane as {other!r}; this file was left out."
        if number == 0:  # said once, with what would tell them apart
            pattern = propose_pattern([other, key], list(files.names), differ_in="acquisition")
            text += f" If it is an image of its own, its name must say so. {build_pattern_line(pattern)}"
        log.note("duplicate-plane", "error", key, text)
    for key in grid.beside:
        text = "The file has no z step or time point, the others of its field do: no plane of the stack; left out."
        log.note_repeated("file-beside-stack", "info", key, text)
    if not grid.is_plausible:
        text = f"The names span {grid.place_count:,} planes in each of {len(grid.fields):,} fields; those without a file are not listed."
        log.note("names-span-too-much", "warning", "", text)
    note_counted_planes(files.names, log)
    note_equal_tokens(grid, log)
    _note_missing_channels(grid, files.sidecars, log)
    versions = {item.key: (item.size_bytes, item.version) for item in files.listing.images}
    runs: dict[str | None, set[str]] = defaultdict(set)
    for place in grid.fields:
        runs[place.plate].add(place.acquisition)
    drafts: list[ImageDraft] = []
    step = max(1, WINDOW_FILES // grid.place_count)
    for number, (place, planes) in enumerate(grid.fields.items()):
        if number % step == 0:
            ahead = islice(grid.fields.values(), number, number + step)
            soon = [(plane.key, files.names[plane.name]) for fields in ahead for plane in fields]
            pool.expect((key, parts.layout, parts.channel) for key, parts in soon)
        read = [_read_file(plane, files.names[plane.name], versions, pool) for plane in planes]
        draft = compose_field(read, grid, files.sidecars, files.layout)
        if draft is None:
            text = f"None of the {len(read)} files of well {place.well_id} site {place.site_id} can be read: {read[0].header}"
            log.note("field-unreadable", "error", planes[0].key, text)
            continue
        draft.position = _position(place, files.plate_name, is_repeated=len(runs[place.plate]) > 1)
        drafts.append(draft)
    _note_uneven_wells(grid, log)
    return drafts


def _read_file(
    plane: PlaneFile, parts: NameParts, versions: Mapping[str, tuple[int, str]], pool: HeaderPool
) -> FieldFile:
    size, version = versions[plane.key]
    header = pool.read_first_image(plane.key, parts.layout, parts.channel, plane.page)
    return FieldFile(plane, header, size, version)


def _position(place: FieldKey, plate_name: str, *, is_repeated: bool) -> PlatePosition:
    return PlatePosition(
        place.plate or plate_name,
        place.well_id,
        place.site_id or None,
        place.acquisition or None,
        is_repeated,
    )


def _note_missing_channels(grid: FieldGrid, sidecars: SidecarFacts, log: FindingLog) -> None:
    """Say which channels of the acquisition have no file at all; settings of Yokogawa list unused ones, too."""
    if sidecars.source not in ("htd", "index-xml", "jdce") or not grid.channels:
        return
    found = {unpadded_token(token) for token in grid.channels}
    lost = [f"{name} ({token})" for token, name in sidecars.channel_names.items() if token not in found]
    if lost:
        text = f"The sidecar declares {len(sidecars.channel_names)} channels; no file has {', '.join(lost)}."
        log.note("channel-missing", "error", "", text)


def _note_uneven_wells(grid: FieldGrid, log: FindingLog) -> None:
    """Say which wells have fewer fields than the fullest well: the names alone cannot tell why."""
    counts: dict[tuple[str | None, str], int] = defaultdict(int)
    for place in grid.fields:
        counts[place.plate, place.well_id] += 1
    most = max(counts.values(), default=0)
    short = [well for (_, well), count in counts.items() if count < most]
    if short:
        text = f"{len(short)} of {len(counts)} wells have fewer fields than the others ({most}): {', '.join(short[:12])}."
        log.note("wells-with-fewer-fields", "warning", "", text)
