"""Measurements of a plate, joined to the images they were measured on."""

import dagster as dg

from bioimage_assets.assets.publish import PlateTable, build_plates, publish_plates
from bioimage_assets.assets.sources import OWNERS
from bioimage_assets.automation import follow_changes
from bioimage_assets.partitions import PLATES
from bioimage_assets.resources.project import ProjectResource

PROFILES_CODE_VERSION = "1"
HEAVY_BATCH = dg.BackfillPolicy.multi_run(max_partitions_per_run=50)


@dg.multi_asset(
    name="measure_plates",
    outs={
        name: dg.AssetOut.from_spec(
            dg.AssetSpec(
                name,
                description=description,
                group_name="profiles",
                kinds={"parquet", "duckdb"},
                owners=OWNERS,
                code_version=PROFILES_CODE_VERSION,
                automation_condition=follow_changes(),
            ),
            io_manager_key="warehouse_io",
        )
        for name, description in (
            (
                "single_cells",
                "Every segmented cell of the plate with all its measured features, one row per cell.",
            ),
            (
                "measured_images",
                "Every image as the measurement tool saw it: position, counts, files and digests.",
            ),
        )
    },
    deps=["image_stores"],
    partitions_def=PLATES,
    backfill_policy=HEAVY_BATCH,
)
def measure_plates(context: dg.AssetExecutionContext, project: ProjectResource):
    """Convert the plate's measurements to one row per cell.

    CellProfiler CSV folders, SQLite files, CytoTable, DeepProfiler and IN Carta output are converted;
    measurements that are one Parquet table already are used where they lie and only counted here.
    """
    from bioimage_assets.assets.cells import build_single_cells

    sources = project.plate_sources(context.partition_keys)

    def build(plate_key: str) -> dict[str, PlateTable]:
        return build_single_cells(project, plate_key, sources.get(plate_key))

    made = build_plates(context, ["single_cells", "measured_images"], build, sources)
    yield from publish_plates(context, project, made)


@dg.multi_asset(
    name="join_plates",
    outs={
        name: dg.AssetOut.from_spec(
            dg.AssetSpec(
                name,
                description=description,
                group_name="profiles",
                kinds={"parquet", "duckdb"},
                owners=OWNERS,
                code_version=PROFILES_CODE_VERSION,
                automation_condition=follow_changes(),
            ),
            io_manager_key="warehouse_io",
        )
        for name, description in (
            (
                "joined_profiles",
                "Every cell of the plate with the image it was measured on; rows in = rows out.",
            ),
            (
                "join_report",
                "How many cells found their image by which rule, and which did not, with examples.",
            ),
        )
    },
    deps=["single_cells"],
    partitions_def=PLATES,
    backfill_policy=HEAVY_BATCH,
)
def join_plates(context: dg.AssetExecutionContext, project: ProjectResource, image_assets):
    """Join the plate's cells to its fields of view and account for every row on both sides."""
    from bioimage_assets.assets.cells import build_joined_profiles

    sources = project.plate_sources(context.partition_keys)

    def build(plate_key: str) -> dict[str, PlateTable]:
        return build_joined_profiles(project, plate_key, sources.get(plate_key), image_assets)

    made = build_plates(context, ["joined_profiles", "join_report"], build, sources)
    yield from publish_plates(context, project, made)


@dg.asset(
    deps=["chunk_index", "measured_images", "joined_profiles"],
    partitions_def=PLATES,
    io_manager_key="warehouse_io",
    group_name="catalog",
    kinds={"parquet", "python"},
    owners=OWNERS,
    code_version=PROFILES_CODE_VERSION,
    backfill_policy=HEAVY_BATCH,
    automation_condition=follow_changes(),
)
def plate_completeness(
    context: dg.AssetExecutionContext, project: ProjectResource, image_assets, plate_layout
):
    """Per well: what the plate promises, what is on disk and what was measured, with reasons for every gap."""
    from bioimage_assets.assets.cells import build_completeness

    sources = project.plate_sources(context.partition_keys)

    def build(plate_key: str) -> dict[str, PlateTable]:
        table = build_completeness(project, plate_key, sources.get(plate_key), image_assets, plate_layout)
        return {"plate_completeness": table}

    made = build_plates(context, ["plate_completeness"], build, sources)
    yield from publish_plates(context, project, made)
