"""Quality control and well profiles of a plate, made by the field's own libraries."""

import dagster as dg

from bioimage_assets.assets.plate_steps import plate_table
from bioimage_assets.assets.publish import PlateTable, run_plates
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.resources.project import ProjectResource

QC_CODE_VERSION = "1"
WELLS_CODE_VERSION = "1"


@plate_table("quality_control", {"parquet", "cosmicqc"}, QC_CODE_VERSION, deps=["joined_profiles"])
def cosmicqc_profiles(context: dg.AssetExecutionContext, project: ProjectResource):
    """Which cells of the plate are badly segmented, blurred or saturated, by coSMicQC z-scores within the plate."""
    from bioimage_assets.assets.wells import build_qc

    def build(plate_key: str, source: PlateSource | None) -> dict[str, PlateTable]:
        return {"cosmicqc_profiles": build_qc(project, plate_key, source)}

    yield from run_plates(context, project, ["cosmicqc_profiles"], build)


@plate_table(
    "profiles",
    {"parquet", "pycytominer"},
    WELLS_CODE_VERSION,
    deps=["joined_profiles", "cosmicqc_profiles"],
)
def pycytominer_profiles(context: dg.AssetExecutionContext, project: ProjectResource):
    """One profile per well: cells that pass QC, normalised to the plate's controls, annotated and aggregated."""
    from bioimage_assets.assets.wells import build_wells

    def build(plate_key: str, source: PlateSource | None) -> dict[str, PlateTable]:
        return {"pycytominer_profiles": build_wells(project, plate_key, source)}

    yield from run_plates(context, project, ["pycytominer_profiles"], build)
