"""A process that runs partitions for a command, one after another: one that dies costs its own partition only.

Libraries of foreign formats can end a process without an exception. The command itself opens no file of a plate, so that
it is there to say which plate it was, and to go on with the next one. Requests and answers are lines of JSON on two pipes.

    python -m bioimage_assets.plate_worker REQUESTS ANSWERS      (numbers of open files)
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value, serialize_value

from bioimage_assets.core.error_codes import add_codes
from bioimage_assets.core.errors import WorkerLostError
from bioimage_assets.failed_plates import PROCESS_TAG, name_process
from bioimage_assets.headless_runs import OnStep, PartitionRun, PlateOutcome, run_list, run_partition
from bioimage_assets.plate_at_work import allow_ending, describe_exit, find_plate_at_work
from bioimage_assets.run_progress import StepProgress, listen

WORKER_TAG = "bioimage/worker"
END_TIMEOUT_S = 60.0
LOOK_AFTER_S = 1.0  # how soon a dead worker is noticed
INTERRUPT_AGAIN_S = 10.0  # a library may swallow an interrupt
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>: a worker does not outlive the run


class PlateWorker:
    """Runs partitions in a process of its own, started when it is first needed and again when it died.

    Use as a context manager. The instance must be one that another process can open.
    """

    def __init__(
        self, instance: dg.DagsterInstance, on_step: OnStep = lambda partition, progress: None
    ) -> None:
        self._instance, self._on_step, self._partition, self._read = instance, on_step, "", b""
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = self._answers = -1

    def __enter__(self) -> "PlateWorker":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, request: PartitionRun) -> PlateOutcome:
        """Run one partition; a worker that dies is an outcome, not an error.

        Raises
        ------
        KeyboardInterrupt
            The run was interrupted; the worker has ended it.
        """
        answer, tag, seconds = self._ask(request)
        if answer is not None:
            return PlateOutcome(**answer)  # type: ignore[arg-type]
        return self._describe_death(request, tag, seconds)[0]

    def run_list(self, request: PartitionRun) -> list[PlateOutcome]:
        """Run plates together. Of a worker that dies there is one outcome, of the plate at work, or of all where none was.

        Raises
        ------
        KeyboardInterrupt
            The run was interrupted; the worker has ended it.
        """
        answer, tag, seconds = self._ask(request)
        if answer is None:
            return self._describe_death(request, tag, seconds)
        outcomes = answer["outcomes"]
        assert isinstance(outcomes, list)
        return [PlateOutcome(**outcome) for outcome in outcomes]

    def _ask(self, request: PartitionRun) -> tuple[dict[str, object] | None, str, float]:
        """The worker's answer, None where it died; the tag of its run, and how long it took."""
        tag, self._partition = uuid4().hex, request.partition
        started = time.perf_counter()
        try:
            self._send({**asdict(request), "tag": tag})
            answer = self._receive()
        except KeyboardInterrupt:
            self._interrupt(tag)
            raise
        if answer is not None and answer.get("interrupted"):
            raise KeyboardInterrupt
        return answer, tag, time.perf_counter() - started

    def _send(self, request: dict[str, object]) -> None:
        if self._process is None:
            self._start()
        try:
            os.write(self._requests, json.dumps(request).encode() + b"\n")
        except BrokenPipeError:  # it died between two plates
            self._close()
            self._start()
            os.write(self._requests, json.dumps(request).encode() + b"\n")

    def _start(self) -> None:
        self._read = b""
        theirs_in, self._requests = os.pipe()
        self._answers, theirs_out = os.pipe()
        command = [sys.executable, "-m", "bioimage_assets.plate_worker", str(theirs_in), str(theirs_out)]
        # A session of its own: a Ctrl-C at the terminal reaches it once, through this process.
        self._process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), start_new_session=True)
        # Else this process would hold the worker's ends, and never see the pipe's end.
        os.close(theirs_in)
        os.close(theirs_out)
        # The first line says which instance; every further line is a request.
        os.write(self._requests, serialize_value(self._instance.get_ref()).encode() + b"\n")

    def _receive(self) -> dict[str, object] | None:
        """One answer, after what it says of its progress; None where the worker is gone."""
        while (line := self._receive_line()) is not None:
            answer: dict[str, object] = json.loads(line)
            told = answer.get("progress")
            if not isinstance(told, dict):
                return answer
            self._on_step(self._partition, StepProgress(**told))
        return None

    def _receive_line(self) -> bytes | None:
        assert self._process is not None
        while b"\n" not in self._read:
            # Who else holds the pipe, a process that the worker started, may outlive it.
            if not select.select([self._answers], [], [], LOOK_AFTER_S)[0]:
                if self._process.poll() is not None:
                    return None
                continue
            block = os.read(self._answers, 1 << 16)
            if not block:
                return None
            self._read += block
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _describe_death(self, request: PartitionRun, tag: str, seconds: float) -> list[PlateOutcome]:
        """Say how the worker ended and at which plate, and end its run, which nobody else would."""
        assert self._process is not None
        how = describe_exit(self._process.wait())
        self._close()
        runs = self._instance.get_runs(dg.RunsFilter(tags={WORKER_TAG: tag}))
        found = find_plate_at_work(self._instance, runs[0].run_id) if runs else None
        words = f"the worker ended {how} before its first step" if found is None else found.describe(how)
        words = add_codes(words, WorkerLostError.code)
        if runs and not runs[0].is_finished:
            self._instance.report_run_failed(runs[0], words)
        at_work = found.plate_key if found is not None else None
        failed = [at_work] if at_work is not None else request.plates or [request.partition]
        run_id = runs[0].run_id if runs else None
        return [PlateOutcome(key, "failed", seconds, run_id, words) for key in failed]

    def _interrupt(self, tag: str) -> None:
        """Ask the worker to end its run, again and again: a library may swallow an interrupt. At last it is killed."""
        process = self._process
        end = time.monotonic() + END_TIMEOUT_S
        while process is not None and process.poll() is None and time.monotonic() < end:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(INTERRUPT_AGAIN_S)
        self._close(0)
        for run in self._instance.get_runs(dg.RunsFilter(tags={WORKER_TAG: tag})):
            if not run.is_finished:
                self._instance.report_run_canceled(run, message="The command was interrupted.")

    def _close(self, patience_s: float = END_TIMEOUT_S) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        os.close(self._requests)
        try:
            process.wait(patience_s)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
        finally:
            os.close(self._answers)


