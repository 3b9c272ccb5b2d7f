"""The tables of one plate become its report: pictures of layout, QC, profiles and accounting on one page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.pictures.accounting import (
    CountStep,
    draw_completeness,
    draw_join_report,
    draw_lineage,
)
from bioimage_assets.core.pictures.embedding import draw_dose_response, draw_well_pca
from bioimage_assets.core.pictures.geometry import PlateGeometry
from bioimage_assets.core.pictures.histograms import draw_qc_histograms
from bioimage_assets.core.pictures.html import Report, ReportSection, ReportTable, build_html_report
from bioimage_assets.core.pictures.montage import CropReader, draw_qc_montage
from bioimage_assets.core.pictures.plate_map import WellValues, build_layout, draw_plate_heatmaps
from bioimage_assets.core.pictures.style import Picture
from bioimage_assets.core.profiling.cosmicqc import QcReport, describe_cosmicqc_profiles
from bioimage_assets.core.profiling.features import list_profile_features, with_profiles
from bioimage_assets.core.profiling.pycytominer import FAILED_COUNT, OBJECT_COUNT
from bioimage_assets.core.profiling.sources import CellSource, open_cells, read_columns
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.completeness_reasons import WHOLE

_FEATURE_PANELS = 3


@dataclass(frozen=True, slots=True)
class PlateTables:
    """Tables of one plate as they are stored; every one may be absent.

    ``joined`` (cells with their images) may be files, from which only needed columns are read. ``read_crop`` cuts
    pixels for the montage; without it there is none.
    """

    plate_key: str
    settings: DatasetSettings
    joined: CellSource | None = None
    qc: pa.Table | None = None
    wells: pa.Table | None = None
    image_assets: pa.Table | None = None
    completeness: pa.Table | None = None
    join_report: pa.Table | None = None
    findings: tuple[Finding, ...] = ()
    geometry: PlateGeometry | None = None
    read_crop: CropReader | None = None


def build_plate_report(tables: PlateTables) -> Report:
    """Build the page of one plate from whatever tables it has; nothing is written."""
    qc_report = _qc_report(tables)
    profiles = _present(*_profile_pictures(tables))
    sections = (
        ReportSection(
            "Plate",
            "What is in each well, how many cells were found there and how many failed quality control.",
            _present(draw_plate_overview(tables)),
        ),
        ReportSection(
            "Quality control",
            "Cells beyond the thresholds of coSMicQC, relative to this plate.",
            _present(_histograms(tables, qc_report), _montage(tables, qc_report)),
            _qc_tables(qc_report),
        ),
        ReportSection(
            "Profiles",
            "Well profiles, normalised within the plate." if profiles else _why_no_profiles(tables),
            profiles,
        ),
        ReportSection(
            "Accounting",
            "Where cells, fields and wells went.",
            _present(*_accounting_pictures(tables, qc_report)),
            _well_tables(tables),
        ),
    )
    subtitle = "Plate report: images, quality control and profiles"
    return build_html_report(
        tables.plate_key, subtitle, build_facts(tables, qc_report), tables.findings, sections
    )


def draw_plate_overview(tables: PlateTables) -> Picture | None:
    """Draw layout, cell counts, QC failures and the liveliest features of a plate; None without well profiles."""
    wells = tables.wells
    if wells is None or wells.num_rows == 0:
        return None
    names = ["" if name is None else str(name) for name in wells["well_id"].to_pylist()]
    passed, failed = wells[OBJECT_COUNT].to_pylist(), wells[FAILED_COUNT].to_pylist()
    layout = build_layout(wells, tables.settings)
    controls = frozenset(well.well for well in layout if well.is_control)
    rates = {
        name: bad / (bad + good) for name, good, bad in zip(names, passed, failed, strict=True) if bad + good
    }
    panels = [
        WellValues("Cells that passed QC", dict(zip(names, passed, strict=True)), "count", controls),
        WellValues("Cells failing QC (%)", rates, "fraction", controls),
    ]
    features = choose_features(wells)
    for feature in features:
        values = dict(zip(names, wells[feature].to_pylist(), strict=True))
        panels.append(WellValues(f"{feature} (SD)", values, "signed", controls))
    caption = "Framed wells are negative controls; paler colours of the layout are lower doses."
    if features:
        caption += (
            " Features, the ones that differ most between wells, are in deviations of the reference cells."
        )
    return draw_plate_heatmaps(
        "plate_overview", tables.plate_key, caption, panels, geometry=tables.geometry, layout=layout
    )


def choose_features(wells: pa.Table, count: int = _FEATURE_PANELS) -> list[str]:
    """Choose features that differ most between wells and are not the same thing twice (|r| below 0.8)."""
    wells = with_profiles(wells)
    names = list_profile_features(wells.schema)
    values = wells.select(names).to_pandas().to_numpy(dtype=np.float64)
    usable = np.isfinite(values).all(axis=0) if values.size else np.zeros(len(names), bool)
    values, names = values[:, usable], [name for name, ok in zip(names, usable, strict=True) if ok]
    if not names or wells.num_rows < 2:
        return []
    low, high = np.percentile(values, [5, 95], axis=0)
    chosen: list[int] = []
    for index in np.argsort(low - high, kind="stable"):
        if high[index] <= low[index] or len(chosen) == count:
            break
        if all(abs(_correlation(values[:, index], values[:, other])) < 0.8 for other in chosen):
            chosen.append(int(index))
    return [names[index] for index in chosen]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    a, b = first - first.mean(), second - second.mean()
    lengths = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / lengths if lengths else 0.0


def build_facts(tables: PlateTables, qc_report: QcReport | None) -> list[tuple[str, object]]:
    """Headline numbers of a plate."""
    facts: list[tuple[str, object]] = []
    if tables.image_assets is not None:
        facts.append(("images", _count_images(tables.image_assets)))
    if qc_report is not None:
        facts.append(("cells", qc_report.cell_count))
        facts.append(("cells failing QC", f"{qc_report.failed_count:,} ({qc_report.fail_fraction:.1%})"))
    if tables.join_report is not None:
        imageless = _outcome_count(tables.join_report, "no-images")
        matched = _outcome_count(tables.join_report, "matched")
        facts.append(("cells joined to an image", "none: the plate has no images" if imageless else matched))
    if tables.wells is not None:
        facts.append(("wells profiled", tables.wells.num_rows))
        facts.append(("features", len(list_profile_features(tables.wells.schema))))
    return facts


def build_lineage(tables: PlateTables, qc_report: QcReport | None) -> list[CountStep]:
    """Cells from measurement to profile, with the losses of each step in words."""
    steps: list[CountStep] = []
    if tables.join_report is not None:
        matched = _outcome_count(tables.join_report, "matched")
        unmatched = sum(
            _outcome_count(tables.join_report, name) for name in ("ambiguous", "profiles-without-image")
        )
        imageless = _outcome_count(tables.join_report, "no-images")
        steps.append(CountStep("measured", matched + unmatched + imageless))
        if not imageless:
            lost = f"{unmatched:,} without image" if unmatched else ""
            steps.append(CountStep("joined to their image", matched, lost))
    if qc_report is not None:
        passed = qc_report.cell_count - qc_report.failed_count
        if not steps:
            steps.append(CountStep("measured", qc_report.cell_count))
        lost = f"{qc_report.failed_count:,} failed QC" if qc_report.failed_count else ""
        steps.append(CountStep("passed QC", passed, lost))
    if tables.wells is not None and tables.wells.num_rows:
        profiled = int(pc.sum(tables.wells[OBJECT_COUNT]).as_py() or 0)
        steps.append(CountStep(f"in {tables.wells.num_rows} well profiles", profiled))
    return steps


def _qc_report(tables: PlateTables) -> QcReport | None:
    if tables.qc is None or tables.joined is None or tables.qc.num_rows == 0:
        return None
    return describe_cosmicqc_profiles(tables.qc, tables.joined, tables.settings)


def _histograms(tables: PlateTables, qc_report: QcReport | None) -> Picture | None:
    if qc_report is None or tables.joined is None:
        return None
    features = sorted({limit.feature for condition in qc_report.conditions for limit in condition.thresholds})
    return draw_qc_histograms(read_columns(open_cells(tables.joined), features), qc_report, "QC thresholds")


def _montage(tables: PlateTables, qc_report: QcReport | None) -> Picture | None:
    if qc_report is None or tables.joined is None or tables.qc is None or tables.read_crop is None:
        return None
    return draw_qc_montage(tables.joined, tables.qc, qc_report, tables.read_crop, "Failed and passed cells")


def _profile_pictures(tables: PlateTables) -> tuple[Picture | None, ...]:
    if tables.wells is None:
        return ()
    return (
        draw_well_pca(tables.wells, tables.settings, "Wells by profile"),
        draw_dose_response(tables.wells, tables.settings, "Dose response"),
    )


def _why_no_profiles(tables: PlateTables) -> str:
    """What a reader is told where there is no picture of profiles."""
    if tables.wells is None or not tables.wells.num_rows:
        return "This plate has no well profiles: nothing was measured on it, or profiling has not run yet."
    count = with_profiles(tables.wells).num_rows
    return f"{count} of {tables.wells.num_rows} wells have a profile, too few (or too few features) to compare them."


def _accounting_pictures(tables: PlateTables, qc_report: QcReport | None) -> tuple[Picture | None, ...]:
    complete, joins = tables.completeness, tables.join_report
    return (
        draw_lineage(build_lineage(tables, qc_report), "Cells from measurement to profile"),
        None if complete is None else draw_completeness(complete, "Completeness", geometry=tables.geometry),
        None if joins is None else draw_join_report(joins, "Profiles joined to images"),
    )


def _qc_tables(qc_report: QcReport | None) -> tuple[ReportTable, ...]:
    if qc_report is None:
        return ()
    rows: list[tuple[object, ...]] = [
        (condition.name, condition.flagged_count, limit.feature, limit.zscore, limit.cutoff)
        for condition in qc_report.conditions
        for limit in condition.thresholds
    ]
    rows += [(skipped.name, None, skipped.reason, None, None) for skipped in qc_report.skipped]
    header = ("condition", "cells flagged", "feature", "z-score limit", "limit in units of the feature")
    return (ReportTable("Conditions", header, tuple(rows)),)


def _well_tables(tables: PlateTables) -> tuple[ReportTable, ...]:
    found = []
    if tables.completeness is not None:
        bad = [row for row in tables.completeness.to_pylist() if row["verdict"] not in WHOLE]
        if bad:
            rows = tuple((row["well_id"], row["verdict"], "; ".join(row["reasons"] or ())) for row in bad)
            found.append(ReportTable("Wells that are not complete", ("well", "verdict", "reasons"), rows))
    if tables.wells is not None and tables.wells.num_rows:
        names = ["well_id", OBJECT_COUNT, FAILED_COUNT]
        extra = [name for name in tables.settings.treatment_columns if name in tables.wells.column_names]
        rows = tuple(zip(*(tables.wells[name].to_pylist() for name in (*names, *extra)), strict=True))
        header = ("well", "cells passed", "cells failed", *(name.removeprefix("Metadata_") for name in extra))
        found.append(ReportTable("Wells", header, rows))
    return tuple(found)


def _count_images(image_assets: pa.Table) -> int:
    if "image_kind" not in image_assets.column_names:
        return int(image_assets.num_rows)
    return sum(kind != "label" for kind in image_assets["image_kind"].to_pylist())


def _outcome_count(join_report: pa.Table, outcome: str) -> int:
    pairs = zip(join_report["outcome"].to_pylist(), join_report["row_count"].to_pylist(), strict=True)
    return sum(int(count) for name, count in pairs if name == outcome)


def _present(*pictures: Picture | None) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture is not None)
