"""What a materialisation says of selected features and of treatments, of a dataset or of a campaign."""

import pyarrow as pa

from bioimage_assets.core.profiling.consensus import ConsensusReport
from bioimage_assets.core.profiling.selection import SelectionReport
from bioimage_assets.metadata import build_counts_markdown, build_findings_markdown, build_table_schema


def describe_selection(report: SelectionReport, schema: pa.Schema) -> dict[str, object]:
    """Counts of features, measured, removed and kept, and what was found; ``schema`` is that of the table that is stored."""
    counts: dict[str, object] = {
        "plates": report.plate_count,
        "wells": report.well_count,
        "features measured": report.feature_count,
        "not on every plate": len(report.not_on_every_plate),
        **{f"removed by {step.operation}": len(step.removed) for step in report.steps},
        "features selected": len(report.selected),
    }
    return {
        "selection": build_counts_markdown(counts),
        "selected_features": len(report.selected),
        "findings": build_findings_markdown(report.findings),
        "dagster/column_schema": build_table_schema(schema),
    }


def describe_consensus(report: ConsensusReport, schema: pa.Schema) -> dict[str, object]:
    """Counts of wells and treatments, and what was found; ``schema`` is that of the table that is stored."""
    counts = {
        "wells": report.well_count,
        "wells without treatment": report.wells_without_treatment,
        "treatments": report.treatment_count,
        "control profiles": report.control_profile_count,
    }
    return {
        "consensus": build_counts_markdown(counts),
        "findings": build_findings_markdown(report.findings),
        "dagster/column_schema": build_table_schema(schema),
    }
