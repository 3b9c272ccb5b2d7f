"""Quality of the fields of one plate, read from its images or from what was measured on them, and handed to the warehouse."""

from bioimage_assets.core.image_quality.summary import summarize_fields
from bioimage_assets.core.image_quality.table import ImageQuality, build_image_quality
from bioimage_assets.core.joins.report import read_proven_site_offset
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.metadata import (
    build_browse_metadata,
    build_counts_markdown,
    build_findings_markdown,
    build_plate_tile,
    build_table_schema,
)


def build_quality(inputs: StepInputs) -> PlateTable:
    """Measure and flag the plate's fields; a plate without images and without measures of them has no such table."""
    settings = inputs.settings
    stated = settings.profile_site_offset
    offset = read_proven_site_offset(inputs.find("join_report")) if stated is None else stated
    quality = build_image_quality(
        inputs.find("image_assets"),
        inputs.find("measured_images"),
        settings,
        plate_key=inputs.partition,
        dataset_id=inputs.dataset_id,
        profile_site_offset=offset,
        storage_options=inputs.storage_options,
    )
    if not quality.table.num_rows:
        return PlateTable.absent("the plate has no images, and its image table no ImageQuality measures")
    return PlateTable(quality.table, _describe(inputs, quality), findings=quality.findings)


def _describe(inputs: StepInputs, quality: ImageQuality) -> dict[str, object]:
    table, summary = quality.table, summarize_fields(quality.table)
    counts: dict[str, object] = {
        "fields": summary.fields,
        "judged": summary.judged,
        "flagged": summary.flagged,
    }
    counts |= {f"fields {source}": count for source, count in summary.by_source.items()}
    counts |= summary.by_kind
    return {
        "image_quality": build_counts_markdown(counts),
        "flagged_per_well": build_plate_tile(
            {well: float(count) for well, count in summary.per_well.items()}, "flagged fields"
        ),
        "flagged_fields": summary.flagged,
        "pieces_read": quality.pieces_read,
        "bytes_read": quality.bytes_read,
        "findings": build_findings_markdown(quality.findings),
        "dagster/column_schema": build_table_schema(table.schema),
        **build_browse_metadata(inputs.project.browse_url, inputs.partition),
    }
