"""Quality control and well profiles of a plate, made by the field's own libraries."""

import dagster as dg

from bioimage_assets.assets.profiles import HEAVY_BATCH
from bioimage_assets.assets.publish import PlateTable, build_plates, publish_plates
from bioimage_assets.assets.sources import OWNERS
from bioimage_assets.automation import follow_changes
from bioimage_assets.partitions import PLATES
from bioimage_assets.resources.project import ProjectResource

QC_CODE_VERSION = "1"
WELLS_CODE_VERSION = "1"


@dg.asset(
    deps=["joined_profiles"],
    partitions_def=PLATES,
    io_manager_key="warehouse_io",
    group_name="quality_control",
    kinds={"parquet", "cosmicqc"},
    owners=OWNERS,
    code_version=QC_CODE_VERSION,
    backfill_policy=HEAVY_BATCH,
    automation_condition=follow_changes(),
)
def cosmicqc_profiles(context: dg.AssetExecutionContext, project: ProjectResource):
    """Which cells of the plate are badly segmented, blurred or saturated, by coSMicQC z-scores within the plate."""
    from bioimage_assets.assets.wells import build_qc

    sources = project.plate_sources(context.partition_keys)

    def build(plate_key: str) -> dict[str, PlateTable]:
        return {"cosmicqc_profiles": build_qc(project, plate_key, sources.get(plate_key))}

    made = build_plates(context, ["cosmicqc_profiles"], build, sources)
    yield from publish_plates(context, project, made)


@dg.asset(
    deps=["joined_profiles", "cosmicqc_profiles"],
    partitions_def=PLATES,
    io_manager_key="warehouse_io",
    group_name="profiles",
    kinds={"parquet", "pycytominer"},
    owners=OWNERS,
    code_version=WELLS_CODE_VERSION,
    backfill_policy=HEAVY_BATCH,
    automation_condition=follow_changes(),
)
def pycytominer_profiles(context: dg.AssetExecutionContext, project: ProjectResource):
    """One profile per well: cells that pass QC, normalised to the plate's controls, annotated and aggregated."""
    from bioimage_assets.assets.wells import build_wells

    sources = project.plate_sources(context.partition_keys)

    def build(plate_key: str) -> dict[str, PlateTable]:
        return {"pycytominer_profiles": build_wells(project, plate_key, sources.get(plate_key))}

    made = build_plates(context, ["pycytominer_profiles"], build, sources)
    yield from publish_plates(context, project, made)
