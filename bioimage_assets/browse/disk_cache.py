"""Small files that can be made again at any time, in a folder of bounded size: the least recently used ones go first."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from bioimage_assets.core.storage.page_files import write_file

MAX_BYTES = 512 * 2**20
_KEPT_SHARE = 0.8  # of the bound, after a clearing


class DiskCache:
    """Bytes by key. A file appears whole or not at all; a folder that cannot be written costs time only."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._size: int | None = None  # known after the first write

    def get(self, key: str) -> bytes | None:
        """What is kept under a key; it counts as used now."""
        path = self._path(key)
        try:
            payload = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return payload

    def put(self, key: str, payload: bytes) -> None:
        """Keep bytes under a key, and clear the folder where it has grown too large."""
        path = self._path(key)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, payload)
            self._count(len(payload))

    def _path(self, key: str) -> Path:
        digest = blake2b(key.encode(), digest_size=16).hexdigest()
        return self._folder / digest[:2] / digest[2:]

    def _count(self, added: int) -> None:
        with self._lock:
            if self._size is None:
                self._size = sum(size for _, size, _ in self._list())
            else:
                self._size += added
            if self._size > self._max_bytes:
                self._size = self._clear()

    def _clear(self) -> int:
        """Remove the least recently used files; give the bytes that are left."""
        files = sorted(self._list())
        left = sum(size for _, size, _ in files)
        for _, size, path in files:
            if left <= self._max_bytes * _KEPT_SHARE:
                break
            with suppress(OSError):
                path.unlink()
                left -= size
        return left

    def _list(self) -> Iterator[tuple[float, int, Path]]:
        for path in self._folder.glob("??/*"):
            with suppress(OSError):
                info = path.stat()
                yield info.st_mtime, info.st_size, path
