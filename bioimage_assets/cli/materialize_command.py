"""`materialize`: build the tables of plates, of their datasets and campaigns, and say at the end what came of it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

from bioimage_assets.cli.command import Several, command, flag, option
from bioimage_assets.cli.dagster_instance import open_instance
from bioimage_assets.cli.options import FollowSymlinks, Json, Strict
from bioimage_assets.cli.output import FAILED, OK, print_findings, print_json, print_progress
from bioimage_assets.core.errors import UsageError

if TYPE_CHECKING:
    from bioimage_assets.core.storage.state import LostTable
    from bioimage_assets.headless import HeadlessReport


@command
def materialize(
    plates: Annotated[
        tuple[str, ...], option("DATASET/PLATE...", "default: all plates found", cls=Several)
    ] = (),
    campaigns: Annotated[
        tuple[str, ...],
        option("NAME...", "plates and datasets of these campaigns, then the campaigns", cls=Several),
    ] = (),
    select: Annotated[
        tuple[str, ...],
        option("ASSET...", "only these plate tables; +ASSET: with all that it is made from", cls=Several),
    ] = (),
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

    The tables of their datasets, and of the campaigns that these are in, are built, too. At the end stand counts of what is
    stored, one line per code of findings of level error and warning (also about plates that were up to date), why plates
    failed, and the report pages; --json has all findings with all places. Of more than twenty plates that need work, fifty
    are in one run. Tables that need an extra that is not installed are left out, which the first line says; naming one in
    --select is refused. Exit code 1: one failed, could not be looked at, or is lost; a finding of level error stands, and
    --strict or a setting counts it; with --strict also where tables are left out.

    Examples:
        bioimage-assets materialize
        bioimage-assets materialize --plates screen-a/SA-P1 screen-a/SA-P2 --dry-run
        bioimage-assets materialize --plates screen-a/SA-P1 --select +joined_profiles
    """
    from bioimage_assets.cli.dry_run_report import print_plan
    from bioimage_assets.cli.run_report import build_run_json, print_run_report, summarize_run
    from bioimage_assets.cli.step_display import StepDisplay
    from bioimage_assets.cli.strictness import say_strict
    from bioimage_assets.cli.taken_up import TakenUp, take_up
    from bioimage_assets.cli.what_next import find_logs, say_command, say_what_next
    from bioimage_assets.headless import choose_tables, materialize_plates
    from bioimage_assets.headless_runs import QUIET
    from bioimage_assets.resources.project import ProjectResource

    project = ProjectResource()
    if failed and (plates or campaigns):
        raise UsageError("--failed finds the plates by itself; leave --plates and --campaigns out.")
    select = choose_tables(select)
    display, taken_up = StepDisplay(), TakenUp()
    # A dry run opens no instance, unless that has to say what failed.
    opened: Any = open_instance() if failed or not dry_run else nullcontext()
    with opened as instance:
        if failed:
            taken_up = take_up(instance, project)
        named = taken_up.plate_keys if failed else list(plates) or None
        if dry_run:
            return print_plan(
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
    _say_found(report, is_for_failed=failed)
    summary = summarize_run(project, report)
    if as_json:
        took = {"taken_up": taken_up.build_json()} if failed else {}
        print_json({**build_run_json(report, summary), **took})
    else:
        print_run_report(report, summary, project.settings.reports_dir)
        for line in say_what_next(report, logs, select=select):
            print(line)
    code = say_strict(project, report.sources, summary.findings, report.findings, is_strict=strict)
    return max(OK if report.is_ok and not (strict and report.left_out) else FAILED, code)


def _say_found(report: HeadlessReport, *, is_for_failed: bool) -> None:
    """Say on standard error what the watched roots hide, what is lost, and that nothing is there.

    That the settings of a dataset cannot be used was said before the first plate.
    """
    from bioimage_assets.core.discovery.refused_settings import REFUSED_FILE

    print_findings(finding for finding in report.findings if finding.code != REFUSED_FILE)
    for lost in report.lost:
        print_progress(f"error: {_say_lost(lost)}")
    if not (report.plates or is_for_failed) and report.is_ok:
        print_progress("No plate is there yet; BIOIMAGE_INCOMING names the folders that are looked at.")


def _say_lost(lost: LostTable) -> str:
    """What is lost of a plate that is not built again by itself, and what to do."""
    return (
        f"{lost.partition}: {lost} and could not be built again. Bring the file back from a copy, or the plate's images and "
        f"measurements back to the watched roots; 'bioimage-assets partitions remove {lost.partition}' forgets the plate."
    )
