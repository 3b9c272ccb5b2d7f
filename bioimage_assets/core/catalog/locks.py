"""The commit lock of a table: writers of one machine, or of one database, wait for each other in place of racing.

Without the lock every commit still lands in the end, but 16 writers spend most of their time on repeated
attempts (three times slower, measured).
"""

from __future__ import annotations

import getpass
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock, Timeout
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from bioimage_assets.core.catalog.retry import COMMIT_DEADLINE_S
from bioimage_assets.core.catalog.session import Identifier, default_lock_path
from bioimage_assets.core.errors import CommitError


def commit_lock(
    catalog: Catalog, parts: Identifier, lock_path: str | Path | None = None
) -> AbstractContextManager[None]:
    """Context that holds the table's commit lock; the lock of a killed writer is free.

    A file beside a SQLite catalog (or at ``lock_path``), an advisory lock of a PostgreSQL server. Elsewhere a file in
    the temporary folder: the server sorts out the races between machines. CommitError when the lock is not had before
    the deadline.
    """
    path = Path(lock_path) if lock_path is not None else default_lock_path(catalog, parts)
    if path is not None:
        return _file_lock(path)
    if isinstance(catalog, SqlCatalog):
        if catalog.engine.dialect.name == "postgresql":
            return _postgres_lock(catalog.engine, ".".join((catalog.name, *parts)))
        return nullcontext()
    folder = _own_folder()
    name = "\n".join((catalog.name, str(catalog.properties.get("uri", "")), *parts))
    return nullcontext() if folder is None else _file_lock(folder / f"{_digest(name).hex()}.lock")


def _own_folder() -> Path | None:
    """Folder for locks of this account on this machine; None where somebody else has one of that name."""
    account = str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"bioimage-assets-locks-{account}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Whoever may write the temporary folder could put a link in our way.
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid())
    return folder if is_ours else None


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8).digest()


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=COMMIT_DEADLINE_S)
    except Timeout as error:
        raise _timed_out(str(path)) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _postgres_lock(engine: Engine, name: str) -> Iterator[None]:
    # Advisory locks of PostgreSQL are named by a signed 64-bit number; hash() differs between processes.
    key = int.from_bytes(_digest(name), "big", signed=True)
    with engine.begin() as connection:
        # Bound to the transaction, so that connection pools between us and the server cannot lose it.
        try:
            connection.execute(text(f"SET LOCAL lock_timeout = '{COMMIT_DEADLINE_S:.0f}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        except OperationalError as error:
            if "lock timeout" not in str(error):
                raise
            raise _timed_out(name) from error
        yield


def _timed_out(what: str) -> CommitError:
    return CommitError(
        f"Another writer held the lock {what} for {COMMIT_DEADLINE_S:.0f} s; nothing was committed."
    )
