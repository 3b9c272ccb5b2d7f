"""Reads byte ranges of original files, each only while it is the one that the references were made for.

Every read asks the file that it reads from: a local file by its open descriptor, an object by the answer that carries its bytes. So nothing can
change between the check and the read.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from bioimage_assets.core.errors import CorruptStoreError, KeyMissingError, StoreChangedError, StoreError
from bioimage_assets.core.stores.clients import REMOTE_SCHEMES
from bioimage_assets.core.stores.open import local_path, open_store, split_file_uri
from bioimage_assets.core.stores.versioned_ranges import VersionedRanges
from bioimage_assets.core.virtual.model import WHOLE_FILE, SourceFile

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_SECOND = 10**9


class SourceReader:
    """Reads sources by number; StoreChangedError where one is not what it was.

    Parameters
    ----------
    plate_uri
        The virtual plate, for messages.
    compare_times
        Whether a local file must have the time of its last change, too, which copies lose that keep only the bytes.
    """

    def __init__(
        self, sources: Sequence[SourceFile], plate_uri: str, storage_options: Mapping[str, object] | None, *, compare_times: bool
    ) -> None:  # fmt: skip
        self._sources = sources
        self._plate_uri = plate_uri
        self._storage_options = storage_options
        self._compare_times = compare_times
        self._remote = VersionedRanges(storage_options)

    async def read(self, number: int, offset: int, size: int) -> bytes:
        """Bytes of a range, all of the file from ``offset`` on where ``size`` is ``WHOLE_FILE``; fewer where it ends."""
        source = self._sources[number]
        path = local_path(source.uri)
        if path is not None:
            return await asyncio.to_thread(self._read_local, source, path, offset, size)
        if source.uri.partition("://")[0].lower() in REMOTE_SCHEMES:
            return await self._read_object(source, offset, size)
        return await asyncio.to_thread(self._read_elsewhere, source, offset, size)

    def _read_local(self, source: SourceFile, path: str, offset: int, size: int) -> bytes:
        try:
            descriptor = os.open(path, _FLAGS)
        except FileNotFoundError:
            raise self._changed(source, "it is not there") from None
        except OSError as error:
            raise StoreError(f"{source.uri}: cannot be opened ({error.strerror}).") from error
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise CorruptStoreError(
                    f"{source.uri}: not a regular file (pipe, socket or device); not read."
                )
            self._check_local(source, info)
            wanted = (
                max(0, info.st_size - offset)
                if size == WHOLE_FILE
                else min(size, max(0, info.st_size - offset))
            )
            return _read_whole(descriptor, wanted, offset)
        finally:
            os.close(descriptor)

    def _check_local(self, source: SourceFile, info: os.stat_result) -> None:
        is_same_size = source.size_bytes in (None, info.st_size)
        is_same_time = not self._compare_times or is_same_moment(source.modified_ns, info.st_mtime_ns)
        if not (is_same_size and is_same_time):
            raise self._changed(
                source, _describe(info.st_size, info.st_mtime_ns, None), is_same_size=is_same_size
            )

    async def _read_object(self, source: SourceFile, offset: int, size: int) -> bytes:
        try:
            found = await self._remote.read(source.uri, offset, None if size == WHOLE_FILE else size)
        except KeyMissingError:
            raise self._changed(source, "it is not there") from None
        except CorruptStoreError:
            # The range may lie behind the end of an object that is shorter now.
            self._check(source, *await self._remote.head(source.uri))
            raise
        self._check(source, found.size_bytes, found.version)
        return found.raw

    def _read_elsewhere(self, source: SourceFile, offset: int, size: int) -> bytes:
        """Read by way of fsspec, which tells the version in a request of its own."""
        folder, name = split_file_uri(source.uri)
        store = open_store(folder, storage_options=self._storage_options)
        try:
            head = store.head(name)
            self._check(source, head.size_bytes, head.version)
            length = head.size_bytes - offset if size == WHOLE_FILE else size
            return store.get_ranges(name, [(offset, length)])[0]
        except KeyMissingError:
            raise self._changed(source, "it is not there") from None
        finally:
            store.close()

    def _check(self, source: SourceFile, size_bytes: int, etag: str) -> None:
        if source.size_bytes not in (None, size_bytes) or source.etag not in (None, etag):
            raise self._changed(source, _describe(size_bytes, None, etag))

    def _changed(self, source: SourceFile, found: str, *, is_same_size: bool = False) -> StoreChangedError:
        expected = _describe(source.size_bytes, source.modified_ns, source.etag)
        copied = " If it was only copied, open the plate with compare_times=False." if is_same_size else ""
        return StoreChangedError(
            f"{source.uri}: changed since the virtual plate {self._plate_uri} was made: expected {expected}, found {found}. "
            f"Scan the plate again and make the virtual plate again.{copied}"
        )


def is_same_moment(expected_ns: int | None, found_ns: int) -> bool:
    """Whether two times of a last change are one, to the second where a disk or archive kept whole seconds only.

    >>> is_same_moment(1_700_000_000_123_456_789, 1_700_000_000_000_000_000)
    True
    """
    if expected_ns is None or expected_ns == found_ns:
        return True
    is_coarse = expected_ns % _SECOND == 0 or found_ns % _SECOND == 0
    return is_coarse and expected_ns // _SECOND == found_ns // _SECOND


def _describe(size: int | None, modified_ns: int | None, etag: str | None) -> str:
    parts = [] if size is None else [f"{size:,} bytes"]
    if modified_ns is not None:
        parts.append(f"last changed {datetime.fromtimestamp(modified_ns / _SECOND, UTC).isoformat()}")
    if etag is not None:
        parts.append(f"version {etag}")
    return ", ".join(parts) or "anything"


def _read_whole(descriptor: int, size: int, offset: int) -> bytes:
    block = os.pread(descriptor, size, offset)
    while len(block) < size and (more := os.pread(descriptor, size - len(block), offset + len(block))):
        block += more
    return block
