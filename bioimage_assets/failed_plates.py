"""What failed at its last run, or was left undone by a run that was cancelled or killed: plates and datasets, with the reason.

Asked of both memories: the failures that steps keep beside the stored tables, and the history of runs.
"""

import os
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.partitions import PARTITIONS
from bioimage_assets.resources.project import ProjectResource

PROCESS_TAG = "bioimage/process"
"""Tag of a run that a command's worker runs: host and number of its process."""
RUNS_PER_QUERY = 500


@dataclass(frozen=True)
class FailedPartition:
    """A plate, dataset or campaign that failed or was left undone: in which step, and why."""

    partition: str
    step: str
    why: str


def find_failed(instance: dg.DagsterInstance, project: ProjectResource) -> list[FailedPartition]:
    """Plates and datasets that failed last, sorted, with the first of their steps; three reads and a query per table."""
    from bioimage_assets.core.storage.step_failures import list_failed, read_failures

    warehouse = project.tables().warehouse
    kept = list_failed(warehouse)
    words = read_failures(warehouse, kept)
    failed = {
        key: FailedPartition(key, steps[0], words.get(key, "").removeprefix(f"{steps[0]}: "))
        for key, steps in kept.items()
    }
    for found in _find_undone(instance):
        failed.setdefault(found.partition, found)
    return [failed[key] for key in sorted(failed)]


def _find_undone(instance: dg.DagsterInstance) -> list[FailedPartition]:
    """Partitions of which a run was to make a table and did not, and is over."""
    log = instance.event_log_storage
    # What was removed is nobody's work any more, whatever the history says of it.
    known = {key for part in PARTITIONS.values() for key in instance.get_dynamic_partitions(part.name or "")}
    undone: dict[tuple[str, str], str] = {}
    for step in STEPS:
        for name in step.names:
            attempts = log.get_latest_asset_partition_materialization_attempts_without_materializations(
                dg.AssetKey(name)
            )
            for partition, (run_id, _) in attempts.items():
                if partition in known:
                    undone.setdefault((partition, step.name), run_id)
    ends = _read_ends(instance, set(undone.values()))
    return [
        FailedPartition(partition, step, f"run {run_id} {ends[run_id]} before it was built")
        for (partition, step), run_id in undone.items()
        if run_id in ends
    ]


def _read_ends(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> dict[str, str]:
    """How runs ended; runs that go on are left out."""
    ids = sorted(run_ids)
    ends = dict.fromkeys(ids, "is not in the history any more, and ended")
    for start in range(0, len(ids), RUNS_PER_QUERY):
        for run in instance.get_runs(dg.RunsFilter(run_ids=ids[start : start + RUNS_PER_QUERY])):
            if run.status not in FINISHED_STATUSES and is_lost(run):
                instance.report_run_failed(run, "The process that ran it is gone.")
                ends[run.run_id] = "was killed"
            elif run.status not in FINISHED_STATUSES:
                del ends[run.run_id]
            else:
                ends[run.run_id] = (
                    "was cancelled" if run.status is dg.DagsterRunStatus.CANCELED else "failed or ended"
                )
    return ends


def name_process() -> str:
    """This process, as the tag of a run names it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_lost(run: dg.DagsterRun) -> bool:
    """Whether a run was a command's on this host whose process is gone; nobody else would end it."""
    host, _, number = run.tags.get(PROCESS_TAG, "").rpartition(":")
    if host != socket.gethostname() or not number.isdigit():
        return False
    if sys.platform == "linux":  # a number is used again by another process
        try:
            return b"plate_worker" not in Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:
            return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
