"""The sensor that rebuilds a dataset's tables after its plates."""

import dagster as dg

from bioimage_assets.jobs.pipelines import dataset_pipeline
from bioimage_assets.partitions import dataset_of
from bioimage_assets.sensors.status import SENSOR_STATUS

MATERIALIZATIONS_PER_TICK = 5_000


@dg.sensor(
    job=dataset_pipeline,
    default_status=SENSOR_STATUS,
    minimum_interval_seconds=15,
    description="Rebuilds a dataset's selected features, consensus and report after plates of it changed.",
)
def dataset_rollup_sensor(context: dg.SensorEvaluationContext):
    """Read new materialisations of well profiles and request one run per dataset that had any.

    The cursor is the last event that was looked at. There is no partition mapping from plates to their
    dataset that Dagster's UI and daemon would honour; the event log says the same.
    """
    after = int(context.cursor) if context.cursor else None
    records = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("pycytominer_profiles"), after_storage_id=after),
        limit=MATERIALIZATIONS_PER_TICK,
        ascending=True,
    ).records
    if not records:
        return dg.SkipReason("No plate has new well profiles.")
    last: dict[str, int] = {}
    for record in records:
        if record.partition_key:
            last[dataset_of(record.partition_key)] = record.storage_id
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=f"{dataset}@{storage_id}", partition_key=dataset)
            for dataset, storage_id in sorted(last.items())
        ],
        cursor=str(records[-1].storage_id),
    )
