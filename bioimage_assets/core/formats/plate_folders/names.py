"""Plate, well, site and channel of every image file: from a given pattern, a LoadData table or the built-in layouts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.formats.plate_folders.agreement import follow_sidecar
from bioimage_assets.core.formats.plate_folders.listing import FolderListing
from bioimage_assets.core.formats.plate_folders.load_data import parse_load_data
from bioimage_assets.core.formats.plate_folders.patterns import NameParts, parse_by_user, parse_name
from bioimage_assets.core.formats.plate_folders.propose import build_pattern_line, propose_for_plate
from bioimage_assets.core.formats.plate_folders.series import SeriesFiles, find_series
from bioimage_assets.core.formats.plate_folders.sidecar_facts import SidecarFacts
from bioimage_assets.core.stores.base import MAX_XML_BYTES, Store


@dataclass(slots=True)
class NamedFiles:
    """Files whose names speak, and those that do not, in order of their keys; ``series`` are those of the latter that look like wells."""

    parts: dict[str, NameParts] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    layout: str = "files"
    documents: list[tuple[str, bytes]] = field(default_factory=list)
    series: list[SeriesFiles] = field(default_factory=list)
    is_by_pattern: bool = False


def read_names(
    store: Store,
    listing: FolderListing,
    file_pattern: str | None,
    sidecars: SidecarFacts,
    log: FindingLog,
) -> NamedFiles:
    """Parse the names of all images; a given pattern or a LoadData table decides alone what is an image.

    What the sidecars say of a file is followed where its name says nothing, or something else.
    """
    named = NamedFiles(is_by_pattern=file_pattern is not None)
    if file_pattern is None and listing.load_data:
        _read_load_data(store, listing, named, log)
    if not named.parts:
        keys = [item.key for item in listing.images]
        by_user = None if file_pattern is None else parse_by_user(file_pattern, keys)
        for item in listing.images:
            parts = parse_name(item.key) if by_user is None else by_user[item.key]
            if parts is None and file_pattern is None:
                parts = sidecars.names.get(item.key.rpartition("/")[2])
            if parts is None:
                named.unnamed.append(item.key)
            else:
                named.parts[item.key] = parts
        if file_pattern is None:
            named.parts = follow_sidecar(named.parts, sidecars.names, log)
            _take_out_series(named, sidecars)
    if file_pattern is not None and named.unnamed and not named.parts:
        text = (
            f"file_pattern fits none of the {len(named.unnamed):,} file names, the first is {named.unnamed[0]!r}; no image is read. "
            f"Correct it ([images] in dataset.toml). {build_pattern_line(propose_for_plate(named.unnamed))}"
        )
        log.note("file-not-matched", "error", named.unnamed[0], text)
        named.unnamed = []
    if file_pattern is not None and named.unnamed:
        for key in named.unnamed:
            log.note_repeated(
                "file-not-matched",
                "warning",
                key,
                "The name does not match file_pattern; the file was left out.",
            )
        named.unnamed = []
    layouts = Counter(parts.layout for parts in named.parts.values())
    if layouts:
        named.layout = layouts.most_common(1)[0][0]
    if len(layouts) > 1:
        keys = list(named.parts)
        text = (
            f"The file names follow several layouts: {dict(layouts)}. One pattern for all reads them as one. "
        )
        log.note("several-layouts", "warning", "", text + build_pattern_line(propose_for_plate(keys)))
    return named


def _take_out_series(named: NamedFiles, sidecars: SidecarFacts) -> None:
    """Names that count up a letter are no wells; where another layout explains them, that one is taken."""
    declared = {well.well_id for well in sidecars.wells}
    trusted = {
        key
        for key, parts in named.parts.items()
        if parts.well_id in declared or key.rpartition("/")[2] in sidecars.names
    }
    for series in find_series(named.parts, trusted):
        for key in list(series.parts):
            other = parse_name(key, skip=series.parts[key].layout)
            if other is not None and not find_series({key: other}):
                named.parts[key] = other
                del series.parts[key]
            else:
                del named.parts[key]
                named.unnamed.append(key)
        if series.parts:
            named.series.append(series)
    named.unnamed.sort()


def _read_load_data(store: Store, listing: FolderListing, named: NamedFiles, log: FindingLog) -> None:
    keys = [item.key for item in listing.images]
    for item in listing.load_data:
        try:
            payload = store.get(item.key, max_bytes=MAX_XML_BYTES)
            with foreign_file(f"{store.uri}/{item.key}"):
                named.parts.update(parse_load_data(payload, item.key, keys, log))
        except StoreError as error:
            log.note(
                "load-data-unreadable", "warning", item.key, f"The LoadData table gives nothing: {error}"
            )
            continue
        named.documents.append((item.key, payload))
    if named.parts:
        for key in keys:
            if key not in named.parts:
                log.note_repeated(
                    "file-not-listed", "info", key, "The LoadData table does not name this image; left out."
                )
