"""Tables over all plates of a dataset, read from and handed back to the warehouse."""

from typing import Any

import pyarrow as pa

from bioimage_assets.assets.placed import find_rows
from bioimage_assets.assets.publish import PlateTable
from bioimage_assets.assets.versions import dataset_fingerprint
from bioimage_assets.core.errors import ProfilingError, StoreNotFoundError
from bioimage_assets.core.model.identity import build_key_part
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.profiling.dataset import build_consensus, build_selected_features
from bioimage_assets.core.profiling.features import drop_empty_features, select_feature_columns
from bioimage_assets.core.profiling.replicates import ReplicateReport, measure_replicates
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.metadata import build_counts_markdown, build_findings_markdown, build_table_schema
from bioimage_assets.resources.project import ProjectResource


def dataset_sources(project: ProjectResource, dataset: str) -> list[PlateSource]:
    """Plates of a dataset as they lie in the watched roots; StoreNotFoundError where there is none."""
    sources, _ = project.discover([dataset])
    found = [source for source in sources if build_key_part(source.dataset_name) == dataset]
    if not found:
        raise StoreNotFoundError(
            f"No plate of dataset {dataset!r} is found in the watched roots; stored rows are kept."
        )
    return found


def read_wells(project: ProjectResource, sources: list[PlateSource]) -> list[pa.Table]:
    """Well profiles of the dataset's plates that have any, one table per plate."""
    tables = [find_rows(project, "pycytominer_profiles", source.plate_key) for source in sources]
    return drop_empty_features([table for table in tables if table is not None and table.num_rows])


def build_selection(project: ProjectResource, dataset: str) -> PlateTable:
    """Select features over the plates of a dataset; absent where no plate has well profiles."""
    sources = dataset_sources(project, dataset)
    fingerprint = dataset_fingerprint(project.warehouse(), sources, "pycytominer_selected_features")
    plates = read_wells(project, sources)
    if not plates:
        return PlateTable(
            None, fingerprint, {"note": "no plate of this dataset has well profiles"}, findings=()
        )
    if not any(select_feature_columns(plate.schema).profiled for plate in plates):
        return PlateTable(
            None, fingerprint, {"note": "no well of this dataset has a value in any feature"}, findings=()
        )
    table, report = build_selected_features(plates, project.dataset_settings(sources[0].dataset_uri))
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
    return PlateTable(table, fingerprint, metadata, findings=report.findings)


def build_treatments(project: ProjectResource, dataset: str) -> PlateTable:
    """Combine a dataset's replicate wells and measure how well they agree."""
    sources = dataset_sources(project, dataset)
    fingerprint = dataset_fingerprint(project.warehouse(), sources, "pycytominer_consensus")
    wells = read_selected(project, dataset)
    if wells is None:
        return PlateTable(None, fingerprint, {"note": "no selected features of this dataset"}, findings=())
    settings = project.dataset_settings(sources[0].dataset_uri)
    table, report = build_consensus(wells, settings)
    counts = {
        "wells": report.well_count,
        "wells without treatment": report.wells_without_treatment,
        "treatments": report.treatment_count,
        "control profiles": report.control_profile_count,
    }
    metadata: dict[str, Any] = {
        "consensus": build_counts_markdown(counts),
        "findings": build_findings_markdown(report.findings),
        "dagster/column_schema": build_table_schema(table.schema),
    }
    replicates = read_replicates(wells, settings)
    if replicates is not None:
        metadata["percent_replicating"] = replicates.percent_replicating
        metadata["percent_active"] = replicates.percent_active
    known = {name: value for name, value in metadata.items() if value is not None}
    return PlateTable(table, fingerprint, known, findings=report.findings)


def read_selected(project: ProjectResource, dataset: str) -> pa.Table | None:
    """Selected features of a dataset, None where there are none."""
    rows = find_rows(project, "pycytominer_selected_features", dataset)
    return None if rows is None or not rows.num_rows else drop_empty_features([rows])[0]


def read_replicates(wells: pa.Table, settings: DatasetSettings) -> ReplicateReport | None:
    """Replicability of a dataset's treatments, None where its wells do not allow it."""
    try:
        return measure_replicates(wells, settings)
    except ProfilingError:
        return None
