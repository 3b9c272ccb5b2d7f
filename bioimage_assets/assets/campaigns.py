"""Tables over all datasets of a campaign, read from and handed back to storage."""

import pyarrow as pa

from bioimage_assets.assets.profile_metadata import describe_consensus, describe_selection
from bioimage_assets.core.engines.open_engine import open_project_engine
from bioimage_assets.core.engines.selection import SelectionLimits
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import error_words
from bioimage_assets.core.profiling.campaign_cells import aggregate_campaign_cells
from bioimage_assets.core.profiling.campaign_features import build_campaign_features as build_feature_rows
from bioimage_assets.core.profiling.campaign_features import list_selected
from bioimage_assets.core.profiling.campaign_replicates import (
    measure_campaign_replicates,
    summarize_replicates,
)
from bioimage_assets.core.profiling.campaign_wells import (
    BATCH,
    DATASET,
    SOURCE,
    CampaignWells,
    open_wells,
    spool_profiles,
)
from bioimage_assets.core.profiling.consensus import build_consensus
from bioimage_assets.core.profiling.dataset_wells import find_plates
from bioimage_assets.core.profiling.engine_groups import EngineWells
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.selection import find_features, select_stored_features
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.metadata import build_counts_markdown, build_table_schema

_COUNTED = {
    "Metadata_Dataset_Count": DATASET,
    "Metadata_Batch_Count": BATCH,
    "Metadata_Source_Count": SOURCE,
}


def build_campaign_features(inputs: StepInputs) -> PlateTable:
    """Select features over all plates of all datasets; absent where no plate has well profiles."""
    campaign, plates = inputs.campaign, find_plates(inputs.tables, inputs.sources)
    if plates is None:
        return PlateTable.absent("no plate of this campaign has well profiles")
    engine = open_project_engine(inputs.project)
    features = find_features(engine, plates)
    if not (features.shared or features.partial):
        return PlateTable.absent("no well of this campaign has a value in any feature")
    limits = SelectionLimits(
        na_cutoff=0, corr_threshold=campaign.correlation_limit, outlier_cutoff=campaign.outlier_limit
    )
    _, report = select_stored_features(engine, plates, campaign, features, limits)
    table = build_feature_rows(campaign, plates, features, report)
    steps = [call.to_dict() for call in report.calls]
    return PlateTable(table, describe_selection(report, table.schema), findings=report.findings, steps=steps)


def build_campaign_treatments(inputs: StepInputs) -> dict[str, PlateTable]:
    """Combine the replicate wells of each treatment over all plates of all datasets, and measure how alike they are."""
    features, campaign = inputs.find("campaign_features"), inputs.campaign
    selected = [] if features is None else list_selected(features)
    plates = find_plates(inputs.tables, inputs.sources) if selected else None
    if plates is None:
        absent = PlateTable.absent("no selected features of this campaign")
        return dict.fromkeys(("campaign_consensus", "campaign_replicates"), absent)
    engine = open_project_engine(inputs.project)
    wells = open_wells(engine, plates, campaign, selected)
    engine_wells = EngineWells(engine, wells.source, wells.conditions)
    table, report = build_consensus(wells, campaign, counted=_COUNTED, engine_wells=engine_wells)
    table = _name_rows(inputs, table)
    metadata = describe_consensus(report, table.schema)
    steps = [call.to_dict() for call in report.calls]
    combined = PlateTable(table, metadata, findings=report.findings, steps=steps)
    return {"campaign_consensus": combined, "campaign_replicates": _measure_replicates(inputs, wells)}


def _measure_replicates(inputs: StepInputs, wells: CampaignWells) -> PlateTable:
    """What is too large for the memory or the scratch folder costs these numbers, and not the consensus."""
    try:
        frame, profiles = spool_profiles(wells, inputs.scratch)
        table = measure_campaign_replicates(inputs.campaign, frame, profiles)
    except (MemoryError, OSError) as error:
        text = (
            f"Replicates of {wells.row_count} wells x {len(list_profile_features(wells.schema))} features could not be measured: "
            f"{error_words(error)}. The consensus is stored. Give the run more memory, or its scratch folder more room."
        )
        found = Finding("campaign-replicates-not-measured", "warning", inputs.campaign.name, text)
        return PlateTable(None, {"note": text}, findings=(found,))
    metadata = {
        "replicates": build_counts_markdown(
            {
                f"{one.pairs} {one.batch or ''}".strip(): f"{one.percent_replicating:.0f} % replicate"
                for one in summarize_replicates(table)
                if one.percent_replicating is not None
            }
        ),
        "dagster/column_schema": build_table_schema(table.schema),
    }
    return PlateTable(table, metadata, findings=())


def build_campaign_cells(inputs: StepInputs) -> PlateTable:
    """Aggregate the cells of every well by the selected features, where the campaign asks for it."""
    campaign, features = inputs.campaign, inputs.find("campaign_features")
    if campaign.cell_aggregate is None:
        return PlateTable.absent("not asked for: [cells] aggregate of the campaign makes it")
    if features is None or not features.num_rows:
        return PlateTable.absent("no selected features of this campaign")
    engine = open_project_engine(inputs.project)
    plates, selected = [source.plate_key for source in inputs.sources], list_selected(features)
    cells = aggregate_campaign_cells(engine, inputs.tables, plates, selected, campaign.cell_aggregate)
    if cells is None:
        return PlateTable.absent("no cell of this campaign is stored")
    table = _name_rows(inputs, cells)
    missing = [name for name in selected if name not in table.column_names]
    metadata = {
        "operation": campaign.cell_aggregate,
        "engine": engine.version,
        "dagster/column_schema": build_table_schema(table.schema),
    }
    findings = [_lacking(campaign.name, missing)] if missing else []
    return PlateTable(table, metadata, findings=findings)


def _lacking(name: str, missing: list[str]) -> Finding:
    text = (
        f"{len(missing)} selected features are no column of joined_profiles and left out of campaign_cell_profiles: "
        f"{', '.join(missing[:4])}."
    )
    return Finding("campaign-cells-lack-features", "warning", name, text)


def _name_rows(inputs: StepInputs, table: pa.Table) -> pa.Table:
    for position, (name, word) in enumerate(
        (("campaign_key", inputs.partition), ("campaign_id", inputs.campaign.name))
    ):
        table = table.add_column(position, name, pa.array([word] * table.num_rows, pa.string()))
    return table
