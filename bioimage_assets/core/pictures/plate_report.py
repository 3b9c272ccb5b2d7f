"""The report of a plate: layout, QC, profiles and accounting on one page."""

from __future__ import annotations

from dataclasses import replace

from bioimage_assets.core.pictures.accounting import draw_completeness, draw_join_report, draw_lineage
from bioimage_assets.core.pictures.acquisition_section import build_acquisition_section
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn, try_to_make
from bioimage_assets.core.pictures.embedding import draw_dose_response, draw_well_pca
from bioimage_assets.core.pictures.histograms import draw_qc_histograms
from bioimage_assets.core.pictures.html import build_html_report
from bioimage_assets.core.pictures.image_quality import build_quality_section
from bioimage_assets.core.pictures.montage import draw_qc_montage
from bioimage_assets.core.pictures.notices import build_notices
from bioimage_assets.core.pictures.page_parts import PageFrame, Report, ReportSection
from bioimage_assets.core.pictures.plate_counts import (
    build_condition_table,
    build_facts,
    build_incomplete_table,
    build_lineage,
    build_well_table,
)
from bioimage_assets.core.pictures.plate_overview import draw_plate_overview
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.pictures.qc_conditions import (
    build_well_flags_table,
    build_worst_cells_table,
    draw_qc_conditions,
)
from bioimage_assets.core.pictures.reference import describe_reference, find_reference
from bioimage_assets.core.pictures.thumbnails import draw_thumbnails
from bioimage_assets.core.profiling.cosmicqc import QcReport, describe_cosmicqc_profiles
from bioimage_assets.core.profiling.sources import CellSource, open_cells, read_columns


def build_plate_report(tables: PlateTables, frame: PageFrame = PageFrame()) -> Report:  # noqa: B008 (frozen)
    """Build the page of one plate from whatever tables it has; nothing is written.

    Never fails because of what the tables hold: a part that cannot be made is a sentence in its place, and a finding
    ``picture-not-drawn`` of the report.
    """
    quality = try_to_make("Quality control", lambda: _qc_report(tables))
    qc_report = quality if isinstance(quality, QcReport) else None
    profiles = try_to_make("What profiles are relative to", lambda: _describe_profiles(tables))
    facts = try_to_make("Numbers of the plate", lambda: build_facts(tables, qc_report))
    sections = (
        ReportSection(
            "Plate",
            "What is in each well, how many cells were found there and how many failed quality control.",
            (
                *_only_sentences(facts),
                try_to_make("Plate maps", lambda: draw_plate_overview(tables)),
            ),
        ),
        ReportSection(
            "Quality control",
            _describe_quality(tables) + tables.links.note,
            (*_only_sentences(quality), *_qc_pictures(tables, qc_report)),
            (
                try_to_make("Table of conditions", lambda: build_condition_table(qc_report)),
                try_to_make(
                    "Table of flags", lambda: build_well_flags_table(tables.qc, qc_report, tables.links)
                ),
                try_to_make(
                    "Table of cells", lambda: build_worst_cells_table(tables.qc, qc_report, tables.links)
                ),
            ),
        ),
        *build_quality_section(tables.image_quality, tables.settings, tables.links, tables.geometry),
        *_image_section(tables),
        *build_acquisition_section(tables.image_assets),
        ReportSection(
            "Profiles",
            profiles if isinstance(profiles, str) else "",
            (*_only_sentences(profiles), *_profile_pictures(tables)),
        ),
        ReportSection(
            "Accounting",
            f"Where cells, fields and wells went.{tables.links.note}",
            _accounting_pictures(tables, qc_report),
            (
                try_to_make("Table of incomplete wells", lambda: build_incomplete_table(tables)),
                try_to_make("Table of wells", lambda: build_well_table(tables)),
            ),
        ),
    )
    subtitle = "Plate report: images, quality control and profiles"
    shown = () if isinstance(facts, NotDrawn) else facts
    frame = replace(frame, notices=(*frame.notices, *build_notices(tables)))
    return build_html_report(tables.plate_key, subtitle, shown, tables.findings, sections, frame)


def _image_section(tables: PlateTables) -> tuple[ReportSection, ...]:
    pictures = _image_pictures(tables)
    text = "What the plate looks like, read from the stores where they lie."
    return (ReportSection("Images", text, pictures),) if pictures else ()


def _only_sentences(part: object) -> tuple[NotDrawn, ...]:
    return (part,) if isinstance(part, NotDrawn) else ()


