"""A local folder as a store: regular files only, contained in the folder, never blocking.

Rules for links: inside the folder they are followed for files, outside only on request, and a listing
never descends into a linked folder (a loop would not end).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.model.store_paths import is_text, join_path, show_name
from bioimage_assets.core.stores import open_without_links
from bioimage_assets.core.stores.base import (
    MAX_DOCUMENT_BYTES,
    DocumentResult,
    FolderListing,
    LevelListing,
    ListedSizes,
    RangeBytes,
    StoredObject,
)
from bioimage_assets.core.stores.files_in_folder import MISSING, ContainedFolder
from bioimage_assets.core.stores.links import is_link_loop

# A cold disk answers in about 100 µs, the page cache in 4 µs; threads help the first and hurt the second.
# A slow majority of the sample means a cold disk; a slow few only mean a busy machine.
_COLD_READ_S = 80e-6
_COLD_SAMPLE = 64
_COLD_THREADS = 16  # a disk's or share's queue; beyond this the threads wait for each other

MAX_NAMES_NOT_UTF8 = 1_000  # names that are kept for the finding

# Left behind by macOS and Windows beside every file; never part of a store.
JUNK_NAMES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def is_junk_name(name: str) -> bool:
    """Tell whether an operating system put this file beside the data."""
    return name in JUNK_NAMES or name.startswith("._")


class LocalStore(ContainedFolder):
    """Objects are the regular files below ``root``; keys are their paths with ``/``."""

    is_remote = False
    can_list = True

    def get_many(
        self, keys: Sequence[str], *, max_bytes: int = MAX_DOCUMENT_BYTES
    ) -> dict[str, DocumentResult]:
        """Read many files; threads are used only where the first reads show a cold disk."""
        results: dict[str, DocumentResult] = {}
        with open_without_links.open_folder(self._root) as root:
            slow = 0
            for key in keys[:_COLD_SAMPLE]:
                started = time.perf_counter()
                results[key] = self._get_or_error(key, max_bytes, root)
                slow += time.perf_counter() - started > _COLD_READ_S
            rest = keys[_COLD_SAMPLE:]

            def read(some: Sequence[str]) -> dict[str, DocumentResult]:
                return {key: self._get_or_error(key, max_bytes, root) for key in some}

            if 2 * slow <= _COLD_SAMPLE or len(rest) < _COLD_THREADS:
                results.update(read(rest))
                return results
            with ThreadPoolExecutor(_COLD_THREADS) as pool:
                for part in pool.map(read, (rest[start::_COLD_THREADS] for start in range(_COLD_THREADS))):
                    results.update(part)
        return results

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List the regular files below a folder with size and modification time."""
        for path, entry in self._walk(prefix):
            try:
                info = entry.stat()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._as_store_error(error, path) from error
            yield StoredObject(path, info.st_size, str(info.st_mtime_ns))

    def list_sizes(self, prefix: str = "") -> ListedSizes:
        """List keys and sizes of the regular files below a folder."""
        keys: list[str] = []
        sizes: list[int] = []
        for path, entry in self._walk(prefix):
            try:
                sizes.append(entry.stat().st_size)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._as_store_error(error, path) from error
            keys.append(path)
        return ListedSizes(keys, sizes)

    def list_folders(self, prefix: str = "") -> FolderListing:
        """List one level of a folder, without the files that operating systems leave behind."""
        folders: list[str] = []
        objects: list[str] = []
        for entry in self._scan(prefix):
            if self._is_folder(entry):
                folders.append(entry.name)
            elif self._is_object(entry):
                objects.append(entry.name)
        return sorted(folders), sorted(objects)

    def list_level(self, prefix: str = "") -> LevelListing:
        """List one level of a folder with sizes and modification times."""
        folders: list[str] = []
        objects: list[StoredObject] = []
        for entry in self._scan(prefix):
            if self._is_folder(entry):
                folders.append(entry.name)
            elif self._is_object(entry):
                path = join_path(prefix, entry.name)
                try:
                    info = entry.stat()
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise self._as_store_error(error, path) from error
                objects.append(StoredObject(path, info.st_size, str(info.st_mtime_ns)))
        return sorted(folders), sorted(objects)

    def may_have(self, prefix: str) -> bool:
        """Tell whether a folder exists below the root."""
        # Cheaper than a failing lstat: most images have no labels. A link to nowhere holds nothing either.
        if prefix not in self._safe_dirs and not os.access(self._base + prefix, os.F_OK):
            return False
        try:
            return self._check_folder(prefix)
        except StoreError:
            return True

    def head(self, key: str) -> StoredObject:
        """Size and modification time of a file."""
        fd, size = self._open(key)
        try:
            return StoredObject(key, size, str(os.fstat(fd).st_mtime_ns))
        finally:
            os.close(fd)

    def tail(self, key: str, n: int) -> bytes:
        """Read the last bytes of a file."""
        fd, size = self._open(key)
        try:
            return os.pread(fd, n, max(0, size - n))
        except OSError as error:
            raise self._as_store_error(error, key) from error
        finally:
            os.close(fd)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> RangeBytes:
        """Read ranges of one file with one open."""
        fd, size = self._open(key)
        try:
            return [
                os.pread(fd, min(length, max(0, size - offset)), offset) if 0 <= offset < size else b""
                for offset, length in ranges
            ]
        except OSError as error:
            raise self._as_store_error(error, key) from error
        finally:
            os.close(fd)

    def open_file(self, key: str) -> BinaryIO:
        """Open a regular file for reading."""
        fd, _ = self._open(key)
        return os.fdopen(fd, "rb")

    def close(self) -> None:
        """Nothing is held open."""

    def _scan(self, folder: str, *, is_checked: bool = False) -> Sequence[os.DirEntry[str]]:
        """Entries of a folder; ``is_checked`` where a listing of its parent said that it is a folder and no link."""
        if is_checked:
            self._safe_dirs.add(folder)
        elif not self._check_folder(folder):
            return []
        found = []
        try:
            with os.scandir(self._base + folder if folder else self._root) as entries:
                for entry in entries:
                    name = entry.name
                    # Asked here and not by functions: a plate has hundreds of thousands of names.
                    if name in JUNK_NAMES or name.startswith("._"):
                        continue
                    if name.isascii() or self._check_name(folder, name):
                        found.append(entry)
            return found
        except OSError as error:
            if error.errno in MISSING:
                return []
            raise self._as_store_error(error, folder) from error

    def _check_name(self, folder: str, name: str) -> bool:
        """Tell whether a name is text; the first of those that are not are remembered."""
        if is_text(name):
            return True
        if (
            len(self.names_not_utf8) < MAX_NAMES_NOT_UTF8
            and (path := join_path(folder, show_name(name))) not in self.names_not_utf8
        ):
            self.names_not_utf8.append(path)
        return False

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        if entry.is_dir(follow_symlinks=False):
            return True
        if not (self._follow and entry.is_symlink() and os.path.isdir(entry.path)):
            return False
        return not is_link_loop(self._root, entry.path)

    def _is_object(self, entry: os.DirEntry[str]) -> bool:
        if entry.is_file(follow_symlinks=False):
            return True
        if not entry.is_symlink():
            return False
        try:
            if os.path.isfile(self._resolve(entry.path, entry.name)):
                return True
        except StoreError:
            pass
        # A link to a parent hides nothing: what it leads to is listed already.
        if not is_link_loop(self._root, entry.path):
            self.links_not_followed.add(entry.path[len(self._base) :], entry.path)
        return False

    def _walk(self, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        pending = [(prefix.strip("/"), False)]
        while pending:
            folder, is_checked = pending.pop()
            start = f"{folder}/" if folder else ""
            for entry in self._scan(folder, is_checked=is_checked):
                if entry.is_file(follow_symlinks=False):
                    yield start + entry.name, entry
                elif entry.is_dir(follow_symlinks=False):
                    pending.append((start + entry.name, True))
                elif self._is_folder(entry):
                    pending.append((start + entry.name, False))
                elif self._is_object(entry):
                    yield start + entry.name, entry
