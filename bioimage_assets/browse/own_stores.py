"""Plates that lie in one Zarr store are passed on from there: folders are opened anew for each request, archives stay open."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from bioimage_assets.browse.kept import Kept
from bioimage_assets.browse.served_objects import ServedObjects
from bioimage_assets.core.stores.base import Store
from bioimage_assets.core.stores.open import is_archive, open_store

_KEPT_ARCHIVES = 4


@dataclass(frozen=True, slots=True)
class OwnFolder:
    """A folder or a prefix of a bucket; opened anew for each request, so that no link is taken for what it was."""

    uri: str
    storage_options: Mapping[str, object]

    def head(self, key: str) -> int:
        """Bytes of an object."""
        store = open_store(self.uri, storage_options=self.storage_options)
        try:
            return store.head(key).size_bytes
        finally:
            store.close()

    def read(self, key: str, offset: int, length: int) -> bytes:
        """A part of an object."""
        store = open_store(self.uri, storage_options=self.storage_options)
        try:
            return store.get_ranges(key, [(offset, length)])[0]
        finally:
            store.close()


@dataclass(frozen=True, slots=True)
class OwnArchive:
    """A zip archive, whose list of members may take a second to read; one reader at a time."""

    store: Store
    _reading: threading.Lock = field(default_factory=threading.Lock)

    def head(self, key: str) -> int:
        """Bytes of a member."""
        with self._reading:
            return self.store.head(key).size_bytes

    def read(self, key: str, offset: int, length: int) -> bytes:
        """A part of a member."""
        with self._reading:
            return self.store.get_ranges(key, [(offset, length)])[0]

    def close(self) -> None:
        """Close the archive, once nobody reads from it."""
        with self._reading:
            self.store.close()


class OwnStores:
    """Opens the stores of plates, and keeps a few archives open."""

    def __init__(self, storage_options: Mapping[str, object]) -> None:
        self._storage_options = storage_options
        self._archives: Kept[OwnArchive] = Kept(_KEPT_ARCHIVES, drop=OwnArchive.close)

    def open(self, uri: str, change: int) -> ServedObjects:
        """Objects of a store; ``change`` says how often something was stored since the start: archives are opened anew then."""
        if not is_archive(uri):
            return OwnFolder(uri, self._storage_options)
        return self._archives.get((uri, change), lambda: self._open_archive(uri))

    def _open_archive(self, uri: str) -> OwnArchive:
        return OwnArchive(open_store(uri, storage_options=self._storage_options))

    def close(self) -> None:
        """Close the archives."""
        self._archives.clear()
