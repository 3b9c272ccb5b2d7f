"""Stores below a folder or bucket prefix that match a pattern, found by listing alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import fsspec

from bioimage_assets.core.errors import MissingExtraError, StoreAccessError, StoreNotFoundError
from bioimage_assets.core.stores.open import absolute_uri, local_path


def find_stores(root: str, pattern: str, storage_options: Mapping[str, object]) -> list[tuple[str, str]]:
    """Matches as (URI, path below the root), sorted; nothing inside a match is searched again.

    StoreNotFoundError where the root does not exist.
    """
    folder = local_path(root)
    if folder is not None:
        relative = _glob_local(Path(folder), pattern)
        base = folder
    else:
        base = absolute_uri(root)
        relative = _glob_remote(base, pattern, storage_options)
    return [(f"{base.rstrip('/')}/{path}", path) for path in _outermost(sorted(relative))]


def _glob_local(folder: Path, pattern: str) -> list[str]:
    if not folder.is_dir():
        raise StoreNotFoundError(f"{folder} is no folder; expected one that holds stores.")
    return [path.relative_to(folder).as_posix() for path in folder.glob(pattern)]


def _glob_remote(base: str, pattern: str, storage_options: Mapping[str, object]) -> list[str]:
    try:
        filesystem, root = fsspec.core.url_to_fs(base, **storage_options)
    except ImportError as error:
        raise MissingExtraError(f"Listing {base} needs a further package: {error}") from error
    try:
        found = filesystem.glob(f"{root.rstrip('/')}/{pattern}")
        if not found and not filesystem.exists(root):
            raise StoreNotFoundError(f"{base} does not exist; expected a prefix that holds stores.")
    except PermissionError as error:
        raise StoreAccessError(f"{base} may not be listed: {error}") from error
    return [path.rstrip("/")[len(root.rstrip("/")) + 1 :] for path in found]


def _outermost(paths: list[str]) -> list[str]:
    kept: list[str] = []
    for path in paths:
        if not kept or not path.startswith(f"{kept[-1]}/"):
            kept.append(path)
    return kept
