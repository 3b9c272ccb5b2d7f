"""Measured cells of one plate: converted, joined to images, and compared with what the plate promises."""

from dataclasses import replace

import dagster as dg
import pyarrow as pa

from bioimage_assets.core.joins.join import JoinResult, join_plate
from bioimage_assets.core.joins.report import read_proven_site_offset
from bioimage_assets.core.measurements.model import PlateMeasurements
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.pixels.link_proof import build_link_weigher
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.tables.completeness import build_plate_completeness
from bioimage_assets.core.tables.completeness_counts import (
    count_linked,
    summarize_cells,
    summarize_chunks,
    summarize_image_table,
)
from bioimage_assets.core.tables.plate_layout import read_plate_layout
from bioimage_assets.metadata import (
    build_browse_metadata,
    build_column_lineage,
    build_counts_markdown,
    build_findings_markdown,
    build_plate_tile,
    build_table_schema,
)

POSITION_COLUMNS = ["Metadata_Well", "Metadata_Site", "plate_id", "image_id"]


def open_cells(inputs: StepInputs) -> PlateMeasurements:
    """Read the plate's measurements, converted where they need to be, by way of files in the scratch folder."""
    return read_measurements(
        inputs.source.measurement_uris,
        plate_key=inputs.partition,
        dataset_id=inputs.dataset_id,
        plate_name=inputs.source.plate_name,
        settings=inputs.settings,
        storage_options=inputs.storage_options,
        staging_root=str(inputs.scratch),
    )


def is_used_in_place(source: PlateSource) -> bool:
    """Tell whether the measurements are one Parquet table, which is not copied."""
    return len(source.measurement_uris) == 1 and source.measurement_uris[0].lower().endswith(".parquet")


def build_single_cells(inputs: StepInputs) -> dict[str, PlateTable]:
    """Convert the plate's measurements, or count them where they need no conversion."""
    source = inputs.source
    if not source.measurement_uris:
        note = {"note": "no measurements found for this plate"}
        return {
            "single_cells": PlateTable(None, note, findings=source.findings),
            "measured_images": PlateTable(None, note),
        }
    cells = open_cells(inputs)
    findings = (*source.findings, *cells.findings)
    metadata: dict[str, object] = {
        "sources": list(cells.source_files),
        "measured_with": cells.kind,
        "one_row_is_one": cells.grain,
        "findings": build_findings_markdown(findings),
        "measurement_errors": sum(finding.severity == "error" for finding in findings),
        "dagster/column_schema": build_table_schema(cells.reader.schema),
    }
    data: pa.RecordBatchReader | None = cells.reader
    rows = None
    if is_used_in_place(source):
        rows = sum(batch.num_rows for batch in cells.reader) if cells.row_count is None else cells.row_count
        cells.reader.close()
        data = None
        metadata["used_in_place"] = source.measurement_uris[0]
    return {
        "single_cells": PlateTable(data, metadata, row_count=rows, findings=findings),
        "measured_images": PlateTable(cells.image_table),
    }


