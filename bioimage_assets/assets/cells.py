"""Measured cells of one plate: converted, joined to images, and compared with what the plate promises."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bioimage_assets.assets.publish import PlateTable
from bioimage_assets.assets.scanning import require_source
from bioimage_assets.assets.versions import plate_fingerprint
from bioimage_assets.core.joins.join import JoinResult, join_plate
from bioimage_assets.core.measurements.model import PlateMeasurements
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.model.identity import build_key_part
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.settings.dataset_file import read_dataset_settings
from bioimage_assets.metadata import build_counts_markdown, build_findings_markdown, build_table_schema
from bioimage_assets.resources.project import ProjectResource


def open_cells(source: PlateSource) -> PlateMeasurements:
    """Read the plate's measurements, converted where they need to be."""
    return read_measurements(
        source.measurement_uris,
        plate_key=source.plate_key,
        dataset_id=build_key_part(source.dataset_name),
        plate_name=source.plate_name,
        settings=read_dataset_settings(source.dataset_uri),
    )


def lies_ready(source: PlateSource) -> bool:
    """Tell whether the measurements are one Parquet table, which is used where it lies."""
    return len(source.measurement_uris) == 1 and source.measurement_uris[0].lower().endswith(".parquet")


def build_single_cells(project: ProjectResource, plate_key: str, source: PlateSource | None) -> PlateTable:
    """Convert the plate's measurements, or count them where they need no conversion."""
    source = require_source(plate_key, source)
    fingerprint = plate_fingerprint(source, "single_cells")
    if not source.measurement_uris:
        return PlateTable(None, fingerprint, {"note": "no measurements found for this plate"})
    cells = open_cells(source)
    metadata: dict[str, Any] = {
        "sources": list(cells.source_files),
        "measured_with": cells.kind,
        "findings": build_findings_markdown(cells.findings),
        "measurement_errors": sum(finding.severity == "error" for finding in cells.findings),
        "dagster/column_schema": build_table_schema(cells.reader.schema),
    }
    if lies_ready(source):
        cells.reader.close()
        rows = (
            pq.read_metadata(source.measurement_uris[0]).num_rows
            if "://" not in source.measurement_uris[0]
            else None
        )
        metadata["used_where_it_lies"] = source.measurement_uris[0]
        return PlateTable(
            None, fingerprint, metadata, row_count=rows if rows is not None else cells.row_count
        )
    return PlateTable(cells.reader, fingerprint, metadata)


def profile_rows(project: ProjectResource, source: PlateSource) -> Any:
    """The plate's cells in a form that the join reads: stored files, or the measurements as a stream."""
    if lies_ready(source):
        return open_cells(source).reader
    return project.warehouse().files("single_cells", [source.plate_key])


def build_joined_profiles(
    project: ProjectResource, plate_key: str, source: PlateSource | None, image_assets: pa.Table
) -> dict[str, PlateTable]:
    """Join one plate's cells to its images; both tables are absent where nothing was measured."""
    source = require_source(plate_key, source)
    fingerprints = {name: plate_fingerprint(source, name) for name in ("joined_profiles", "join_report")}
    if not source.measurement_uris:
        return {
            name: PlateTable(None, value, {"note": "no measurements"}) for name, value in fingerprints.items()
        }
    settings = read_dataset_settings(source.dataset_uri)
    result = join_plate(
        image_assets,
        profile_rows(project, source),
        settings=settings,
        plate_key=plate_key,
        dataset_id=build_key_part(source.dataset_name),
    )
    metadata = {"dagster/column_schema": build_table_schema(result.schema)}
    return {
        "joined_profiles": PlateTable(result.reader, fingerprints["joined_profiles"], metadata),
        # The report of a streamed join is complete once the rows have been written.
        "join_report": PlateTable(
            lambda: result.report.to_table(),
            fingerprints["join_report"],
            late_metadata=lambda: _report_metadata(result),
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
    raise NotImplementedError


def _rows_of(table: pa.Table, plate_key: str, columns: Sequence[str] | None = None) -> pa.Table:
    rows = table.filter(pc.equal(table["plate_key"], plate_key))
    return rows if columns is None else rows.select(list(columns))
