"""What a plate declares, what is on disk and what was measured become one row per well with a verdict and reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from bioimage_assets.core.model.identity import normalize_site, normalize_well
from bioimage_assets.core.model.image import axis_names
from bioimage_assets.core.model.scan import DeclaredPlate
from bioimage_assets.core.tables.schemas import PLATE_COMPLETENESS

# Worst first: the verdict of a plate is the first that any of its wells has.
Verdict = Literal["missing", "incomplete", "undeclared", "unmeasured", "complete", "no-plate"]
VERDICTS: tuple[Verdict, ...] = ("missing", "incomplete", "undeclared", "unmeasured", "complete")
MAX_NAMES = 5


@dataclass(frozen=True, slots=True)
class PlateCompleteness:
    """``plate_completeness`` of one plate, the plate's own verdict, and its reasons with the wells they concern.

    ``counts`` is the number of wells by verdict. A partition without wells has the verdict ``no-plate``.
    """

    table: pa.Table
    verdict: Verdict
    reasons: tuple[str, ...]
    counts: dict[str, int]

    @property
    def is_complete(self) -> bool:
        """Whether nothing that was declared, stored or promised is missing."""
        return self.verdict in ("complete", "no-plate")


@dataclass(slots=True)
class _Well:
    """What is known of one well while its row is built."""

    is_declared: bool = False
    fields_declared: int | None = None
    declared_sites: set[str] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)
    field_count: int = 0
    channels: list[int] = field(default_factory=list)
    missing_files: int = 0
    levels: list[int] = field(default_factory=list)
    partial: int = 0
    chunks_expected: int | None = None
    chunks_found: int | None = None
    measured_sites: set[str] = field(default_factory=set)
    is_measured: bool = False
    cells_claimed: int | None = None
    cells_found: int | None = None


@dataclass(frozen=True, slots=True)
class _Expected:
    """What a sound well of this plate has; None where neither metadata nor the other wells tell."""

    channels: int | None
    levels: int | None
    usual_fields: int | None
    has_declaration: bool
    has_measurements: bool


def build_plate_completeness(
    image_assets: pa.Table,
    declared: Sequence[DeclaredPlate],
    *,
    plate_key: str,
    dataset_id: str,
    chunks: pa.Table | None = None,
    cells: pa.Table | None = None,
    promised: pa.Table | None = None,
    profile_site_offset: int = 0,
) -> PlateCompleteness:
    """Compare the three views of one plate, well by well.

    Parameters
    ----------
    image_assets
        Rows of this plate; label images are not counted.
    declared
        Plates as their metadata declare them; empty for folders that declare nothing: then a well with fewer
        fields than most others is incomplete.
    chunks
        Of ``summarize_chunks``; None where chunks were not observed.
    cells
        Of ``summarize_cells`` over ``single_cells``; None where the plate has no measurements: no well is
        then called unmeasured.
    promised
        Of ``summarize_image_table``; None without an image table.
    profile_site_offset
        Site number in the profiles minus site number of the image.

    Returns
    -------
    PlateCompleteness
        Verdict of a well, worst first: ``missing`` (declared, nothing on disk), ``incomplete`` (fields,
        channels, levels, chunks or promised cells are not there), ``undeclared`` (the plate's metadata do
        not know the well), ``unmeasured`` (images, but no measurements although the plate has some), ``complete``.
    """
    wells: dict[str, _Well] = {}
    _add_declared(wells, declared)
    plate_id = _add_images(wells, image_assets, chunks) or next((plate.plate_id for plate in declared), None)
    _add_measured(wells, cells, promised, profile_site_offset)
    expected = _expect(wells, declared, cells is not None or promised is not None)
    rows = [
        _build_row(well_id, wells[well_id], expected, (plate_key, dataset_id, plate_id))
        for well_id in sorted(wells, key=_well_order)
    ]
    table = pa.Table.from_pylist(rows, schema=PLATE_COMPLETENESS)
    return _judge_plate(table, rows)


def _well_order(well_id: str) -> tuple[int, str]:
    letters = well_id.rstrip("0123456789")
    return len(letters), well_id


def _add_declared(wells: dict[str, _Well], declared: Sequence[DeclaredPlate]) -> None:
    for plate in declared:
        for entry in plate.wells:
            well = wells.setdefault(entry.well_id, _Well())
            well.is_declared = True
            well.declared_sites |= {
                site for site in (normalize_site(s) for s in entry.sites) if site is not None
            }
            count = len(entry.sites) or entry.field_count
            if count is not None:
                well.fields_declared = (well.fields_declared or 0) + count


def _add_images(wells: dict[str, _Well], images: pa.Table, chunks: pa.Table | None) -> str | None:
    """Count the fields of each well; returns the plate's id."""
    counted: dict[str, tuple[int, int | None]] = {}
    if chunks is not None:
        counted = {
            row["image_id"]: (row["chunks_expected"], row["chunks_found"]) for row in chunks.to_pylist()
        }
    names = [
        "plate_id",
        "well_id",
        "site_id",
        "image_id",
        "image_kind",
        "axes",
        "shape",
        "level_count",
        "files",
        "scan_status",
    ]
    plate_id: str | None = None
    for row in images.select(names).to_pylist():
        well_id = normalize_well(row["well_id"])
        if row["image_kind"] == "label" or well_id is None:
            continue
        plate_id = plate_id or row["plate_id"]
        well = wells.setdefault(well_id, _Well())
        well.field_count += 1
        well.sites.add(normalize_site(row["site_id"]) or row["image_id"])
        channels, missing = _count_channels(row["axes"], row["shape"], row["files"] or [])
        well.channels.append(channels)
        well.missing_files += missing
        well.levels.append(row["level_count"])
        well.partial += row["scan_status"] != "ok"
        expected, found = counted.get(row["image_id"], (None, None))
        if expected is not None:
            well.chunks_expected = (well.chunks_expected or 0) + expected
        if found is not None:
            well.chunks_found = (well.chunks_found or 0) + found
    return plate_id


