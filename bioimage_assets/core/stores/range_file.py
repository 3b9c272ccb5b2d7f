"""One remote object as a seekable file: ranged requests with a read-ahead buffer."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, cast

from bioimage_assets.core.stores.base import Store

# Metadata of a TIFF or the directory of a zip lie together; one request should cover them.
READ_AHEAD_BYTES = 2**18


class _RangeIO(io.RawIOBase):
    def __init__(self, store: Store, key: str, size: int) -> None:
        self._store = store
        self._key = key
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"seek before the start of {self._key}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        length = min(len(view), max(0, self._size - self._position))
        if length == 0:
            return 0
        data = self._store.get_ranges(self._key, [(self._position, length)])[0]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def open_range_file(store: Store, key: str, size: int) -> BinaryIO:
    """Open an object of known size; every buffer fill is one request."""
    return cast(BinaryIO, io.BufferedReader(_RangeIO(store, key, size), READ_AHEAD_BYTES))
