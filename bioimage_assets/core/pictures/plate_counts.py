"""The numbers on a plate's page: headlines, cells at every step, and tables of wells."""

from __future__ import annotations

import pyarrow as pa

from bioimage_assets.core.phrases import count_words, plural_of
from bioimage_assets.core.pictures.accounting import LINKED, CountStep
from bioimage_assets.core.pictures.page_parts import ReportTable
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.pictures.reference import build_reference_facts, find_reference
from bioimage_assets.core.pictures.well_numbers import count_wells, find_strata, list_features, sum_cells
from bioimage_assets.core.profiling.cosmicqc import QcReport
from bioimage_assets.core.profiling.result_columns import FAILED_COUNT, OBJECT_COUNT
from bioimage_assets.core.tables.completeness_reasons import WHOLE


def build_facts(tables: PlateTables, qc_report: QcReport | None) -> list[tuple[str, object]]:
    """Headline numbers of a plate."""
    facts: list[tuple[str, object]] = []
    images = tables.image_count
    if images is not None:
        facts.append((plural_of(images, "image"), images))
    if qc_report is not None:
        facts.append((plural_of(qc_report.cell_count, "cell"), qc_report.cell_count))
        failed = f"{qc_report.failed_count:,} ({qc_report.fail_fraction:.1%})"
        facts.append((f"{plural_of(qc_report.failed_count, 'cell')} failing QC", failed))
    if tables.join_report is not None and not tables.is_imageless:
        matched = tables.count_outcome("matched")
        facts.append((f"{plural_of(matched, 'cell')} joined to an image", matched))
    if tables.wells is not None and tables.wells.num_rows:
        facts += _profile_facts(tables.wells, tables)
    return facts


def _profile_facts(wells: pa.Table, tables: PlateTables) -> list[tuple[str, object]]:
    well_count = count_wells(wells)
    facts: list[tuple[str, object]] = [(f"{plural_of(well_count, 'well')} profiled", well_count)]
    if wells.num_rows > well_count:
        facts.append(("well profiles", wells.num_rows))
    features = len(list_features(wells))
    facts.append((plural_of(features, "feature"), features))
    return facts + build_reference_facts(find_reference(wells, tables.findings), tables.settings)


def build_lineage(tables: PlateTables, qc_report: QcReport | None) -> list[CountStep]:
    """Cells from measurement to profile, with the losses of each step in words."""
    steps: list[CountStep] = []
    if tables.join_report is not None and not tables.is_imageless:
        matched = tables.count_outcome("matched")
        measured = tables.measured_count
        lost = measured - matched
        steps.append(CountStep("measured", measured))
        steps.append(CountStep(LINKED, matched, f"{lost:,} without image" if lost else ""))
    if qc_report is not None:
        passed = qc_report.cell_count - qc_report.failed_count
        if not steps:
            steps.append(CountStep("measured", qc_report.cell_count))
        lost_words = f"{qc_report.failed_count:,} failed QC" if qc_report.failed_count else ""
        steps.append(CountStep("passed QC", passed, lost_words))
    if tables.wells is not None and tables.wells.num_rows:
        profiles = count_words(tables.wells.num_rows, "well profile")
        steps.append(CountStep(f"in {profiles}", sum_cells(tables.wells, OBJECT_COUNT)))
    return steps


def build_condition_table(qc_report: QcReport | None) -> ReportTable | None:
    """Conditions as they were evaluated, and those that were not; None without quality control."""
    if qc_report is None:
        return None
    rows: list[tuple[object, ...]] = [
        (condition.name, condition.flagged_count, limit.feature, limit.zscore, limit.cutoff)
        for condition in qc_report.conditions
        for limit in condition.thresholds
    ]
    rows += [
        (condition.name, condition.flagged_count, "flags of fields in image_quality", None, None)
        for condition in qc_report.conditions
        if not condition.thresholds
    ]
    rows += [(skipped.name, None, skipped.reason, None, None) for skipped in qc_report.skipped]
    header = ("condition", "cells flagged", "feature", "z-score limit", "limit in units of the feature")
    return ReportTable("Conditions", header, tuple(rows))


def build_incomplete_table(tables: PlateTables) -> ReportTable | None:
    """Wells that lack something, and what; None where there is none."""
    if tables.completeness is None:
        return None
    bad = [row for row in tables.completeness.to_pylist() if row["verdict"] not in WHOLE]
    links = tables.links
    rows = tuple((links.well(row["well_id"]), row["verdict"], "; ".join(row["reasons"] or ())) for row in bad)
    return ReportTable("Wells that are not complete", ("well", "verdict", "reasons"), rows) if bad else None


def build_well_table(tables: PlateTables) -> ReportTable | None:
    """Cells and treatment of each well; None without well profiles."""
    wells = tables.wells
    if wells is None or not wells.num_rows:
        return None
    extra = dict.fromkeys((*find_strata(wells), *tables.settings.treatment_columns))
    names = {"well_id": "well", OBJECT_COUNT: "cells passed", FAILED_COUNT: "cells failed"}
    names |= {name: name.removeprefix("Metadata_") for name in extra}
    shown = {name: label for name, label in names.items() if name in wells.column_names}
    columns = {name: wells[name].to_pylist() for name in shown}
    if "well_id" in columns:
        columns["well_id"] = list(map(tables.links.well, columns["well_id"]))
    rows = tuple(zip(*columns.values(), strict=True))
    return ReportTable("Wells", tuple(shown.values()), rows) if shown else None
