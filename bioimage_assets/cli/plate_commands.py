"""Commands about plates as partitions: list, add, remove, materialise, status."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Annotated, Any

import click

from bioimage_assets.cli.command import Several, argument, command, flag, option
from bioimage_assets.cli.options import FollowSymlinks, Json
from bioimage_assets.cli.output import (
    FAILED,
    OK,
    print_findings,
    print_json,
    print_progress,
    print_table,
    show_text,
)
from bioimage_assets.core.errors import SettingsError, UsageError
from bioimage_assets.core.model.identity import dataset_of, dimension_of

# Dagster answers a wrong instance file with all that it might have said.
MAX_INSTANCE_ERROR = 400
Strict = Annotated[
    bool,
    flag(
        "exit code 1 where a finding of level error stands (default: BIOIMAGE_STRICT, or the dataset's [checks] strict)"
    ),
]
Keys = Annotated[tuple[str, ...], argument("DATASET/PLATE...", "partition keys", nargs=-1)]


@contextmanager
def open_instance() -> Iterator[Any]:
    """The instance that `dagster` commands of this folder use.

    Raises
    ------
    SettingsError
        Its folder, its file or its storage cannot be used.
    """
    from dagster import DagsterError
    from dagster._cli.utils import get_possibly_temporary_instance_for_cli
    from sqlalchemy.exc import SQLAlchemyError
    from yaml import YAMLError

    with ExitStack() as opened:
        try:
            instance = opened.enter_context(get_possibly_temporary_instance_for_cli("bioimage-assets"))
        except (DagsterError, SQLAlchemyError, YAMLError, OSError) as error:
            raise _refuse_instance(error) from error
        try:
            yield instance
        except SQLAlchemyError as error:  # its storage, which may be full or away by now
            raise _refuse_instance(error) from error


def _refuse_instance(error: Exception) -> SettingsError:
    home = os.environ.get("DAGSTER_HOME", "")
    text = " ".join(str(error).split())[:MAX_INSTANCE_ERROR].rstrip(".")
    return SettingsError(
        f"The Dagster instance of DAGSTER_HOME={home!r} cannot be used: {text}. DAGSTER_HOME names "
        "an absolute folder that exists and may be written; its dagster.yaml says where the history is kept."
    )


@click.group
def partitions() -> None:
    """Plates as Dagster partitions."""


@partitions.add_command
@command
def list_(as_json: Json = False) -> None:
    """Partitions that are registered."""
    with open_instance() as instance:
        registered = {"plates": sorted(instance.get_dynamic_partitions("plates"))}
        if campaigns := sorted(instance.get_dynamic_partitions("campaigns")):
            registered["campaigns"] = campaigns
        _print_partitions(registered, as_json=as_json)


@partitions.add_command
@command
def sync(as_json: Json = False) -> None:
    """Register every plate and campaign of the watched roots."""
    from bioimage_assets.partitions import register_campaigns
    from bioimage_assets.resources.project import ProjectResource

    with open_instance() as instance:
        project = ProjectResource()
        sources, findings = project.discover()
        campaigns = project.campaigns()
        print_findings([*findings, *campaigns.findings])
        register_campaigns(instance, campaigns.campaigns)
        _register(instance, [source.plate_key for source in sources], as_json=as_json)


@partitions.add_command
@command
def add(plates: Keys, as_json: Json = False) -> None:
    """Register the named plates and campaigns (`campaign:NAME`)."""
    with open_instance() as instance:
        _register(instance, plates, as_json=as_json)


@partitions.add_command
@command
def remove(plates: Keys, as_json: Json = False) -> None:
    """Forget the named plates and campaigns (`campaign:NAME`) and remove their stored rows and pages."""
    from bioimage_assets.resources.project import ProjectResource
    from bioimage_assets.retire import retire_plates

    with open_instance() as instance:
        removed = retire_plates(instance, ProjectResource(), list(plates))
    _print_partitions({"removed": removed}, as_json=as_json)


def _register(instance: Any, plates: Sequence[str], *, as_json: bool) -> None:
    from bioimage_assets.partitions import register_campaigns, register_plates

    campaigns = [key for key in plates if dimension_of(key) == "campaign"]
    new = register_plates(instance, [key for key in plates if key not in campaigns])
    new += register_campaigns(instance, campaigns)
    _print_partitions({"plates": sorted(plates), "new": new}, as_json=as_json)


def _print_partitions(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    for name, values in result.items():
        for value in values if isinstance(values, list) else [values]:
            print(value if name != "new" else f"new: {value}")


@command
def materialize(
    plates: Annotated[
        tuple[str, ...], option("DATASET/PLATE...", "default: all plates found", cls=Several)
    ] = (),
    campaigns: Annotated[
        tuple[str, ...],
        option("NAME...", "plates and datasets of these campaigns, then the campaigns", cls=Several),
    ] = (),
    select: Annotated[tuple[str, ...], option("ASSET...", "only these plate tables", cls=Several)] = (),
    force: Annotated[bool, flag("build plates that are up to date, too")] = False,
    failed: Annotated[
        bool, flag("only what failed at its last run, or was left undone by one that was killed or cancelled")
    ] = False,
    strict: Strict = False,
    dry_run: Annotated[bool, flag("say what would be built and why, and do nothing")] = False,
    follow_symlinks: FollowSymlinks = False,
    verbose: Annotated[bool, flag("print the log of the runs, too", "-v --verbose")] = False,
    as_json: Json = False,
) -> int:
    """Register plates and build their tables, headless.

    The tables of their datasets, and of the campaigns that these are in, are built, too. At the end stand counts of what is stored, one line per code of findings
    of level error and warning (also about plates that were up to date), why plates failed, and the report pages; --json
    has all findings with all places. Of more than twenty plates that need work, fifty are in one run. Exit code 1: one failed, could not be looked at, or is lost; a finding of level error
    stands, and --strict or a setting counts it.
    """
    from bioimage_assets.cli.run_report import build_run_json, print_run_report, summarize_run
    from bioimage_assets.cli.step_display import StepDisplay
    from bioimage_assets.cli.strictness import find_strict_datasets, list_strict_errors
    from bioimage_assets.cli.taken_up import TakenUp, take_up
    from bioimage_assets.cli.what_next import find_logs, say_command, say_what_next
    from bioimage_assets.headless import materialize_plates
    from bioimage_assets.headless_runs import QUIET
    from bioimage_assets.resources.project import ProjectResource

    project = ProjectResource()
    if failed and (plates or campaigns):
        raise UsageError("--failed finds the plates by itself; leave --plates and --campaigns out.")
    display, taken_up = StepDisplay(), TakenUp()
    # A dry run opens no instance, unless that has to say what failed.
    opened: Any = open_instance() if failed or not dry_run else nullcontext()
    with opened as instance:
        if failed:
            taken_up = take_up(instance, project)
        named = taken_up.plate_keys if failed else list(plates) or None
        if dry_run:
            return _print_plan(
                project, named, list(campaigns) or None, list(select), force=force, as_json=as_json
            )
        try:
            report = materialize_plates(
                instance,
                plate_keys=named,
                campaigns=list(campaigns) or None,
                also=taken_up.others,
                select=list(select) or None,
                force=force,
                is_isolated=True,
                progress=display.say,
                on_step=display.show_step,
                log_level="DEBUG" if verbose else QUIET,
            )
        except KeyboardInterrupt:
            display.say(f"To go on: {say_command(plates, select=select, force=force, failed=failed)}")
            raise
        logs = find_logs(instance, report)
    report.plates += taken_up.list_gone()
    print_findings(report.findings)
    for lost in report.lost:
        print_progress(f"error: {_say_lost(lost)}")
    if not (report.plates or failed) and report.is_ok:
        print_progress("No plate is there yet; BIOIMAGE_INCOMING names the folders that are looked at.")
    summary = summarize_run(project, report)
    if as_json:
        took = {"taken_up": taken_up.build_json()} if failed else {}
        print_json({**build_run_json(report, summary), **took})
    else:
        print_run_report(report, summary, project.settings.reports_dir)
        for line in say_what_next(report, logs, select=select):
            print(line)
    errors = list_strict_errors(
        summary.findings,
        report.findings,
        is_strict=strict or project.settings.strict,
        datasets=find_strict_datasets(project, report.sources),
    )
    return max(OK if report.is_ok else FAILED, _say_strict(errors))


def _print_plan(
    project: Any,
    plates: list[str] | None,
    names: list[str] | None,
    select: list[str],
    *,
    force: bool,
    as_json: bool,
) -> int:
    """What would be built of the plates that are asked for; no instance is opened."""
    from dataclasses import asdict

    from bioimage_assets.campaign_runs import choose_campaigns, find_campaigns_of
    from bioimage_assets.dry_run import plan_partitions
    from bioimage_assets.headless import find_wanted

    chosen = None if names is None else choose_campaigns(project, names)
    sources, report = find_wanted(project, plates, select, chosen)
    if chosen is None:
        chosen, refused = find_campaigns_of(project, None if plates is None else report.sources)
        report.note_campaigns(refused, is_for_all=plates is None)
    datasets = {dataset_of(source.plate_key) for source in report.sources}
    wanted = {source.plate_key for source in report.sources} | datasets | {c.key for c in chosen}
    named = datasets.union(*(campaign.datasets for campaign in chosen))
    of_datasets = [source for source in sources if dataset_of(source.plate_key) in named]
    planned = plan_partitions(project, of_datasets, campaigns=chosen, select=select, force=force)
    plans = [plan for plan in planned if plan.partition in wanted]
    print_findings(report.findings)
    if as_json:
        print_json({"plan": [asdict(plan) for plan in plans]})
    else:
        rows = [
            (plan.partition, "would be built" if plan.is_built else "up to date", plan.why) for plan in plans
        ]
        print_table(("partition", "plan", "why"), rows)
    return FAILED if report.unseen else OK


def _say_lost(lost: Any) -> str:
    """What is lost of a plate that is not built again by itself, and what to do."""
    return (
        f"{lost.partition}: {lost} and could not be built again. Bring the file back from a copy, or the plate's images and "
        f"measurements back to the watched roots; 'bioimage-assets partitions remove {lost.partition}' forgets the plate."
    )


def _look_at_stored(project: Any) -> Any:
    """What is stored; without the catalog, and with a word about it, where that cannot be asked."""
    from bioimage_assets.core.errors import CatalogError
    from bioimage_assets.core.storage.state import look_at_stored

    try:
        return look_at_stored(project.tables())
    except CatalogError as error:
        print_progress(f"warning: the catalog was not looked at: {error}")
        return look_at_stored(project.tables(), with_catalog=False)


@command
def status(strict: Strict = False, follow_symlinks: FollowSymlinks = False, as_json: Json = False) -> int:
    """What is in the watched roots and what is stored of it.

    With the worst finding that stands about each plate, why it failed last, plates that are stored and gone, and what in
    the watched roots is taken for nothing. Exit code 1: a finding of level error stands, and --strict or a setting counts it.
    """
    from bioimage_assets.cli import campaign_rows, status_rows
    from bioimage_assets.cli.finding_lines import build_finding_json, build_group_json, say_findings
    from bioimage_assets.cli.strictness import find_strict_datasets, list_strict_errors
    from bioimage_assets.current_plates import CurrentPlates
    from bioimage_assets.resources.project import ProjectResource
    from bioimage_assets.sensors.store_events import read_held

    project = ProjectResource()
    sources, findings = project.discover()
    campaigns = project.campaigns()
    findings += campaigns.findings
    stored = _look_at_stored(project)
    keys = [source.plate_key for source in sources]
    with open_instance() as instance:
        held = read_held(instance, keys)
        registered = instance.get_dynamic_partitions("plates")
    # A root that several projects share has plates that are nothing to this one.
    known = {*keys, *registered}
    standing = _read_standing(project, {*known, *map(dataset_of, known), *campaigns.campaigns})
    current = CurrentPlates(project, stored)
    rows = [
        *status_rows.list_plates_here(sources, stored, current, held, standing),
        *status_rows.list_plates_elsewhere(sources, findings, stored, registered, standing),
    ]
    of_campaigns = [
        *campaign_rows.list_campaigns(campaigns.campaigns.values(), sources, stored, current, standing)
    ]
    groups = [group for key in sorted(standing) for group in standing[key]]
    errors = list_strict_errors(
        groups,
        findings,
        is_strict=strict or project.settings.strict,
        datasets=find_strict_datasets(project, sources),
    )
    if as_json:
        print_json(
            {
                "plates": [row.to_json() for row in rows],
                "campaigns": [row.to_json() for row in of_campaigns],
                "findings": [finding.message for finding in findings],
                "not_understood": [build_finding_json(finding) for finding in findings],
                "standing": [build_group_json(group) for group in groups],
            }
        )
    else:
        print_table(
            ("plate", "stores", "measurements", "state", "note", "finding"), [row.to_line() for row in rows]
        )
        if of_campaigns:
            print()
            print_table(campaign_rows.HEADER, [row.to_line() for row in of_campaigns])
        of_datasets = [group for group in groups if "/" not in group.partition and group.severity != "info"]
        for line in (*say_findings(of_datasets), *(f"{f.severity}: {f.message}" for f in findings)):
            print(show_text(line))
    return _say_strict(errors)


def _read_standing(project: Any, partitions: set[str]) -> dict[str, Any]:
    """What stands found, or a word about why that is not known."""
    from bioimage_assets.core.errors import BioimageError
    from bioimage_assets.core.storage.standing_findings import read_standing_findings

    try:
        return read_standing_findings(project.tables(), partitions)
    except BioimageError as error:
        print_progress(f"warning: findings could not be read: {error}")
        return {}


def _say_strict(errors: Sequence[str]) -> int:
    """Exit code of a command whose findings of level error are failures."""
    if not errors:
        return OK
    print_progress(f"Strict: findings of level error stand: {', '.join(dict.fromkeys(errors))}.")
    return FAILED
