"""The upkeep of catalog and warehouse, at night."""

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