def _count_channels(
    axes: str | None, shape: Sequence[int], files: Sequence[dict[str, object]]
) -> tuple[int, int]:
    """Channels of an image that are on disk, and how many of its files are missing."""
    names = axis_names(axes)
    channels = shape[names.index("c")] if "c" in names and len(names) == len(shape) else 1
    lost = [entry for entry in files if entry["role"] == "missing"]
    kept = {
        entry["c"] if entry["c"] is not None else entry["channel"]
        for entry in files
        if entry["role"] == "image"
    }
    gone = {entry["c"] if entry["c"] is not None else entry["channel"] for entry in lost} - kept
    return max(channels - len(gone), 0), len(lost)


def _add_measured(
    wells: dict[str, _Well], cells: pa.Table | None, promised: pa.Table | None, site_offset: int
) -> None:
    for table, is_promise in ((promised, True), (cells, False)):
        for row in table.to_pylist() if table is not None else ():
            if row["well_id"] is None:
                continue
            well = wells.setdefault(row["well_id"], _Well())
            well.is_measured = True
            if row["site_id"] is not None:
                well.measured_sites.add(_shift(row["site_id"], site_offset))
            if is_promise:
                well.cells_claimed = (well.cells_claimed or 0) + row["cell_count"]
            else:
                well.cells_found = (well.cells_found or 0) + row["cell_count"]
    for well in wells.values():
        if well.is_measured and cells is not None:
            well.cells_found = well.cells_found or 0


def _shift(site: str, offset: int) -> str:
    return str(int(site) - offset) if offset and site.lstrip("-").isdigit() else site


def _expect(wells: dict[str, _Well], declared: Sequence[DeclaredPlate], has_measurements: bool) -> _Expected:
    """Expectations of the plate: its declared channels, else what its best images have."""
    channels = max((len(plate.channel_names) for plate in declared), default=0)
    channels = channels or max((c + 0 for well in wells.values() for c in well.channels), default=0)
    levels = max((level for well in wells.values() for level in well.levels), default=0)
    fields = Counter(well.field_count for well in wells.values() if well.field_count)
    usual = max(fields, key=lambda count: (fields[count], count)) if fields else None
    return _Expected(channels or None, levels or None, usual, bool(declared), has_measurements)


def _build_row(
    well_id: str, well: _Well, expected: _Expected, keys: tuple[str, str, str | None]
) -> dict[str, object]:
    reasons = [*_image_reasons(well, expected), *_cell_reasons(well)]
    has_images = bool(well.field_count)
    return {
        "plate_key": keys[0],
        "dataset_id": keys[1],
        "plate_id": keys[2],
        "well_id": well_id,
        "fields_declared": well.fields_declared,
        "fields_found": well.field_count,
        "channels_declared": expected.channels,
        "channels_found": min(well.channels) if has_images else None,
        "levels_declared": expected.levels,
        "levels_found": min(well.levels) if has_images else None,
        "chunks_expected": well.chunks_expected,
        "chunks_found": well.chunks_found,
        "sites_measured": len(well.measured_sites) if expected.has_measurements else None,
        "cells_claimed": well.cells_claimed,
        "cells_found": well.cells_found,
        "verdict": _judge_well(well, expected, reasons),
        "reasons": reasons + _state_reasons(well, expected),
    }


