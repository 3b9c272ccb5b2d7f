"""Plates of a list built in one run, whatever their order; what is current is left alone, and a bad plate fails alone.

A run of assets has one partition or a stretch of neighbours. A list is no stretch, so its run is a job of steps without
partitions, which says itself what it intends and what became of it: the event log, and so the UI, holds of each plate and
table what a run of the assets would have left there.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg

from bioimage_assets.core.error_codes import say_error
from bioimage_assets.core.errors import BioimageError, UsageError
from bioimage_assets.core.model.left_out import is_buildable, require_step
from bioimage_assets.core.model.step_spec import StepSpec
from bioimage_assets.core.model.table_specs import list_steps
from bioimage_assets.core.near_names import suggest_name
from bioimage_assets.core.phrases import count_words
from bioimage_assets.failed_plates import find_failed
from bioimage_assets.jobs.presence import STORE_IS_PRESENT
from bioimage_assets.list_history import ListContext, plan_materializations, read_planned, record_current
from bioimage_assets.partitions import PLATES, register_plates
from bioimage_assets.plate_at_work import find_lost_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.retrying import build_failure, raise_retry
from bioimage_assets.sensors.store_events import build_taken_event, read_taken_versions

if TYPE_CHECKING:
    from bioimage_assets.core.model.plate_source import PlateSource

SHOWN_UNKNOWN = 20
SHOWN_STALE = 1_000


def choose_steps(tables: Collection[str]) -> list[StepSpec]:
    """Steps of plates that make some tables, all that can be built here where none is named; of a scan, which makes what is
    asked for, these only.

    Raises
    ------
    UsageError
        A name is no table of a plate.
    MissingExtraError
        What a named table needs is not installed.
    """
    steps = list(list_steps("plate"))
    known = [name for step in steps for name in step.names]
    if unknown := sorted(set(tables) - set(known)):
        near = suggest_name(unknown[0], known)
        raise UsageError(f"{unknown[0]!r} is no table of a plate.{near} Expected one of {', '.join(known)}.")
    chosen = [step for step in steps if not set(tables).isdisjoint(step.names)]
    for step in chosen:
        require_step(step)
    chosen = chosen if tables else [step for step in steps if is_buildable(step)]
    return [
        replace(step, tables=tuple(table for table in step.tables if table.name in tables))
        if tables and step.is_scan
        else step
        for step in chosen
    ]


def add_upstream(names: Iterable[str]) -> tuple[str, ...]:
    """Tables of a selection, where ``+NAME`` (or Dagster's ``+key:NAME``) is a table with all that it is made from.

    Images bring what their scan found wrong: it is said once, and a truncated file or a lost image is no detail to leave out.

    Raises
    ------
    UsageError
        A name is no table of a plate.
    MissingExtraError
        What a table needs is not installed.
    """
    steps = list(list_steps("plate"))
    chosen: dict[str, None] = {}
    for name in names:
        table = name.removeprefix("+").removeprefix("key:")
        wanted = [table]
        choose_steps([table])
        while name.startswith("+") and wanted:
            chosen |= dict.fromkeys(wanted)
            wanted = [
                read
                for step in steps
                if not {*step.names}.isdisjoint(wanted)
                for read in step.inputs
                if read not in chosen
            ]
        chosen[table] = None
    if "image_assets" in chosen:
        chosen["scan_findings"] = None
    # Steps are listed in the order in which they are built.
    made = [table for step in steps for table in step.names if table in chosen]
    choose_steps(made)
    return tuple(made)


def list_plates(
    context: dg.OpExecutionContext, project: ProjectResource, named: Sequence[str], *, with_failed: bool
) -> list[str]:
    """Plates that are named, and those that failed last.

    Raises
    ------
    UsageError
        Neither is asked for.
    """
    if not (named or with_failed):
        raise UsageError(
            "The list names no plate. Expected ops: {take_list: {config: {plates: [<dataset>/<plate>, …]}}}, or failed: true "
            "for those that failed last."
        )
    found = find_failed(context.instance, project) if with_failed else []
    for failed in found:
        context.log.info(f"{failed.partition}: {failed.step}: {failed.why}")
    # What was removed is no partition any more.
    known = set(context.instance.get_dynamic_partitions(PLATES.name or ""))
    return [*named, *(failed.partition for failed in found if failed.partition in known)]


def begin_list(
    context: dg.OpExecutionContext, project: ProjectResource, plates: Sequence[str], tables: Sequence[str]
) -> list[str]:
    """Find out which plates of a list need work, before any step begins, and say that they are to be built.

    One look at the stored tables, and one query of the event log per table, however many plates. Plates that are
    current and that the event log does not know as such (they were built elsewhere, or failed last) are recorded.
    """
    from bioimage_assets.core.storage.state import look_at_stored
    from bioimage_assets.core.storage.step_failures import clear_failures
    from bioimage_assets.current_plates import CurrentPlates
    from bioimage_assets.io_managers.plate_batch import is_forced

    steps, keys = choose_steps(tables), sorted(set(plates))
    sources = project.plate_sources(keys)
    _require_known(context.instance, keys, sources)
    register_plates(context.instance, sorted(sources))
    state = look_at_stored(project.tables())
    current, forced = CurrentPlates(project, state), is_forced(ListContext(context, keys))
    stale = [
        key for key in keys if forced or key not in sources or not current.has_plate(sources[key], steps)
    ]
    names = [name for step in steps for name in step.names if not tables or name in tables]
    left = sorted(set(keys) - set(stale))
    clear_failures(state.tables.warehouse, [step.name for step in steps], left)
    recorded = record_current(context, state, left, names)
    context.log.info(f"{count_words(len(keys), 'plate')}, {len(left)} up to date, {len(stale)} to be built.")
    if stale:
        counts = {"plates": len(keys), "up_to_date": len(left), "recorded": recorded}
        context.add_output_metadata({**counts, "to_be_built": stale[:SHOWN_STALE]}, output_name="stale")
        _report_taken(context.instance, [sources[key] for key in stale if key in sources])
        _judge_presence(context, project, stale, sources)
        plan_materializations(context, stale, names)
    return stale


def _require_known(
    instance: dg.DagsterInstance, keys: Sequence[str], sources: "dict[str, PlateSource]"
) -> None:
    """Refuse keys that nobody knows before anything is built: a misspelt plate is no failed plate."""
    known = {*instance.get_dynamic_partitions(PLATES.name or ""), *sources}
    if unknown := [key for key in keys if key not in known]:
        named = ", ".join(map(repr, unknown[:SHOWN_UNKNOWN])) + (" …" if len(unknown) > SHOWN_UNKNOWN else "")
        raise UsageError(
            f"{len(unknown)} of {count_words(len(keys), 'plate')} of the list are in no watched root and no partition: {named}. Expected "
            "<dataset>/<plate>, as 'bioimage-assets status' prints them. Nothing was built."
        )


def run_listed_step(context: dg.OpExecutionContext, project: ProjectResource, step: StepSpec) -> None:
    """Build, store, record and check the tables of one step for the plates of the run that have not failed yet.

    Raises
    ------
    dagster.RetryRequested
        A failure may pass, and there are attempts left. Plates that are stored by then are not built again.
    """
    from bioimage_assets.core.scratch import open_scratch
    from bioimage_assets.core.storage.step_failures import list_failed
    from bioimage_assets.io_managers.plate_batch import PlateBatch

    planned = read_planned(context.instance, context.run)
    asked = [name for name in step.names if name in planned.tables]
    failed = list_failed(project.tables().warehouse, planned.plates, run_ids=planned.run_ids)
    # What failed in this step is another attempt's; a page says that its plate failed.
    others = {key for key, steps in failed.items() if set(steps) - {step.name}}
    is_page = step.tables[0].home == "page"
    keys = [key for key in planned.plates if is_page or key not in others]
    if not asked or not keys:
        return
    with open_scratch() as scratch:
        names = asked if step.is_scan else step.names
        batch = PlateBatch(ListContext(context, keys), project, step, names, scratch)
        failures = batch.store_all()
    raise_retry(context, failures)
    _check(context, project, step, asked, [key for key in keys if key not in failures])


def _check(
    context: dg.OpExecutionContext,
    project: ProjectResource,
    step: StepSpec,
    asked: Sequence[str],
    keys: Sequence[str],
) -> None:
    """Evaluate the checks of the step's tables; a plate that one of them stops has failed in this step."""
    from bioimage_assets.checks.plates import build_judge
    from bioimage_assets.core.storage.step_failures import store_failures

    stopped: dict[str, str] = {}
    for table in step.tables if keys else ():
        for spec in table.checks if table.name in asked else ():
            judge = build_judge(project, table.name, spec, keys)
            check = dg.AssetCheckKey(dg.AssetKey(table.name), spec.name)
            for key in keys:
                try:
                    verdict = judge(key)
                except BioimageError as error:
                    stopped.setdefault(key, f"{spec.name}: {say_error(error)}")
                    continue
                # Typed for materialisations and observations only; evaluations are logged alike (tested).
                context.log_event(verdict.build_evaluation(check, key, is_blocking=spec.is_blocking))  # type: ignore[arg-type]
                is_error = verdict.severity is dg.AssetCheckSeverity.ERROR
                if spec.is_blocking and not verdict.passed and is_error:
                    stopped.setdefault(key, f"{spec.name}: {verdict.description}")
    for key, text in stopped.items():
        context.log.error(f"{key}: {text}")
    store_failures(project.tables().warehouse, step.name, stopped, context.run_id)


def end_list(context: dg.OpExecutionContext, project: ProjectResource) -> None:
    """Fail the run where plates failed, with each of them and its reason; all others are built to the end.

    Raises
    ------
    dagster.Failure
        Plates failed.
    """
    from bioimage_assets.core.storage.step_failures import list_failed, read_failures

    planned = read_planned(context.instance, context.run)
    warehouse = project.tables().warehouse
    words = read_failures(warehouse, list_failed(warehouse, planned.plates, run_ids=planned.run_ids))
    if words:
        lost = words.keys() & find_lost_plates(ListContext(context, planned.plates)).keys()
        raise build_failure(words, len(planned.plates), lost)


def _report_taken(instance: dg.DagsterInstance, sources: "Sequence[PlateSource]") -> None:
    """Say that plates are taken, so that the sensor does not take them again."""
    versions = read_taken_versions(instance)
    for source in sources:
        if versions.get(source.plate_key, "").partition(".")[0] != source.signature:
            instance.report_runless_asset_event(build_taken_event(source, source.signature))


def _judge_presence(
    context: dg.OpExecutionContext,
    project: ProjectResource,
    keys: Sequence[str],
    sources: "dict[str, PlateSource]",
) -> None:
    from bioimage_assets.checks.stores import check_presence

    for key in keys:
        verdict = check_presence(project, sources.get(key))
        context.log_event(verdict.build_evaluation(STORE_IS_PRESENT, key))  # type: ignore[arg-type]