def serve(requests: int, answers: int) -> None:
    """Run what is asked for until nobody asks any more."""

    def tell(progress: StepProgress) -> None:
        os.write(answers, json.dumps({"progress": asdict(progress)}).encode() + b"\n")

    allow_ending()
    _end_with_parent()
    with (
        os.fdopen(requests) as lines,
        _open_instance(lines.readline()) as instance,
    ):
        from bioimage_assets.definitions import defs

        for line in lines:
            words = json.loads(line)
            try:
                with listen(tell, words["job_name"], words["selection"]):
                    answer = _answer(defs, instance, words)
            except KeyboardInterrupt:
                os.write(answers, b'{"interrupted": true}\n')
                return
            os.write(answers, json.dumps(answer).encode() + b"\n")


def _answer(defs: dg.Definitions, instance: dg.DagsterInstance, words: dict[str, Any]) -> dict[str, object]:
    """Run what a request asks for; one outcome, or those of all plates of a list."""
    tags = {WORKER_TAG: words["tag"], PROCESS_TAG: name_process()}
    selection, force, level = words["selection"], words["force"], words["log_level"]
    if words["plates"]:
        outcomes = run_list(
            defs, instance, words["plates"], selection, force=force, tags=tags, log_level=level
        )
        return {"outcomes": [asdict(outcome) for outcome in outcomes]}
    job_name, partition = words["job_name"], words["partition"]
    return asdict(
        run_partition(defs, instance, job_name, partition, selection, force=force, tags=tags, log_level=level)
    )


def _open_instance(text: str) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_ref(deserialize_value(text, InstanceRef))


def _end_with_parent() -> None:
    """Where the system can (Linux): when the command is killed, its worker is, too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent died before prctl was called.
        if os.getppid() == 1:
            os._exit(1)


def main(argv: Sequence[str]) -> None:
    """Serve on the two open files that are named, then go without the libraries' words of farewell."""
    try:
        serve(int(argv[0]), int(argv[1]))
    except KeyboardInterrupt:
        os._exit(130)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: no exit handler of a library may speak, or hang, after the last answer.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
