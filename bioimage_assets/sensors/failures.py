"""The sensor that reports failed runs where people look, and goes on with what a failed run left undone."""

from collections.abc import Mapping, Sequence

import dagster as dg

from bioimage_assets.core.error_codes import add_codes
from bioimage_assets.core.errors import WorkerLostError
from bioimage_assets.failure_messages import describe_failures
from bioimage_assets.jobs.pipelines import PLATE_ASSETS, plate_pipeline
from bioimage_assets.jobs.plate_lists import END_OP, plates_by_list
from bioimage_assets.list_history import read_planned
from bioimage_assets.partitions import PLATES
from bioimage_assets.plate_at_work import find_plate_at_work, read_exit
from bioimage_assets.retrying import ERRORS_BY_PLATE, LOST_PLATES
from bioimage_assets.sensors.requests import build_run_requests, plan_batches
from bioimage_assets.sensors.status import SENSOR_STATUS
from bioimage_assets.sensors.store_events import STORES

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
MAX_MESSAGE = 2_000
# Names the run whose good plates a run goes on with.
CONTINUES_TAG = "bioimage/continues"
FORCE_TAG = "bioimage/force"
WILL_RETRY_TAG = "dagster/will_retry"


@dg.run_failure_sensor(
    request_jobs=[plate_pipeline, plates_by_list],
    default_status=SENSOR_STATUS,
    minimum_interval_seconds=30,
    description="Notes the failure of a plate beside its store, with the error, for the UI and `bioimage-assets status`, "
    "and has the other plates of its run built to the end.",
)
def plate_failure_sensor(context: dg.RunFailureSensorContext) -> list[dg.RunRequest] | None:
    """Note a failed run with each plate that failed itself; request a run for the plates that it stopped with them.

    A step of many plates stores the good ones and fails, and the steps behind it are skipped for all. Each
    continuation has fewer plates than the run before it, so they end. A plate at which a worker ended without a word
    gets one run of its own. A run that Dagster tries again (a lost worker), or that was interrupted, is not continued.
    """
    run = context.dagster_run
    message = describe_failure(context)
    context.log.error(f"{run.job_name} {run.tags.get('dagster/partition', '')}: {message}")
    keys = read_plates(context.instance, run)
    if len(keys) == 1:
        _note(context, keys[0], message)
        return None
    failed = {key: text for key, text in read_failed_plates(context).items() if key in keys}
    lost = [key for key in read_lost_plates(context) if key in keys]
    failed |= {key: message for key in lost if key not in failed}
    for key, text in failed.items():
        _note(context, key, text)
    rest = [] if _went_to_its_end(context) else [key for key in keys if key not in failed]
    return [
        *(build_continuation(context.instance, run, rest) if failed and rest else ()),
        *(request for key in lost for request in build_continuation(context.instance, run, [key])),
    ]


def _went_to_its_end(context: dg.RunFailureSensorContext) -> bool:
    """Whether it is a run of a list that built all plates but those that failed."""
    is_list = context.dagster_run.job_name == plates_by_list.name
    return is_list and any(event.step_key == END_OP for event in context.get_step_failure_events())


def read_plates(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """Plates of a run, in the order of their registration; none for runs of datasets and of upkeep.

    Of a list those that needed work.
    """
    if run.job_name == plates_by_list.name:
        return list(read_planned(instance, run).plates)
    start = run.tags.get(RANGE_START_TAG) or run.tags.get("dagster/partition") or ""
    end = run.tags.get(RANGE_END_TAG) or start
    known = instance.get_dynamic_partitions(PLATES.name or "")
    if start not in known or end not in known:
        return []
    return list(known[known.index(start) : known.index(end) + 1])


def read_failed_plates(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """Plates that failed themselves in a run of several, with the error: in a step, or in a check that blocks."""
    failed: dict[str, str] = {}
    for event in context.get_step_failure_events():
        data = event.step_failure_data.user_failure_data
        plates = data.metadata.get(ERRORS_BY_PLATE) if data else None
        if plates is not None and isinstance(plates.value, Mapping):
            # The end of a list tells what its steps said.
            step = "" if event.step_key == END_OP else f"{event.step_key}: "
            failed |= {key: f"{step}{text}" for key, text in plates.value.items()}
    logs = context.instance.all_logs(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    )
    for entry in logs:
        found = entry.get_dagster_event().asset_check_evaluation_data
        # A check that blocks does so with an error; with a warning the run goes on.
        is_stopped = found.blocking and not found.passed and found.severity is dg.AssetCheckSeverity.ERROR
        if found.partition and is_stopped:
            failed.setdefault(found.partition, f"{found.check_name}: {found.description}")
    return failed


def read_lost_plates(context: dg.RunFailureSensorContext) -> list[str]:
    """Plates of a run of several at which a worker ended without a word: this run's, or one of the tries before it.

    None where Dagster is to try the run again: that try leaves the plate out and says so.
    """
    lost: list[str] = []
    for event in context.get_step_failure_events():
        data = event.step_failure_data.user_failure_data
        plates = data.metadata.get(LOST_PLATES) if data else None
        if plates is not None and isinstance(plates.value, Sequence):
            lost += [str(key) for key in plates.value]
    run = context.instance.get_run_by_id(context.dagster_run.run_id) or context.dagster_run
    if run.tags.get(WILL_RETRY_TAG) == "true":
        return []
    found = find_plate_at_work(context.instance, run.run_id)
    return lost if found is None or found.plate_key is None else [*lost, found.plate_key]


def build_continuation(
    instance: dg.DagsterInstance, run: dg.DagsterRun, plate_keys: Sequence[str]
) -> list[dg.RunRequest]:
    """Runs that build for the given plates of a failed run what it was to build; what is current stays."""
    wanted = {key.to_user_string() for key in run.asset_selection or ()}
    if run.job_name == plates_by_list.name:
        wanted = set(read_planned(instance, run).tables)
    tables = [name for name in PLATE_ASSETS if name in wanted]
    kept = {name: run.tags[name] for name in (FORCE_TAG,) if name in run.tags}
    requests = build_run_requests(
        plate_pipeline.name,
        plan_batches(plate_keys),
        dict.fromkeys(plate_keys, run.run_id),
        tables if len(tables) < len(PLATE_ASSETS) else (),
    )
    return [
        request.with_replaced_attrs(tags={**request.tags, **kept, CONTINUES_TAG: run.run_id})
        for request in requests
    ]


def find_exit(context: dg.RunFailureSensorContext) -> str:
    """How the run's worker ended: what Dagster noticed of it last, empty where it does not say."""
    events = context.instance.all_logs(context.dagster_run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    ends = [read_exit(str(entry.get_dagster_event().message)) for entry in events]
    return next((how for how in reversed(ends) if how), "")


def _note(context: dg.RunFailureSensorContext, plate_key: str, message: str) -> None:
    text = message[:MAX_MESSAGE]
    context.instance.report_runless_asset_event(
        dg.AssetObservation(
            STORES,
            partition=plate_key,
            description=f"run failed: {text}",
            metadata={"failed_run": context.dagster_run.run_id, "reason": text},
        )
    )


def describe_failure(context: dg.RunFailureSensorContext) -> str:
    """First failed step and the error as the project worded it; else how the worker ended, and at what."""
    words = describe_failures(context.get_step_failure_events())
    if words is None:
        words = context.failure_event.message
        found = find_plate_at_work(context.instance, context.dagster_run.run_id)
        if found is not None:
            words = add_codes(found.describe(find_exit(context)), WorkerLostError.code)
    return (words or "the run failed before its first step")[:MAX_MESSAGE]
