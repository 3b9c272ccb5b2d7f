"""Searches regular expressions that come with data (``file_pattern``) in a process of their own, under limits.

Python's ``re`` goes back and forth and may not end; a linear engine knows no look-around and no back references, and reads
``\\w`` otherwise. So every expression that ``re`` knows works as it always did, and one that takes too long is an error
that names it. https://docs.python.org/3/library/re.html
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

from bioimage_assets.core.errors import UsageError

MAX_PATTERN_LENGTH = 4_096  # patterns of instruments have some hundred characters
MAX_NAME_LENGTH = 4_096  # Linux' PATH_MAX
LIMITS = {"name_s": 0.5, "batch_s": 2.0, "further_s": 0.002, "memory_bytes": 512 * 2**20}
# For what the limits of the process itself do not see: it is stopped, or the machine stands still.
_ANSWER_WITHIN_S = 120.0
_NAMES_AT_ONCE = 1_000  # one exchange over the pipe; see batch_s
_KEPT_PROCESSES = 8  # one per pattern; a sensor sees several datasets
_KEPT_NAMES = 65_536  # answers that are remembered: the files of a plate
_SHOWN = 200
_SCRIPT = Path(__file__).with_name("user_pattern_worker.py")

Groups = dict[str, str | None] | None


class UserPattern:
    """One expression; its process starts when it is needed, and ends with this object. Safe to share between threads.

    A question costs a tenth of a millisecond, a name in it some microseconds: ask for many at once. Answers are kept.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._known: dict[str, Groups] = {}
        if len(pattern) > MAX_PATTERN_LENGTH:
            raise UsageError(
                f"a pattern of {len(pattern):,} characters, at most {MAX_PATTERN_LENGTH:,} are read"
            )
        with self._lock:
            self.groups = self._start().groups

    def search(self, names: Sequence[str]) -> list[Groups]:
        """Named groups of the first match in each name, else in its last part; None where there is none.

        Raises
        ------
        UsageError
            A name takes more than half a second of processor time, or all together far more than names do.
        """
        with self._lock:
            if len(self._known) > _KEPT_NAMES:
                self._known.clear()
            unknown = iter([name for name in dict.fromkeys(names) if name not in self._known])
            while batch := list(islice(unknown, _NAMES_AT_ONCE)):
                self._known.update(zip(batch, self._search(batch), strict=True))
            return [self._known[name] for name in names]

    def _search(self, names: Sequence[str]) -> list[Groups]:
        answer = self._start().ask([name if len(name) <= MAX_NAME_LENGTH else "" for name in names])
        found = answer.get("found")
        if isinstance(found, list):
            return [
                groups if len(name) <= MAX_NAME_LENGTH else None
                for name, groups in zip(names, found, strict=True)
            ]
        self._process = None
        place = f"file_pattern {self.pattern[:_SHOWN]!r} ([images] in dataset.toml)"
        slow = answer.get("slow")
        if not isinstance(slow, int):
            raise UsageError(
                f"{place}: the process that searches for it ended or did not answer. Run it again."
            )
        raise UsageError(
            f"{place} goes back and forth without end over {names[slow][:_SHOWN]!r}: more than {LIMITS['name_s']} s of "
            f"processor time or {int(LIMITS['memory_bytes']) >> 20} MB. Repeats inside of repeats, as in (a+)+ or (.*)*, and "
            "several .* in a row do that; write [^_]+ or \\d+ in their place."
        )

    def _start(self) -> _Process:
        # A process that was forked from this one must not talk to the same child.
        if self._process is None or self._process.owner != os.getpid():
            self._process = _Process(self.pattern)
        return self._process


class _Process:
    """A running ``user_pattern_worker``."""

    def __init__(self, pattern: str) -> None:
        self.owner = os.getpid()
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._end = weakref.finalize(self, _end_child, self._child, self.owner)
        assert self._child.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._child.stdout, selectors.EVENT_READ)
        answer = self.ask({"pattern": pattern, "limits": LIMITS})
        groups = answer.get("groups")
        if not isinstance(groups, list):
            self._end()
            raise UsageError(str(answer.get("error", "it takes too much memory to compile")))
        self.groups: tuple[str, ...] = tuple(groups)

    def ask(self, question: object) -> dict[str, object]:
        """Send one line and wait for the answer; empty where the child ended or did not answer in time."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(question).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            return {}
        line = b"".join(self._read_line())
        answer = json.loads(line) if line.endswith(b"\n") else {}
        if "found" not in answer and "groups" not in answer:
            self._end()
        return answer

    def _read_line(self) -> Iterator[bytes]:
        assert self._child.stdout is not None
        while self._selector.select(_ANSWER_WITHIN_S):
            block = os.read(self._child.stdout.fileno(), 1 << 20)
            yield block
            if not block or block.endswith(b"\n"):
                return


def _end_child(child: subprocess.Popen[bytes], owner: int) -> None:
    if owner != os.getpid():
        return
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None and not pipe.closed:
            try:
                pipe.close()
            except BrokenPipeError:
                continue


@lru_cache(maxsize=_KEPT_PROCESSES)
def find_user_pattern(pattern: str) -> UserPattern:
    """The one object of an expression in this process; UsageError (what is wrong with it) where it cannot be compiled."""
    return UserPattern(pattern)
