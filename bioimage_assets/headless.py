"""Plates materialised without UI or daemon: what `make demo`, CI and `bioimage-assets materialize` call."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dagster as dg

from bioimage_assets.campaign_runs import build_campaigns, choose_campaigns, find_campaigns_of
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.failure_messages import describe_failures, was_interrupted
from bioimage_assets.partitions import register_plates
from bioimage_assets.plate_worker import QUIET, OnStep, PartitionRun, PlateOutcome, PlateWorker
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.run_progress import listen

Progress = Callable[[str], None]


@dataclass
class HeadlessReport:
    """Outcomes of all partitions of one call, what the look at the watched roots found, and what is still lost.

    ``unseen`` are the findings that hide plates of a call for all plates: a root or a dataset that cannot be read, stores
    that would be the same plate. ``stored`` is the look at everything stored that was taken last, ``sources`` are the
    plates that were asked for, as they are in the watched roots.
    """

    plates: list[PlateOutcome] = field(default_factory=list)
    datasets: list[PlateOutcome] = field(default_factory=list)
    campaigns: list[PlateOutcome] = field(default_factory=list)
    findings: list[Any] = field(default_factory=list)
    unseen: list[Any] = field(default_factory=list)
    lost: list[Any] = field(default_factory=list)
    stored: Any = None
    sources: list[Any] = field(default_factory=list)

    def note_campaigns(self, refused: Sequence[Any], *, is_for_all: bool) -> None:
        """Campaigns that cannot be used as they are defined: hidden from a call for all plates."""
        self.findings += refused
        self.unseen += refused if is_for_all else ()

    @property
    def outcomes(self) -> list[PlateOutcome]:
        """Of plates, then datasets, then campaigns."""
        return [*self.plates, *self.datasets, *self.campaigns]

    @property
    def is_ok(self) -> bool:
        """Tell whether nothing failed, nothing was left out and nothing is lost."""
        return not (self.unseen or self.lost) and all(o.status != "failed" for o in self.outcomes)


def materialize_plates(
    instance: dg.DagsterInstance,
    *,
    plate_keys: Iterable[str] | None = None,
    campaigns: Iterable[str] | None = None,
    select: Sequence[str] | None = None,
    force: bool = False,
    with_datasets: bool = True,
    is_isolated: bool = False,
    progress: Progress = lambda message: None,
    on_step: OnStep = lambda partition, progress: None,
    log_level: str = QUIET,
) -> HeadlessReport:
    """Register plates and materialise their tables, then the datasets they belong to, then the campaigns of these.

    Plates whose stored tables were made from the same inputs by the same code are left alone.

    Parameters
    ----------
    plate_keys
        Plates to look at; all plates of the watched roots where None.
    campaigns
        Look at the plates of all datasets of these campaigns instead, and at no other campaign.
    select
        Names of plate assets; all where None. A selection is always run.
    force
        Run plates that are current too.
    is_isolated
        Run them in a process of their own, so that a file that ends the process costs its plate only. Not for an
        instance in memory, which no other process can open.
    on_step
        Hears which step of a plate is under way, and how many cells went through it.
    log_level
        Lines of the runs' logs from this level on go to standard error.

    Raises
    ------
    StoreNotFoundError
        A named plate is not in the watched roots.
    UsageError
        A name of ``select`` is no table of a plate.
    SettingsError
        No file defines a campaign of ``campaigns``.
    """
    from bioimage_assets.core.storage.state import look_at_stored
    from bioimage_assets.current_plates import CurrentPlates
    from bioimage_assets.sensors.store_events import report_taken

    project = ProjectResource()
    chosen = None if campaigns is None else choose_campaigns(project, campaigns)
    sources, report = find_wanted(project, plate_keys, select, chosen)
    by_key = {source.plate_key: source for source in report.sources}
    wanted = list(by_key)
    register_plates(instance, wanted)
    tables = project.tables()
    with PlateWorker(instance, on_step) if is_isolated else nullcontext() as worker:
        build = _Builder(instance, worker, tuple(select or ()), force, progress, on_step, log_level)
        stored = look_at_stored(tables)
        current = CurrentPlates(project, stored)
        for number, key in enumerate(wanted, 1):
            is_current = not (force or select) and current.has_plate(by_key[key])
            if not (is_current or select):
                report_taken(instance, by_key[key])
            named = f"[{number}/{len(wanted)}] {key}"
            report.plates.append(build("plate_pipeline", key, named, is_current))
            if report.plates[-1].status == "failed" and not select:
                build.page_of_failure(key)
        if any(outcome.status != "current" for outcome in report.plates):
            stored = look_at_stored(tables)
        current = CurrentPlates(project, stored)
        for dataset in sorted({dataset_of(key) for key in wanted}) if with_datasets and not select else ():
            plates = [source for source in sources if dataset_of(source.plate_key) == dataset]
            is_current = not force and current.has_dataset(dataset, plates)
            report.datasets.append(build("dataset_pipeline", dataset, dataset, is_current))
        if with_datasets and not select:
            if chosen is None:
                chosen, refused = find_campaigns_of(project, None if plate_keys is None else report.sources)
                report.note_campaigns(refused, is_for_all=plate_keys is None)
            report.campaigns = build_campaigns(instance, build, chosen, sources, current, force=force)
    _forget_failures(tables, report)
    if any(outcome.status != "current" for outcome in report.outcomes):
        stored = look_at_stored(tables)
    report.stored = stored
    report.lost = _find_still_lost(report, select, plate_keys is None and with_datasets)
    return report


def find_wanted(
    project: ProjectResource,
    plate_keys: Iterable[str] | None,
    select: Sequence[str] | None,
    campaigns: Sequence[Any] | None = None,
) -> tuple[list[Any], HeadlessReport]:
    """All plates of the watched roots, and a report that holds those that are asked for and what the look found."""
    _check_selection(select or ())
    sources, findings = project.discover()
    if campaigns is not None:
        named = {dataset for campaign in campaigns for dataset in campaign.datasets}
        plate_keys = [source.plate_key for source in sources if dataset_of(source.plate_key) in named]
    errors = [finding for finding in findings if finding.severity == "error"]
    report = HeadlessReport(findings=findings, unseen=errors if plate_keys is None else [])
    by_key = {source.plate_key: source for source in sources}
    for key in sorted(by_key) if plate_keys is None else sorted(set(plate_keys)):
        if key not in by_key:
            raise _not_found(project, key, sorted(by_key), errors)
        report.sources.append(by_key[key])
    return sources, report


def _forget_failures(tables: Any, report: HeadlessReport) -> None:
    """Files that were put back as they were leave plates up to date, and no run that would say so."""
    from bioimage_assets.core.storage.step_failures import clear_all_failures

    current = [o.partition for o in report.outcomes if o.status == "current"]
    clear_all_failures(tables.warehouse, current)


def _find_still_lost(report: HeadlessReport, select: Sequence[str] | None, is_for_all: bool) -> list[Any]:
    """What could not be built again: of the partitions and tables that were asked for, else of all that is stored."""
    keys = {outcome.partition for outcome in report.outcomes}
    chosen = keys.union(report.stored.partitions_with_losses) if is_for_all else keys
    lost = [lost for key in sorted(chosen) for lost in report.stored.lost(key)]
    return [one for one in lost if select is None or one.table in select]


@dataclass(frozen=True)
class _Builder:
    """Runs partitions unless they are current, and says so before and after."""

    instance: dg.DagsterInstance
    worker: PlateWorker | None
    select: tuple[str, ...]
    force: bool
    progress: Progress
    on_step: OnStep
    log_level: str

    def __call__(self, job_name: str, partition: str, named: str, is_current: bool) -> PlateOutcome:
        if is_current:
            self.progress(f"{named}: up to date")
            return PlateOutcome(partition, "current")
        self.progress(f"{named}: running")
        outcome = self._run(PartitionRun(job_name, partition, self.select, self.force, self.log_level))
        if outcome.status == "failed":
            self._keep_failure(outcome)
        self.progress(f"{named}: {outcome.status} in {outcome.seconds:.1f} s {outcome.message}".rstrip())
        return outcome

    def page_of_failure(self, plate_key: str) -> None:
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

        hear = partial(self.on_step, request.partition)
        with listen(hear, request.job_name, request.selection):
            return run_partition(
                defs, self.instance, request.job_name, request.partition, request.selection,
                force=request.force, log_level=self.log_level,
            )  # fmt: skip


def _check_selection(names: Iterable[str]) -> None:
    from bioimage_assets.core.errors import UsageError
    from bioimage_assets.jobs.pipelines import PLATE_ASSETS

    for name in names:
        if name not in PLATE_ASSETS:
            raise UsageError(f"{name!r} is no table of a plate; expected one of {', '.join(PLATE_ASSETS)}.")


def _not_found(
    project: ProjectResource, plate_key: str, known: Sequence[str], errors: Sequence[Any]
) -> Exception:
    """Say what there is instead of a plate, and what hides others."""
    from bioimage_assets.core.errors import StoreNotFoundError

    roots = ", ".join(project.settings.incoming_uris)
    found = f"{', '.join(known[:20])}{' …' if len(known) > 20 else ''}" or "none"
    text = " ".join([f"No plate {plate_key!r} below {roots}; found: {found}.", *(e.message for e in errors)])
    return StoreNotFoundError(text)


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
    from bioimage_assets.io_managers.plate_batch import FORCE_TAG

    job = defs.resolve_job_def(job_name)
    selection = [dg.AssetKey(name) for name in select] if select else None
    started = time.perf_counter()
    result = job.execute_in_process(
        partition_key=partition,
        instance=instance,
        tags={**(tags or {}), **({FORCE_TAG: "true"} if force or select else {})},
        raise_on_error=False,
        asset_selection=selection,
        run_config={"loggers": {"console": {"config": {"log_level": log_level}}}},
    )
    seconds = time.perf_counter() - started
    if result.success:
        return PlateOutcome(partition, "built", seconds, result.run_id)
    if was_interrupted(result.all_events):
        raise KeyboardInterrupt
    words = describe_failures(result.all_events) or "the run failed before its first step; see the log"
    return PlateOutcome(partition, "failed", seconds, result.run_id, words)
