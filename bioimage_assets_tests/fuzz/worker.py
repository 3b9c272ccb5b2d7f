"""A forked process that tries cases, one after another, within limits of memory, processor and wall time.

The package is imported once, before the fork, so that a case costs its own work alone. A process that dies is the
failure of the case it was at, and another one takes its place.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import hashlib
import json
import os
import random
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from bioimage_assets.core.errors import BioimageError
from bioimage_assets_tests.fuzz.changes import apply_change, copy_example, draw_change
from bioimage_assets_tests.fuzz.seeds import SEEDS, build_seed
from bioimage_assets_tests.fuzz.targets import TARGETS, InconsistentError
from bioimage_assets_tests.fuzz.text_changes import Change

ADDRESS_BYTES = 3 << 30  # on top of what the libraries have mapped
PEAK_BYTES = 1 << 30  # what one case may hold; a join engine takes up to 1 GB
FILE_BYTES = 256 << 20
CPU_S, WALL_S = 20.0, 120.0
_CASES_OF_A_WORKER = 300
_ROOM = ("case", "examples", "outside", "tmp")


@dataclass
class Answer:
    """What became of a case: ``accepted``, ``refused`` or ``failed``, and why."""

    outcome: str
    reason: str = ""
    text: str = ""
    changes: list[Change] = field(default_factory=list)


class LostError(Exception):
    """The worker died or had to be ended."""


class Worker:
    """One process and the folder that it works in."""

    def __init__(self, room: Path) -> None:
        self._room = room
        self._pid = 0
        self._done = 0

    def draw(self, kind: str, case: str) -> Answer:
        """Try the case of this name, which decides the changes."""
        return self._ask({"kind": kind, "case": case})

    def replay(self, kind: str, changes: list[Change]) -> Answer:
        """Try given changes."""
        return self._ask({"kind": kind, "changes": changes})

    def close(self) -> None:
        """End the process."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self._to)
            os.close(self._from)
            self._pid = 0

    def _ask(self, request: dict[str, object]) -> Answer:
        if self._done >= _CASES_OF_A_WORKER:
            self.close()
        if not self._pid:
            self._start()
        self._done += 1
        changes: list[Change] = []
        try:
            self._send(request)
            changes = self._receive()["changes"]  # type: ignore[assignment]
            answer = self._receive()
        except LostError as error:
            return Answer("failed", str(error), str(error), changes)
        return Answer(str(answer["outcome"]), str(answer["reason"]), str(answer["text"]), changes)

    def _start(self) -> None:
        inward, self._to = os.pipe()
        self._from, outward = os.pipe()
        self._done, self._buffer = 0, b""
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._to)
                os.close(self._from)
                _work(self._room, inward, outward)
            finally:
                os._exit(3)
        os.close(inward)
        os.close(outward)

    def _send(self, request: dict[str, object]) -> None:
        payload = json.dumps(request).encode() + b"\n"
        while payload:
            payload = payload[os.write(self._to, payload) :]

    def _receive(self) -> dict[str, object]:
        deadline = time.monotonic() + WALL_S
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self._from, 1 << 16) if ready else b""
            if not piece:
                raise LostError(self._bury(is_late=not ready))
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)  # type: ignore[no-any-return]

    def _bury(self, *, is_late: bool) -> str:
        if is_late:
            os.kill(self._pid, signal.SIGKILL)
        status = os.waitpid(self._pid, 0)[1]
        os.close(self._to)
        os.close(self._from)
        self._pid = 0
        if is_late:
            return f"more than {WALL_S:.0f} s"
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return (
                f"more than {CPU_S:g} s of processor"
                if number == signal.SIGPROF
                else f"killed by {signal.Signals(number).name}"
            )
        return f"ended itself with {os.waitstatus_to_exitcode(status)}"


