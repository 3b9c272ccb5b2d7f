"""Opens files of a local root, which may come from anybody, without following links or waiting for pipes."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from bioimage_assets.core.errors import WarehouseError

_NEVER_THERE = (errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
MAX_DOCUMENT_BYTES = 1 << 30
"""A manifest has some 2.8 kB for each plate: 1 GiB is that of 380,000."""


def refuse_links(root: Path, *paths: str) -> None:
    """Look that no part of a root-relative path is a link; parts that are not there are fine.

    The root itself may be reached by a link: that is its owner's choice. Looking first leaves a moment between look and
    change, which only matters to a root that its giver still writes to.

    Raises
    ------
    WarehouseError
        A link stands there; it is named.
    """
    seen: set[str] = set()
    for path in paths:
        segments = path.split("/")
        for end in range(1, len(segments) + 1):
            part = "/".join(segments[:end])
            if part not in seen and _is_link(root / part):
                raise WarehouseError(
                    f"{root / part} is a link, and a change of a warehouse root goes through no link. Nothing was "
                    "touched. Put the folder itself in its place, or open a root that holds it."
                )
            seen.add(part)


def _is_link(path: Path) -> bool:
    """Whether a link stands at a path; a path that no file system takes has none."""
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, *_NEVER_THERE):
            return False
        raise


def is_kind_or_missing(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Whether a path is of a kind (``stat.S_ISDIR`` …), without following a link, or is not there and could be made.

    A name that no file system takes, or one below a file, can never be made.
    """
    try:
        return is_kind(path.lstat().st_mode)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in _NEVER_THERE:
            return False
        raise


def remove_any(path: Path) -> None:
    """Remove whatever stands at a path below a root; a link goes, what it leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_real_file(path: Path, max_bytes: int) -> bytes | None:
    """Bytes of a regular file; None where there is none, or a link, a pipe, a folder or a larger file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            return None
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > max_bytes:
        os.close(handle)
        return None
    with open(handle, "rb") as stream:
        return stream.read()


def open_regular_file(path: Path) -> FileIO | None:
    """Open a file for reading without waiting; None where it is a pipe, a folder, a device or a link that goes in a circle.

    Links are followed: a root may lie in DataLad. FileNotFoundError where there is none.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return FileIO(handle, "rb")
    os.close(handle)
    return None


def read_regular_file(path: Path, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
    """Bytes of a file that may be reached by a link.

    Raises
    ------
    FileNotFoundError
        There is none.
    WarehouseError
        It is a pipe, a folder, a device or a link in a circle, or larger than any document of a root.
    """
    stream = open_regular_file(path)
    if stream is None:
        raise WarehouseError(f"{path} is no regular file. Remove it, or open the root that was meant.")
    with stream:
        size = os.fstat(stream.fileno()).st_size
        if size > max_bytes:
            raise WarehouseError(
                f"{path} has {size} bytes; such documents of a root are read up to {max_bytes} bytes."
            )
        return stream.readall()
