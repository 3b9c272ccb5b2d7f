"""A disk of a few megabytes that really runs full: a tmpfs of its own, where the tests may mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PAGE_BYTES = 4096


@contextmanager
def mount_small_disk(folder: Path, size_bytes: int = 8 << 20) -> Iterator[Path]:
    """Mount the disk at a folder; skips the test with the reason where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0777", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command here, so no disk can be made to run full")
    if done.returncode != 0:
        pytest.skip(
            f"no tmpfs can be mounted here ({done.stderr.strip()}), so no disk can be made to run full"
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


@contextmanager
def filled(disk: Path, free_bytes: int) -> Iterator[None]:
    """Leave only so much space on a disk, whole pages of it, until the block ends."""
    ballast = disk / "ballast"
    with ballast.open("wb") as stream:
        left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - free_bytes
        stream.write(b"\0" * max(0, left // PAGE_BYTES * PAGE_BYTES))
    try:
        yield
    finally:
        ballast.unlink()
