"""The sensor that finds new, changed and removed plates and has them ingested."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import dagster as dg

from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.left_out import list_left_out
from bioimage_assets.core.phrases import count_words
from bioimage_assets.jobs.pipelines import plate_pipeline
from bioimage_assets.jobs.plate_lists import plates_by_list
from bioimage_assets.jobs.presence import build_presence_config, presence_check
from bioimage_assets.partitions import DATASETS, PLATES
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors.requests import build_run_requests, plan_batches
from bioimage_assets.sensors.status import SENSOR_STATUS
from bioimage_assets.sensors.store_events import (
    TakenMemory,
    build_gone_event,
    build_held_event,
    build_taken_event,
    read_taken_versions,
)

if TYPE_CHECKING:
    from bioimage_assets.core.discovery.plates_to_take import HeldPlate, Pending, TickPlan
    from bioimage_assets.core.discovery.survey import Survey, SurveyMemory, Taken
    from bioimage_assets.core.model.plate_source import PlateSource

PLATES_PER_TICK = 200
# Events cost the daemon some milliseconds each.
HELD_EVENTS_PER_TICK = 50
JUDGING_S = 8.0
MAX_LISTED = 10  # names in a skip reason


now_s = time.time


@dg.sensor(
    jobs=[plate_pipeline, plates_by_list, presence_check],
    default_status=SENSOR_STATUS,
    minimum_interval_seconds=5,
    description="Takes new and changed plates of the watched roots once they are complete and nothing in them changes any more.",
)
def image_store_sensor(context: dg.SensorEvaluationContext, project: ProjectResource) -> dg.SensorResult:
    """Look at the watched roots, register new plates, and request a run for every plate that has settled.

    What was taken is read from the event log; the cursor holds unsettled plates only.
    """
    from bioimage_assets.core.discovery.cursor import read_cursor
    from bioimage_assets.core.discovery.plates_to_take import plan_tick
    from bioimage_assets.core.discovery.refused_settings import hold_refused
    from bioimage_assets.core.discovery.survey import Taken, judge_readiness

    settings = project.settings
    memory, taken_before = _memory(settings.incoming_uris, _storage_id(context.instance))
    versions = read_taken_versions(context.instance, taken_before)
    done = {key: Taken.parse(text) for key, text in versions.items()}
    pending = read_cursor(context.cursor)
    survey = _survey(context, project, done, pending, memory)
    present = survey.plates.keys() | {key for key in done if not survey.is_gone(key)}
    plan = plan_tick(
        [survey.sources[key] for key in survey.sources],
        done={key: taken.signature for key, taken in done.items()},
        pending=pending,
        now_s=now_s(),
        quiet_s=settings.quiet_period_s,
        limit=PLATES_PER_TICK,
        max_hold_s=settings.max_hold_s,
        present=present,
        readiness=hold_refused(
            judge_readiness(survey, memory, marker=settings.completion_marker, seconds=JUDGING_S),
            project.dataset_settings,
        ),
    )
    return _build_result(context, project, survey, plan)


def _survey(
    context: dg.SensorEvaluationContext,
    project: ProjectResource,
    done: "dict[str, Taken]",
    pending: "dict[str, Pending]",
    memory: "SurveyMemory",
) -> "Survey":
    from bioimage_assets.core.discovery.cursor import read_rotation
    from bioimage_assets.core.discovery.survey import Budget, survey_roots

    survey = survey_roots(
        project.settings.incoming_uris,
        done=done,
        pending=pending,
        rotation=read_rotation(context.cursor),
        memory=memory,
        budget=Budget(),
        storage_options=project.settings.storage_options,
    )
    for finding in survey.findings[:MAX_LISTED]:
        context.log.warning(f"{finding.code}: {finding.message}")
    return survey


def _storage_id(instance: dg.DagsterInstance) -> str:
    """Name of the instance's storage, so that what one event log said is not taken for another's."""
    return str(getattr(instance.run_storage, "get_run_storage_id", lambda: "")())


@cache
def _memory(root_uris: tuple[str, ...], storage_id: str) -> "tuple[SurveyMemory, TakenMemory]":
    """Memory of this process about these roots and this event log; it makes looks faster and may be lost at any time."""
    from bioimage_assets.core.discovery.survey import SurveyMemory

    return SurveyMemory(), TakenMemory()


def _find_lost(project: ProjectResource, sources: "Mapping[str, PlateSource]") -> list[str]:
    """Plates that had images of which only measurements are left: building them would fail, and keep their rows."""
    imageless = [source for source in sources.values() if not source.store_uris]
    if not imageless:
        return []
    from bioimage_assets.assets.scanning import count_lost_images

    return [source.plate_key for source in imageless if count_lost_images(project.tables(), source)]


def _build_result(
    context: dg.SensorEvaluationContext,
    project: ProjectResource,
    survey: "Survey",
    plan: "TickPlan",
) -> dg.SensorResult:
    from bioimage_assets.core.discovery.cursor import write_cursor

    instance = context.instance
    known = instance.get_dynamic_partitions(PLATES.name or "") if plan.taken else []
    sources = {source.plate_key: source for source in plan.taken}
    new = sorted(sources.keys() - set(known))
    lost = _find_lost(project, sources)
    taken = {key: source for key, source in sources.items() if key not in lost}
    batches = plan_batches(list(taken))
    held = [*survey.held, *plan.held]
    pending, announcements = _announce_held(held, plan.pending)
    events: list[dg.AssetMaterialization | dg.AssetObservation] = [
        build_taken_event(source, str(survey.version(key))) for key, source in sources.items()
    ]
    generations = {
        key: f"{source.signature}@{plan.pending[key].since_s:.0f}" for key, source in taken.items()
    }
    requests = build_run_requests(plate_pipeline.name, batches, generations)
    if missed := [*plan.gone, *lost]:
        config = build_presence_config(missed)
        run_key = f"{missed[0]}@absent@{now_s():.0f}"
        requests.append(dg.RunRequest(run_key=run_key, job_name=presence_check.name, run_config=config))
    for left in list_left_out() if taken else ():
        context.log.warning(str(left))
    for key in plan.gone:
        context.log.warning(f"{key}: its store is gone; stored rows are kept.")
        events.append(build_gone_event(key))
    for key in lost:
        context.log.warning(f"{key}: its images are gone, its measurements are there; stored rows are kept.")
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else _say_why_not(held, survey),
        asset_events=[*events, *announcements],
        dynamic_partitions_requests=_build_partition_requests(
            instance, [k for k in new if k in taken], taken
        ),
        cursor=write_cursor(pending, sources, survey.rotation),
    )


def _build_partition_requests(
    instance: dg.DagsterInstance, new: list[str], taken: "Mapping[str, PlateSource]"
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    if not taken:
        return []
    datasets = {dataset_of(key) for key in taken} - set(instance.get_dynamic_partitions(DATASETS.name or ""))
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if new:
        requests.append(PLATES.build_add_request(new))
    if datasets:
        requests.append(DATASETS.build_add_request(sorted(datasets)))
    return requests


def _announce_held(
    held: "list[HeldPlate]", pending: "Mapping[str, Pending]"
) -> "tuple[dict[str, Pending], list[dg.AssetObservation]]":
    """One observation per plate and reason, not per tick; what was announced is remembered with the plate.

    That the settings of a dataset cannot be used is announced once for all of its plates.
    """
    from bioimage_assets.core.discovery.plates_to_take import REFUSED, Pending

    remembered = dict(pending)
    events: list[dg.AssetObservation] = []
    told = {(dataset_of(key), entry.announced) for key, entry in pending.items()}
    for hold in held:
        entry = remembered.get(hold.plate_key) or Pending("", now_s())
        of_dataset = dataset_of(hold.plate_key), hold.mark
        if hold.code == REFUSED and of_dataset in told:
            entry = replace(entry, announced=hold.mark)
        elif entry.announced != hold.mark and len(events) < HELD_EVENTS_PER_TICK:
            told.add(of_dataset)
            events.append(build_held_event(hold.plate_key, hold.code, hold.reason))
            entry = replace(entry, announced=hold.mark)
        remembered[hold.plate_key] = entry
    return remembered, events


def _say_why_not(held: "list[HeldPlate]", survey: "Survey") -> str:
    """Message of a tick that requests nothing."""
    from bioimage_assets.core.discovery.plates_to_take import REFUSED

    parts = [
        f"{count_words(len(survey.plates), 'plate')}, {len(held)} held back"
        if held
        else f"No change in {count_words(len(survey.plates), 'plate')}"
    ]
    refused = {dataset_of(hold.plate_key): hold.reason for hold in held if hold.code == REFUSED}
    parts += [f"{dataset}: {reason}" for dataset, reason in sorted(refused.items())[:MAX_LISTED]]
    others = [hold for hold in held if hold.code != REFUSED]
    parts += [f"{hold.plate_key}: {hold.code}, {hold.reason}" for hold in others[:MAX_LISTED]]
    parts += [f"{finding.code}: {finding.message}" for finding in survey.findings[:3]]
    return "; ".join(parts) + "."
