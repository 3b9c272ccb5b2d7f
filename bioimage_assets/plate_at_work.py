"""Which plate a worker is at work on, noted before it begins, so that its death is that plate's failure.

A broken library or a full memory ends a process without an exception, and a loop in foreign code never ends at all. What
a run of several plates was doing then stands in its event log; the next try leaves that plate out, and a run of its own
shows whether it was the plate. Used by the Dagster layer only.
"""

import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import dagster as dg

from bioimage_assets.core.errors import WorkerLostError
from bioimage_assets.partitions import RunContext, list_run_partitions

AT_WORK = "Begins plate "
TOOK_TOO_LONG = "the work took longer than"
MAX_TRIES = 5  # earlier tries of a run that are looked at
PARENT_TAG = "dagster/parent_run_id"
MAX_RETRIES_TAG = "dagster/max_retries"
# After so long beyond its limit a worker is ended by a thread that needs no Python, in case foreign code holds its lock.
GRACE_S = 60.0
_IS_WORKER = threading.Event()
# As Dagster words it, for workers of runs and of steps.
_EXIT = re.compile(r"(?:terminated by signal (?P<signal>\d+)|exited with code (?P<code>-?\d+))")


@dataclass(frozen=True, slots=True)
class PlateAtWork:
    """What a run was doing when it ended: a plate, None where the run has only one, and a step.

    ``said`` is what the worker said itself before it went, None where it went without a word.
    """

    plate_key: str | None
    step_key: str
    said: str | None = None

    def describe(self, how: str = "") -> str:
        """Why the plate failed; ``how`` the worker ended, as :func:`describe_exit` says it, where that is known."""
        return f"{self.step_key}: {self.said or describe_lost_worker(how)}"


class StepContext(RunContext, Protocol):
    """What a step of several plates asks of its run: that of an asset, or of a list of plates."""

    @property
    def run(self) -> dg.DagsterRun: ...
    @property
    def run_id(self) -> str: ...
    @property
    def instance(self) -> dg.DagsterInstance: ...
    @property
    def resources(self) -> Any: ...
    @property
    def log(self) -> dg.DagsterLogManager: ...
    @property
    def retry_number(self) -> int: ...
    def log_event(self, event: Any) -> None: ...


@contextmanager
def at_work(
    context: StepContext, plate_key: str, lost: Mapping[str, str] = MappingProxyType({})
) -> Iterator[None]:
    """Say what the worker begins, and end the worker if that takes longer than the settings allow.

    A process that somebody else started (a notebook, a test, a command) is not ended; the worker of a run is.

    Raises
    ------
    WorkerLostError
        The plate is one of ``lost`` (see :func:`find_lost_plates`): an earlier try of this run ended at it.
    """
    if plate_key in lost:
        raise WorkerLostError(f"{plate_key}: {lost[plate_key]}")
    if len(list_run_partitions(context)) > 1:
        context.log.info(f"{AT_WORK}{plate_key}")
    limit_s = context.resources.project.settings.max_plate_s
    if not limit_s or not is_worker():
        yield
        return
    with _end_worker_after(context, plate_key, limit_s):
        yield


@contextmanager
def _end_worker_after(context: StepContext, plate_key: str, limit_s: float) -> Iterator[None]:
    import faulthandler

    timer = threading.Timer(limit_s, _end_worker, (context, plate_key, limit_s))
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(limit_s + GRACE_S, exit=True)
    try:
        yield
    finally:
        timer.cancel()
        faulthandler.cancel_dump_traceback_later()


def is_worker() -> bool:
    """Whether this process runs plates and nothing else: a child of the code server, ``dagster api …``, or ours."""
    return (
        multiprocessing.parent_process() is not None
        or _IS_WORKER.is_set()
        or sys.argv[1:3]
        in (["api", "execute_run"], ["api", "execute_step"])  # as Kubernetes and Slurm start it
    )


def allow_ending() -> None:
    """Let this process be ended when a plate takes too long: it was started to run plates and for nothing else."""
    _IS_WORKER.set()


def _end_worker(context: StepContext, plate_key: str, limit_s: float) -> None:
    """Say why, and go; a run of this plate alone is not tried again, since it would take as long again."""
    try:
        context.log.error(f"{plate_key}: {describe_limit(limit_s)}")
        if len(list_run_partitions(context)) == 1:
            context.instance.add_run_tags(context.run_id, {MAX_RETRIES_TAG: "0"})
    finally:
        os._exit(1)


def describe_limit(limit_s: float) -> str:
    """Why a worker was ended that was at work on one step of one plate for too long."""
    return (
        f"{TOOK_TOO_LONG} {limit_s:.0f} s and was ended. Look for a file that never ends, or allow more with "
        "BIOIMAGE_MAX_PLATE_SECONDS."
    )


def find_plate_at_work(instance: dg.DagsterInstance, run_id: str) -> PlateAtWork | None:
    """What a run was doing when its worker ended; None where no step was under way."""
    plate: str | None = None
    step: str | None = None
    said: str | None = None
    for entry in instance.all_logs(run_id):
        if entry.user_message.startswith(AT_WORK) and entry.dagster_event is None:
            plate = entry.user_message.removeprefix(AT_WORK)
        if TOOK_TOO_LONG in entry.user_message and entry.dagster_event is None:
            said = entry.user_message.partition(": ")[2]
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.event_type is dg.DagsterEventType.STEP_START:
            plate, step = None, event.step_key
        elif event.event_type in (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE):
            plate, step = None, None
    return None if step is None else PlateAtWork(plate, step, said)


def find_lost_plates(context: StepContext) -> dict[str, str]:
    """Plates at which earlier tries of this run ended without a word, with the words that there are.

    One plate alone is tried again: another process may have taken the memory.
    """
    lost: dict[str, str] = {}
    if len(list_run_partitions(context)) == 1:
        return lost
    for run in list_tries(context.instance, context.run)[1:]:
        found = find_plate_at_work(context.instance, run.run_id)
        if found is not None and found.plate_key is not None:
            lost[found.plate_key] = found.describe()
    return lost


def list_tries(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dg.DagsterRun]:
    """A run and the tries before it, the newest first."""
    tries = [run]
    while len(tries) <= MAX_TRIES:
        parent_id = tries[-1].tags.get(PARENT_TAG) or tries[-1].parent_run_id
        parent = instance.get_run_by_id(parent_id) if parent_id else None
        if parent is None:
            break
        tries.append(parent)
    return tries


def describe_lost_worker(how: str) -> str:
    """Words for a worker that ended without saying why; ``how`` is :func:`describe_exit`, or empty."""
    return (
        f"the worker ended {how or 'without a word'}. A file that breaks a library, or too little memory, does that: look "
        "at the plate's files, run it alone with more memory, and materialize it again."
    )


def read_exit(message: str) -> str:
    """How a worker ended, from Dagster's own words for it; empty where they do not say."""
    found = _EXIT.search(message)
    if found is None:
        return ""
    return describe_exit(-int(found["signal"]) if found["signal"] else int(found["code"]))


def describe_exit(code: int) -> str:
    """How a process ended: ``with exit code 1``, ``by SIGSEGV (signal 11)``; a negative code is the number of a signal."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name} (signal {-code})"
    except ValueError:
        return f"by signal {-code}"
