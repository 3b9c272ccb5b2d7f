"""Progress of `materialize` on standard error: on a terminal the step in place, in a log one line per step."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bioimage_assets.cli.output import print_progress, show_text

if TYPE_CHECKING:
    from bioimage_assets.run_progress import StepProgress

_CLEAR = "\r\x1b[K"


class StepDisplay:
    """Says what the worker is at; lines of other kinds go through :meth:`say`, which clears the line in place first."""

    def __init__(self, indent: str = "") -> None:
        self._indent, self._is_tty, self._shown = indent, sys.stderr.isatty(), False
        self._last: tuple[str, str] = ("", "")

    def say(self, message: str) -> None:
        """Print a line."""
        if self._shown:
            sys.stderr.write(_CLEAR)
            self._shown = False
        print_progress(f"{self._indent}{message}")

    def show_step(self, partition: str, progress: StepProgress) -> None:
        """Show the step of a plate or dataset; in a log only where it is another one."""
        text = show_text(f"{self._indent}{partition}: {progress}")
        if self._is_tty:
            sys.stderr.write(f"{_CLEAR}{text}")
            sys.stderr.flush()
            self._shown = True
        elif self._last != (partition, progress.step):
            print_progress(text)
        self._last = (partition, progress.step)
