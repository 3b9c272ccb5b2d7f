"""Any fsspec filesystem (``memory://`` and schemes without an own client) as a store.

https://filesystem-spec.readthedocs.io/en/latest/api.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, cast

import fsspec

from bioimage_assets.core.errors import (
    CorruptStoreError,
    KeyMissingError,
    LimitExceededError,
    StoreAccessError,
    StoreError,
    UnsupportedStoreError,
)
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.base import (
    MAX_DOCUMENT_BYTES,
    DocumentResult,
    FolderListing,
    LevelListing,
    ListedSizes,
    RangeBytes,
    StoredObject,
    check_key,
)
from bioimage_assets.core.stores.fsspec_path import url_to_filesystem
from bioimage_assets.core.stores.links import NO_LINKS

# fsspec implementations raise what their clients raise; these are the families seen.
_ERRORS = (OSError, ValueError, TypeError, KeyError, RuntimeError, NotImplementedError)


class FilesystemStore:
    """Objects below one folder of an fsspec filesystem."""

    can_list = True
    names_not_utf8: Sequence[str] = ()  # names arrive as text
    links_not_followed = NO_LINKS

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str, *, uri: str) -> None:
        self.uri = uri
        self._fs = filesystem
        self._root = root.rstrip("/")
        # fsspec gives a protocol as text or as a tuple.
        self.is_remote = getattr(filesystem, "protocol", "") not in ("memory", ("memory",))

    def get(self, key: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Read one object; its size is asked for first."""
        check_key(key, self.uri)
        try:
            # None from servers that send no Content-Length.
            size = int(self._fs.info(self._path(key))["size"] or 0)
            if size > max_bytes:
                raise LimitExceededError(
                    f"{self.uri}/{key}: {size:,} bytes, more than the limit of {max_bytes:,}."
                )
            return bytes(self._fs.cat_file(self._path(key)))
        except _ERRORS as error:
            raise self._as_store_error(error, key) from error

    def get_many(
        self, keys: Sequence[str], *, max_bytes: int = MAX_DOCUMENT_BYTES
    ) -> dict[str, DocumentResult]:
        """Read many objects one after the other."""
        results: dict[str, DocumentResult] = {}
        for key in keys:
            try:
                results[key] = self.get(key, max_bytes=max_bytes)
            except KeyMissingError:
                results[key] = None
            except StoreError as error:
                results[key] = error
        return results

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List objects below a folder."""
        try:
            found: Mapping[str, Mapping[str, object]] = self._fs.find(self._path(prefix), detail=True)
        except _ERRORS as error:
            failure = self._as_store_error(error, prefix)
            if isinstance(failure, KeyMissingError):
                return
            raise failure from error
        # fsspec gives full paths.
        start = len(self._root) + 1
        for path, info in found.items():
            yield StoredObject(path[start:], int(str(info["size"] or 0)), _version(info))

    def list_sizes(self, prefix: str = "") -> ListedSizes:
        """List keys and sizes below a folder."""
        items = list(self.list(prefix))
        return ListedSizes([item.key for item in items], [item.size_bytes for item in items])

    def list_folders(self, prefix: str = "") -> FolderListing:
        """List one level of a folder."""
        try:
            entries = self._fs.ls(self._path(prefix), detail=True)
        except _ERRORS as error:
            failure = self._as_store_error(error, prefix)
            if isinstance(failure, KeyMissingError):
                return [], []
            raise failure from error
        names: dict[bool, list[str]] = {True: [], False: []}
        for entry in entries:
            names[entry["type"] == "directory"].append(entry["name"].rstrip("/").rpartition("/")[2])
        return sorted(names[True]), sorted(names[False])

    def list_level(self, prefix: str = "") -> LevelListing:
        """List one level of a folder with sizes."""
        try:
            entries = self._fs.ls(self._path(prefix), detail=True)
        except _ERRORS as error:
            failure = self._as_store_error(error, prefix)
            if isinstance(failure, KeyMissingError):
                return [], []
            raise failure from error
        folders: list[str] = []
        objects: list[StoredObject] = []
        for entry in entries:
            name = entry["name"].rstrip("/").rpartition("/")[2]
            if entry["type"] == "directory":
                folders.append(name)
            else:
                objects.append(
                    StoredObject(join_path(prefix, name), int(entry["size"] or 0), _version(entry))
                )
        return sorted(folders), sorted(objects)

    def may_have(self, prefix: str) -> bool:
        """Known without a request only in memory."""
        return self.is_remote or bool(self._fs.isdir(self._path(prefix)))

    def head(self, key: str) -> StoredObject:
        """Size and version of an object."""
        check_key(key, self.uri)
        try:
            found = self._fs.info(self._path(key))
        except _ERRORS as error:
            raise self._as_store_error(error, key) from error
        return StoredObject(key, int(found["size"] or 0), _version(found))

    def tail(self, key: str, n: int) -> bytes:
        """Read the last bytes of an object."""
        check_key(key, self.uri)
        try:
            return bytes(self._fs.tail(self._path(key), n))
        except _ERRORS as error:
            raise self._as_store_error(error, key) from error

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> RangeBytes:
        """Read ranges of one object."""
        check_key(key, self.uri)
        try:
            return [
                bytes(self._fs.cat_file(self._path(key), start, start + length)) for start, length in ranges
            ]
        except _ERRORS as error:
            raise self._as_store_error(error, key) from error

    def open_file(self, key: str) -> BinaryIO:
        """Open an object with the filesystem's own buffering."""
        check_key(key, self.uri)
        try:
            return cast(BinaryIO, self._fs.open(self._path(key), "rb"))
        except _ERRORS as error:
            raise self._as_store_error(error, key) from error

    def close(self) -> None:
        """Filesystem instances are shared by fsspec."""

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def _as_store_error(self, error: Exception, key: str) -> StoreError:
        if isinstance(error, StoreError):
            return error
        where = join_path(self.uri, key)
        if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
            return KeyMissingError(f"{where}: no such object.")
        if isinstance(error, PermissionError):
            return StoreAccessError(f"{where}: access denied ({error}). Check the credentials.")
        return CorruptStoreError(f"{where}: cannot be read ({type(error).__name__}: {str(error)[:300]}).")


def open_filesystem_store(uri: str, options: Mapping[str, object]) -> FilesystemStore:
    """Open a folder by fsspec; UnsupportedStoreError where the scheme is unknown or its client is missing."""
    try:
        filesystem, root = url_to_filesystem(uri, dict(options))
    except (ImportError, ValueError, TypeError) as error:
        raise UnsupportedStoreError(f"{uri}: no client for this scheme ({error}).") from error
    return FilesystemStore(filesystem, root, uri=uri)


def _version(info: Mapping[str, object]) -> str:
    """ETag of an object, else when it changed, empty where the file system says neither."""
    return str(info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("created") or "")
