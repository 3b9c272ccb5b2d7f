"""Jobs: everything about a plate, about a dataset, about a campaign, and the upkeep of the catalog."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from bioimage_assets.core.model.table_specs import list_tables
from bioimage_assets.jobs.history import history_upkeep, nightly_history_upkeep
from bioimage_assets.jobs.plate_lists import plates_by_list
from bioimage_assets.jobs.presence import STORE_IS_PRESENT, presence_check
from bioimage_assets.jobs.upkeep import nightly_upkeep, nightly_verification, upkeep, verification

PLATE_ASSETS = list_tables("plate")
DATASET_ASSETS = list_tables("dataset")
CAMPAIGN_ASSETS = list_tables("campaign")

plate_pipeline = dg.define_asset_job(
    "plate_pipeline",
    selection=dg.AssetSelection.assets(*PLATE_ASSETS) | dg.AssetSelection.checks(STORE_IS_PRESENT),
    description="Everything about a plate: scan, catalogue, join, quality control, profiles, warehouse, report.",
)

dataset_pipeline = dg.define_asset_job(
    "dataset_pipeline",
    selection=dg.AssetSelection.assets(*DATASET_ASSETS),
    description="What is made over all plates of a dataset: feature selection, consensus, report.",
)

campaign_pipeline = dg.define_asset_job(
    "campaign_pipeline",
    selection=dg.AssetSelection.assets(*CAMPAIGN_ASSETS),
    description="What is made over all datasets of a campaign: feature selection, consensus, replicates, report.",
)

JOBS: list[dg.JobDefinition | UnresolvedAssetJobDefinition] = [
    plate_pipeline,
    plates_by_list,
    presence_check,
    dataset_pipeline,
    campaign_pipeline,
    upkeep,
    verification,
    history_upkeep,
]
SCHEDULES: list[dg.ScheduleDefinition] = [
    nightly_upkeep,
    nightly_verification,
    nightly_history_upkeep,
]
