"""Measurements of a plate, joined to the images they were measured on."""

import dagster as dg

from bioimage_assets.assets.plate_steps import plate_table, plate_tables
from bioimage_assets.assets.publish import PlateTable, run_plates
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.resources.project import ProjectResource

PROFILES_CODE_VERSION = "1"
KINDS = {"parquet", "duckdb"}


@plate_tables(
    {
        "single_cells": "Every segmented cell of the plate with all its measured features, one row per cell.",
        "measured_images": "Every image as the measurement tool saw it: position, counts, files and digests.",
    },
    "profiles",
    KINDS,
    PROFILES_CODE_VERSION,
    deps=["image_stores"],
)
def measure_plates(context: dg.AssetExecutionContext, project: ProjectResource):
    """Convert the plate's measurements to one row per cell.

    CellProfiler CSV folders, SQLite files, CytoTable, DeepProfiler, IN Carta and AnnData output are converted;
    measurements that are one Parquet table already are used where they lie and only counted here.
    """
    from bioimage_assets.assets.cells import build_single_cells
    from bioimage_assets.core.scratch import open_scratch

    with open_scratch() as scratch:

        def build(plate_key: str, source: PlateSource | None) -> dict[str, PlateTable]:
            return build_single_cells(project, plate_key, source, scratch)

        yield from run_plates(context, project, ["single_cells", "measured_images"], build)


@plate_tables(
    {
        "joined_profiles": "Every cell of the plate with the image it was measured on; rows in = rows out.",
        "join_report": "How many cells found their image by which rule, and which did not, with examples.",
    },
    "profiles",
    KINDS,
    PROFILES_CODE_VERSION,
    deps=["single_cells"],
)
def join_plates(context: dg.AssetExecutionContext, project: ProjectResource, image_assets):
    """Join the plate's cells to its fields of view and account for every row on both sides."""
    from bioimage_assets.assets.cells import build_joined_profiles
    from bioimage_assets.core.scratch import open_scratch

    with open_scratch() as scratch:

        def build(plate_key: str, source: PlateSource | None) -> dict[str, PlateTable]:
            return build_joined_profiles(project, plate_key, source, image_assets, scratch)

        yield from run_plates(context, project, ["joined_profiles", "join_report"], build)


@plate_table(
    "catalog",
    {"parquet", "python"},
    PROFILES_CODE_VERSION,
    deps=["chunk_index", "measured_images", "joined_profiles"],
)
def plate_completeness(
    context: dg.AssetExecutionContext, project: ProjectResource, image_assets, plate_layout
):
    """Per well: what the plate promises, what is on disk and what was measured, with reasons for every gap."""
    from bioimage_assets.assets.cells import build_completeness

    def build(plate_key: str, source: PlateSource | None) -> dict[str, PlateTable]:
        table = build_completeness(project, plate_key, source, image_assets, plate_layout)
        return {"plate_completeness": table}

    yield from run_plates(context, project, ["plate_completeness"], build)
