"""Runs of partitions without UI or daemon: of one plate or dataset, and of up to fifty plates together."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from bioimage_assets.core.phrases import count_words
from bioimage_assets.failure_messages import describe_failures, was_interrupted
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.retrying import ERRORS_BY_PLATE
from bioimage_assets.run_progress import StepProgress, listen

if TYPE_CHECKING:
    from bioimage_assets.plate_worker import PlateWorker

# Step-by-step events stay in the instance; the terminal gets progress and the outcome.
QUIET = "CRITICAL"
Progress = Callable[[str], None]
_NO_REASON = "the run failed before its first step; see the log"


@dataclass(frozen=True)
class PartitionRun:
    """What is to be run: one partition of a job, or some plates together; all of its tables or a selection.

    ``partition`` of plates that are run together are words for them.
    """

    job_name: str
    partition: str
    selection: tuple[str, ...] = ()
    force: bool = False
    log_level: str = QUIET
    plates: tuple[str, ...] = ()


@dataclass
class PlateOutcome:
    """What became of one partition: ``built``, ``current`` (nothing to do) or ``failed``."""

    partition: str
    status: str
    seconds: float = 0.0
    run_id: str | None = None
    message: str = ""


OnStep = Callable[[str, StepProgress], None]
"""Called with the partition and what its run is doing."""


def run_partition(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    job_name: str,
    partition: str,
    select: Sequence[str] | None,
    *,
    force: bool = False,
    tags: Mapping[str, str] | None = None,
    log_level: str = QUIET,
) -> PlateOutcome:
    """Run one partition of a job in this process and tell how it went; a failure is an outcome, not an error.

    Raises
    ------
    KeyboardInterrupt
        The run was interrupted: so is whoever asked for it.
    """
    job = defs.resolve_job_def(job_name)
    started = time.perf_counter()
    result = job.execute_in_process(
        partition_key=partition,
        instance=instance,
        tags=_build_tags(tags, force or bool(select)),
        raise_on_error=False,
        asset_selection=[dg.AssetKey(name) for name in select] if select else None,
        run_config=_build_loggers(log_level),
    )
    seconds = time.perf_counter() - started
    if result.success:
        return PlateOutcome(partition, "built", seconds, result.run_id)
    if was_interrupted(result.all_events):
        raise KeyboardInterrupt
    words = describe_failures(result.all_events) or _NO_REASON
    return PlateOutcome(partition, "failed", seconds, result.run_id, words)


def run_list(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    plates: Sequence[str],
    select: Sequence[str] | None,
    *,
    force: bool = False,
    tags: Mapping[str, str] | None = None,
    log_level: str = QUIET,
) -> list[PlateOutcome]:
    """Run plates together in this process and tell how each went; each has its share of the seconds.

    No outcome where the run broke without a word about any plate: each plate's own run says more.

    Raises
    ------
    KeyboardInterrupt
        The run was interrupted.
    """
    from bioimage_assets.jobs.plate_lists import JOB_NAME, build_list_config

    started = time.perf_counter()
    result = defs.resolve_job_def(JOB_NAME).execute_in_process(
        instance=instance,
        tags=_build_tags(tags, force or bool(select)),
        raise_on_error=False,
        run_config={**build_list_config(plates, select or ()), **_build_loggers(log_level)},
    )
    seconds = (time.perf_counter() - started) / len(plates)
    failed = read_errors(result.all_events)
    if not result.success and was_interrupted(result.all_events):
        raise KeyboardInterrupt
    if not (result.success or failed):
        return []
    return [
        PlateOutcome(key, "failed" if key in failed else "built", seconds, result.run_id, failed.get(key, ""))
        for key in plates
    ]


def read_errors(events: Iterable[dg.DagsterEvent]) -> dict[str, str]:
    """Plates that failed in a run of several, with the reason."""
    failed: dict[str, str] = {}
    for event in events:
        data = event.step_failure_data.user_failure_data if event.is_step_failure else None
        errors = data.metadata.get(ERRORS_BY_PLATE) if data else None
        if errors is not None and isinstance(errors.value, Mapping):
            failed |= {str(key): str(text) for key, text in errors.value.items()}
    return failed


def _build_tags(tags: Mapping[str, str] | None, is_forced: bool) -> dict[str, str]:
    from bioimage_assets.io_managers.plate_batch import FORCE_TAG

    return {**(tags or {}), **({FORCE_TAG: "true"} if is_forced else {})}


def _build_loggers(log_level: str) -> dict[str, object]:
    return {"loggers": {"console": {"config": {"log_level": log_level}}}}


@dataclass(frozen=True)
class Builder:
    """Runs partitions, in a worker where there is one, and says so before and after."""

    instance: dg.DagsterInstance
    worker: "PlateWorker | None"
    select: tuple[str, ...]
    force: bool
    progress: Progress
    on_step: OnStep
    log_level: str

    def leave(self, partition: str, named: str) -> PlateOutcome:
        """One that is up to date."""
        self.progress(f"{named}: up to date")
        return PlateOutcome(partition, "current")

    def build(self, job_name: str, partition: str, named: str) -> PlateOutcome:
        """One plate or dataset; the page of a plate that fails says so."""
        self.progress(f"{named}: running")
        outcome = self._run(PartitionRun(job_name, partition, self.select, self.force, self.log_level))
        self._say(outcome, named)
        if outcome.status == "failed" and job_name == "plate_pipeline" and not self.select:
            self._page_of_failure(partition)
        return outcome

    def build_together(self, plates: Sequence[str], named: Mapping[str, str]) -> list[PlateOutcome]:
        """Plates in one run. Where its worker dies, the plate at work has failed, and another run goes on with the others."""
        self.progress(f"{plates[0]} … {plates[-1]}: running, {count_words(len(plates), 'plate')} together")
        done: dict[str, PlateOutcome] = {}
        while left := [key for key in plates if key not in done]:
            outcomes = self._run_list(left)
            if not outcomes:
                self.progress(f"The run of {count_words(len(left), 'plate')} broke; they are run one by one.")
                done |= {key: self.build("plate_pipeline", key, named[key]) for key in left}
                break
            for outcome in outcomes:
                self._say(outcome, named[outcome.partition])
                if outcome.status == "failed" and len(outcomes) < len(left) and not self.select:
                    self._page_of_failure(outcome.partition)
            done |= {outcome.partition: outcome for outcome in outcomes}
        return [done[key] for key in plates]

    def _say(self, outcome: PlateOutcome, named: str) -> None:
        if outcome.status == "failed":
            self._keep_failure(outcome)
        self.progress(f"{named}: {outcome.status} in {outcome.seconds:.1f} s {outcome.message}".rstrip())

    def _page_of_failure(self, plate_key: str) -> None:
        """Have the page of a plate say why its run failed, beside what is stored of it; the failure is the outcome."""
        self._run(PartitionRun("plate_pipeline", plate_key, ("plate_report",), force=True))

    def _keep_failure(self, outcome: PlateOutcome) -> None:
        from bioimage_assets.core.errors import BioimageError
        from bioimage_assets.core.storage.step_failures import keep_failure

        try:
            warehouse = ProjectResource().warehouse()
            keep_failure(warehouse, outcome.partition, outcome.message, outcome.run_id or "")
        except BioimageError as error:  # the root is full or away; the reason is said all the same
            self.progress(f"warning: the failure could not be kept among the findings: {error}")

    def _run(self, request: PartitionRun) -> PlateOutcome:
        if self.worker is not None:
            return self.worker.run(request)
        from bioimage_assets.definitions import defs

        with listen(partial(self.on_step, request.partition), request.job_name, request.selection):
            return run_partition(
                defs, self.instance, request.job_name, request.partition, request.selection,
                force=request.force, log_level=self.log_level,
            )  # fmt: skip

    def _run_list(self, plates: Sequence[str]) -> list[PlateOutcome]:
        from bioimage_assets.jobs.plate_lists import JOB_NAME

        named = count_words(len(plates), "plate")
        if self.worker is not None:
            request = PartitionRun(JOB_NAME, named, self.select, self.force, self.log_level, tuple(plates))
            return self.worker.run_list(request)
        from bioimage_assets.definitions import defs

        with listen(partial(self.on_step, named), JOB_NAME, self.select):
            return run_list(
                defs, self.instance, plates, self.select, force=self.force, log_level=self.log_level
            )