def _qc_report(tables: PlateTables) -> QcReport | None:
    if tables.qc is None or tables.joined is None or tables.qc.num_rows == 0:
        return None
    return describe_cosmicqc_profiles(tables.qc, tables.joined, tables.settings)


def _describe_quality(tables: PlateTables) -> str:
    if tables.is_unmeasured and tables.qc is None:
        return "No measurements, so that there is nothing to judge."
    if tables.qc is None or tables.qc.num_rows == 0:
        return "No cell of this plate went through quality control: none was measured, or the step has not run yet."
    if tables.joined is None:
        return "The cells that went through quality control are not stored any more; run the join of this plate again."
    return "Cells beyond the thresholds of coSMicQC, relative to this plate."


def _qc_pictures(tables: PlateTables, qc_report: QcReport | None) -> tuple[Drawing, ...]:
    made: list[Drawing] = []
    if qc_report is not None and tables.joined is not None:
        joined = tables.joined
        made.append(try_to_make("QC thresholds", lambda: _histograms(joined, qc_report)))
    made += _condition_maps(tables, qc_report)
    title = "Failed and passed cells"
    if tables.image_count == 0:
        alone = "it is made of measurements alone. Where images are added, the plate's next run shows cells"
        reason = "this plate has no images" + (f": {alone}" if tables.is_imageless else "")
        made.append(NotDrawn(title, reason))
    elif qc_report is not None and tables.read_crop is not None:
        made.append(try_to_make(title, lambda: _montage(tables, qc_report, title)))
    return tuple(made)


def _condition_maps(tables: PlateTables, qc_report: QcReport | None) -> list[Drawing]:
    qc, title = tables.qc, "Cells failing each condition (%)"
    if qc is None or qc_report is None or not qc_report.conditions:  # the thresholds say that there is none
        return []
    return [try_to_make(title, lambda: draw_qc_conditions(qc, qc_report, title, geometry=tables.geometry))]


def _image_pictures(tables: PlateTables) -> tuple[Drawing, ...]:
    images, read, title = tables.image_assets, tables.read_thumbnails, "A field of each well"
    if images is None or read is None or not tables.image_count:
        return ()
    return (try_to_make(title, lambda: draw_thumbnails(images, read, title, geometry=tables.geometry)),)


def _histograms(joined: CellSource, qc_report: QcReport) -> Drawing:
    features = sorted({limit.feature for condition in qc_report.conditions for limit in condition.thresholds})
    return draw_qc_histograms(read_columns(open_cells(joined), features), qc_report, "QC thresholds")


def _montage(tables: PlateTables, qc_report: QcReport, title: str) -> Drawing:
    if tables.joined is None or tables.qc is None or tables.read_crop is None:
        return NotDrawn(title, "the plate has no cells that went through quality control")
    return draw_qc_montage(tables.joined, tables.qc, qc_report, tables.read_crop, title)


def _describe_profiles(tables: PlateTables) -> str:
    wells = tables.wells
    if tables.is_unmeasured and wells is None:
        return "No measurements, so that there are no well profiles."
    if wells is None or not wells.num_rows:
        return "This plate has no well profiles: nothing was measured on it, or profiling has not run yet."
    return describe_reference(find_reference(wells, tables.findings), tables.settings)


def _profile_pictures(tables: PlateTables) -> tuple[Drawing, ...]:
    wells, settings = tables.wells, tables.settings
    if wells is None or not wells.num_rows:
        return ()
    title, doses = "Wells by profile", "Dose response"
    return (
        try_to_make(title, lambda: draw_well_pca(wells, settings, title)),
        try_to_make(doses, lambda: draw_dose_response(wells, settings, doses)),
    )


def _accounting_pictures(tables: PlateTables, qc_report: QcReport | None) -> tuple[Drawing, ...]:
    complete, joins = tables.completeness, tables.join_report
    title = "Cells from measurement to profile"
    made = [try_to_make(title, lambda: draw_lineage(build_lineage(tables, qc_report), title))]
    if tables.is_imageless:  # said where the cells would be shown; these two are about images
        return tuple(made)
    if complete is not None:
        made.append(
            try_to_make(
                "Completeness", lambda: draw_completeness(complete, "Completeness", geometry=tables.geometry)
            )
        )
    if joins is not None:
        name = "Profiles joined to images"
        made.append(try_to_make(name, lambda: draw_join_report(joins, name)))
    return tuple(made)
