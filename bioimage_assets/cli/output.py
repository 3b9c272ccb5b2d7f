"""What commands print: text for people, JSON for programs, errors in one line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bioimage_assets.core.error_codes import add_codes
from bioimage_assets.core.errors import BioimageError, UsageError

if TYPE_CHECKING:
    from bioimage_assets.core.findings import Finding

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT
EXIT_CODES = {
    OK: "done",
    FAILED: "done, and something is wrong with the data: a contract, a warehouse root, a plate or one of several stores",
    USAGE: "the call or its input cannot be used; one line on standard error says why and ends with a code, nothing was written",
    INTERRUPTED: "interrupted; what was stored before is complete",
}
EXPLAIN = "bioimage-assets explain CODE says more."
_CODES_SHOWN = "bioimage_assets.codes_shown"
# Control characters, line separators, and marks of text direction.
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def print_json(value: Any) -> None:
    """Print a value as JSON with sorted keys, as every command does with ``--json``."""
    print(json.dumps(value, indent=2, sort_keys=True, default=str))


def show_text(value: object) -> str:
    """A value in one line: line breaks, terminal codes and marks that turn the direction of text are spelled out."""
    return _NOT_SHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), str(value))


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns, one line per row whatever the texts hold; numbers stand to the right."""
    cells = [[show_text(value) if value is not None else "-" for value in row] for row in rows]
    names = [show_text(name) for name in header]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(names)]
    print("  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)).rstrip())
    for row in cells:
        print("  ".join(_align(value, width) for value, width in zip(row, widths, strict=True)).rstrip())


def _align(value: str, width: int) -> str:
    is_number = value.replace(",", "").replace(".", "", 1).replace("%", "").lstrip("-").isdigit()
    return value.rjust(width) if is_number else value.ljust(width)


def print_progress(message: str) -> None:
    """Say on standard error what is going on; standard output stays clean for results."""
    print(message, file=sys.stderr, flush=True)


def print_warnings(warnings: Iterable[str]) -> None:
    """Say on standard error what was odd."""
    for warning in warnings:
        print_progress(f"Warning: {warning}")


def print_coded(warnings: Sequence[str]) -> None:
    """Say on standard error what was odd with stores, each with its code."""
    print_warnings(warnings)
    if warnings:
        note_codes_shown()


def print_findings(findings: Iterable[Finding]) -> None:
    """Say on standard error what was found, errors and warnings alike."""
    for finding in findings:
        print_progress(f"{finding.severity}: {finding.code}: {finding.name_file('').message}")
        note_codes_shown()


def note_codes_shown() -> None:
    """Have the command end with where codes are explained; not with ``--json``, and once however often it is said."""
    context = click.get_current_context(silent=True)
    if context is not None and not context.params.get("as_json"):
        context.meta[_CODES_SHOWN] = True


def print_explain(context: click.Context) -> None:
    """The last line of a command that printed codes of findings."""
    if context.meta.get(_CODES_SHOWN):
        sys.stdout.flush()
        print_progress(EXPLAIN)


def print_error(message: object) -> None:
    """Print an error in one line on standard error, with its code, and then where the code is explained.

    What is said of a call that cannot be used is all that there is to say.
    """
    code = message.code if isinstance(message, BioimageError) else ""
    print_progress(f"Error: {add_codes(str(message), code)}")
    if code and not isinstance(message, UsageError):
        print_progress(EXPLAIN.replace("CODE", code))


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Print names and values, one pair per line."""
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        print(f"{name.ljust(width)}  {show_text(value)}")


@contextmanager
def staged_output(output: str) -> Iterator[Path]:
    """A file beside ``--output`` that takes its place when the block ends well: a failure leaves no half file."""
    from bioimage_assets.core.scratch import replace_when_done

    target = Path(output)
    if not target.parent.is_dir():
        raise UsageError(f"--output {target}: there is no folder {target.parent}.")
    if target.is_dir():
        raise UsageError(
            f"--output {target}: this is a folder; name a file, such as {target / 'cells.parquet'}."
        )
    with replace_when_done(target) as staged:
        yield staged
