"""The first blocks of many remote TIFFs, fetched together before they are read one by one.

A TIFF on an object store costs one request where its directories lie in its first block; without this the
requests of a plate would wait for one another. Files of a slow local disk or network share are touched side by
side, so that reading them one by one finds them in the page cache.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.ome_tiff.byte_source import LOCAL_BLOCK_BYTES, REMOTE_BLOCK_BYTES
from bioimage_assets.core.stores.base import (
    MAX_DOCUMENT_BYTES,
    DocumentResult,
    FolderListing,
    LevelListing,
    ListedSizes,
    RangeBytes,
    Store,
    StoredObject,
)
from bioimage_assets.core.stores.links import RefusedLinks

MAX_IN_FLIGHT = 64  # requests for first blocks; see REMOTE_BLOCK_BYTES: 4 MB in flight
WINDOW_FILES = 256  # first blocks in memory at once: 16 MB

# The page cache answers in about 20 µs, a local disk in 100, a network share in 1,000; threads pay from there on.
_SLOW_READ_S = 300e-6
_SLOW_SAMPLE = 5  # an odd number, so that the median is one of them
_LEAST_TOUCHED = 32
_TOUCH_THREADS = 16


class HeadStore:
    """A store that answers reads of a file's first block from memory once they were fetched."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._heads: dict[str, bytes] = {}
        self._listed: dict[str, StoredObject] = {}
        self.uri = store.uri
        self.is_remote = store.is_remote
        self.can_list = store.can_list

    @property
    def names_not_utf8(self) -> Sequence[str]:
        """What listings left out because its name is not text."""
        return self._store.names_not_utf8

    @property
    def links_not_followed(self) -> RefusedLinks:
        """Links that listings left out."""
        return self._store.links_not_followed

    def fetch_heads(self, keys: Iterable[str], sizes: Mapping[str, int]) -> None:
        """Fetch the first blocks of some files, at most 64 at a time, and forget those fetched before.

        A file that cannot be read is left out; reading it says why.
        """
        self._heads = {}
        wanted = [key for key in keys if not self.is_remote or sizes.get(key)]
        if not self.is_remote:
            self._touch(wanted)
            return
        if len(wanted) < 2:
            return
        with ThreadPoolExecutor(min(MAX_IN_FLIGHT, len(wanted))) as pool:
            for key, head in zip(
                wanted, pool.map(lambda key: self._fetch_head(key, sizes[key]), wanted), strict=True
            ):
                if head is not None:
                    self._heads[key] = head

    def _fetch_head(self, key: str, size: int) -> bytes | None:
        try:
            return self._store.get_ranges(key, [(0, min(size, REMOTE_BLOCK_BYTES))])[0]
        except StoreError:
            return None

    def _touch(self, keys: Sequence[str]) -> None:
        """Read the first blocks of local files side by side where the first few show that the disk is slow."""
        if len(keys) < _LEAST_TOUCHED:
            return
        times = []
        for key in keys[:_SLOW_SAMPLE]:
            started = time.perf_counter()
            self._fetch_head(key, LOCAL_BLOCK_BYTES)
            times.append(time.perf_counter() - started)
        if min(times) < _SLOW_READ_S:  # a busy machine makes some reads slow, a slow disk all
            return
        with ThreadPoolExecutor(_TOUCH_THREADS) as pool:
            for _ in pool.map(lambda key: self._fetch_head(key, LOCAL_BLOCK_BYTES), keys[_SLOW_SAMPLE:]):
                pass

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> RangeBytes:
        """Read ranges of one object, from memory where its first block holds them."""
        head = self._heads.get(key)
        if head is not None and all(offset + length <= len(head) for offset, length in ranges):
            return [head[offset : offset + length] for offset, length in ranges]
        return self._store.get_ranges(key, ranges)

    def get(self, key: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Read one object whole."""
        return self._store.get(key, max_bytes=max_bytes)

    def get_many(
        self, keys: Sequence[str], *, max_bytes: int = MAX_DOCUMENT_BYTES
    ) -> dict[str, DocumentResult]:
        """Read many objects."""
        return self._store.get_many(keys, max_bytes=max_bytes)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List every object below a folder."""
        return self._store.list(prefix)

    def list_sizes(self, prefix: str = "") -> ListedSizes:
        """List keys and sizes in columns."""
        return self._store.list_sizes(prefix)

    def list_folders(self, prefix: str = "") -> FolderListing:
        """List one level."""
        return self._store.list_folders(prefix)

    def list_level(self, prefix: str = "") -> LevelListing:
        """List one level with sizes, and remember what the objects are."""
        folders, objects = self._store.list_level(prefix)
        self._listed.update((item.key, item) for item in objects)
        return folders, objects

    def may_have(self, prefix: str) -> bool:
        """Tell False only where nothing can lie below a folder."""
        return self._store.may_have(prefix)

    def head(self, key: str) -> StoredObject:
        """Size and version of one object, as it was listed where it was."""
        return self._listed.get(key) or self._store.head(key)

    def tail(self, key: str, n: int) -> bytes:
        """Read the last bytes of an object."""
        return self._store.tail(key, n)

    def open_file(self, key: str) -> BinaryIO:
        """Open one object as a seekable binary file."""
        return self._store.open_file(key)

    def close(self) -> None:
        """Close the store behind."""
        self._store.close()
