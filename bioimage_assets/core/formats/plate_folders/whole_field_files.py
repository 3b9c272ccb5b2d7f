"""Files that hold a whole field each (multi-channel OME-TIFFs, unnamed files) and their positions.

A position comes from the OME-XML plate, or from the file name. Where a file's XML declares only its own field,
its rank says nothing about the well, so the site is the name's, else the stored WellSample index.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bioimage_assets.core.errors import StoreChangedError, StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_tiff.file_scan import scan_companion
from bioimage_assets.core.formats.ome_tiff.head_store import WINDOW_FILES, HeadStore
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.ome_tiff.images_not_held import fold_not_held, is_not_held
from bioimage_assets.core.formats.ome_tiff.ome_scan import FileScan
from bioimage_assets.core.formats.plate_folders.image_files import scan_image_file
from bioimage_assets.core.formats.plate_folders.patterns import NameParts
from bioimage_assets.core.model.scan import DeclaredPlate, DeclaredWell
from bioimage_assets.core.stores.base import Store


@dataclass(frozen=True, slots=True)
class OwnOnlyField:
    """A draft whose XML declares no other field: raw WellSample index, and the site of its file name."""

    draft: ImageDraft
    position: PlatePosition
    index: int | None
    name_site: str | None


@dataclass(slots=True)
class SingleFields:
    """Drafts of files read one by one, the plates their XML declares, and the digests of what was read."""

    drafts: list[ImageDraft] = field(default_factory=list)
    plates: list[DeclaredPlate] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    claimed: set[str] = field(default_factory=set)
    own_only: list[OwnOnlyField] = field(default_factory=list)
    not_held: list[Finding] = field(default_factory=list)


def scan_single_files(
    store: HeadStore, keys: Iterable[str], companions: Iterable[str], sizes: Mapping[str, int],
    names: Mapping[str, NameParts], plate_name: str, log: FindingLog,
) -> SingleFields:  # fmt: skip
    """Read files one by one, companions first; files that a set claims are not read again."""
    found = SingleFields()
    for key in companions:
        _take(found, _scan(store, key, sizes, log, is_companion=True), names, plate_name, log)
    pending = list(keys)
    for start in range(0, len(pending), WINDOW_FILES):
        window = pending[start : start + WINDOW_FILES]
        store.fetch_heads((key for key in window if key not in found.claimed), sizes)
        for key in window:
            if key not in found.claimed:
                _take(found, _scan(store, key, sizes, log, is_companion=False), names, plate_name, log)
    _number_own_only(found, log)
    for finding in fold_not_held(found.not_held):
        log.note(finding.code, finding.severity, finding.location, finding.message)
    return found


def _scan(
    store: Store, key: str, sizes: Mapping[str, int], log: FindingLog, *, is_companion: bool
) -> FileScan | None:
    try:
        return (
            scan_companion(store, key, sizes)
            if is_companion
            else scan_image_file(store, key, sizes, only_own=False)
        )
    except StoreChangedError:
        raise
    except StoreError as error:
        log.note("file-unreadable", "error", key, str(error))
        return None


def _take(
    found: SingleFields,
    scan: FileScan | None,
    names: Mapping[str, NameParts],
    plate_name: str,
    log: FindingLog,
) -> None:
    if scan is None:
        return
    found.not_held += [finding for finding in scan.findings if is_not_held(finding)]
    for finding in scan.findings:
        if not is_not_held(finding):
            log.note(finding.code, finding.severity, finding.location, finding.message)
    found.claimed |= scan.claimed
    found.fingerprints.append(scan.fingerprint)
    declared = sum(len(well.sites) for plate in scan.plates for well in plate.wells)
    is_own_only = declared == len(scan.drafts) == 1
    if not is_own_only:
        found.plates.extend(scan.plates)
    for draft, index in zip(scan.drafts, scan.sample_indexes, strict=True):
        is_alone = len(scan.drafts) == 1 or draft.series is None
        parts = _find_parts(draft, names) if is_alone or draft.files else None
        if draft.position is None and parts is not None:
            draft.position = position_of(parts, plate_name)
        elif draft.position is not None and is_own_only:
            _hold_own_position(found, draft, index, parts, log)
        found.drafts.append(draft)


def _find_parts(draft: ImageDraft, names: Mapping[str, NameParts]) -> NameParts | None:
    """What the names of an image's files say of its place; None where they contradict each other or some say nothing."""
    keys = [file.path for file in draft.files if file.role == "image"] or [draft.key]
    found = [names.get(key) for key in keys]
    first = found[0]
    if first is None or any(
        parts is None
        or (parts.plate, parts.well_id, parts.site_id) != (first.plate, first.well_id, first.site_id)
        for parts in found
    ):
        return None
    return first


