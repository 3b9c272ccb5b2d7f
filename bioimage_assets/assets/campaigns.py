"""Tables over all datasets of a campaign, read from and handed back to storage."""

import pyarrow as pa

from bioimage_assets.core.profiling.campaign_features import build_campaign_features as build_feature_rows
from bioimage_assets.core.profiling.campaign_features import list_selected
from bioimage_assets.core.profiling.campaign_wells import (
    BATCH,
    DATASET,
    SOURCE,
    read_campaign_plates,
    stack_plates,
)
from bioimage_assets.core.profiling.dataset import build_consensus, build_selected_features
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.stacking import stack_wells
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.metadata import build_counts_markdown, build_findings_markdown, build_table_schema

_COUNTED = {
    "Metadata_Dataset_Count": DATASET,
    "Metadata_Batch_Count": BATCH,
    "Metadata_Source_Count": SOURCE,
}


def build_campaign_features(inputs: StepInputs) -> PlateTable:
    """Select features over all plates of all datasets; absent where no plate has well profiles."""
    campaign = inputs.campaign
    plates = list(read_campaign_plates(inputs.tables, campaign, inputs.sources))
    tables = stack_plates(plates)
    if not any(list_profile_features(table.schema) for table in tables):
        return _absent("no well of this campaign has a value in any feature")
    _, report = build_selected_features(
        tables,
        campaign,
        correlation_limit=campaign.correlation_limit,
        outlier_limit=campaign.outlier_limit,
    )
    schemas = [(key, table.schema) for (key, _), table in zip(plates, tables, strict=True)]
    table = build_feature_rows(campaign, schemas, report)
    counts: dict[str, object] = {
        "plates": report.plate_count,
        "wells": report.well_count,
        "features measured": report.feature_count,
        "not on every plate": len(report.not_on_every_plate),
        **{f"removed by {step.operation}": len(step.removed) for step in report.steps},
        "features selected": len(report.selected),
    }
    metadata = {
        "selection": build_counts_markdown(counts),
        "selected_features": len(report.selected),
        "findings": build_findings_markdown(report.findings),
        "dagster/column_schema": build_table_schema(table.schema),
    }
    steps = [call.to_dict() for call in report.calls]
    return PlateTable(table, metadata, findings=report.findings, steps=steps)


def build_campaign_treatments(inputs: StepInputs) -> PlateTable:
    """Combine the replicate wells of each treatment over all plates of all datasets."""
    features = inputs.find("campaign_features")
    if features is None or not features.num_rows:
        return _absent("no selected features of this campaign")
    selected, campaign = list_selected(features), inputs.campaign
    plates = [table for _, table in read_campaign_plates(inputs.tables, campaign, inputs.sources, selected)]
    wells, odd = stack_wells(plates)
    table, report = build_consensus(wells, campaign, counted=_COUNTED)
    table = _name_rows(inputs, table)
    counts = {
        "wells": report.well_count,
        "wells without treatment": report.wells_without_treatment,
        "treatments": report.treatment_count,
        "control profiles": report.control_profile_count,
    }
    findings = (*odd, *report.findings)
    metadata: dict[str, object] = {
        "consensus": build_counts_markdown(counts),
        "findings": build_findings_markdown(findings),
        "dagster/column_schema": build_table_schema(table.schema),
    }
    return PlateTable(table, metadata, findings=findings, steps=[call.to_dict() for call in report.calls])


def _name_rows(inputs: StepInputs, table: pa.Table) -> pa.Table:
    for position, (name, word) in enumerate(
        (("campaign_key", inputs.partition), ("campaign_id", inputs.campaign.name))
    ):
        table = table.add_column(position, name, pa.array([word] * table.num_rows, pa.string()))
    return table


def _absent(note: str) -> PlateTable:
    """A table that a campaign does not have, with what an earlier run found forgotten."""
    return PlateTable(None, {"note": note}, findings=())
