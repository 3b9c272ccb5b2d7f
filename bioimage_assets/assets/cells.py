"""Measured cells of one plate: converted, joined to images, and compared with what the plate promises."""

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.assets.placed import find_cells, find_rows, stream_rows
from bioimage_assets.assets.publish import PlateTable
from bioimage_assets.assets.scanning import require_source
from bioimage_assets.assets.versions import plate_fingerprint
from bioimage_assets.core.joins.join import JoinResult, join_plate
from bioimage_assets.core.measurements.model import PlateMeasurements
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.model.identity import build_key_part
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.tables.completeness import build_plate_completeness
from bioimage_assets.core.tables.completeness_counts import (
    summarize_cells,
    summarize_chunks,
    summarize_image_table,
)
from bioimage_assets.core.tables.plate_layout import read_plate_layout
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS
from bioimage_assets.metadata import (
    build_column_lineage,
    build_counts_markdown,
    build_findings_markdown,
    build_plate_tile,
    build_table_schema,
)
from bioimage_assets.resources.project import ProjectResource

POSITION_COLUMNS = ["Metadata_Well", "Metadata_Site", "plate_id"]


def open_cells(project: ProjectResource, source: PlateSource, scratch: Path) -> PlateMeasurements:
    """Read the plate's measurements, converted where they need to be, by way of files in ``scratch``."""
    return read_measurements(
        source.measurement_uris,
        plate_key=source.plate_key,
        dataset_id=build_key_part(source.dataset_name),
        plate_name=source.plate_name,
        settings=project.dataset_settings(source.dataset_uri),
        storage_options=project.settings.storage_options,
        staging_root=str(scratch),
    )


def lies_ready(source: PlateSource) -> bool:
    """Tell whether the measurements are one Parquet table, which is used where it lies."""
    return len(source.measurement_uris) == 1 and source.measurement_uris[0].lower().endswith(".parquet")


def build_single_cells(
    project: ProjectResource, plate_key: str, source: PlateSource | None, scratch: Path
) -> dict[str, PlateTable]:
    """Convert the plate's measurements, or count them where they need no conversion."""
    source = require_source(plate_key, source)
    fingerprints = {name: plate_fingerprint(source, name) for name in ("single_cells", "measured_images")}
    if not source.measurement_uris:
        note = {"note": "no measurements found for this plate"}
        return {
            name: PlateTable(None, value, note, findings=source.findings if name == "single_cells" else None)
            for name, value in fingerprints.items()
        }
    cells = open_cells(project, source, scratch)
    findings = (*source.findings, *cells.findings)
    images = PlateTable(cells.image_table, fingerprints["measured_images"])
    metadata: dict[str, Any] = {
        "sources": list(cells.source_files),
        "measured_with": cells.kind,
        "one_row_is_one": cells.grain,
        "findings": build_findings_markdown(findings),
        "measurement_errors": sum(finding.severity == "error" for finding in findings),
        "dagster/column_schema": build_table_schema(cells.reader.schema),
    }
    if not lies_ready(source):
        return {
            "single_cells": PlateTable(
                cells.reader, fingerprints["single_cells"], metadata, findings=findings
            ),
            "measured_images": images,
        }
    rows = sum(batch.num_rows for batch in cells.reader) if cells.row_count is None else cells.row_count
    cells.reader.close()
    metadata["used_where_it_lies"] = source.measurement_uris[0]
    return {
        "single_cells": PlateTable(
            None, fingerprints["single_cells"], metadata, row_count=rows, findings=findings
        ),
        "measured_images": images,
    }


def profile_rows(project: ProjectResource, source: PlateSource, scratch: Path) -> Any:
    """The plate's cells in a form that the join reads: stored files, or the measurements as a stream."""
    if lies_ready(source):
        return open_cells(project, source, scratch).reader
    return find_cells(project, "single_cells", source.plate_key)


