"""Plates materialised without UI or daemon: what `make demo`, CI and `bioimage-assets materialize` call."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from bioimage_assets.campaign_runs import build_campaigns, choose_campaigns, find_campaigns_of
from bioimage_assets.core.error_codes import add_codes
from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.model.identity import dataset_of, dimension_of
from bioimage_assets.core.model.left_out import LeftOut, list_buildable, list_left_out
from bioimage_assets.headless_runs import QUIET, Builder, OnStep, PlateOutcome, Progress
from bioimage_assets.partitions import register_plates
from bioimage_assets.plate_worker import PlateWorker
from bioimage_assets.resources.project import ProjectResource


@dataclass
class HeadlessReport:
    """Outcomes of all partitions of one call, what the look at the watched roots found, what is still lost and what is left out.

    ``unseen`` are the findings that hide plates of a call for all plates: a root or a dataset that cannot be read, stores
    that would be the same plate. ``stored`` is the look at everything stored that was taken last, ``sources`` are the
    plates that were asked for, as they are in the watched roots. ``left_out`` is what nothing here can build, by the extra that
    is not installed: no failure.
    """

    plates: list[PlateOutcome] = field(default_factory=list)
    datasets: list[PlateOutcome] = field(default_factory=list)
    campaigns: list[PlateOutcome] = field(default_factory=list)
    findings: list[Any] = field(default_factory=list)
    unseen: list[Any] = field(default_factory=list)
    lost: list[Any] = field(default_factory=list)
    stored: Any = None
    sources: list[Any] = field(default_factory=list)
    left_out: tuple[LeftOut, ...] = ()

    def note_campaigns(self, refused: Sequence[Any], *, is_for_all: bool) -> None:
        """Campaigns that cannot be used as they are defined: hidden from a call for all plates."""
        self.findings += refused
        self.unseen += refused if is_for_all else ()

    def refuse(self, dataset: str, finding: Any) -> None:
        """A dataset of which nothing is built, since its ``dataset.toml`` cannot be used; the finding was said already."""
        why = "its dataset.toml cannot be used, as was said above; no plate of it was built"
        self.datasets.append(PlateOutcome(dataset, "failed", message=add_codes(why, SettingsError.code)))
        self.findings.append(finding)

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
    also: Collection[str] = (),
    select: Sequence[str] | None = None,
    force: bool = False,
    with_datasets: bool = True,
    is_isolated: bool = False,
    progress: Progress = lambda message: None,
    on_step: OnStep = lambda partition, progress: None,
    log_level: str = QUIET,
) -> HeadlessReport:
    """Register plates and materialise their tables, then the datasets they belong to, then the campaigns of these.

    Plates whose stored tables were made from the same inputs by the same code are left alone. Up to twenty of the others
    get a run each; of more, fifty are in a run. Tables that need an extra that is not installed are left out, which is said
    before the first plate.

    Parameters
    ----------
    plate_keys
        Plates to look at; all plates of the watched roots where None.
    campaigns
        Look at the plates of all datasets of these campaigns instead, and at no other campaign.
    also
        Datasets and campaigns to look at beside those of the plates.
    select
        Names of plate assets, ``+NAME`` for one with all that it is made from; all where None. A selection is always run;
        ``image_assets`` brings ``scan_findings``.
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
    MissingExtraError
        What a table of ``select`` needs is not installed; nothing is built.
    SettingsError
        No file defines a campaign of ``campaigns``.
    """
    from bioimage_assets.core.storage.state import look_at_stored
    from bioimage_assets.current_plates import CurrentPlates

    project = ProjectResource()
    chosen = None if campaigns is None else choose_campaigns(project, campaigns)
    select = choose_tables(select) if select else None
    sources, report = find_wanted(project, plate_keys, select, chosen)
    refused_files = project.refused_settings(report.sources)
    for dataset, finding in refused_files.items():
        progress(f"error: {finding.code}: {finding.message}")
        report.refuse(dataset, finding)
    by_key = {
        source.plate_key: source
        for source in report.sources
        if dataset_of(source.plate_key) not in refused_files
    }
    wanted = list(by_key)
    register_plates(instance, wanted)
    tables = project.tables()
    for line in say_missing(project, report):
        progress(line)
    with PlateWorker(instance, on_step) if is_isolated else nullcontext() as worker:
        builder = Builder(instance, worker, tuple(select or ()), force, progress, on_step, log_level)
        stored = look_at_stored(tables)
        current = CurrentPlates(project, stored)
        stale = [key for key in wanted if force or select or not current.has_plate(by_key[key])]
        report.plates = _build_plates(builder, by_key, stale)
        if any(outcome.status != "current" for outcome in report.plates):
            stored = look_at_stored(tables)
        current = CurrentPlates(project, stored)
        named = {*map(dataset_of, wanted), *(key for key in also if dimension_of(key) == "dataset")}
        named -= refused_files.keys()
        has_steps = any(list_buildable("dataset")) and with_datasets and not select
        for dataset in sorted(named) if has_steps else ():
            plates = [source for source in sources if dataset_of(source.plate_key) == dataset]
            if not force and current.has_dataset(dataset, plates):
                report.datasets.append(builder.leave(dataset, dataset))
            else:
                report.datasets.append(builder.build("dataset_pipeline", dataset, dataset))
        if with_datasets and not select and any(list_buildable("campaign")):
            if chosen is None:
                chosen, refused = find_campaigns_of(
                    project, None if plate_keys is None else report.sources, also
                )
                report.note_campaigns(refused, is_for_all=plate_keys is None)
            report.campaigns = build_campaigns(instance, builder, chosen, sources, current, force=force)
    _forget_failures(tables, report)
    if any(outcome.status != "current" for outcome in report.outcomes):
        stored = look_at_stored(tables)
    report.stored = stored
    report.lost = _find_still_lost(report, select, plate_keys is None and with_datasets)
    return report


def _build_plates(builder: Builder, by_key: Mapping[str, Any], stale: Sequence[str]) -> list[PlateOutcome]:
    """Build plates that need it; an outcome for each plate, in their order."""
    from bioimage_assets.sensors.requests import plan_batches
    from bioimage_assets.sensors.store_events import report_taken

    named = {key: f"[{number}/{len(by_key)}] {key}" for number, key in enumerate(by_key, 1)}
    batches = plan_batches(stale)
    together = [batch for batch in batches if len(batch) > 1]
    listed = {key for batch in together for key in batch}
    alone = set(stale) - listed
    done: dict[str, PlateOutcome] = {}
    for key in by_key:
        if key in alone:
            if not builder.select:
                report_taken(builder.instance, by_key[key])
            done[key] = builder.build("plate_pipeline", key, named[key])
        elif key not in listed:
            done[key] = builder.leave(key, named[key])
    for batch in together:
        done |= {outcome.partition: outcome for outcome in builder.build_together(batch, named)}
    return [done[key] for key in by_key]


def find_wanted(
    project: ProjectResource,
    plate_keys: Iterable[str] | None,
    select: Sequence[str] | None,
    campaigns: Sequence[Any] | None = None,
) -> tuple[list[Any], HeadlessReport]:
    """All plates of the watched roots, and a report that holds those that are asked for and what the look found."""
    left_out = () if select else list_left_out()
    sources, findings = project.discover()
    if campaigns is not None:
        named = {dataset for campaign in campaigns for dataset in campaign.datasets}
        plate_keys = [source.plate_key for source in sources if dataset_of(source.plate_key) in named]
    errors = [finding for finding in findings if finding.severity == "error"]
    report = HeadlessReport(findings=findings, unseen=errors if plate_keys is None else [], left_out=left_out)
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


def say_missing(project: ProjectResource, report: HeadlessReport) -> Iterator[str]:
    """What a run of these plates leaves out or will fail at for want of an extra, one line each, before it begins."""
    from bioimage_assets.core.settings.needed_extras import list_needed_by_datasets, list_needed_by_project

    yield from map(str, report.left_out)
    yield from list_needed_by_project(project.settings)
    yield from list_needed_by_datasets(
        {source.dataset_uri for source in report.sources}, project.dataset_settings
    )


def choose_tables(names: Iterable[str]) -> tuple[str, ...]:
    """Tables of a selection, see :func:`~bioimage_assets.plate_lists.add_upstream`.

    Names of no table of plates, and of tables that cannot be built here, are refused: UsageError, MissingExtraError.
    """
    from bioimage_assets.plate_lists import add_upstream

    return add_upstream(names)


def _not_found(
    project: ProjectResource, plate_key: str, known: Sequence[str], errors: Sequence[Any]
) -> Exception:
    """Say what there is instead of a plate, and what hides others."""
    from bioimage_assets.core.errors import StoreNotFoundError
    from bioimage_assets.core.near_names import suggest_plate

    roots = ", ".join(project.settings.incoming_uris)
    found = f"{', '.join(known[:20])}{' …' if len(known) > 20 else ''}" or "none"
    text = f"No plate {plate_key!r} below {roots}; found: {found}.{suggest_plate(plate_key, known)}"
    return StoreNotFoundError(" ".join([text, *(e.message for e in errors)]))