def _image_reasons(well: _Well, expected: _Expected) -> list[str]:
    """What is not on disk."""
    if not well.field_count:
        return []
    reasons = []
    lost = sorted(well.declared_sites - well.sites, key=_site_order)
    if lost:
        reasons.append(f"declared field {_names(lost)} not found")
    elif well.fields_declared is not None and well.field_count < well.fields_declared:
        reasons.append(f"{well.field_count} of {well.fields_declared} declared fields found")
    elif not expected.has_declaration and well.field_count < (expected.usual_fields or 0):
        reasons.append(f"{well.field_count} field(s), most wells have {expected.usual_fields}")
    if expected.channels and min(well.channels) < expected.channels:
        short = sum(count < expected.channels for count in well.channels)
        reasons.append(f"{short} field(s) have only {min(well.channels)} of {expected.channels} channels")
    elif well.missing_files:
        reasons.append(f"{well.missing_files} image file(s) missing")
    if expected.levels and min(well.levels) < expected.levels:
        short = sum(count < expected.levels for count in well.levels)
        reasons.append(
            f"{short} field(s) have only {min(well.levels)} of {expected.levels} resolution levels"
        )
    if well.partial:
        reasons.append(f"{well.partial} field(s) could be read only in part")
    if (
        well.chunks_expected is not None
        and well.chunks_found is not None
        and well.chunks_found < well.chunks_expected
    ):
        reasons.append(
            f"{well.chunks_expected - well.chunks_found} of {well.chunks_expected} chunks are not stored"
        )
    return reasons


def _cell_reasons(well: _Well) -> list[str]:
    """What the measurements claim and what is there."""
    if not well.is_measured:
        return []
    reasons = []
    if (
        well.cells_claimed is not None
        and well.cells_found is not None
        and well.cells_claimed != well.cells_found
    ):
        reasons.append(f"{well.cells_found} cells found, the image table promises {well.cells_claimed}")
    if well.measured_sites and well.sites:
        without_image = sorted(well.measured_sites - well.sites, key=_site_order)
        unmeasured = sorted(well.sites - well.measured_sites, key=_site_order)
        if without_image:
            reasons.append(f"measured site {_names(without_image)} has no image")
        if unmeasured:
            reasons.append(f"site {_names(unmeasured)} has images but was not measured")
    return reasons


def _state_reasons(well: _Well, expected: _Expected) -> list[str]:
    reasons = []
    if well.is_declared and not well.field_count:
        reasons.append("declared by the plate, but no field is on disk")
    if not well.is_declared and not well.field_count:
        reasons.append("measured, but no field is on disk")
    if expected.has_declaration and not well.is_declared:
        reasons.append("the plate's metadata do not list this well")
    if expected.has_measurements and not well.is_measured and well.field_count:
        reasons.append("no measurements")
    return reasons


def _judge_well(well: _Well, expected: _Expected, reasons: Sequence[str]) -> Verdict:
    if not well.field_count:
        return "missing"
    if reasons:
        return "incomplete"
    if expected.has_declaration and not well.is_declared:
        return "undeclared"
    if expected.has_measurements and not well.is_measured:
        return "unmeasured"
    return "complete"


def _judge_plate(table: pa.Table, rows: Sequence[dict[str, object]]) -> PlateCompleteness:
    counts = Counter(str(row["verdict"]) for row in rows)
    verdict: Verdict = next((verdict for verdict in VERDICTS if counts[verdict]), "no-plate")
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        listed = row["reasons"]
        for reason in listed if isinstance(listed, list) else ():
            by_reason.setdefault(reason, []).append(str(row["well_id"]))
    reasons = tuple(f"{_names(wells)}: {reason}" for reason, wells in by_reason.items())
    return PlateCompleteness(table, verdict, reasons, dict(counts))


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - MAX_NAMES} more" if len(listed) > MAX_NAMES else ""
    return ", ".join(listed[:MAX_NAMES]) + more


def _site_order(site: str) -> tuple[int, str]:
    return (int(site), "") if site.isdigit() else (1 << 62, site)
