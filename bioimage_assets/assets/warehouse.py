"""The portable copy: catalog tables exported to the Cytomining warehouse root, and the plate's page."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from bioimage_assets.assets.plate_steps import HEAVY_BATCH
from bioimage_assets.assets.publish import record_each
from bioimage_assets.assets.sources import OWNERS
from bioimage_assets.automation import follow_changes
from bioimage_assets.partitions import PLATES
from bioimage_assets.resources.project import ProjectResource


@dg.asset(
    deps=["chunk_index", "joined_profiles", "cosmicqc_profiles", "pycytominer_profiles"],
    partitions_def=PLATES,
    group_name="warehouse",
    kinds={"parquet"},
    owners=OWNERS,
    code_version="1",
    backfill_policy=HEAVY_BATCH,
    automation_condition=follow_changes(),
)
def cytomining_warehouse(context: dg.AssetExecutionContext, project: ProjectResource, image_assets) -> None:
    """The plate in the portable Parquet warehouse root that pycytominer, DuckDB and pandas open directly."""
    from bioimage_assets.assets.current import find_exported
    from bioimage_assets.assets.export import export_plate
    from bioimage_assets.assets.older_inputs import mark_older_inputs

    found = project.plate_sources(context.partition_keys)
    sources = mark_older_inputs(context, project, "cytomining_warehouse", found)
    exported = find_exported(context, project, sources)

    def export(plate_key: str) -> Mapping[str, Any]:
        return exported.get(plate_key) or export_plate(
            project, plate_key, sources.get(plate_key), image_assets, context.run_id
        )

    record_each(context, "cytomining_warehouse", export)


@dg.asset(
    deps=["plate_completeness", "join_report", "cosmicqc_profiles", "pycytominer_profiles"],
    partitions_def=PLATES,
    group_name="reports",
    kinds={"html", "matplotlib"},
    owners=OWNERS,
    code_version="1",
    backfill_policy=HEAVY_BATCH,
    automation_condition=follow_changes(),
)
def plate_report(context: dg.AssetExecutionContext, project: ProjectResource) -> None:
    """One page about the plate: plate maps, QC with thresholds, worst cells, counts at every step."""
    from bioimage_assets.assets.current import is_forced
    from bioimage_assets.assets.freshness import is_page_current
    from bioimage_assets.assets.older_inputs import mark_older_inputs

    found = project.plate_sources(context.partition_keys)
    sources = mark_older_inputs(context, project, "plate_report", found)

    def write(plate_key: str) -> Mapping[str, Any] | None:
        source = sources.get(plate_key)
        if source and not is_forced(context) and is_page_current(project.settings.reports_dir, source):
            context.log.info(f"{plate_key}: the page is up to date")
            return None
        from bioimage_assets.assets.pages import write_plate_page

        return write_plate_page(project, plate_key, source, context.run_id)

    record_each(context, "plate_report", write)
