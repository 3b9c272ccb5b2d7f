"""The process behind ``user_pattern``: searches one regular expression under limits of its own.

Run as a script by its path with the standard library alone. Lines of JSON come in and go out; the first line holds the
expression and the limits, each further one a list of names.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


class TooSlowError(Exception):
    """Raised by the timer in the middle of a match: ``re`` looks for signals while it goes back and forth."""


def _stop(signal_number: int, frame: FrameType | None) -> None:
    raise TooSlowError


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Allow so much processor time of this process; a busy machine does not count."""
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _compile(text: str, seconds: float) -> tuple[re.Pattern[str] | None, dict[str, object]]:
    try:
        with _limited(seconds):
            pattern = re.compile(text)
    except TooSlowError:
        return None, {"error": "it takes too long to compile"}
    except (re.error, ValueError, OverflowError, RecursionError, MemoryError) as error:
        return None, {"error": str(error) or "it is too deep"}
    return pattern, {"groups": list(pattern.groupindex)}


def _search(pattern: re.Pattern[str], name: str) -> dict[str, str | None] | None:
    match = pattern.search(name) or pattern.search(name.rpartition("/")[2])
    return None if match is None else match.groupdict()


def _search_all(pattern: re.Pattern[str], names: list[str], limits: dict[str, float]) -> dict[str, object]:
    """Search each name; ``slow`` is the number of the one that took too long, alone or together with those before."""
    found: list[dict[str, str | None] | None] = []
    started = time.process_time()
    budget_s = limits["batch_s"] + limits["further_s"] * len(names)
    for number, name in enumerate(names):
        left_s = min(limits["name_s"], budget_s - (time.process_time() - started))
        try:
            if left_s <= 0:
                raise TooSlowError
            with _limited(left_s):
                found.append(_search(pattern, name))
        except (TooSlowError, RecursionError, MemoryError):
            return {"slow": number}
    return {"found": found}


def main() -> None:
    """Answer line by line until the input ends."""
    signal.signal(signal.SIGVTALRM, _stop)
    first = json.loads(sys.stdin.readline())
    limits = first["limits"]
    with suppress(ValueError, OSError):  # systems without this limit still have those of time
        resource.setrlimit(resource.RLIMIT_AS, (limits["memory_bytes"], limits["memory_bytes"]))
    pattern, answer = _compile(first["pattern"], limits["name_s"])
    while True:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line or pattern is None:
            return
        answer = _search_all(pattern, json.loads(line), limits)


if __name__ == "__main__":
    main()
