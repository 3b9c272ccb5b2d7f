"""Counts the parts of a local table once, and again only when its folder changed: a listing of 10,000 files costs more than a write.

A folder's time tells that names came or went. Who changes a folder under the root's lock says what the count is then. A
change of another program within the same tick of the clock is met with the folder's next change, as if it came then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from bioimage_assets.core.warehouse.files.root_files import FolderGlance, TableChange
from bioimage_assets.core.warehouse.manifest.layout import COLUMNS_NAME

_MAX_WATCHED = 1024


@dataclass(frozen=True, slots=True)
class _Counted:
    """Names of a folder as they were counted, and the folder's inode and time just before."""

    token: tuple[int, int, int]
    part_count: int
    has_columns_file: bool


class WatchedFolders:
    """What this process knows of folders of tables."""

    def __init__(self) -> None:
        self._known: dict[str, _Counted] = {}
        self._lock = Lock()

    def glance(self, folder: Path, expected: int) -> FolderGlance:
        """Number of parts; FileNotFoundError where there is no such folder."""
        found = self._recall(folder)
        if found is None or found.part_count != expected:
            found = self._count(folder)
        return FolderGlance(found.part_count, found.has_columns_file)

    @contextmanager
    def changing(self, folder: Path, change: TableChange) -> Iterator[None]:
        """Follow a change that this process makes under the root's lock; what is not known before is not known after it."""
        known = self._recall(folder)
        counted = 0
        if known is not None:
            there = {name for name in (*change.puts, *change.drops) if (folder / name).exists()}
            counted = known.part_count + _rows(set(change.puts) - there)
            counted -= _rows((there & change.drops) - set(change.puts))
        with self._lock:
            self._known.pop(str(folder), None)
        yield
        if known is not None:
            has_columns_file = COLUMNS_NAME in change.puts or (
                known.has_columns_file and COLUMNS_NAME not in change.drops
            )
            self._keep(folder, _Counted(_token(folder), counted, has_columns_file))

    def _recall(self, folder: Path) -> _Counted | None:
        known = self._known.get(str(folder))
        try:
            return known if known is not None and known.token == _token(folder) else None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _count(self, folder: Path) -> _Counted:
        # The time comes first: names that come between the two are counted again.
        token = _token(folder)
        names = [name for name in os.listdir(folder) if name.lower().endswith(".parquet")]
        found = _Counted(token, len(names) - (COLUMNS_NAME in names), COLUMNS_NAME in names)
        self._keep(folder, found)
        return found

    def _keep(self, folder: Path, found: _Counted) -> None:
        with self._lock:
            while len(self._known) >= _MAX_WATCHED:
                del self._known[next(iter(self._known))]
            self._known[str(folder)] = found


def _rows(names: set[str]) -> int:
    return len(names - {COLUMNS_NAME})


def _token(folder: Path) -> tuple[int, int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns
