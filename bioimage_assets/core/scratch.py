"""Temporary folders for a whole plate's rows; those of killed processes are removed by whoever needs the next.

All of a user's folders on a host lie in one place below the system's temporary folder (``TMPDIR``), each with a lock
beside it. flock(2) is held by the process: a folder whose lock can be had belongs to nobody any more.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from bioimage_assets.core.errors import BioimageError


@contextmanager
def replace_when_done(target: Path) -> Iterator[Path]:
    """A file beside the target that takes its place when the block ends well: a failure leaves no half file."""
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield staged
        os.replace(staged, target)
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def open_scratch() -> Iterator[Path]:
    """Folder for files that are needed until the block ends; first removes what killed processes left.

    Raises
    ------
    BioimageError
        The temporary folder is full or may not be written.
    """
    try:
        place = scratch_place()
        remove_dead_scratch(place)
        folder, lock = make_locked_folder(place)
    except OSError as error:
        raise as_scratch_error(error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.with_suffix(".lock").unlink()
        lock.release()


def scratch_place(base: str | None = None) -> Path:
    """Folder of all scratch folders of this user on this host, made where missing; ``base`` stands for ``TMPDIR``.

    Its name is known, so in a folder where everybody may write somebody else may have been there first: anything but
    an own folder that nobody else may write is passed over, for a new one whose leftovers nobody will find.
    """
    place = Path(base or tempfile.gettempdir()) / f"bioimage-scratch-{os.getuid()}-{socket.gethostname()}"
    with suppress(FileExistsError):
        # Whatever the umask: only the owner reads the rows of a plate.
        place.mkdir(mode=0o700)
    found = place.lstat()
    # 022: nobody else may write there, or they could put links in the way.
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
        return place
    return Path(tempfile.mkdtemp(prefix="bioimage-scratch-", dir=base))


def remove_dead_scratch(place: Path) -> int:
    """Remove the folders whose process is gone; give their number."""
    removed = 0
    for path in sorted(place.glob("*.lock")):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue
        folder = path.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            path.unlink(missing_ok=True)
            removed += 1
        lock.release()
    return removed


def as_scratch_error(error: OSError) -> BioimageError:
    """Say in the project's words that a temporary file cannot be written, and what helps."""
    return BioimageError(
        f"Temporary files cannot be written in {tempfile.gettempdir()}: {error.strerror or error}. Free space there, "
        "or name a larger folder in TMPDIR, and run again."
    )


def make_locked_folder(place: Path) -> tuple[Path, FileLock]:
    """Make a folder under a lock, which is held until it is released or the process ends. The lock gets its final name once it is taken: nobody sees it free before."""
    folder = place / uuid4().hex
    untaken = folder.with_suffix(".new")
    lock = FileLock(untaken)
    lock.acquire()
    untaken.rename(folder.with_suffix(".lock"))
    folder.mkdir()
    return folder, lock
