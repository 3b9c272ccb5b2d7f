"""Which treatments of a dataset or campaign do something, read from and handed back to storage."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd
import pyarrow as pa

from bioimage_assets.assets.hit_profiles import find_hit_wells
from bioimage_assets.core.engines.open_engine import open_project_engine
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.hits.hit_features import find_plate_controls, measure_features, stream_rows
from bioimage_assets.core.hits.hit_rows import build_curve_table, build_hit_rows, build_pair_table
from bioimage_assets.core.hits.measure import HitMeasures, measure_hits
from bioimage_assets.core.phrases import count_words, error_words
from bioimage_assets.core.profiling.campaign_features import list_selected
from bioimage_assets.core.profiling.campaign_wells import open_wells, spool_profiles
from bioimage_assets.core.profiling.dataset_wells import (
    StoredWells,
    find_plates,
    read_metadata,
    read_profiles,
)
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.library_calls import LibraryCall
from bioimage_assets.core.profiling.replicate_findings import describe_lack_of_memory
from bioimage_assets.core.profiling.replicates import find_comparisons
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.tables.schemas import CAMPAIGN_HITS, HITS
from bioimage_assets.metadata import build_counts_markdown, build_findings_markdown, build_table_schema

TEST_CALLS: dict[str, tuple[str, dict[str, object]]] = {
    "welch": ("scipy.stats.ttest_ind_from_stats", {"equal_var": False}),
    "student": ("scipy.stats.ttest_ind_from_stats", {"equal_var": True}),
    "mann_whitney": ("scipy.stats.mannwhitneyu", {"axis": 0}),
}
_TABLES = ("hits", "pair_correlations", "dose_responses")


def build_hits(inputs: StepInputs) -> dict[str, PlateTable]:
    """Measure the treatments of a dataset: activity, distances from controls, replicates and dose-response curves."""
    found_wells = find_hit_wells(inputs)
    wells = found_wells.wells
    if wells is None:
        return _absent(found_wells.absence, found_wells.findings)
    try:
        return build_hit_tables(wells, inputs.settings, inputs.partition, found_wells.findings)
    except ProfilingError as error:
        found = Finding("replicates-not-measured", "info", "", error_words(error))
    except MemoryError:
        # What is too large for the memory costs these tables, and no other.
        found = describe_lack_of_memory(wells.row_count, len(list_profile_features(wells.schema)))
    return _absent(found.message, (*found_wells.findings, found))


def _absent(note: str, findings: tuple[Finding, ...]) -> dict[str, PlateTable]:
    absent = dict.fromkeys(_TABLES, PlateTable.absent(note))
    return absent | {"hits": PlateTable(None, {"note": note}, findings=findings)} if findings else absent


def build_hit_tables(
    wells: StoredWells, settings: DatasetSettings, dataset_id: str, found: tuple[Finding, ...] = ()
) -> dict[str, PlateTable]:
    """The tables about the treatments of a dataset's wells; ``found`` is what is known of the wells already."""
    frame = read_metadata(wells)
    values = read_profiles(wells, list_profile_features(wells.schema))
    measured = measure_hits(frame, values, settings)
    rows = build_hit_rows(measured, number_plates(frame), significance=settings.hits_significance)
    words = [{"dataset_id": dataset_id, **row} for row in rows]
    table = pa.Table.from_pylist(words, schema=HITS)
    steps = [call.to_dict() for call in measured.calls]
    described = {"profiles": settings.hits_profiles, **describe_hits(measured, table)}
    return {
        "hits": PlateTable(table, described, findings=(*found, *measured.findings), steps=steps),
        "pair_correlations": PlateTable(build_pair_table(measured.report, dataset_id)),
        "dose_responses": _build_curves(measured, settings, dataset_id),
    }


def _build_curves(measured: HitMeasures, settings: DatasetSettings, dataset_id: str) -> PlateTable:
    if measured.curves is None or measured.series is None:
        return PlateTable.absent(
            "no treatment column of the platemap, but for the first, holds doses (numbers)"
        )
    column = measured.series.column
    table = build_curve_table(measured.curves, column, dataset_id, settings.hits_significance)
    counts = pd.Series(table["status"].to_pylist(), dtype=object).value_counts().to_dict()
    return PlateTable(
        table, {"curves": build_counts_markdown({str(name): count for name, count in counts.items()})}
    )


