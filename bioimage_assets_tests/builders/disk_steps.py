"""Steps at the file system, where a process may end or be refused.

Steps are everything that changes a disk: files opened for writing, Parquet written, renames, links, removals,
folders made, flushes. Reading is none.
"""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pyarrow.parquet as pq

from bioimage_assets.core.warehouse.changes import journal
from bioimage_assets_tests.builders.every_step import Before, Steps

_CHANGES = ("replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir", "fsync")


def refuse_at(number: int, code: int) -> Before:
    """Fail one step as the operating system would; what follows works."""

    def before(count: int, name: str) -> None:
        if count == number:
            raise OSError(code, os.strerror(code), name.partition(" ")[2])

    return before


@contextmanager
def watched_steps(before: Before = lambda count, name: None) -> Iterator[Steps]:
    """Patch what changes a disk for the length of a block."""
    steps = Steps(before)
    patches = [patch.object(os, name, _wrapped(steps, name, getattr(os, name))) for name in _CHANGES]
    opened = _wrapped_open(steps, io.open)
    patches += [patch.object(io, "open", opened), patch.object(builtins, "open", opened)]
    patches += [
        patch.object(pq.ParquetWriter, name, _wrapped(steps, name, getattr(pq.ParquetWriter, name)))
        for name in ("write_table", "close")
    ]
    # A writer that is collected closes its file; in a process that ended none is.
    patches.append(patch.object(pq.ParquetWriter, "__del__", lambda self: None))
    exchanged = _wrapped(steps, "exchange", journal.exchange_paths)
    patches.append(patch.object(journal, "exchange_paths", exchanged))
    for one in patches:
        one.start()
    try:
        yield steps
    finally:
        for one in reversed(patches):
            one.stop()


def _wrapped(steps: Steps, name: str, original: Callable[..., object]) -> Callable[..., object]:
    def around(*arguments: object, **options: object) -> object:
        if name != "mkdir" or not os.path.isdir(str(arguments[0])):
            steps.take(f"{name} {arguments[0]}" if isinstance(arguments[0], str | os.PathLike) else name)
        return original(*arguments, **options)

    return around


def _wrapped_open(steps: Steps, original: Callable[..., object]) -> Callable[..., object]:
    def around(file: object, mode: str = "r", *arguments: object, **options: object) -> object:
        if set(mode) & set("wax+"):
            steps.take(f"open {file}")
        return original(file, mode, *arguments, **options)

    return around
