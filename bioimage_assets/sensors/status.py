"""Whether sensors and schedules start switched on."""

import os

import dagster as dg

# The one thing read from the environment when the code is loaded: Dagster keeps a default status per definition.
SENSORS_ON = (os.environ.get("BIOIMAGE_SENSORS") or "off").lower() in ("on", "1", "true", "yes")
SENSOR_STATUS = dg.DefaultSensorStatus.RUNNING if SENSORS_ON else dg.DefaultSensorStatus.STOPPED
SCHEDULE_STATUS = dg.DefaultScheduleStatus.RUNNING if SENSORS_ON else dg.DefaultScheduleStatus.STOPPED
