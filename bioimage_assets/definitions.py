"""The code location: assembles assets, checks, sensors, jobs and resources; nothing is computed here."""

import os

import dagster as dg
from dagster_duckdb import DuckDBResource

from bioimage_assets.assets.maintenance import iceberg_maintenance, warehouse_maintenance
from bioimage_assets.assets.sources import image_stores, plate_registry
from bioimage_assets.assets.steps import STEP_ASSETS
from bioimage_assets.assets.verification import stored_files_verified
from bioimage_assets.checks.plates import PLATE_CHECKS
from bioimage_assets.checks.stores import STORE_CHECKS
from bioimage_assets.extend import build_resources
from bioimage_assets.io_managers.pages import PageIOManager
from bioimage_assets.jobs.pipelines import JOBS, SCHEDULES
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors.definitions import SENSORS
from bioimage_assets.user_definitions import add_user_definitions

ASSETS = [
    image_stores,
    *STEP_ASSETS,
    *dg.with_source_code_references(
        [plate_registry, iceberg_maintenance, warehouse_maintenance, stored_files_verified]
    ),
]


def build_executor() -> dg.ExecutorDefinition:
    """Steps of a plate run in one process unless ``BIOIMAGE_EXECUTOR=multiprocess`` says otherwise.

    Starting a process per step costs more than most steps of a plate.
    """
    if os.environ.get("BIOIMAGE_EXECUTOR") == "multiprocess":
        return dg.multiprocess_executor
    return dg.in_process_executor


project = ProjectResource()

defs = dg.Definitions(
    assets=ASSETS,
    asset_checks=[*PLATE_CHECKS, *STORE_CHECKS],
    jobs=JOBS,
    schedules=SCHEDULES,
    sensors=SENSORS,
    executor=build_executor(),
    resources={
        **build_resources(project),
        "pages_io": PageIOManager(project=project),
        "duckdb": DuckDBResource(database=":memory:"),
    },
)
defs = add_user_definitions(defs)