def _work(room: Path, inward: int, outward: int) -> None:
    """Take requests until the other end is closed."""
    _lay_out(room)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_AS, (_status_bytes("VmSize") + ADDRESS_BYTES,) * 2)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    faulthandler.disable()  # a signal is told by the parent
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process, even in the middle of a library
    tempfile.tempdir = str(room / "tmp")
    with os.fdopen(inward) as requests, os.fdopen(outward, "w") as answers:
        for line in requests:
            request = json.loads(line)
            example = build_seed(request["kind"], room / "examples")
            changes = _prepare(example, room / "case", request)
            print(json.dumps({"changes": changes}), file=answers, flush=True)
            signal.setitimer(signal.ITIMER_PROF, CPU_S)
            answer = _try(room, SEEDS[request["kind"]].target)
            signal.setitimer(signal.ITIMER_PROF, 0)
            print(
                json.dumps({"outcome": answer.outcome, "reason": answer.reason, "text": answer.text}),
                file=answers,
                flush=True,
            )


def _lay_out(room: Path) -> None:
    shutil.rmtree(room / "tmp", ignore_errors=True)
    for name in _ROOM:
        (room / name).mkdir(exist_ok=True)
    (room / "outside/thesis.txt").write_text("mine")
    os.chdir(room / "outside")


def _prepare(example: Path, case: Path, request: dict[str, object]) -> list[Change]:
    """Copy the example and change it, as the request says or as its name decides."""
    copy_example(example, case)
    given: list[Change] | None = request.get("changes")  # type: ignore[assignment]
    if given is not None:
        for change in given:
            apply_change(case, change)
        return given
    draw = random.Random(str(request["case"]))
    changes: list[Change] = []
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3))):
        change = draw_change(case, draw)
        if change is not None:
            apply_change(case, change)
            changes.append(change)
    return changes


def _try(room: Path, target: str) -> Answer:
    """Look at the case and judge the answer, what it cost and what it left."""
    case = room / "case"
    before = _digest(room / "outside"), _digest(case) if target != "warehouse" else ""
    # Memory that was freed and kept, by this process or the one it was forked from, would be taken again without a rise.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    held = _status_bytes("VmRSS")
    answer = _look(case, target)
    peak = _status_bytes("VmHWM") - held
    if any((room / "tmp").iterdir()):
        gc.collect()  # a reader inside an error's frames
    after = _digest(room / "outside"), _digest(case) if target != "warehouse" else ""
    left = [path.name for path in (room / "tmp").iterdir()]
    wrong = {
        f"more than {PEAK_BYTES >> 20} MiB": peak > PEAK_BYTES,
        "touched what lies outside": before[0] != after[0] or sorted(os.listdir(room)) != sorted(_ROOM),
        "changed what it read": before[1] != after[1],
        "left temporary files": bool(left),
    }
    for reason in (reason for reason, is_wrong in wrong.items() if is_wrong):
        answer = Answer("failed", reason, f"{reason}: peak {peak >> 20} MiB, left {left}; {answer.text}")
    for name in left:
        shutil.rmtree(room / "tmp" / name, ignore_errors=True)
    return answer


def _look(case: Path, target: str) -> Answer:
    try:
        found = TARGETS[target](case)
    except BioimageError as error:
        return _judge_error(error)
    except (Exception, RecursionError) as error:  # noqa: BLE001  any other one is the failure that is looked for
        return Answer("failed", _place(error), f"{type(error).__name__}: {str(error)[:300]}")
    return Answer("accepted", "with findings" if found else "as it is")


def _judge_error(error: BioimageError) -> Answer:
    """An error of the project says something that can be printed."""
    text = str(error)
    try:
        text.encode()
    except UnicodeEncodeError:
        return Answer("failed", f"unprintable {type(error).__name__}", ascii(text)[:300])
    if not text.strip():
        return Answer("failed", f"silent {type(error).__name__}")
    return Answer("refused", type(error).__name__, text[:300])


def _place(error: BaseException) -> str:
    """Kind of an error and the last line of the package that it passed."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "/bioimage_assets/" in frame.filename
    ]
    if not frames or isinstance(error, InconsistentError):
        return (
            f"{type(error).__name__}: {str(error)[:60]}"
            if isinstance(error, InconsistentError)
            else f"{type(error).__name__}"
        )
    last = frames[-1]
    return f"{type(error).__name__} in {last.filename.rpartition('/bioimage_assets/')[2]}:{last.name}"


def _digest(folder: Path) -> str:
    """Names, kinds, sizes and times of everything below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        known = path.lstat()
        digest.update(ascii((str(path), known.st_mode, known.st_size, known.st_mtime_ns)).encode())
    return digest.hexdigest()


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    return 0
