"""Failed runs are said where people look: as an observation of the stores of the plates that failed."""

import dagster as dg

from bioimage_assets.sensors.status import SENSOR_STATUS
from bioimage_assets.sensors.store_events import STORES

MAX_MESSAGE = 2_000


@dg.run_failure_sensor(
    default_status=SENSOR_STATUS,
    minimum_interval_seconds=30,
    description="Notes the failure of a plate's run beside its store, with the error, for the UI and `bioimage-assets status`.",
)
def plate_failure_sensor(context: dg.RunFailureSensorContext):
    """Note a failed run: which step, which error. A run of several plates names those that failed itself."""
    run = context.dagster_run
    plate_key = run.tags.get("dagster/partition")
    message = describe_failure(context)
    context.log.error(f"{run.job_name} {plate_key or ''}: {message}")
    if plate_key is None or "/" not in plate_key:
        return
    context.instance.report_runless_asset_event(
        dg.AssetObservation(
            STORES,
            partition=plate_key,
            description=f"run failed: {message}",
            metadata={"failed_run": run.run_id, "reason": message},
        )
    )


def describe_failure(context: dg.RunFailureSensorContext) -> str:
    """First failed step and the error as the project worded it."""
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            return f"{event.step_key}: {data.user_failure_data.description}"[:MAX_MESSAGE]
        error = data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return f"{event.step_key}: {error.message.strip()}"[:MAX_MESSAGE]
    return (context.failure_event.message or "the run failed before its first step")[:MAX_MESSAGE]
