"""Jobs: everything about a plate, about a dataset, about a campaign, and the upkeep of the catalog."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from bioimage_assets.core.model.left_out import list_buildable_tables, list_left_out, say_left_out
from bioimage_assets.core.model.table_specs import list_tables
from bioimage_assets.jobs.history import history_upkeep, nightly_history_upkeep
from bioimage_assets.jobs.plate_lists import plates_by_list
from bioimage_assets.jobs.presence import STORE_IS_PRESENT, presence_check
from bioimage_assets.jobs.upkeep import nightly_upkeep, nightly_verification, upkeep, verification

# A job leaves out what cannot be built here. One of which nothing would be left has all: a run of it says what is missing.
PLATE_ASSETS = list_buildable_tables("plate")
DATASET_ASSETS = list_buildable_tables("dataset") or list_tables("dataset")
CAMPAIGN_ASSETS = list_buildable_tables("campaign") or list_tables("campaign")


def _describe(text: str, *more: str) -> str:
    return " ".join([text, *(one for one in more if one)])


_OF_PLATES = [f"Here {left}." for left in list_left_out() if left.plate_tables]

plate_pipeline = dg.define_asset_job(
    "plate_pipeline",
    selection=dg.AssetSelection.assets(*PLATE_ASSETS) | dg.AssetSelection.checks(STORE_IS_PRESENT),
    description=_describe(
        "Everything about a plate: scan, catalogue, join, quality control, profiles, warehouse, report.",
        *_OF_PLATES,
    ),
)

dataset_pipeline = dg.define_asset_job(
    "dataset_pipeline",
    selection=dg.AssetSelection.assets(*DATASET_ASSETS),
    description=_describe(
        "What is made over all plates of a dataset: feature selection, consensus, report.",
        say_left_out("dataset"),
    ),
)

campaign_pipeline = dg.define_asset_job(
    "campaign_pipeline",
    selection=dg.AssetSelection.assets(*CAMPAIGN_ASSETS),
    description=_describe(
        "What is made over all datasets of a campaign: feature selection, consensus, replicates, report.",
        say_left_out("campaign"),
    ),
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
