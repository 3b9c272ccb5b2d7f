"""Files that hold a whole field each (multi-channel OME-TIFFs, unnamed files) become drafts with positions.

A position comes from the OME-XML plate, or from the file name. Where a file's XML declares only its own field,
its rank says nothing about the well, so the site is the name's, else the stored WellSample index.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bioimage_assets.core.errors import StoreChangedError, StoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_tiff.drafts import ImageDraft, PlatePosition
from bioimage_assets.core.formats.ome_tiff.file_scan import scan_companion, scan_file
from bioimage_assets.core.formats.ome_tiff.ome_scan import FileScan
from bioimage_assets.core.formats.plate_folders.patterns import NameParts
from bioimage_assets.core.model.scan import DeclaredPlate, DeclaredWell
from bioimage_assets.core.stores.base import Store


@dataclass(slots=True)
class SingleFields:
    """Drafts of files read one by one, the plates their XML declares, and the digests of what was read."""

    drafts: list[ImageDraft] = field(default_factory=list)
    plates: list[DeclaredPlate] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    claimed: set[str] = field(default_factory=set)
    _unranked: list[tuple[ImageDraft, int | None]] = field(default_factory=list)


def scan_singles(
    store: Store, keys: Iterable[str], companions: Iterable[str], sizes: Mapping[str, int],
    names: Mapping[str, NameParts], plate_name: str, log: FindingLog,
) -> SingleFields:  # fmt: skip
    """Read files one by one, companions first; files that a set claims are not read again."""
    found = SingleFields()
    for key in companions:
        _take(found, _scan(store, key, sizes, log, is_companion=True), names, plate_name, log)
    for key in keys:
        if key not in found.claimed:
            _take(found, _scan(store, key, sizes, log, is_companion=False), names, plate_name, log)
    _number_unranked(found, log)
    return found


def _scan(store: Store, key: str, sizes: Mapping[str, int], log: FindingLog, *, is_companion: bool) -> FileScan | None:
    try:
        return scan_companion(store, key, sizes) if is_companion else scan_file(store, key, sizes, only_own=False)
    except StoreChangedError:
        raise
    except StoreError as error:
        log.note("file-unreadable", "error", key, str(error))
        return None


def _take(
    found: SingleFields, scan: FileScan | None, names: Mapping[str, NameParts], plate_name: str, log: FindingLog
) -> None:
    if scan is None:
        return
    for finding in scan.findings:
        log.note(finding.code, finding.severity, finding.location, finding.message)
    found.claimed |= scan.claimed
    found.fingerprints.append(scan.fingerprint)
    declared = sum(len(well.sites) for plate in scan.plates for well in plate.wells)
    is_own_only = declared <= len(scan.drafts)
    if not is_own_only:
        found.plates.extend(scan.plates)
    for draft, index in zip(scan.drafts, scan.sample_indexes, strict=True):
        parts = names.get(draft.key) if len(scan.drafts) == 1 else None
        if draft.position is None and parts is not None:
            draft.position = position_of(parts, plate_name)
        elif draft.position is not None and is_own_only:
            _use_own_position(found, draft, index, parts, log)
        found.drafts.append(draft)


def position_of(parts: NameParts, plate_name: str, acquisition: str | None = None) -> PlatePosition:
    """Position that a file name gives; the plate is the folder's where the name has none."""
    return PlatePosition(parts.plate or plate_name, parts.well_id, parts.site_id, acquisition or parts.acquisition)


def _use_own_position(
    found: SingleFields, draft: ImageDraft, index: int | None, parts: NameParts | None, log: FindingLog
) -> None:
    position = draft.position
    if position is None:
        return
    if parts is not None and parts.well_id != position.well_id:
        text = f"The file name says well {parts.well_id}, its OME-XML {position.well_id}; the OME-XML is followed."
        log.note("well-differs", "warning", draft.key, text)
        parts = None
    if parts is not None and parts.site_id is not None:
        draft.position = replace(position, site_id=parts.site_id)
    else:
        found._unranked.append((draft, index))


def _number_unranked(found: SingleFields, log: FindingLog) -> None:
    """Sites of files that each declare only themselves: the stored index where it repeats from well to well, else its rank."""
    wells: dict[tuple[str, str, str | None], list[tuple[int, ImageDraft]]] = defaultdict(list)
    for number, (draft, index) in enumerate(found._unranked):
        if draft.position is not None:
            place = (draft.position.plate_id, draft.position.well_id, draft.position.acquisition_id)
            wells[place].append((number if index is None else index, draft))
    lowest = {min(index for index, _ in samples) for samples in wells.values()}
    is_per_well = len(lowest) <= 1 and all(len({i for i, _ in samples}) == len(samples) for samples in wells.values())
    for place, samples in wells.items():
        ordered = sorted(samples, key=lambda sample: (sample[0], sample[1].key))
        if not is_per_well and len(ordered) > 1:
            text = f"Sites of well {place[1]} are numbered by the order of their WellSample indexes and file names."
            log.note_repeated("sites-by-order", "info", ordered[0][1].key, text)
        for rank, (index, draft) in enumerate(ordered):
            if draft.position is not None:
                draft.position = replace(draft.position, site_id=str(index if is_per_well else rank))


def declare_seen(drafts: Iterable[ImageDraft], source: str, channels: tuple[str, ...] = ()) -> list[DeclaredPlate]:
    """Plates as far as the drafts themselves tell: the wells and sites that were seen."""
    plates: dict[str, dict[str, list[str]]] = {}
    runs: dict[str, dict[str, None]] = {}
    for draft in drafts:
        position = draft.position
        if position is None:
            continue
        sites = plates.setdefault(position.plate_id, {}).setdefault(position.well_id, [])
        if position.site_id is not None and position.site_id not in sites:
            sites.append(position.site_id)
        if position.acquisition_id:
            runs.setdefault(position.plate_id, {})[position.acquisition_id] = None
    return [
        DeclaredPlate(
            plate_id, tuple(DeclaredWell(well, "", tuple(sites)) for well, sites in wells.items()),
            tuple(runs.get(plate_id, {})), channels, source,
        )
        for plate_id, wells in plates.items()
    ]  # fmt: skip
