"""All sensors: new stores, dataset roll-ups, and the automation conditions of the assets."""

import dagster as dg

from bioimage_assets.sensors.campaigns import campaign_rollup_sensor
from bioimage_assets.sensors.failures import plate_failure_sensor
from bioimage_assets.sensors.rollups import dataset_rollup_sensor
from bioimage_assets.sensors.status import SENSOR_STATUS
from bioimage_assets.sensors.stores import image_store_sensor

automation_sensor = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    default_status=SENSOR_STATUS,
    minimum_interval_seconds=30,
    description="Rebuilds tables whose upstream tables have other data than before.",
)

SENSORS = [
    image_store_sensor,
    dataset_rollup_sensor,
    campaign_rollup_sensor,
    automation_sensor,
    plate_failure_sensor,
]
