"""Files and folders that appear whole: written beside their place under a name of their own, then renamed.

A killed writer leaves the old one as it was, and something hidden that a later writer removes. An object of a bucket appears whole by itself.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import fsspec
import obstore
from obstore.exceptions import BaseError

from bioimage_assets.core.errors import BioimageError, StoreAccessError
from bioimage_assets.core.stores.clients import REMOTE_SCHEMES, as_access_error, open_client
from bioimage_assets.core.stores.fsspec_path import url_to_filesystem
from bioimage_assets.core.stores.open import local_path, split_file_uri
from bioimage_assets.core.warehouse.files.swap_folders import exchange_paths

_STAGED = ".being-written-"
# Nobody writes one plate for so long: what is older was left by a killed writer.
_LEFT_BEHIND_S = 24 * 3600


def replace_file(uri: str, payload: bytes, storage_options: Mapping[str, object] | None = None) -> None:
    """Write one file or object; readers see the old or the new one.

    Raises
    ------
    BioimageError
        The disk is full, or the place cannot be written.
    """
    path = local_path(uri)
    if path is None:
        _put_object(uri, payload, dict(storage_options or {}))
        return
    target = Path(path)
    with _write_errors(uri):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = _stage(target)
        try:
            staged.write_bytes(payload)
            os.replace(staged, target)
        finally:
            staged.unlink(missing_ok=True)


def replace_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Have a folder filled beside its place, then put it there in one step where the system can exchange folders.

    Elsewhere (other systems than Linux, some network disks) the old folder is moved away first: for an instant there is none.

    Raises
    ------
    BioimageError
        The disk is full, or the place cannot be written. Nothing was changed then.
    """
    with _write_errors(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = _stage(target)
        try:
            staged.mkdir()
            fill(staged)
            _put_in_place(staged, target)
        finally:
            _remove(staged)


def _put_in_place(staged: Path, target: Path) -> None:
    if not os.path.lexists(target):
        os.rename(staged, target)
    elif not exchange_paths(staged, target):
        old = _stage(target)
        os.rename(target, old)
        os.rename(staged, target)
        _remove(old)


def _stage(target: Path) -> Path:
    """A name beside the target that nobody else has; what killed writers left there is removed."""
    start = f".{target.name[:100]}{_STAGED}"
    for found in target.parent.glob(f"{_escape(start)}*"):
        with suppress(OSError):
            if time.time() - found.stat().st_mtime > _LEFT_BEHIND_S:
                _remove(found)
    return target.with_name(start + uuid4().hex)


def _escape(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _put_object(uri: str, payload: bytes, options: dict[str, object]) -> None:
    folder, name = split_file_uri(uri)
    if uri.partition("://")[0].lower() not in REMOTE_SCHEMES:
        filesystem, path = _open_filesystem(uri, options)
        filesystem.pipe_file(path, payload)
        return
    try:
        obstore.put(open_client(folder, options), name, payload)
    except (BaseError, OSError) as error:
        raise as_access_error(error, uri) from error


def _open_filesystem(uri: str, options: dict[str, object]) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        return url_to_filesystem(uri, options)
    except (ValueError, ImportError, TypeError) as error:
        raise StoreAccessError(f"{uri}: cannot be opened for writing ({error}).") from error


@contextmanager
def _write_errors(place: str) -> Iterator[None]:
    """Turn what the disk refuses into an error that says what to do."""
    try:
        yield
    except BioimageError:
        raise
    except OSError as error:
        raise BioimageError(
            f"{place} cannot be written: {error.strerror or error}. Free space there, or name another place; "
            "what was there before is unchanged."
        ) from error
