"""What every store offers to the format readers: get, list, tail, ranges and an open file.

A store is a flat map of keys to objects, as the Zarr specification defines it
(https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html#stores).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import CorruptStoreError, StoreError
from bioimage_assets.core.model.store_paths import is_safe_path
from bioimage_assets.core.stores.links import RefusedLinks

# Caps on one object, checked before it is read.
MAX_DOCUMENT_BYTES = 16 * 2**20
# Consolidated metadata hold every document of a store, so they are longer than MAX_DOCUMENT_BYTES.
MAX_CONSOLIDATED_BYTES = 2**28
MAX_XML_BYTES = 256 * 2**20  # as formats/ome_tiff/xml_guard

DocumentResult = bytes | StoreError | None
# Named, because a store's method ``list`` hides the builtin inside its class.
RangeBytes = list[bytes]
FolderListing = tuple[list[str], list[str]]


class StoredObject(NamedTuple):
    """One listed object: ``version`` is its ETag, or modification time in ns where there is none.

    ``offset`` is where the object's bytes begin in the file that holds the whole store (uncompressed
    members of a zip archive), else None.
    """

    key: str
    size_bytes: int
    version: str
    offset: int | None = None


LevelListing = tuple[list[str], list[StoredObject]]


@dataclass(frozen=True, slots=True)
class ListedSizes:
    """A listing in columns, in no particular order: keys, stored bytes and, for archives, offsets (``NO_OFFSET`` where packed).

    Plain lists: most listings are of one small array, for which a column of numpy or Arrow takes longer to make than to use.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    offsets: Sequence[int] | None = None

    @property
    def keys(self) -> pa.StringArray:
        """The keys as a column."""
        return pa.array(self.names, pa.string())

    @property
    def size_bytes(self) -> np.ndarray:
        """The stored bytes as a column."""
        return np.array(self.sizes, np.int64)


class Store(Protocol):
    """Read access to one store; every failure is a StoreError that names the URI and the key.

    ``uri`` is the location the keys are relative to, ``is_remote`` tells that each call costs a round trip,
    ``can_list`` that listing works (a web server only answers for keys it is asked for), ``names_not_utf8`` what listings
    left out because its name is not text, ``links_not_followed`` the links that they left out.
    """

    uri: str
    is_remote: bool
    can_list: bool

    @property
    def links_not_followed(self) -> RefusedLinks:
        """Links that listings left out so far; only local folders have any."""
        ...

    @property
    def names_not_utf8(self) -> Sequence[str]:
        """Paths that listings left out so far, with � where the name is not UTF-8."""
        ...

    def get(self, key: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Read one object whole; KeyMissingError if absent, LimitExceededError before reading too much."""
        ...

    def get_many(
        self, keys: Sequence[str], *, max_bytes: int = MAX_DOCUMENT_BYTES
    ) -> dict[str, DocumentResult]:
        """Read many objects with bounded concurrency; None where absent, the error where one cannot be read."""
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List every object below a folder, recursively; nothing where the folder is absent."""
        ...

    def list_sizes(self, prefix: str = "") -> ListedSizes:
        """List keys and stored bytes below a folder in columns."""
        ...

    def list_folders(self, prefix: str = "") -> FolderListing:
        """List one level: names of the folders and of the objects directly below a folder, sorted."""
        ...

    def list_level(self, prefix: str = "") -> LevelListing:
        """List one level: names of the folders, and the objects directly below a folder with sizes; one listing."""
        ...

    def may_have(self, prefix: str) -> bool:
        """Tell False only where it is known without a request that nothing is below a folder."""
        ...

    def head(self, key: str) -> StoredObject:
        """Size (as read) and version of one object without reading it; KeyMissingError if absent."""
        ...

    def tail(self, key: str, n: int) -> bytes:
        """Read the last ``n`` bytes of an object (all of it where it is shorter)."""
        ...

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> RangeBytes:
        """Read (offset, length) ranges of one object; shorter where the object ends."""
        ...

    def open_file(self, key: str) -> BinaryIO:
        """Open one object as a seekable binary file."""
        ...

    def close(self) -> None:
        """Release files and connections; the store must not be used afterwards."""
        ...


def check_key(key: str, uri: str) -> None:
    """Raise CorruptStoreError unless a key is a safe path."""
    if not is_safe_path(key):
        raise CorruptStoreError(
            f"{uri}: key {key!r} is not a relative path without empty, '.' or '..' parts; it was not opened."
        )
