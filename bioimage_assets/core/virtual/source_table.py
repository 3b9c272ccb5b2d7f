"""The files that references point into: each once, with its size and version as it is now.

Local files are asked one by one, which takes microseconds; folders of a bucket are listed, files of a web server asked several at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.stores.base import Store
from bioimage_assets.core.stores.open import local_path, open_store, split_file_uri
from bioimage_assets.core.stores.remote import WEB_REQUESTS_IN_FLIGHT
from bioimage_assets.core.virtual.model import SourceFile


class SourceTable:
    """Numbers the files that are referred to, in the order in which they are first met."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def add(self, uri: str) -> int:
        """Number of a file."""
        return self._numbers.setdefault(uri, len(self._numbers))

    @property
    def uris(self) -> list[str]:
        """All files by number."""
        return list(self._numbers)


def read_sources(
    uris: Sequence[str], storage_options: Mapping[str, object] | None = None, listed_roots: Iterable[str] = ()
) -> list[SourceFile | None]:
    """Size and version of files, in their order; None for those that are not there.

    Parameters
    ----------
    listed_roots
        Stores of many objects (Zarr in a bucket), which one recursive listing each answers for.

    Raises
    ------
    StoreError
        A folder cannot be listed.
    """
    found: dict[str, SourceFile] = {}
    remote: list[str] = []
    for uri in uris:
        path = uri if uri.startswith("/") else local_path(uri)
        if path is None:
            remote.append(uri)
        elif (source := _stat(path, uri)) is not None:
            found[uri] = source
    if remote:
        found |= _read_remote(remote, storage_options, tuple(listed_roots))
    return [found.get(uri) for uri in uris]


def _stat(path: str, uri: str) -> SourceFile | None:
    try:
        info = os.stat(path)
    except OSError:
        return None
    return SourceFile(uri, info.st_size, info.st_mtime_ns)


def _read_remote(
    uris: Sequence[str], storage_options: Mapping[str, object] | None, listed_roots: Sequence[str]
) -> dict[str, SourceFile]:
    folders: dict[str, list[str]] = {}
    for uri in uris:
        root = (
            next((root for root in listed_roots if uri.startswith(f"{root}/")), None)
            or split_file_uri(uri)[0]
        )
        folders.setdefault(root, []).append(uri)
    found: dict[str, SourceFile] = {}
    for folder, wanted in folders.items():
        store = open_store(folder, storage_options=storage_options)
        try:
            found |= (
                _list_folder(store, folder, wanted, is_deep=folder in listed_roots)
                if store.can_list
                else _ask_each(store, folder, wanted)
            )
        finally:
            store.close()
    return found


def _list_folder(store: Store, folder: str, uris: Sequence[str], *, is_deep: bool) -> dict[str, SourceFile]:
    wanted = set(uris)
    items = store.list("") if is_deep else store.list_level("")[1]
    named = ((f"{folder}/{item.key}", item) for item in items)
    return {uri: SourceFile(uri, item.size_bytes, None, item.version) for uri, item in named if uri in wanted}


def _ask_each(store: Store, folder: str, uris: Sequence[str]) -> dict[str, SourceFile]:
    def ask(uri: str) -> SourceFile | None:
        try:
            head = store.head(uri[len(folder) + 1 :])
        except StoreError:
            return None
        return SourceFile(uri, head.size_bytes, None, head.version)

    with ThreadPoolExecutor(WEB_REQUESTS_IN_FLIGHT) as pool:
        return {source.uri: source for source in pool.map(ask, uris) if source is not None}


def read_ranges(
    ranges: Iterable[tuple[str, int, int]], storage_options: Mapping[str, object] | None = None
) -> dict[tuple[str, int, int], bytes]:
    """Bytes of (file, offset, size), the ranges of one file with one request.

    StoreError where a file cannot be read.
    """
    by_file: dict[str, list[tuple[int, int]]] = {}
    for uri, offset, size in dict.fromkeys(ranges):
        by_file.setdefault(uri, []).append((offset, size))
    found: dict[tuple[str, int, int], bytes] = {}
    for uri, places in by_file.items():
        folder, name = split_file_uri(uri)
        store = open_store(folder, storage_options=storage_options)
        try:
            parts = store.get_ranges(name, places)
        finally:
            store.close()
        found |= {(uri, *place): part for place, part in zip(places, parts, strict=True)}
    return found
