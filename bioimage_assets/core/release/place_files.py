"""Puts files into a release: as a second name of the same bytes where the disk allows it, else as a copy; and their checksums."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

_BLOCK_BYTES = 1 << 20
# Another disk, a file system without hard links, too many names of one file, a file that is not ours (protected_hardlinks).
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """One file of a release: its path below it, its checksum and its size."""

    path: str
    sha256: str
    size_bytes: int


def place_file(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where that cannot be.

    Files of a warehouse root and of a catalog are never changed in place: a new version is a new file under the old name, and
    the second name keeps the old one. It takes no room until then.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_symlink():  # what a link leads to may be changed by its owner
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
        else:
            return
    shutil.copyfile(source, target)
    flush(target)


def write_file(target: Path, payload: bytes) -> None:
    """Write a small file of the release and flush it to the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(payload)
    flush(target)


def flush(path: Path) -> None:
    """Flush a file, or the names of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_folders(folder: Path) -> None:
    """Flush the names in a folder and all below it."""
    for above, _, _ in os.walk(folder):
        flush(Path(above))


def list_files(folder: Path) -> Iterator[Path]:
    """Regular files below a folder, sorted by their path."""
    found = [Path(above) / name for above, _, names in os.walk(folder) for name in names]
    yield from sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def hash_files(folder: Path) -> tuple[PlacedFile, ...]:
    """Read every file below a folder once, for its checksum."""
    return tuple(
        PlacedFile(path.relative_to(folder).as_posix(), hash_file(path), path.stat().st_size)
        for path in list_files(folder)
    )


def hash_file(path: Path) -> str:
    """sha256 of a file, as hexadecimal digits."""
    found = sha256()
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(_BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()
