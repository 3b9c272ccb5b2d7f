"""The sensor that rebuilds a dataset's tables after its plates."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.left_out import say_left_out
from bioimage_assets.core.model.step_spec import Dimension
from bioimage_assets.core.model.table_specs import list_steps
from bioimage_assets.jobs.pipelines import dataset_pipeline, plate_pipeline
from bioimage_assets.jobs.plate_lists import plates_by_list
from bioimage_assets.sensors.changes import find_changes
from bioimage_assets.sensors.status import SENSOR_STATUS


def list_watched(dimension: Dimension) -> list[dg.AssetKey]:
    """Tables of plates that the tables of a dataset or campaign are made from; its page follows them."""
    return sorted(
        {
            dg.AssetKey(name)
            for step in list_steps(dimension)
            if any(table.home != "page" for table in step.tables)
            for name in step.of_plates
        }
    )


WATCHED = list_watched("dataset")
RUNS_LOOKED_AT = 20
MATERIALIZATIONS_PER_TICK = 1_000  # events read per look; the cursor continues after them
# Plates that are still running will change the dataset again; it is rebuilt without them after so long.
MAX_WAIT_S = 1_800.0
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.sensor(
    job=dataset_pipeline,
    default_status=SENSOR_STATUS,
    minimum_interval_seconds=15,
    description="Rebuilds a dataset's selected features, consensus and report once plates of it have other well profiles.",
)
def dataset_rollup_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Read new materialisations of well profiles and request one run per dataset in which any changed.

    A plate that was run again with the same result changes nothing, and a dataset that was built since, as by `make demo` or
    `materialize`, needs no run. The cursor is the last event that was
    looked at, and the datasets that wait for running plates. There is no partition mapping from plates to
    their dataset that Dagster's UI and daemon would honour; the event log says the same.
    """
    if missing := say_left_out("dataset"):  # what changes meanwhile is looked at once it is there
        return dg.SensorResult(skip_reason=missing, cursor=context.cursor)
    after, waiting = read_rollup_cursor(context.cursor)
    records = read_new(context.instance, after, WATCHED)
    if records:
        after = records[-1].storage_id
    now_s = time.time()
    for dataset, storage_id in find_changed_datasets(context.instance, records).items():
        if was_built_since(context.instance, dataset_pipeline.name, dataset, storage_id, records):
            continue
        waiting[dataset] = (waiting.get(dataset, (now_s, 0))[0], storage_id)
    is_busy = bool(waiting) and plates_are_running(context.instance)
    due = {name: at for name, (since_s, at) in waiting.items() if not is_busy or now_s - since_s > MAX_WAIT_S}
    left = {name: entry for name, entry in waiting.items() if name not in due}
    text = (
        f"Waiting for running plates: {', '.join(sorted(left))}."
        if left
        else "No plate has other well profiles."
    )
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=f"{dataset}@{storage_id}", partition_key=dataset)
            for dataset, storage_id in sorted(due.items())
        ],
        skip_reason=None if due else text,
        cursor=json.dumps({"after": after, "waiting": left}),
    )


def read_new(
    instance: dg.DagsterInstance, after: int | None, watched: Iterable[dg.AssetKey]
) -> list[dg.EventLogRecord]:
    """The oldest materialisations of the watched tables after an event, as many as a tick looks at."""
    found = [
        record
        for key in watched
        for record in instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, after_storage_id=after),
            limit=MATERIALIZATIONS_PER_TICK,
            ascending=True,
        ).records
    ]
    return sorted(found, key=lambda record: record.storage_id)[:MATERIALIZATIONS_PER_TICK]


def read_rollup_cursor(text: str | None) -> tuple[int | None, dict[str, tuple[float, int]]]:
    """Last event that was looked at, and the datasets that wait; the beginning where the cursor does not say."""
    try:
        stored = json.loads(text or "{}")
        if isinstance(stored, int):  # as written by older versions
            return stored, {}
        waiting = {
            name: (float(entry[0]), int(entry[1])) for name, entry in stored.get("waiting", {}).items()
        }
        return stored.get("after"), waiting
    except (ValueError, TypeError, AttributeError, IndexError):
        return None, {}


def find_changed_datasets(
    instance: dg.DagsterInstance, records: Iterable[dg.EventLogRecord]
) -> dict[str, int]:
    """Datasets with a plate whose watched tables differ from the ones before; the last such event of each."""
    changed: dict[str, int] = {}
    for (_, plate_key), storage_id in find_changes(instance, records).items():
        dataset = dataset_of(plate_key)
        changed[dataset] = max(storage_id, changed.get(dataset, 0))
    return changed


def was_built_since(
    instance: dg.DagsterInstance,
    job_name: str,
    partition: str,
    storage_id: int,
    records: Iterable[dg.EventLogRecord],
) -> bool:
    """Whether a whole run of a dataset or campaign that succeeded began after an event of the given ones."""
    at_s = next((record.timestamp for record in records if record.storage_id == storage_id), None)
    if at_s is None:
        return False
    wanted = dg.RunsFilter(
        job_name=job_name,
        tags={PARTITION_NAME_TAG: partition},
        statuses=[dg.DagsterRunStatus.SUCCESS],
        created_after=datetime.fromtimestamp(at_s, UTC),
    )
    return any(not run.asset_selection for run in instance.get_runs(wanted, limit=RUNS_LOOKED_AT))


def plates_are_running(instance: dg.DagsterInstance) -> bool:
    """Tell whether a plate's run, or one that the automation or a backfill started, is not over yet."""
    return any(
        instance.get_runs_count(dg.RunsFilter(job_name=name, statuses=UNFINISHED))
        for name in (plate_pipeline.name, plates_by_list.name, "__ASSET_JOB")
    )
