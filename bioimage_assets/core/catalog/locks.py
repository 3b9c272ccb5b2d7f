"""One writer at a time commits to a table of a SQLite catalog; servers look after themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.retry import COMMIT_DEADLINE_S
from bioimage_assets.core.catalog.session import Identifier, default_lock_path
from bioimage_assets.core.errors import CommitError


@contextmanager
def commit_lock(catalog: Catalog, parts: Identifier, lock_path: str | Path | None = None) -> Iterator[None]:
    """Hold the table's commit lock, waiting for it; CommitError when the deadline passes. The lock of a killed writer is free."""
    path = Path(lock_path) if lock_path is not None else default_lock_path(catalog, parts)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=COMMIT_DEADLINE_S)
    except Timeout as error:
        raise CommitError(
            f"Another writer held {path} for {COMMIT_DEADLINE_S:.0f} s; nothing was committed."
        ) from error
    try:
        yield
    finally:
        lock.release()
