"""Progress of long work on standard error; short work says nothing."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# A call that takes longer says what it does; on a terminal soon and in place, in a log seldom.
FIRST_AFTER_S = 1.0
REPEAT_TTY_S = 0.5  # a bar that moves
REPEAT_LOG_S = 30.0  # a log that does not scroll


@contextmanager
def show_progress(what: str, *, first_after_s: float | None = None) -> Iterator[None]:
    """Show ``what`` and the seconds that have passed, from ``first_after_s`` on, until the block ends."""
    first_after_s = FIRST_AFTER_S if first_after_s is None else first_after_s
    is_tty = sys.stderr.isatty()
    done = threading.Event()
    started = time.monotonic()

    def report() -> None:
        wait_s = first_after_s
        while not done.wait(wait_s):
            passed = time.monotonic() - started
            text = f"{what} … {passed:.0f} s"
            sys.stderr.write(f"\r\x1b[K{text}" if is_tty else f"{text}\n")
            sys.stderr.flush()
            wait_s = REPEAT_TTY_S if is_tty else REPEAT_LOG_S

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if is_tty and time.monotonic() - started >= first_after_s:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
