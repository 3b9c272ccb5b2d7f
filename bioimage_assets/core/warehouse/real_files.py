"""Files of a local root that are followed through no link and are no pipes: a root may come from anybody."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO
from pathlib import Path

from bioimage_assets.core.errors import WarehouseError

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
            if part not in seen and (root / part).is_symlink():
                raise WarehouseError(
                    f"{root / part} is a link, and a change of a warehouse root goes through no link. Nothing was "
                    "touched. Put the folder itself in its place, or open a root that holds it."
                )
            seen.add(part)


def read_real_file(path: Path, max_bytes: int) -> bytes | None:
    """Bytes of a regular file; None where there is none, or a link, a pipe, a folder or a larger file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            return None
        raise
    with open(handle, "rb") as stream:
        found = os.fstat(stream.fileno())
        return stream.read() if stat.S_ISREG(found.st_mode) and found.st_size <= max_bytes else None


def open_regular_file(path: Path) -> FileIO | None:
    """Open a file for reading without waiting; None where it is a pipe, a folder or a device.

    Links are followed: a root may lie in DataLad. FileNotFoundError where there is none.
    """
    stream = FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        return stream
    stream.close()
    return None


def read_regular_file(path: Path) -> bytes:
    """Bytes of a file that may be reached by a link.

    Raises
    ------
    FileNotFoundError
        There is none.
    WarehouseError
        It is a pipe, a folder or a device, or larger than any document of a root.
    """
    stream = open_regular_file(path)
    if stream is None:
        raise WarehouseError(f"{path} is no regular file. Remove it, or open the root that was meant.")
    with stream:
        size = os.fstat(stream.fileno()).st_size
        if size > MAX_DOCUMENT_BYTES:
            raise WarehouseError(
                f"{path} has {size} bytes; documents of a root of {MAX_DOCUMENT_BYTES} bytes are read."
            )
        return stream.readall()