def build_joined_profiles(inputs: StepInputs) -> dict[str, PlateTable]:
    """Join one plate's cells to its images; both tables are absent where nothing was measured."""
    source = inputs.source
    if not source.measurement_uris:
        absent = PlateTable(None, {"note": "no measurements"})
        return {"joined_profiles": absent, "join_report": replace(absent)}
    images = inputs.read("image_assets")
    is_in_place = is_used_in_place(source)
    settings = inputs.settings
    if source.gallery is not None:  # the folder says of which plate they are, whatever the rows call it
        settings = replace(settings, ignore_profile_plate=True)
    result = join_plate(
        images,
        open_cells(inputs).reader if is_in_place else inputs.find_cells("single_cells"),
        settings=settings,
        plate_key=inputs.partition,
        dataset_id=inputs.dataset_id,
        storage_options=inputs.storage_options,
        is_imageless=source.is_imageless,
        other_plates=source.plates_of_dataset - {source.plate_name},
        # Read in place they come as a stream; their keys are in the same file.
        preview=list(source.measurement_uris) if is_in_place else None,
        weigh_links=build_link_weigher(
            images,
            measured_images=inputs.find("measured_images"),
            profile_site_offset=inputs.settings.profile_site_offset or 0,
            storage_options=inputs.storage_options,
        ),
    )
    names = result.schema.names
    metadata = {
        "dagster/column_schema": build_table_schema(result.schema),
        **build_browse_metadata(inputs.project.browse_url, inputs.partition),
        "dagster/column_lineage": build_column_lineage(
            result.schema,
            {
                "image_assets": [name for name in images.schema.names if name != "plate_key"],
                "single_cells": [name for name in names if name != "join_rule"],
            },
        ),
    }
    return {
        "joined_profiles": PlateTable(result.reader, metadata),
        # The report of a streamed join is complete once the rows have been written.
        "join_report": PlateTable(
            lambda: result.report.to_table(),
            late_metadata=lambda: _report_metadata(result, source.dataset_uri),
            findings=lambda: result.report.findings,
        ),
    }


def _report_metadata(result: JoinResult, dataset_uri: str) -> dict[str, object]:
    report = result.report
    counts: dict[str, object] = {"cells in": report.profile_rows, "rows out": report.joined_rows}
    for outcome in report.outcomes:
        name = f"{outcome.outcome} by {outcome.join_rule}" if outcome.join_rule else outcome.outcome
        counts[name] = outcome.row_count
    return {
        "accounting": build_counts_markdown(counts, ("outcome", "rows")),
        "matched_fraction": report.matched_fraction,
        "positions": result.decision.describe(),
        "findings": build_findings_markdown([found.name_file(dataset_uri) for found in report.findings]),
    }


def build_completeness(inputs: StepInputs) -> PlateTable:
    """Compare what one plate promises, holds and was measured on, well by well."""
    columns = ["image_id", "kind", "strip_count", "is_present"]
    chunks = summarize_chunks(inputs.stream("chunk_index", columns))
    positions = inputs.find("joined_profiles", POSITION_COLUMNS)
    measured = inputs.find("measured_images")
    result = build_plate_completeness(
        inputs.read("image_assets"),
        read_plate_layout(inputs.read("plate_layout")),
        plate_key=inputs.partition,
        dataset_id=inputs.dataset_id,
        chunks=chunks,
        cells=None if positions is None else summarize_cells(positions),
        promised=None if measured is None else summarize_image_table(measured),
        linked=None if positions is None else count_linked(positions),
        profile_site_offset=_find_site_offset(inputs),
        is_imageless=inputs.source.is_imageless,
        measured_plate_id=_only_plate(positions),
    )
    metadata = {
        "verdict": result.verdict,
        "wells_by_verdict": build_counts_markdown(result.counts, ("verdict", "wells")),
        "fields_per_well": build_plate_tile(_fields_per_well(result.table), "fields of view"),
        "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in result.reasons) or "none"),
        "dagster/column_schema": build_table_schema(result.table.schema),
    }
    return PlateTable(result.table, metadata)


def _find_site_offset(inputs: StepInputs) -> int:
    """The offset that the dataset states, else the one that the join proved."""
    stated = inputs.settings.profile_site_offset
    return read_proven_site_offset(inputs.find("join_report")) if stated is None else stated


def _only_plate(positions: pa.Table | None) -> str | None:
    """The plate that all cells name; None where they name several or none."""
    names = [] if positions is None else positions["plate_id"].drop_null().unique().to_pylist()
    return names[0] if len(names) == 1 else None


def _fields_per_well(table: pa.Table) -> dict[str, float]:
    rows = table.select(["well_id", "fields_found"]).to_pylist()
    return {row["well_id"]: row["fields_found"] for row in rows if row["well_id"] is not None}
