"""The job that keeps Dagster's history from growing for ever, at night."""

import dagster as dg
from pydantic import Field

from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors.status import SCHEDULE_STATUS

SHOWN_RUNS = 100


class HistoryConfig(dg.Config):
    """What to keep. A dry run says what would be removed and does nothing."""

    dry_run: bool = False
    keep_days: float | None = Field(
        default=None,
        description="Days that every run is kept; 0 removes nothing. Default: BIOIMAGE_KEEP_RUNS_DAYS.",
    )
    max_runs: int = Field(default=1_000, description="Old runs that are looked at; the next night goes on.")


@dg.op
def purge_old_runs(
    context: dg.OpExecutionContext, config: HistoryConfig, project: ProjectResource
) -> dg.Output[None]:
    """Remove old runs of which everything that they made was made again since; no table, page or partition changes."""
    from bioimage_assets.run_history import purge_runs

    keep_days = project.settings.keep_runs_days if config.keep_days is None else config.keep_days
    report = purge_runs(
        context.instance, keep_days=keep_days, max_runs=config.max_runs, is_dry_run=config.dry_run
    )
    would = "would be " if config.dry_run else ""
    context.log.info(
        f"{len(report.removed)} of {report.looked_at} runs older than {keep_days:g} days {would}removed; {report.kept} say "
        "how something is now and stay."
        if keep_days
        else "Nothing is removed: BIOIMAGE_KEEP_RUNS_DAYS is 0."
    )
    return dg.Output(
        None,
        metadata={
            "dry_run": config.dry_run,
            "keep_days": keep_days,
            "removed": len(report.removed),
            "kept": report.kept,
            "oldest_removed": report.oldest or "none",
            "removed_by_job": report.by_job,
            "removed_runs": report.removed[:SHOWN_RUNS],
        },
    )


@dg.job(
    description="Removes old runs from Dagster's history, except those that say how a plate and table is now. In the launchpad "
    "{ops: {purge_old_runs: {config: {dry_run: true}}}} says what would go."
)
def history_upkeep() -> None:
    """One step."""
    purge_old_runs()


nightly_history_upkeep = dg.ScheduleDefinition(
    name="nightly_history_upkeep",
    job=history_upkeep,
    cron_schedule="30 2 * * *",
    default_status=SCHEDULE_STATUS,
    description="Every night at half past two.",
)
