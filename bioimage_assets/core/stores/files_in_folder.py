"""Files below one folder, opened so that neither a link, a pipe nor an odd name can lead elsewhere or block.

Links to files and folders inside the root are followed, those that lead out of it only on request.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from bioimage_assets.core.errors import (
    CorruptStoreError,
    KeyMissingError,
    LimitExceededError,
    StoreAccessError,
    StoreError,
    StoreNotFoundError,
)
from bioimage_assets.core.stores import open_without_links
from bioimage_assets.core.stores.base import MAX_DOCUMENT_BYTES, DocumentResult, check_key
from bioimage_assets.core.stores.links import HOW_TO_FOLLOW, RefusedLinks

_OPEN_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)
_PLAIN_FLAGS = _OPEN_FLAGS | getattr(os, "O_NOFOLLOW", 0)
_SMALL_DOCUMENT = 8 * 1024  # most metadata documents are smaller
_DOTS = frozenset({"", ".", ".."})
MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class ContainedFolder:
    """One folder and what may be opened below it; keys are paths with ``/``."""

    def __init__(self, root: str | Path, *, uri: str | None = None, follow_symlinks: bool = False) -> None:
        self._root = os.path.abspath(os.fspath(root))
        self.uri = uri or self._root
        self._real_root = os.path.realpath(self._root)
        self._follow = follow_symlinks
        self._base = f"{self._root.rstrip('/')}/"
        self._safe_dirs: set[str] = {""}
        self._safe_names: set[str] = set()
        self.names_not_utf8: list[str] = []
        self.links_not_followed = RefusedLinks()
        if not os.path.isdir(self._root):
            raise StoreNotFoundError(f"{self.uri}: no such folder.")

    def get(self, key: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Read one file whole; the size is checked before reading."""
        fd, size = self._open(key)
        try:
            if size > max_bytes:
                raise LimitExceededError(
                    f"{self.uri}/{key}: {size:,} bytes, more than the limit of {max_bytes:,} for one document."
                )
            # One byte more: a file that grew since shows it.
            data = os.read(fd, size + 1)
            while len(data) < size and (more := os.read(fd, size + 1 - len(data))):
                data += more
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise self._as_store_error(error, key) from error
        finally:
            os.close(fd)
        return data

    def read_end(self, key: str, max_bytes: int, *, from_end: bool) -> bytes:
        """Read the first bytes of a file, or the last ones."""
        fd, size = self._open(key)
        try:
            return os.pread(fd, max_bytes, max(0, size - max_bytes) if from_end else 0)
        except OSError as error:
            raise self._as_store_error(error, key) from error
        finally:
            os.close(fd)

    def _get_or_error(self, key: str, max_bytes: int, root: int | None) -> DocumentResult:
        """Read one file as ``get`` does, in one piece of code for the usual case: a plate has thousands."""
        try:
            if root is None or "/../" in key or "/./" in key or "//" in key or "\\" in key or "\0" in key:
                return self._get_slowly(key, max_bytes)
            fd = open_without_links.open_following_no_link(root, key)
            try:
                # Quicker than to ask for type and size: a pipe, socket or folder cannot be read at a place.
                data = os.pread(fd, _SMALL_DOCUMENT, 0)
                size = len(data)
                if size == _SMALL_DOCUMENT:
                    size = os.fstat(fd).st_size
                    data += os.pread(fd, max(0, min(size, max_bytes) - _SMALL_DOCUMENT), _SMALL_DOCUMENT)
                # What ends as a JSON document does is whole; other files are asked whether there is more.
                is_end = data.endswith(b"}") or not os.pread(fd, 1, size)
                if len(data) == size <= max_bytes and is_end:
                    return data
            finally:
                os.close(fd)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            pass
        return self._get_slowly(key, max_bytes)

    def _get_slowly(self, key: str, max_bytes: int) -> DocumentResult:
        """Read a link, or a file where folders are looked at one by one, or find out what is wrong."""
        try:
            return self.get(key, max_bytes=max_bytes)
        except KeyMissingError:
            return None
        except StoreError as error:
            return error

    def _open(self, key: str) -> tuple[int, int]:
        """Open a regular file without following links; give descriptor and size."""
        folder, _, name = key.rpartition("/")
        if folder not in self._safe_dirs or name in _DOTS or "\0" in name:
            check_key(key, self.uri)
            if not self._check_folder(folder):
                raise KeyMissingError(f"{self.uri}/{key}: no such file.")
        path = self._base + key
        try:
            try:
                fd = os.open(path, _PLAIN_FLAGS)
            except OSError as error:
                # What O_NOFOLLOW says of a link.
                if error.errno != errno.ELOOP:
                    raise
                fd = os.open(self._resolve(path, key), _OPEN_FLAGS)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise self._as_store_error(error, key) from error
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            os.close(fd)
            if stat.S_ISDIR(info.st_mode):
                raise KeyMissingError(f"{self.uri}/{key}: a folder, not a file.")
            raise CorruptStoreError(
                f"{self.uri}/{key}: not a regular file (pipe, socket or device); not read."
            )
        return fd, info.st_size

    def _check_folder(self, folder: str) -> bool:
        """Tell whether a folder exists; StoreAccessError where a link on its path leads out of the root."""
        if folder in self._safe_dirs:
            return True
        parent, _, name = folder.rpartition("/")
        if name not in self._safe_names:
            check_key(name, self.uri)
            self._safe_names.add(name)
        if parent not in self._safe_dirs and not self._check_folder(parent):
            return False
        path = self._base + folder
        try:
            mode = os.lstat(path).st_mode
        except OSError as error:
            if error.errno in MISSING:
                return False
            raise self._as_store_error(error, folder) from error
        if stat.S_ISDIR(mode):
            self._safe_dirs.add(folder)
            return True
        if stat.S_ISLNK(mode):
            try:
                mode = os.stat(self._resolve(path, folder)).st_mode
            except OSError as error:
                if isinstance(error, StoreError):
                    raise
                raise self._as_store_error(error, folder) from error
        if not stat.S_ISDIR(mode):
            return False
        self._safe_dirs.add(folder)
        return True

    def _resolve(self, path: str, key: str) -> str:
        """Follow links; StoreAccessError where they lead out of the root and that was not asked for."""
        target = os.path.realpath(path)
        if self._follow or target == self._real_root or target.startswith(self._real_root.rstrip("/") + "/"):
            return target
        raise StoreAccessError(
            f"{self.uri}/{key}: a link that leads out of the store; not followed. {HOW_TO_FOLLOW}."
        )

    def is_link_outside(self, key: str) -> bool:
        """Whether a key leads to a place outside of the folder, through a link."""
        target = os.path.realpath(self._base + key)
        return not f"{target}/".startswith(f"{self._real_root.rstrip('/')}/")

    def _as_store_error(self, error: OSError, key: str) -> StoreError:
        where = f"{self.uri}/{key}"
        if error.errno in MISSING:
            return KeyMissingError(f"{where}: no such file.")
        if error.errno in (errno.EACCES, errno.EPERM):
            return StoreAccessError(f"{where}: permission denied. Check the file's owner and mode.")
        return CorruptStoreError(f"{where}: cannot be read ({error.strerror or error}).")
