"""The sensor that finds new, changed and removed plates and has them ingested."""

import time
from collections.abc import Mapping

import dagster as dg

from bioimage_assets.jobs.pipelines import plate_pipeline
from bioimage_assets.partitions import DATASETS, PLATES, dataset_of
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors.status import SENSOR_STATUS

PLATES_PER_TICK = 200
SINGLE_RUNS_PER_TICK = 20
PLATES_PER_RANGE = 50
DATA_VERSION_TAG = "dagster/data_version"


def read_taken_signatures(instance: dg.DagsterInstance) -> dict[str, str]:
    """Signature under which each plate was taken last, from the event log."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey("image_stores"), dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
    )
    return {key: value[DATA_VERSION_TAG] for key, value in tags.items() if DATA_VERSION_TAG in value}


def build_run_requests(
    plate_keys: list[str], new_keys: list[str], run_keys: Mapping[str, str]
) -> list[dg.RunRequest]:
    """One run per plate, or ranges of new plates where many arrive at once.

    A range follows the order in which partitions were added, and plates added in one tick stand beside
    each other; so only new plates go out as ranges.
    """
    bulk = sorted(new_keys) if len(plate_keys) > SINGLE_RUNS_PER_TICK else []
    requests = []
    for start in range(0, len(bulk), PLATES_PER_RANGE):
        keys = bulk[start : start + PLATES_PER_RANGE]
        requests.append(
            dg.RunRequest(
                run_key=f"{keys[0]}...{keys[-1]}@{run_keys[keys[0]]}",
                tags={
                    "dagster/asset_partition_range_start": keys[0],
                    "dagster/asset_partition_range_end": keys[-1],
                    "bioimage/plates": str(len(keys)),
                },
            )
        )
    singles = sorted(set(plate_keys) - set(bulk))
    requests += [
        dg.RunRequest(
            run_key=f"{key}@{run_keys[key]}",
            partition_key=key,
            tags={"bioimage/dataset": dataset_of(key)},
        )
        for key in singles
    ]
    return requests


@dg.sensor(
    job=plate_pipeline,
    default_status=SENSOR_STATUS,
    minimum_interval_seconds=5,
    description="Takes new and changed plates of the watched roots once nothing in them changes any more.",
)
def image_store_sensor(context: dg.SensorEvaluationContext, project: ProjectResource):
    """List the watched roots, register new plates, and request a run for every plate that has settled."""
    from bioimage_assets.core.discovery.plan import ABSENT, plan_tick, read_cursor, write_cursor

    settings = project.settings
    sources, findings = project.discover()
    for finding in findings:
        context.log.warning(f"{finding.code}: {finding.message}")
    plan = plan_tick(
        sources,
        done=read_taken_signatures(context.instance),
        pending=read_cursor(context.cursor),
        now_s=time.time(),
        quiet_s=settings.quiet_period_s,
        limit=PLATES_PER_TICK,
    )
    events = [
        dg.AssetMaterialization(
            "image_stores",
            partition=source.plate_key,
            metadata={"stores": list(source.store_uris), "measurements": list(source.measurement_uris)},
            tags={DATA_VERSION_TAG: source.signature},
        )
        for source in plan.taken
    ]
    for key in plan.gone:
        context.log.warning(f"{key}: its store is gone; stored rows are kept.")
        events.append(
            dg.AssetMaterialization(
                "image_stores",
                partition=key,
                metadata={"note": "store removed; stored rows are kept"},
                tags={DATA_VERSION_TAG: ABSENT},
            )
        )
    keys = [source.plate_key for source in plan.taken]
    known = set(context.instance.get_dynamic_partitions("plates"))
    new = sorted(key for key in keys if key not in known)
    known_datasets = set(context.instance.get_dynamic_partitions("datasets"))
    new_datasets = sorted({dataset_of(key) for key in keys} - known_datasets)
    run_keys = {s.plate_key: f"{s.signature}@{plan.pending[s.plate_key].since_s:.0f}" for s in plan.taken}
    partitions = []
    if new:
        partitions.append(PLATES.build_add_request(new))
    if new_datasets:
        partitions.append(DATASETS.build_add_request(new_datasets))
    held = "; ".join(f"{h.plate_key}: {h.reason}" for h in plan.held[:10])
    return dg.SensorResult(
        run_requests=build_run_requests(keys, new, run_keys),
        skip_reason=None
        if keys
        else (f"Waiting: {held}" if held else f"No change in {len(sources)} plates."),
        asset_events=events,
        dynamic_partitions_requests=partitions,
        cursor=write_cursor(plan.pending, plan.taken),
    )
