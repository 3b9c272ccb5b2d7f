"""Plates materialised without UI or daemon: what `make demo`, CI and `bioimage-assets materialize` call."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from bioimage_assets.failure_words import describe_failures
from bioimage_assets.partitions import dataset_of, register_plates
from bioimage_assets.resources.project import ProjectResource

# Step-by-step events stay in the instance; the terminal gets progress and the outcome.
LOG_LEVEL = "CRITICAL"

Progress = Callable[[str], None]


@dataclass
class PlateOutcome:
    """What became of one partition: ``built``, ``current`` (nothing to do) or ``failed``."""

    partition: str
    status: str
    seconds: float = 0.0
    run_id: str | None = None
    message: str = ""


@dataclass
class HeadlessReport:
    """Outcomes of all partitions of one call."""

    plates: list[PlateOutcome] = field(default_factory=list)
    datasets: list[PlateOutcome] = field(default_factory=list)
    findings: list[Any] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        """Tell whether nothing failed."""
        return all(outcome.status != "failed" for outcome in self.plates + self.datasets)


def materialize_plates(
    instance: dg.DagsterInstance,
    *,
    plate_keys: Iterable[str] | None = None,
    select: Sequence[str] | None = None,
    force: bool = False,
    with_datasets: bool = True,
    progress: Progress = lambda message: None,
) -> HeadlessReport:
    """Register plates and materialise their tables, then the datasets they belong to.

    Plates whose stored tables were made from the same inputs by the same code are left alone.

    Parameters
    ----------
    plate_keys
        Plates to look at; all plates of the watched roots where None.
    select
        Names of plate assets; all where None. A selection is always run.
    force
        Run plates that are current too.

    Raises
    ------
    StoreNotFoundError
        A named plate is not in the watched roots.
    """
    from bioimage_assets.assets.freshness import is_dataset_current, is_plate_current
    from bioimage_assets.core.errors import StoreNotFoundError
    from bioimage_assets.definitions import defs
    from bioimage_assets.sensors.store_events import report_taken

    project = ProjectResource()
    sources, findings = project.discover()
    report = HeadlessReport(findings=findings)
    by_key = {source.plate_key: source for source in sources}
    wanted = sorted(by_key) if plate_keys is None else sorted(set(plate_keys))
    missing = [key for key in wanted if key not in by_key]
    if missing:
        roots = ", ".join(project.settings.incoming_uris)
        raise StoreNotFoundError(f"No plate {missing[0]!r} below {roots}; found {sorted(by_key)[:20]}.")
    register_plates(instance, wanted)
    warehouse, reports_dir = project.warehouse(), project.settings.reports_dir
    for number, key in enumerate(wanted, 1):
        if not force and select is None and is_plate_current(warehouse, reports_dir, by_key[key]):
            report.plates.append(PlateOutcome(key, "current"))
            progress(f"[{number}/{len(wanted)}] {key}: up to date")
            continue
        progress(f"[{number}/{len(wanted)}] {key}: running")
        if select is None:
            report_taken(instance, by_key[key])
        outcome = run_partition(defs, instance, "plate_pipeline", key, select, force=force)
        report.plates.append(outcome)
        progress(
            f"[{number}/{len(wanted)}] {key}: {outcome.status} in {outcome.seconds:.1f} s {outcome.message}"
        )
    if with_datasets and select is None:
        for dataset in sorted({dataset_of(key) for key in wanted}):
            plates = [source for source in sources if dataset_of(source.plate_key) == dataset]
            if not force and is_dataset_current(warehouse, reports_dir, dataset, plates):
                report.datasets.append(PlateOutcome(dataset, "current"))
                progress(f"{dataset}: up to date")
                continue
            outcome = run_partition(defs, instance, "dataset_pipeline", dataset, None, force=force)
            report.datasets.append(outcome)
            progress(f"{dataset}: {outcome.status} in {outcome.seconds:.1f} s {outcome.message}")
    return report


def run_partition(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    job_name: str,
    partition: str,
    select: Sequence[str] | None,
    *,
    force: bool = False,
) -> PlateOutcome:
    """Run one partition of a job in this process and tell how it went; a failure is an outcome, not an error."""
    from bioimage_assets.assets.current import FORCE_TAG

    job = defs.resolve_job_def(job_name)
    selection = [dg.AssetKey(name) for name in select] if select else None
    started = time.perf_counter()
    result = job.execute_in_process(
        partition_key=partition,
        instance=instance,
        tags={FORCE_TAG: "true"} if force or select else {},
        raise_on_error=False,
        asset_selection=selection,
        run_config={"loggers": {"console": {"config": {"log_level": LOG_LEVEL}}}},
    )
    seconds = time.perf_counter() - started
    if result.success:
        return PlateOutcome(partition, "built", seconds, result.run_id)
    words = describe_failures(result.all_events) or "the run failed before its first step; see the log"
    return PlateOutcome(partition, "failed", seconds, result.run_id, words)