def build_hit_features(inputs: StepInputs) -> PlateTable:
    """Test every feature of every treatment against the control wells of the same plates."""
    found = find_hit_wells(inputs)
    wells = found.wells
    if wells is None:
        return PlateTable.absent(found.absence)
    frame, settings = read_metadata(wells), inputs.settings
    compared = find_comparisons(frame, settings)
    if not compared.rows_of:
        return PlateTable.absent("no well has a treatment that is no negative control")
    controls = find_plate_controls(compared, number_plates(frame))
    try:
        measured = measure_features(wells, compared, controls, settings, inputs.scratch)
    except (MemoryError, OSError) as error:
        text = (
            f"Features of {len(compared.rows_of)} treatments were not tested: {error_words(error)}. Give the run more memory, "
            "or its scratch folder more room, and build hit_features again."
        )
        return PlateTable(
            None, {"note": text}, findings=(Finding("features-not-tested", "warning", "", text),)
        )
    labels, features = list(compared.rows_of), list_profile_features(wells.schema)
    name, arguments = TEST_CALLS[settings.hits_test]
    call = LibraryCall(name, arguments, {"rows": "wells of a treatment; controls of its plates"})
    return PlateTable(
        stream_rows(measured, labels, features, inputs.partition, settings.hits_significance),
        {
            "profiles": settings.hits_profiles,
            "test": settings.hits_test,
            "treatments": len(labels),
            "features": len(features),
        },
        findings=_find_lacking(compared.rows_of, controls),
        steps=[call.to_dict()],
    )


def _find_lacking(
    rows_of: Mapping[str, np.ndarray], controls: Mapping[str, tuple[int, ...]]
) -> tuple[Finding, ...]:
    lacking = [label for label, rows in rows_of.items() if rows.size < 2 or len(controls[label]) < 2]
    if not lacking:
        return ()
    have = count_words(len(lacking), "treatment has", "treatments have")
    text = (
        f"{have} fewer than two wells, or fewer than two control wells on their plates, and no p value of a feature: "
        f"{', '.join(lacking[:4])}."
    )
    return (Finding("features-without-test", "info", ", ".join(lacking[:4]), text),)


def build_campaign_hits(inputs: StepInputs) -> PlateTable:
    """Measure the treatments of a campaign over all plates of all its datasets."""
    features, campaign = inputs.find("campaign_features"), inputs.campaign
    selected = [] if features is None else list_selected(features)
    plates = find_plates(inputs.tables, inputs.sources) if selected else None
    if plates is None:
        return PlateTable.absent("no selected features of this campaign")
    wells = open_wells(open_project_engine(inputs.project), plates, campaign, selected)
    try:
        frame, profiles = spool_profiles(wells, inputs.scratch)
        measured = measure_hits(frame, profiles.values, campaign, with_curves=False)
    except (MemoryError, OSError, ProfilingError) as error:
        text = (
            f"Treatments of {wells.row_count} wells x {len(selected)} features were not measured: {error_words(error)}. All other "
            "tables are stored. Give the run more memory, or its scratch folder more room, and build campaign_hits again."
        )
        found = Finding("campaign-hits-not-measured", "warning", campaign.name, text)
        return PlateTable(None, {"note": text}, findings=(found,))
    rows = build_hit_rows(measured, number_plates(frame), significance=campaign.hits_significance)
    words = {"campaign_key": inputs.partition, "campaign_id": campaign.name}
    table = pa.Table.from_pylist([{**words, **row} for row in rows], schema=CAMPAIGN_HITS)
    steps = [call.to_dict() for call in measured.calls]
    return PlateTable(table, describe_hits(measured, table), findings=measured.findings, steps=steps)


def describe_hits(measured: HitMeasures, table: pa.Table) -> dict[str, object]:
    """What a materialisation says: how many treatments replicate and are active, and by which rules."""
    report = measured.report
    metadata: dict[str, object] = {
        "percent_replicating": report.percent_replicating,
        "percent_active": report.percent_active,
        "replicate_measures": build_counts_markdown(asdict(report.rules)),
        "average_precision_by": measured.average_precision_by,
        "distance_components": measured.component_count,
        "findings": build_findings_markdown(measured.findings),
        "dagster/column_schema": build_table_schema(table.schema),
    }
    return {name: value for name, value in metadata.items() if value is not None}


def number_plates(frame: pd.DataFrame) -> np.ndarray:
    """Numbers of the plates of all wells."""
    column = "plate_key" if "plate_key" in frame else "Metadata_Plate"
    return pd.factorize(frame[column])[0] if column in frame else np.zeros(len(frame), np.int64)
