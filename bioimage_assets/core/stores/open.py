"""Open the store of a URI: local folder, zip archive or object-store prefix."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from bioimage_assets.core.errors import (
    KeyMissingError,
    StoreAccessError,
    StoreNotFoundError,
    UnsupportedStoreError,
)
from bioimage_assets.core.model.file_kinds import ARCHIVE_SUFFIXES, ZIP_END, ZIP_START, has_suffix
from bioimage_assets.core.model.foreign_kinds import explain_single_file
from bioimage_assets.core.model.identity import without_query
from bioimage_assets.core.model.store_paths import is_text, show_name
from bioimage_assets.core.storage_options import follows_symlinks
from bioimage_assets.core.stores.base import Store
from bioimage_assets.core.stores.clients import REMOTE_SCHEMES
from bioimage_assets.core.stores.filesystem import open_filesystem_store
from bioimage_assets.core.stores.local import LocalStore
from bioimage_assets.core.stores.remote import open_remote_store
from bioimage_assets.core.stores.zip import ZipStore

# Local header of a first member, and the end record of an empty archive (APPNOTE 4.3.7, 4.3.16).
_ZIP_STARTS = (ZIP_START, ZIP_END)


def local_path(uri: str) -> str | None:
    """Absolute local path of a plain path or ``file://`` URI; None for any other scheme.

    >>> local_path("file:///data/my%20plate.zarr")
    '/data/my plate.zarr'
    """
    if "://" not in uri:
        return os.path.abspath(os.path.expanduser(_check_text(uri)))
    parts = urlsplit(uri)
    if parts.scheme.lower() != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise UnsupportedStoreError(f"{uri}: a file URI names a local path, found host {parts.netloc!r}.")
    # Only file:// URIs quote: a plain path may hold a percent sign that means itself.
    return os.path.abspath(unquote(parts.path))


def absolute_uri(uri: str) -> str:
    """Make a plain local path absolute; other URIs lose only a trailing slash.

    UnsupportedStoreError where the name is not text.
    """
    if "://" not in uri:
        return os.path.abspath(os.path.expanduser(_check_text(uri)))
    return _check_text(uri).rstrip("/")


def _check_text(uri: str) -> str:
    if is_text(uri):
        return uri
    raise UnsupportedStoreError(
        f"{show_name(uri)}: the name is no UTF-8 text, which no table can hold; rename it (convmv does so for trees)."
    )


def is_local_file(uri: str) -> bool:
    """Tell whether a URI names something on a local disk that is not a folder."""
    path = local_path(uri)
    return path is not None and os.path.lexists(path) and not os.path.isdir(path)


def is_odd_file(path: str) -> bool:
    """Tell a pipe, socket or device, whose reader may wait for ever."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def is_archive(uri: str) -> bool:
    """Tell a zip archive, locally by its first bytes, elsewhere by its name."""
    path = local_path(uri)
    if path is None:
        return has_suffix(without_query(uri), ARCHIVE_SUFFIXES)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return file.read(4) in _ZIP_STARTS
    except OSError:
        return False


def split_file_uri(uri: str) -> tuple[str, str]:
    """Split the URI of a file into the URI of its folder and the file's name, for open_store + open_file."""
    folder, _, name = absolute_uri(uri).rpartition("/")
    return folder or "/", name


def open_store(
    uri: str, *, storage_options: Mapping[str, object] | None = None, follow_symlinks: bool = False
) -> Store:
    """Open a folder, zip archive or object-store prefix for reading.

    Links that lead out of a local folder are followed where ``follow_symlinks``, the option of that name, or, without any
    options, ``BIOIMAGE_FOLLOW_SYMLINKS`` says so.

    Raises
    ------
    StoreNotFoundError
        Nothing is at the URI.
    UnsupportedStoreError
        A plain file is there: open its folder and use ``open_file`` (see split_file_uri).
    """
    location = absolute_uri(uri)
    options = dict(storage_options or {})
    path = local_path(location)
    if path is None:
        return (
            _open_remote_archive(location, options)
            if is_archive(location)
            else _open_remote(location, options)
        )
    if os.path.isdir(path):
        follows = follow_symlinks or follows_symlinks(storage_options)
        return LocalStore(path, uri=location, follow_symlinks=follows)
    if not os.path.lexists(path):
        raise StoreNotFoundError(f"{uri}: nothing is there.")
    if is_archive(location):
        return ZipStore(_open_regular(path, location), uri=location)
    raise UnsupportedStoreError(explain_single_file(uri, _read_start(path)))


def _open_remote(uri: str, options: dict[str, object]) -> Store:
    if uri.partition("://")[0].lower() in REMOTE_SCHEMES:
        return open_remote_store(uri, options)
    return open_filesystem_store(uri, options)


def _open_remote_archive(uri: str, options: dict[str, object]) -> Store:
    folder, name = split_file_uri(uri)
    store = _open_remote(folder, options)
    try:
        return ZipStore(store.open_file(name), uri=uri)
    except KeyMissingError as error:
        raise StoreNotFoundError(f"{uri}: nothing is there.") from error


def _read_start(path: str) -> bytes:
    """First bytes of a file; empty where it cannot be read or may wait for ever."""
    if is_odd_file(path):
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError:
        return b""


def _open_regular(path: str, uri: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except PermissionError as error:
        raise StoreAccessError(f"{uri}: permission denied. Check the file's owner and mode.") from error
    except OSError as error:
        raise StoreNotFoundError(f"{uri}: cannot be opened ({error.strerror}).") from error
