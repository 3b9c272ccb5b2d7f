"""Tables over all plates of a dataset, read from and handed back to storage."""

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.profiling.dataset import build_consensus, build_selected_features
from bioimage_assets.core.profiling.features import drop_empty_features, list_profile_features
from bioimage_assets.core.profiling.replicate_findings import SAMPLED, describe_lack_of_memory
from bioimage_assets.core.profiling.replicates import ReplicateReport, measure_replicates
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.metadata import build_counts_markdown, build_findings_markdown, build_table_schema


def read_wells(tables: ProjectTables, sources: Sequence[PlateSource]) -> list[pa.Table]:
    """Well profiles of the dataset's plates that have any, one table per plate."""
    found = [tables.find("pycytominer_profiles", source.plate_key) for source in sources]
    return drop_empty_features([table for table in found if table is not None and table.num_rows])


def build_selection(inputs: StepInputs) -> PlateTable:
    """Select features over the plates of a dataset; absent where no plate has well profiles."""
    plates = read_wells(inputs.tables, inputs.sources)
    if not plates:
        return _absent("no plate of this dataset has well profiles")
    if not any(list_profile_features(plate.schema) for plate in plates):
        return _absent("no well of this dataset has a value in any feature")
    table, report = build_selected_features(plates, inputs.settings)
    counts: dict[str, object] = {
        "plates": report.plate_count,
        "wells": report.well_count,
        "features measured": report.feature_count,
        "not on every plate": len(report.not_on_every_plate),
    }
    counts.update({f"removed by {step.operation}": len(step.removed) for step in report.steps})
    counts["features selected"] = len(report.selected)
    metadata = {
        "selection": build_counts_markdown(counts),
        "selected_features": len(report.selected),
        "findings": build_findings_markdown(report.findings),
        "dagster/column_schema": build_table_schema(table.schema),
    }
    steps = [call.to_dict() for call in report.calls]
    return PlateTable(table, metadata, findings=report.findings, steps=steps)


def _absent(note: str) -> PlateTable:
    """A table that a dataset does not have, with what an earlier run found forgotten."""
    return PlateTable(None, {"note": note}, findings=())


def build_treatments(inputs: StepInputs) -> PlateTable:
    """Combine a dataset's replicate wells and measure how well they agree."""
    wells = read_selected(inputs)
    if wells is None:
        return _absent("no selected features of this dataset")
    settings = inputs.settings
    table, report = build_consensus(wells, settings)
    counts = {
        "wells": report.well_count,
        "wells without treatment": report.wells_without_treatment,
        "treatments": report.treatment_count,
        "control profiles": report.control_profile_count,
    }
    metadata: dict[str, object] = {
        "consensus": build_counts_markdown(counts),
        "dagster/column_schema": build_table_schema(table.schema),
    }
    replicates, unmeasured = read_replicates(wells, settings)
    findings = (*report.findings, *unmeasured)
    metadata["findings"] = build_findings_markdown(findings)
    if replicates is not None:
        metadata["percent_replicating"] = replicates.percent_replicating
        metadata["percent_active"] = replicates.percent_active
        metadata["replicate_measures"] = build_counts_markdown(asdict(replicates.rules))
    metadata = {name: value for name, value in metadata.items() if value is not None}
    steps = [call.to_dict() for call in report.calls]
    return PlateTable(table, metadata, findings=findings, steps=steps)


def read_selected(inputs: StepInputs) -> pa.Table | None:
    """Selected features of a dataset, None where there are none."""
    rows = inputs.find("pycytominer_selected_features")
    return None if rows is None or not rows.num_rows else drop_empty_features([rows])[0]


def read_replicates(
    wells: pa.Table, settings: DatasetSettings
) -> tuple[ReplicateReport | None, tuple[Finding, ...]]:
    """Replicability of a dataset's treatments, None where its wells, or the memory, do not allow it; the latter is a finding."""
    try:
        report = measure_replicates(wells, settings)
    except ProfilingError:
        return None, ()
    except MemoryError:
        # The consensus is made by then: a number that is missing must not cost the table.
        return None, (describe_lack_of_memory(wells.num_rows, len(list_profile_features(wells.schema))),)
    return report, tuple(finding for finding in report.findings if finding.code == SAMPLED)