def position_of(parts: NameParts, plate_name: str, acquisition: str | None = None) -> PlatePosition:
    """Position that a file name gives; the plate is the folder's where the name has none."""
    return PlatePosition(
        parts.plate or plate_name, parts.well_id, parts.site_id, acquisition or parts.acquisition
    )


def _hold_own_position(
    found: SingleFields, draft: ImageDraft, index: int | None, parts: NameParts | None, log: FindingLog
) -> None:
    """Keep a file whose XML declares only itself until all files of its well are known."""
    position = draft.position
    if position is None:
        return
    name_site = parts.site_id if parts is not None else None
    if parts is not None and parts.well_id != position.well_id:
        text = f"The file name says well {parts.well_id}, its OME-XML {position.well_id}; the OME-XML is followed."
        log.note("well-differs", "warning", draft.key, text)
        name_site = None
    found.own_only.append(OwnOnlyField(draft, position, index, name_site))


def _number_own_only(found: SingleFields, log: FindingLog) -> None:
    """Sites of files that each declare only themselves.

    A well with one such file keeps the rank of its XML. With several, the XML of each is plainly not the whole
    well's: the site is the name's, else the stored index where indexes repeat from well to well, else its rank.
    """
    wells: dict[tuple[str, str, str | None], list[OwnOnlyField]] = defaultdict(list)
    for item in found.own_only:
        wells[item.position.plate_id, item.position.well_id, item.position.acquisition_id].append(item)
    if all(len(items) == 1 for items in wells.values()):
        return
    if all(item.name_site is not None for item in found.own_only):
        for item in found.own_only:
            item.draft.position = item.position._replace(site_id=item.name_site)
        return
    is_per_well = len({min(item.index or 0 for item in items) for items in wells.values()}) == 1 and all(
        len({item.index for item in items}) == len(items) for items in wells.values()
    )
    for place, items in wells.items():
        ordered = sorted(items, key=lambda item: (item.index or 0, item.draft.key))
        if not is_per_well and len(ordered) > 1:
            text = f"Sites of well {place[1]} are numbered by the order of their WellSample indexes and file names."
            log.note_repeated("sites-by-order", "warning", ordered[0].draft.key, text)
        for rank, item in enumerate(ordered):
            site_id = str(item.index or 0 if is_per_well else rank)
            item.draft.position = item.position._replace(site_id=site_id)


def merge_plates(plates: Iterable[DeclaredPlate]) -> dict[str, DeclaredPlate]:
    """Unite what several files declare of the same plate, well by well."""
    by_id: dict[str, list[DeclaredPlate]] = defaultdict(list)
    for plate in plates:
        by_id[plate.plate_id].append(plate)
    return {
        plate_id: found[0] if len(found) == 1 else _merge_plate(found) for plate_id, found in by_id.items()
    }


def _merge_plate(found: Sequence[DeclaredPlate]) -> DeclaredPlate:
    wells: dict[str, DeclaredWell] = {}
    sites: dict[str, dict[str, None]] = defaultdict(dict)
    for plate in found:
        for well in plate.wells:
            wells[well.well_id] = well
            sites[well.well_id].update(dict.fromkeys(well.sites))
    runs = tuple(dict.fromkeys(run for plate in found for run in plate.acquisitions))
    united = tuple(replace(well, sites=tuple(sites[well_id])) for well_id, well in wells.items())
    return replace(found[0], wells=united, acquisitions=runs)


def rename_plate(
    drafts: Iterable[ImageDraft], declared: Sequence[DeclaredPlate], name: str
) -> list[DeclaredPlate]:
    """Call the plate by the name that is given, where the files tell one plate; several plates stay several."""
    placed = [(draft, draft.position) for draft in drafts if draft.position is not None]
    if len({position.plate_id for _, position in placed} | {plate.plate_id for plate in declared}) > 1:
        return list(declared)
    for draft, position in placed:
        draft.position = position._replace(plate_id=name)
    return [replace(plate, plate_id=name) for plate in declared]


def declare_seen(
    drafts: Iterable[ImageDraft], source: str, channels: tuple[str, ...] = ()
) -> list[DeclaredPlate]:
    """Plates as far as the drafts themselves tell: the wells and sites that were seen."""
    plates: dict[str, dict[str, dict[str, None]]] = {}
    runs: dict[str, dict[str, None]] = {}
    for draft in drafts:
        position = draft.position
        if position is None:
            continue
        sites = plates.setdefault(position.plate_id, {}).setdefault(position.well_id, {})
        if position.site_id is not None:
            sites[position.site_id] = None
        if position.acquisition_id:
            runs.setdefault(position.plate_id, {})[position.acquisition_id] = None
    return [
        DeclaredPlate(
            plate_id, tuple(DeclaredWell(well, "", tuple(sites)) for well, sites in wells.items()),
            tuple(runs.get(plate_id, {})), channels, source,
        )
        for plate_id, wells in plates.items()
    ]  # fmt: skip
