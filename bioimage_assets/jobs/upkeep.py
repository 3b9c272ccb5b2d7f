"""The upkeep of catalog and warehouse, and the verification of what is stored, at night."""

import dagster as dg

from bioimage_assets.sensors.status import SCHEDULE_STATUS

upkeep = dg.define_asset_job(
    "upkeep",
    selection=dg.AssetSelection.assets("iceberg_maintenance", "warehouse_maintenance"),
    description="Expires old snapshots, removes unreferenced files and leftovers, joins small files.",
)

nightly_upkeep = dg.ScheduleDefinition(
    name="nightly_upkeep",
    job=upkeep,
    cron_schedule="0 3 * * *",
    default_status=SCHEDULE_STATUS,
    description="Every night at three.",
)

verification = dg.define_asset_job(
    "verification",
    selection=dg.AssetSelection.assets("stored_files_verified"),
    description="Looks for all stored files and reads a share of them to the last byte; each is read once in thirty nights.",
)

nightly_verification = dg.ScheduleDefinition(
    name="nightly_verification",
    job=verification,
    cron_schedule="0 4 * * *",
    default_status=SCHEDULE_STATUS,
    description="Every night at four, after the upkeep.",
)