def build_joined_profiles(
    project: ProjectResource,
    plate_key: str,
    source: PlateSource | None,
    image_assets: pa.Table,
    scratch: Path,
) -> dict[str, PlateTable]:
    """Join one plate's cells to its images; both tables are absent where nothing was measured."""
    source = require_source(plate_key, source)
    fingerprints = {name: plate_fingerprint(source, name) for name in ("joined_profiles", "join_report")}
    if not source.measurement_uris:
        return {
            name: PlateTable(None, value, {"note": "no measurements"}) for name, value in fingerprints.items()
        }
    settings = project.dataset_settings(source.dataset_uri)
    # Where the images come from the warehouse they carry the seeds' text columns, which no join should repeat.
    result = join_plate(
        image_assets.select(IMAGE_ASSETS.names),
        profile_rows(project, source, scratch),
        settings=settings,
        plate_key=plate_key,
        dataset_id=build_key_part(source.dataset_name),
        storage_options=project.settings.storage_options,
        is_imageless=source.is_imageless,
    )
    names = result.schema.names
    metadata = {
        "dagster/column_schema": build_table_schema(result.schema),
        "dagster/column_lineage": build_column_lineage(
            result.schema,
            {
                "image_assets": [name for name in image_assets.schema.names if name != "plate_key"],
                "single_cells": [name for name in names if name != "join_rule"],
            },
        ),
    }
    return {
        "joined_profiles": PlateTable(result.reader, fingerprints["joined_profiles"], metadata),
        # The report of a streamed join is complete once the rows have been written.
        "join_report": PlateTable(
            lambda: result.report.to_table(),
            fingerprints["join_report"],
            late_metadata=lambda: _report_metadata(result),
            findings=lambda: result.report.findings,
        ),
    }


def _report_metadata(result: JoinResult) -> dict[str, Any]:
    report = result.report
    counts: dict[str, object] = {"cells in": report.profile_rows, "rows out": report.joined_rows}
    for outcome in report.outcomes:
        name = f"{outcome.outcome} by {outcome.join_rule}" if outcome.join_rule else outcome.outcome
        counts[name] = outcome.row_count
    return {
        "accounting": build_counts_markdown(counts, ("outcome", "rows")),
        "matched_fraction": report.matched_fraction,
        "findings": build_findings_markdown(report.findings),
    }


def build_completeness(
    project: ProjectResource,
    plate_key: str,
    source: PlateSource | None,
    image_assets: pa.Table,
    plate_layout: pa.Table,
) -> PlateTable:
    """Compare what one plate promises, holds and was measured on, well by well."""
    source = require_source(plate_key, source)
    columns = ["image_id", "kind", "strip_count", "is_present"]
    chunks = summarize_chunks(stream_rows(project, "chunk_index", plate_key, columns))
    positions = find_rows(project, "joined_profiles", plate_key, POSITION_COLUMNS)
    measured = find_rows(project, "measured_images", plate_key)
    result = build_plate_completeness(
        rows_of(image_assets, plate_key),
        read_plate_layout(rows_of(plate_layout, plate_key)),
        plate_key=plate_key,
        dataset_id=build_key_part(source.dataset_name),
        chunks=chunks,
        cells=None if positions is None else summarize_cells(positions),
        promised=None if measured is None else summarize_image_table(measured),
        profile_site_offset=project.dataset_settings(source.dataset_uri).profile_site_offset,
        is_imageless=source.is_imageless,
        measured_plate_id=_only_plate(positions),
    )
    metadata = {
        "verdict": result.verdict,
        "wells_by_verdict": build_counts_markdown(result.counts, ("verdict", "wells")),
        "fields_per_well": build_plate_tile(_fields_per_well(result.table), "fields of view"),
        "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in result.reasons) or "none"),
        "dagster/column_schema": build_table_schema(result.table.schema),
    }
    return PlateTable(result.table, plate_fingerprint(source, "plate_completeness"), metadata)


def _only_plate(positions: pa.Table | None) -> str | None:
    """The plate that all cells name; None where they name several or none."""
    names = [] if positions is None else positions["plate_id"].drop_null().unique().to_pylist()
    return names[0] if len(names) == 1 else None


def _fields_per_well(table: pa.Table) -> dict[str, float]:
    rows = table.select(["well_id", "fields_found"]).to_pylist()
    return {row["well_id"]: row["fields_found"] for row in rows if row["well_id"] is not None}


def rows_of(table: pa.Table, plate_key: str) -> pa.Table:
    """Rows of one plate of a table that may hold a whole batch of plates."""
    return table.filter(pc.equal(table["plate_key"], plate_key))
