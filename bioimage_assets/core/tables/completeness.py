"""Whether each well is complete: what a plate declares, what is on disk and what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.model.axes import count_channels
from bioimage_assets.core.model.identity import normalize_site, normalize_well, subtract_site_offset
from bioimage_assets.core.model.image import axis_names
from bioimage_assets.core.model.scan import DeclaredPlate
from bioimage_assets.core.tables.completeness_reasons import (
    VERDICTS,
    Expectation,
    Verdict,
    WellView,
    cell_reasons,
    image_reasons,
    judge_well,
    list_names,
    state_reasons,
)
from bioimage_assets.core.tables.schemas import PLATE_COMPLETENESS

NOT_MEASURED = "no measurements of this plate are known"


@dataclass(frozen=True, slots=True)
class PlateCompleteness:
    """``plate_completeness`` of one plate, the plate's own verdict, and its reasons with the wells they concern.

    The first reason of a plate that was not measured is ``NOT_MEASURED``; it is about no well.
    ``counts`` is the number of wells by verdict. A partition without wells has the verdict ``no-plate``.
    """

    table: pa.Table
    verdict: Verdict
    reasons: tuple[str, ...]
    counts: dict[str, int]


def build_plate_completeness(
    image_assets: pa.Table,
    declared: Sequence[DeclaredPlate],
    *,
    plate_key: str,
    dataset_id: str,
    chunks: pa.Table | None = None,
    cells: pa.Table | None = None,
    promised: pa.Table | None = None,
    linked: Mapping[str, int] | None = None,
    profile_site_offset: int = 0,
    is_imageless: bool = False,
    measured_plate_id: str | None = None,
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
    linked
        Of ``count_linked`` over the joined cells; None where nothing was joined.
    profile_site_offset
        Site number in the profiles minus site number of the image.
    is_imageless
        The plate has no images by design: its wells are those that were measured.
    measured_plate_id
        Plate of all cells; stands in where neither images nor metadata name one.

    Returns
    -------
    PlateCompleteness
        Verdict of a well, worst first: ``missing`` (declared, nothing on disk), ``incomplete`` (fields,
        channels, levels, chunks or promised cells are not there, or measured cells are linked to no image), ``undeclared`` (the plate's metadata do
        not know the well), ``unmeasured`` (images, but no measurements although the plate has some), ``complete``.
    """
    wells: dict[str, WellView] = {}
    _add_declared(wells, declared)
    plate_id = _add_images(wells, image_assets, chunks) or next((plate.plate_id for plate in declared), None)
    plate_id = plate_id or measured_plate_id
    _add_measured(wells, cells, promised, profile_site_offset)
    for well_id, count in (linked or {}).items():
        wells.setdefault(well_id, WellView()).cells_linked = count
    is_measured = cells is not None or promised is not None
    expected = _expect(wells, declared, is_measured, is_imageless and not image_assets.num_rows)
    rows = [
        _build_row(well_id, wells[well_id], expected, (plate_key, dataset_id, plate_id))
        for well_id in sorted(wells, key=_well_order)
    ]
    table = pa.Table.from_pylist(rows, schema=PLATE_COMPLETENESS)
    return _judge_plate(table, rows, is_measured)


def _well_order(well_id: str) -> tuple[int, str]:
    letters = well_id.rstrip("0123456789")
    return len(letters), well_id


def _add_declared(wells: dict[str, WellView], declared: Sequence[DeclaredPlate]) -> None:
    for plate in declared:
        for entry in plate.wells:
            well = wells.setdefault(entry.well_id, WellView())
            well.is_declared = True
            well.declared_sites |= {
                site for site in (normalize_site(s) for s in entry.sites) if site is not None
            }
            count = len(entry.sites) or entry.field_count
            if count is not None:
                well.fields_declared = (well.fields_declared or 0) + count


def _add_images(wells: dict[str, WellView], images: pa.Table, chunks: pa.Table | None) -> str | None:
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
        well = wells.setdefault(well_id, WellView())
        well.field_count += 1
        well.sites.add(normalize_site(row["site_id"]) or row["image_id"])
        channels, missing = _count_channels(row["axes"], row["shape"], row["files"] or [])
        well.channels.append(channels)
        well.missing_files += missing
        well.levels.append(row["level_count"])
        well.partial += row["scan_status"] == "partial"
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
    counted = count_channels(names, shape)
    channels = 1 if counted is None else counted
    if not names:  # images that a table names and nobody opened
        channels = max(1, len({entry["c"] for entry in files if entry["c"] is not None}))
    lost = [entry for entry in files if entry["role"] == "missing"]
    kept = {
        entry["c"] if entry["c"] is not None else entry["channel"]
        for entry in files
        if entry["role"] == "image"
    }
    gone = {entry["c"] if entry["c"] is not None else entry["channel"] for entry in lost} - kept
    return max(channels - len(gone), 0), len(lost)


def _add_measured(
    wells: dict[str, WellView], cells: pa.Table | None, promised: pa.Table | None, site_offset: int
) -> None:
    for table, is_promise in ((promised, True), (cells, False)):
        for row in table.to_pylist() if table is not None else ():
            if row["well_id"] is None:
                continue
            well = wells.setdefault(row["well_id"], WellView())
            well.is_measured = True
            if row["site_id"] is not None:
                well.measured_sites.add(subtract_site_offset(row["site_id"], site_offset))
            if is_promise:
                well.cells_claimed = (well.cells_claimed or 0) + row["cell_count"]
            else:
                well.cells_found = (well.cells_found or 0) + row["cell_count"]
    for well in wells.values():
        if well.is_measured and cells is not None:
            well.cells_found = well.cells_found or 0


def _expect(
    wells: dict[str, WellView],
    declared: Sequence[DeclaredPlate],
    has_measurements: bool,
    is_imageless: bool,
) -> Expectation:
    """Expectations of the plate: its declared channels, else what its best images have."""
    channels = max((len(plate.channel_names) for plate in declared), default=0)
    channels = channels or max((c for well in wells.values() for c in well.channels), default=0)
    levels = max((level for well in wells.values() for level in well.levels), default=0)
    fields = Counter(well.field_count for well in wells.values() if well.field_count)
    usual = max(fields, key=lambda count: (fields[count], count)) if fields else None
    return Expectation(
        channels or None, levels or None, usual, bool(declared), has_measurements, is_imageless
    )


def _build_row(
    well_id: str, well: WellView, expected: Expectation, keys: tuple[str, str, str | None]
) -> dict[str, object]:
    reasons = [*image_reasons(well, expected), *cell_reasons(well)]
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
        "verdict": judge_well(well, expected, reasons),
        "reasons": reasons + state_reasons(well, expected),
    }


def _judge_plate(table: pa.Table, rows: Sequence[dict[str, object]], is_measured: bool) -> PlateCompleteness:
    counts = Counter(str(row["verdict"]) for row in rows)
    verdict: Verdict = next((verdict for verdict in VERDICTS if counts[verdict]), "no-plate")
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        listed = row["reasons"]
        for reason in listed if isinstance(listed, list) else ():
            by_reason.setdefault(reason, []).append(str(row["well_id"]))
    reasons = tuple(f"{list_names(wells)}: {reason}" for reason, wells in by_reason.items())
    if rows and not is_measured:
        reasons = (NOT_MEASURED, *reasons)
    return PlateCompleteness(table, verdict, reasons, dict(counts))
