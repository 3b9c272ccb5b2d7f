"""The report of a dataset: plates side by side, replicates, doses and treatments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from bioimage_assets.core.findings import Finding, FindingGroup
from bioimage_assets.core.hits.stored import read_replicate_report
from bioimage_assets.core.image_quality.drift import PlateLevel, list_drift_findings
from bioimage_assets.core.phrases import count_words, plural_of
from bioimage_assets.core.pictures.correction_section import TITLE as CORRECTION
from bioimage_assets.core.pictures.correction_section import build_correction_section
from bioimage_assets.core.pictures.dose_curves import build_curve_table, draw_dose_curves
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn, try_to_make
from bioimage_assets.core.pictures.embedding import choose_dose_rows, draw_dose_response, draw_well_pca
from bioimage_assets.core.pictures.hit_tables import build_feature_table, build_treatment_table
from bioimage_assets.core.pictures.html import build_html_report
from bioimage_assets.core.pictures.page_parts import PageFrame, Report, ReportSection, ReportTable
from bioimage_assets.core.pictures.plate_map import WellValues, draw_plate_heatmaps
from bioimage_assets.core.pictures.quality_board import build_board_section
from bioimage_assets.core.pictures.reference import (
    build_reference_table,
    describe_references,
    find_reference,
)
from bioimage_assets.core.pictures.replicate_plot import draw_replicates
from bioimage_assets.core.pictures.replicate_terms import dose_terms, feature_terms, replicate_terms
from bioimage_assets.core.pictures.well_numbers import (
    count_wells,
    fail_fractions,
    sum_cells,
    sum_per_well,
)
from bioimage_assets.core.profiling.dataset_wells import (
    StoredWells,
    WellData,
    as_stored,
    list_metadata,
    read_rows,
)
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.replicate_wells import draw_rows
from bioimage_assets.core.profiling.replicates import ReplicateReport
from bioimage_assets.core.profiling.result_columns import FAILED_COUNT, OBJECT_COUNT
from bioimage_assets.core.profiling.treatments import build_treatments
from bioimage_assets.core.settings.dataset import DatasetSettings

MAX_WELLS_DRAWN = 20_000  # points of a picture; more lie on top of each other
_MAX_PLATES_DRAWN = 24  # more bars than this cannot be labelled on a page


@dataclass(frozen=True, slots=True)
class DatasetTables:
    """Tables of one dataset as they are stored; every one may be absent.

    ``wells`` are the well profiles of each plate, of which the page needs no feature, ``selected`` those with the selected
    features, in memory or read by columns. ``hits``, ``pair_correlations`` and ``dose_responses`` say what the treatments do:
    the page measures nothing itself. ``hit_features`` are those of the strongest treatments. ``findings`` are those of the dataset's own steps, ``of_plates`` those of its
    plates. ``quality`` are the levels of image quality of each plate.
    """

    dataset_id: str
    settings: DatasetSettings
    wells: tuple[pa.Table, ...] = ()
    selected: WellData | None = None
    consensus: pa.Table | None = None
    findings: tuple[Finding, ...] = ()
    of_plates: tuple[FindingGroup, ...] = ()
    correction_scores: pa.Table | None = None
    quality: tuple[PlateLevel, ...] = ()
    hits: pa.Table | None = None
    pair_correlations: pa.Table | None = None
    dose_responses: pa.Table | None = None
    hit_features: pa.Table | None = None

    @property
    def filled_wells(self) -> list[pa.Table]:
        """Well profiles of the plates that have any."""
        return [table for table in self.wells if table.num_rows]

    @property
    def filled_selected(self) -> StoredWells | None:
        """Wells with selected features, None where there is none."""
        stored = None if self.selected is None else as_stored(self.selected)
        return stored if stored is not None and stored.row_count else None


def build_dataset_report(tables: DatasetTables, frame: PageFrame = PageFrame()) -> Report:  # noqa: B008 (frozen)
    """Build the page of one dataset from whatever tables it has; nothing is written.

    Never fails because of what the tables hold: a part that cannot be made is a sentence in its place, and a finding
    ``picture-not-drawn`` of the report.
    """
    measured = try_to_make("Replicates", lambda: _read_replicates(tables))
    replicates = measured if isinstance(measured, ReplicateReport) else None
    found = try_to_make(
        "What profiles are relative to", lambda: list(map(find_reference, tables.filled_wells))
    )
    references = found if isinstance(found, list) else [None] * len(tables.filled_wells)
    changed = try_to_make(
        "Table of changed features", lambda: build_feature_table(tables.hits, tables.hit_features)
    )
    facts = try_to_make("Numbers of the dataset", lambda: _facts(tables, replicates))
    sections = (
        ReportSection(
            "Plates",
            "Cells per well and QC failures of every plate; positions that stand out on all plates are no biology.",
            (*_only_sentences(facts), *_plate_pictures(tables)),
            (try_to_make("Table of plates", lambda: _plate_table(tables.filled_wells, references)),),
        ),
        *build_board_section(tables.quality, tables.settings.image_drift_limit),
        ReportSection(
            "Profiles",
            f"Wells of all plates by their selected features. {describe_references(references, tables.settings)}",
            (*_only_sentences(found), *_profile_pictures(tables)),
            (try_to_make("Table of references", lambda: _reference_table(tables)),),
        ),
        ReportSection(
            "Replicates",
            "How alike the wells of a treatment are, and how well they are told from controls; the strongest treatments first.",
            (_replicate_picture(measured),),
            (
                try_to_make("Table of treatments", lambda: _treatment_table(tables.hits, replicates)),
                changed,
            ),
            _hit_terms(tables.settings, replicates, changed),
        ),
        *_dose_section(tables),
        _correction_section(tables),
        ReportSection(
            "Features",
            "What feature selection kept.",
            (),
            (try_to_make("Table of selected features", lambda: _feature_table(tables.selected)),),
        ),
    )
    findings = (*tables.findings, *list_drift_findings(tables.quality))
    subtitle = "Dataset report: plates, profiles and treatments"
    shown = () if isinstance(facts, NotDrawn) else facts
    frame = replace(frame, plates=tables.of_plates)
    return build_html_report(tables.dataset_id, subtitle, shown, findings, sections, frame)


def _correction_section(tables: DatasetTables) -> ReportSection:
    made = try_to_make(
        CORRECTION, lambda: build_correction_section(tables.correction_scores, tables.settings)
    )
    return made if isinstance(made, ReportSection) else ReportSection(CORRECTION, "", (made,))


def draw_plates(plates: Sequence[pa.Table], kind: str) -> Drawing:
    """Draw all plates of a dataset on one scale: ``count`` of passing cells, or ``fraction`` failing QC."""
    title = "Cells that passed QC" if kind == "count" else "Cells failing QC (%)"
    filled = [table for table in plates if table.num_rows]
    if not filled:
        return NotDrawn(title, "no plate of this dataset has well profiles")
    panels = []
    for table in filled[:_MAX_PLATES_DRAWN]:
        if kind == "count":
            panels.append(WellValues(_plate_name(table), sum_per_well(table, OBJECT_COUNT), "count"))
        else:
            panels.append(WellValues(_plate_name(table), fail_fractions(table), "fraction"))
    more = (
        f" The first {len(panels)} of {count_words(len(filled), 'plate')}."
        if len(filled) > len(panels)
        else ""
    )
    columns = min(3, len(panels))
    return draw_plate_heatmaps(
        f"plates_{kind}", title, f"{title} per well.{more}", panels, columns=columns, is_one_scale=True
    )


def _plate_name(table: pa.Table) -> str:
    for column in ("plate_id", "Metadata_Plate", "plate_key"):
        if column in table.column_names and table[column][0].as_py() is not None:
            return str(table[column][0].as_py())
    return "plate without a name"


def _only_sentences(part: object) -> tuple[NotDrawn, ...]:
    return (part,) if isinstance(part, NotDrawn) else ()


def _read_replicates(tables: DatasetTables) -> ReplicateReport | NotDrawn:
    if tables.filled_selected is None:
        return NotDrawn("Replicates", "this dataset has no wells with selected features")
    if tables.hits is None:
        return NotDrawn(
            "Replicates", "this dataset has no table of hits; its findings, or a run of `hits`, say why"
        )
    return read_replicate_report(tables.hits, tables.pair_correlations)


def _replicate_picture(measured: ReplicateReport | NotDrawn) -> Drawing:
    if isinstance(measured, NotDrawn):
        return measured
    return try_to_make("Replicates", lambda: draw_replicates(measured, "Replicates"))


def _plate_pictures(tables: DatasetTables) -> tuple[Drawing, ...]:
    if not tables.filled_wells:
        return (NotDrawn("Plate maps", "no plate of this dataset has well profiles"),)
    return (
        try_to_make("Cells that passed QC", lambda: draw_plates(tables.wells, "count")),
        try_to_make("Cells failing QC (%)", lambda: draw_plates(tables.wells, "fraction")),
    )


def _profile_pictures(tables: DatasetTables) -> tuple[Drawing, ...]:
    wells, settings = tables.filled_selected, tables.settings
    title, doses = "Wells by profile", "Dose response"
    if wells is None:
        return (NotDrawn(title, "this dataset has no wells with selected features"),)
    pca = try_to_make(title, lambda: draw_well_pca(_draw_wells(wells), settings, title, of=wells.row_count))
    if tables.dose_responses is not None and tables.dose_responses.num_rows:
        return (pca,)  # curves have a section of their own
    return (
        pca,
        try_to_make(doses, lambda: _draw_doses(wells, settings, doses)),
    )


def _draw_wells(wells: StoredWells) -> pa.Table:
    """All wells, or as many as a picture can show, drawn by a fixed seed."""
    if wells.row_count <= MAX_WELLS_DRAWN:
        return wells.read(wells.schema.names)
    return read_rows(wells, draw_rows(np.arange(wells.row_count), MAX_WELLS_DRAWN))


def _draw_doses(wells: StoredWells, settings: DatasetSettings, title: str) -> Drawing:
    if wells.row_count <= MAX_WELLS_DRAWN:
        return draw_dose_response(wells.read(wells.schema.names), settings, title)
    shown = choose_dose_rows(wells.read(list_metadata(wells)), settings)
    kept = [draw_rows(rows, MAX_WELLS_DRAWN // 2) for rows in (shown.treated, shown.controls)]
    chosen = np.sort(np.concatenate(kept))
    return draw_dose_response(read_rows(wells, chosen), settings, title, name_count=shown.name_count)


def _facts(tables: DatasetTables, replicates: ReplicateReport | None) -> list[tuple[str, object]]:
    wells = tables.filled_wells
    well_count = sum(map(count_wells, wells))
    cells = sum(sum_cells(table, OBJECT_COUNT) for table in wells)
    facts: list[tuple[str, object]] = [
        (plural_of(len(wells), "plate"), len(wells)),
        (plural_of(well_count, "well"), well_count),
        (f"{plural_of(cells, 'cell')} profiled", cells),
    ]
    if tables.selected is not None:
        features = len(list_profile_features(tables.selected.schema))
        facts.append((f"{plural_of(features, 'feature')} selected", features))
        if untreated := _count_untreated(as_stored(tables.selected), tables.settings):
            facts.append((f"{plural_of(untreated, 'well')} without treatment", untreated))
    if tables.consensus is not None:
        count = tables.consensus.num_rows
        facts.append((plural_of(count, "consensus profile"), count))
    if replicates is not None and replicates.percent_replicating is not None:
        facts.append(("treatments replicating", f"{replicates.percent_replicating:.0f} %"))
    if replicates is not None and replicates.percent_active is not None:
        facts.append(("treatments active", f"{replicates.percent_active:.0f} %"))
    return facts


def _count_untreated(selected: StoredWells, settings: DatasetSettings) -> int:
    """Wells that are neither treated nor controls: in no consensus profile, where any well is treated."""
    names = [name for name in selected.schema.names if name.startswith("Metadata_")]
    treatments = build_treatments(selected.read(names).to_pandas(), settings)
    return int((~(treatments.is_treated | treatments.is_control)).sum())


def _plate_table(plates: Sequence[pa.Table], references: Sequence[str | None]) -> ReportTable | None:
    rows = []
    for table, reference in zip(plates, references, strict=True):
        good, bad = sum_cells(table, OBJECT_COUNT), sum_cells(table, FAILED_COUNT)
        failed = f"{bad / (good + bad):.1%}" if good + bad else ""
        rows.append((_plate_name(table), count_wells(table), good, bad, failed, reference))
    header = ("plate", "wells", "cells passed", "cells failed", "failed", "normalised to")
    return ReportTable("Plates", header, tuple(rows)) if rows else None


def _reference_table(tables: DatasetTables) -> ReportTable | None:
    return build_reference_table(tables.filled_wells, tables.consensus)


def _treatment_table(hits: pa.Table | None, report: ReplicateReport | None) -> ReportTable | None:
    if report is None or hits is None or not hits.num_rows:
        return None
    return build_treatment_table(hits)


def _hit_terms(
    settings: DatasetSettings, report: ReplicateReport | None, changed: object
) -> tuple[tuple[str, str], ...]:
    terms = () if report is None else replicate_terms(settings)
    return (*terms, *feature_terms(settings)) if isinstance(changed, ReportTable) else terms


def _dose_section(tables: DatasetTables) -> tuple[ReportSection, ...]:
    """Curves of compounds; no section where there are no doses."""
    curves = tables.dose_responses
    if curves is None or not curves.num_rows:
        return ()
    return (
        ReportSection(
            "Doses",
            "From which dose on compounds do something; those that rise most first.",
            (try_to_make("Dose response", lambda: draw_dose_curves(curves, "Dose response")),),
            (try_to_make("Table of curves", lambda: build_curve_table(curves)),),
            dose_terms(tables.settings),
        ),
    )


def _feature_table(selected: WellData | None) -> ReportTable | None:
    """Selected features counted by compartment and kind of measurement."""
    if selected is None:
        return None
    counts: dict[tuple[str, str], int] = {}
    for name in list_profile_features(selected.schema):
        parts = name.split("_")
        key = (parts[0], parts[1] if len(parts) > 2 else "")
        counts[key] = counts.get(key, 0) + 1
    rows = tuple((*key, count) for key, count in sorted(counts.items()))
    header = ("compartment", "measurement", "features")
    return ReportTable("Selected features", header, rows) if rows else None
