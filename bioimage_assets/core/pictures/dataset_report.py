"""The tables of a whole dataset become its report: plates side by side, replicates, doses and treatments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.pictures.embedding import draw_dose_response, draw_well_pca
from bioimage_assets.core.pictures.html import Report, ReportSection, ReportTable, build_html_report
from bioimage_assets.core.pictures.plate_map import WellValues, draw_plate_heatmaps
from bioimage_assets.core.pictures.replicate_plot import draw_replicates
from bioimage_assets.core.pictures.style import Picture
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.pycytominer import FAILED_COUNT, OBJECT_COUNT
from bioimage_assets.core.profiling.replicates import ReplicateReport, measure_replicates
from bioimage_assets.core.settings.dataset import DatasetSettings

_MAX_PLATES_DRAWN = 24


@dataclass(frozen=True, slots=True)
class DatasetTables:
    """Tables of one dataset as they are stored; every one may be absent.

    ``wells`` are the well profiles of each plate, ``selected`` those with the selected features.
    """

    dataset_id: str
    settings: DatasetSettings
    wells: tuple[pa.Table, ...] = ()
    selected: pa.Table | None = None
    consensus: pa.Table | None = None
    findings: tuple[Finding, ...] = ()


def build_dataset_report(tables: DatasetTables) -> Report:
    """Build the page of one dataset from whatever tables it has; nothing is written."""
    replicates, findings = _replicates(tables)
    sections = (
        ReportSection(
            "Plates",
            "Cells per well and QC failures of every plate; positions that stand out on all plates are no biology.",
            _present(draw_plates(tables.wells, "count"), draw_plates(tables.wells, "fraction")),
            _plate_tables(tables.wells),
        ),
        ReportSection(
            "Profiles", "Wells of all plates by their selected features.", _profile_pictures(tables)
        ),
        ReportSection(
            "Replicates",
            "How alike the wells of a treatment are, and how well they are told from controls.",
            _present(None if replicates is None else draw_replicates(replicates, "Replicates")),
            _replicate_tables(replicates),
        ),
        ReportSection("Features", "What feature selection kept.", (), _feature_tables(tables.selected)),
    )
    subtitle = "Dataset report: plates, profiles and treatments"
    return build_html_report(tables.dataset_id, subtitle, _facts(tables, replicates), findings, sections)


def draw_plates(plates: Sequence[pa.Table], kind: str) -> Picture | None:
    """Draw all plates of a dataset on one scale: ``count`` of passing cells, or ``fraction`` failing QC."""
    panels = []
    for table in [table for table in plates if table.num_rows][:_MAX_PLATES_DRAWN]:
        names = ["" if name is None else str(name) for name in table["well_id"].to_pylist()]
        counts = zip(names, table[OBJECT_COUNT].to_pylist(), table[FAILED_COUNT].to_pylist(), strict=True)
        if kind == "count":
            panels.append(WellValues(_plate_name(table), {name: good for name, good, _ in counts}, "count"))
        else:
            rates = {name: bad / (good + bad) for name, good, bad in counts if good + bad}
            panels.append(WellValues(_plate_name(table), rates, "fraction"))
    if not panels:
        return None
    title = "Cells that passed QC" if kind == "count" else "Cells failing QC (%)"
    more = f" The first {len(panels)} of {len(plates)} plates." if len(plates) > len(panels) else ""
    columns = min(3, len(panels))
    return draw_plate_heatmaps(
        f"plates_{kind}", title, f"{title} per well.{more}", panels, columns=columns, is_one_scale=True
    )


def _plate_name(table: pa.Table) -> str:
    return str(table["plate_id"][0].as_py() or table["plate_key"][0].as_py())


def _replicates(tables: DatasetTables) -> tuple[ReplicateReport | None, list[Finding]]:
    findings = list(tables.findings)
    if tables.selected is None or tables.selected.num_rows == 0:
        return None, findings
    try:
        report = measure_replicates(tables.selected, tables.settings)
    except ProfilingError as error:
        findings.append(Finding("replicates-not-measured", "info", "", str(error)))
        return None, findings
    return report, [*findings, *report.findings]


def _profile_pictures(tables: DatasetTables) -> tuple[Picture, ...]:
    if tables.selected is None or tables.selected.num_rows == 0:
        return ()
    return _present(
        draw_well_pca(tables.selected, tables.settings, "Wells by profile"),
        draw_dose_response(tables.selected, tables.settings, "Dose response"),
    )


def _facts(tables: DatasetTables, replicates: ReplicateReport | None) -> list[tuple[str, object]]:
    wells = [table for table in tables.wells if table.num_rows]
    facts: list[tuple[str, object]] = [
        ("plates", len(wells)),
        ("wells", sum(table.num_rows for table in wells)),
        ("cells profiled", sum(int(pc.sum(table[OBJECT_COUNT]).as_py() or 0) for table in wells)),
    ]
    if tables.selected is not None:
        facts.append(("features selected", len(list_profile_features(tables.selected.schema))))
    if replicates is not None and replicates.percent_replicating is not None:
        facts.append(("treatments replicating", f"{replicates.percent_replicating:.0f} %"))
    if replicates is not None and replicates.percent_active is not None:
        facts.append(("treatments active", f"{replicates.percent_active:.0f} %"))
    return facts


def _plate_tables(plates: Sequence[pa.Table]) -> tuple[ReportTable, ...]:
    rows = []
    for table in plates:
        if table.num_rows:
            good, bad = (int(pc.sum(table[name]).as_py() or 0) for name in (OBJECT_COUNT, FAILED_COUNT))
            rows.append(
                (
                    _plate_name(table),
                    table.num_rows,
                    good,
                    bad,
                    f"{bad / (good + bad):.1%}" if good + bad else "",
                )
            )
    header = ("plate", "wells", "cells passed", "cells failed", "failed")
    return (ReportTable("Plates", header, tuple(rows)),) if rows else ()


def _replicate_tables(report: ReplicateReport | None) -> tuple[ReportTable, ...]:
    if report is None or not report.treatments:
        return ()
    header = (
        "treatment",
        "wells",
        "replicate correlation",
        "null 95 %",
        "replicates",
        "mAP",
        "q",
        "active",
        "strength",
    )
    rows = tuple(
        (
            row.treatment, row.replicate_count, row.replicate_correlation, row.null_limit, row.is_replicating,
            row.mean_average_precision, row.q_value, row.is_active, row.strength,
        )
        for row in report.treatments
    )  # fmt: skip
    return (ReportTable("Treatments", header, rows),)


def _feature_tables(selected: pa.Table | None) -> tuple[ReportTable, ...]:
    """Selected features counted by compartment and kind of measurement."""
    if selected is None:
        return ()
    counts: dict[tuple[str, str], int] = {}
    for name in list_profile_features(selected.schema):
        parts = name.split("_")
        key = (parts[0], parts[1] if len(parts) > 2 else "")
        counts[key] = counts.get(key, 0) + 1
    rows = tuple((*key, count) for key, count in sorted(counts.items()))
    return (
        (ReportTable("Selected features", ("compartment", "measurement", "features"), rows),) if rows else ()
    )


def _present(*pictures: Picture | None) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture is not None)
