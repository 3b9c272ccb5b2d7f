"""Open the Zarr store or TIFF file of an image to cut pixels from; what is read of it is counted.

https://zarr.readthedocs.io/en/stable/user-guide/storage/
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tifffile
from zarr.abc.store import ByteRequest
from zarr.abc.store import Store as ZarrStore
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, LocalStore, ObjectStore, WrapperStore, ZipStore

from bioimage_assets.core.errors import (
    CorruptStoreError,
    KeyMissingError,
    StoreAccessError,
    StoreError,
    StoreNotFoundError,
    UnsupportedStoreError,
)
from bioimage_assets.core.model.file_kinds import ARCHIVE_SUFFIXES, has_suffix
from bioimage_assets.core.storage_options import follows_symlinks, without_local_options
from bioimage_assets.core.stores.clients import REMOTE_SCHEMES, open_client
from bioimage_assets.core.stores.links import HOW_TO_FOLLOW
from bioimage_assets.core.stores.open import (
    is_odd_file,
    local_path,
    open_store,
    split_file_uri,
)

_MAX_INDEXES = 1_024  # of shards, a few kB each
_DOCUMENTS = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


@dataclass(slots=True)
class ReadCount:
    """How much was read: stored pieces (chunks, tiles, strips) and their bytes as stored.

    ``keys`` names every read: the chunk's key, ``<key>@<what>`` for a part of a shard, ``<file>#<page>:<index>``
    in a TIFF. Metadata documents are not counted. Without ``keeps_keys`` there are numbers alone, whose size does not grow.
    """

    pieces: int = 0
    stored_bytes: int = 0
    keys: list[str] = field(default_factory=list)
    keeps_keys: bool = True

    def add(self, key: str, size_bytes: int) -> None:
        """Count one read."""
        self.pieces += 1
        self.stored_bytes += size_bytes
        if self.keeps_keys:
            self.keys.append(key)


class CountedStore(WrapperStore[ZarrStore]):
    """A Zarr store that counts the chunks read from it."""

    def __init__(self, store: ZarrStore, count: ReadCount) -> None:
        super().__init__(store)
        self._count = count

    def _with_store(self, store: ZarrStore) -> CountedStore:
        return type(self)(store, self._count)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read an object, or a range of it."""
        found = await self._store.get(key, prototype, byte_range)
        self._add(key, found, byte_range)
        return found

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read ranges of objects."""
        wanted = list(key_ranges)
        found = await self._store.get_partial_values(prototype, wanted)
        for (key, byte_range), buffer in zip(wanted, found, strict=True):
            self._add(key, buffer, byte_range)
        return found

    def _add(self, key: str, found: Buffer | None, byte_range: ByteRequest | None) -> None:
        if found is not None and not key.endswith(_DOCUMENTS):
            self._count.add(key if byte_range is None else f"{key}@{byte_range}", len(found))


class ShardIndexStore(WrapperStore[ZarrStore]):
    """A Zarr store that reads the index of a shard once, however many of its inner chunks are read by themselves."""

    def __init__(self, store: ZarrStore) -> None:
        super().__init__(store)
        self._indexes: dict[str, tuple[ByteRequest, Buffer]] = {}

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read an object or a range of it; the first range of a shard is its index."""
        known = self._indexes.get(key)
        if byte_range is not None and known is not None and known[0] == byte_range:
            return known[1]
        found = await self._store.get(key, prototype, byte_range)
        if byte_range is not None and known is None and found is not None:
            if len(self._indexes) >= _MAX_INDEXES:
                self._indexes.pop(next(iter(self._indexes)))
            self._indexes[key] = (byte_range, found)
        return found


class RegularFileStore(LocalStore):
    """A Zarr folder whose pieces are files: a pipe in place of a chunk would keep its reader waiting for ever."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read an object, or a range of it; CorruptStoreError where it is not a regular file."""
        path = os.path.join(self.root, key)
        if is_odd_file(path):
            raise CorruptStoreError(f"{path}: not a regular file (pipe, socket or device); not read.")
        return await super().get(key, prototype, byte_range)


class ContainedFileStore(RegularFileStore):
    """The same, none of whose pieces lies elsewhere: a link that leads out of the folder is refused."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read an object, or a range of it; StoreAccessError where it is behind a link out of the folder."""
        root = os.path.realpath(self.root)
        if not os.path.realpath(os.path.join(root, key)).startswith(f"{root}{os.sep}"):
            raise StoreAccessError(
                f"{self.root}/{key}: a link that leads out of the store; not followed. {HOW_TO_FOLLOW}."
            )
        return await super().get(key, prototype, byte_range)


def open_pixel_store(
    uri: str, storage_options: Mapping[str, object] | None = None, *, is_contained: bool = False
) -> ZarrStore:
    """Open a Zarr folder, zip archive or object-store prefix for reading.

    ``is_contained`` refuses links out of a folder, unless the option ``follow_symlinks`` says otherwise. StoreNotFoundError where nothing is, UnsupportedStoreError for an archive in a bucket.
    """
    path = local_path(uri)
    if path is None:
        if has_suffix(uri, ARCHIVE_SUFFIXES):
            raise UnsupportedStoreError(
                f"{uri}: pixels are not cut from zip archives in an object store. Unpack it there, or copy it here."
            )
        if uri.partition("://")[0].lower() in REMOTE_SCHEMES:
            # The scanner's client: one set of options for scanning and for pixels.
            return ObjectStore(open_client(uri, storage_options or {}), read_only=True)
        return FsspecStore.from_url(
            uri, storage_options=without_local_options(storage_options or {}), read_only=True
        )
    folder = Path(path)
    if not folder.exists():
        raise StoreNotFoundError(f"Store '{uri}' does not exist.")
    if folder.is_file() and has_suffix(folder.name, ARCHIVE_SUFFIXES):
        return ZipStore(folder, mode="r", read_only=True)
    if is_contained and not follows_symlinks(storage_options):
        return ContainedFileStore(folder, read_only=True)
    return RegularFileStore(folder, read_only=True)


def open_tiff(uri: str, storage_options: Mapping[str, object] | None = None) -> tifffile.TiffFile:
    """Open a local or remote TIFF; errors are the project's own."""
    path = local_path(uri)
    if path is not None and is_odd_file(path):
        raise CorruptStoreError(f"TIFF '{uri}' is no regular file (pipe, socket or device); not read.")
    try:
        if path is not None:
            return tifffile.TiffFile(path)
        folder, name = split_file_uri(uri)
        return tifffile.TiffFile(open_store(folder, storage_options=storage_options).open_file(name))
    except (FileNotFoundError, KeyMissingError) as error:
        raise StoreNotFoundError(f"TIFF '{uri}' does not exist.") from error
    except tifffile.TiffFileError as error:
        raise CorruptStoreError(f"TIFF '{uri}': {error}") from error
    except OSError as error:
        raise StoreError(f"TIFF '{uri}' cannot be opened: {error}") from error


def open_tiff_header(raw: bytes) -> tifffile.TiffPage:
    """First page of a TIFF that is held in memory; its data need not be there."""
    return tifffile.TiffFile(io.BytesIO(raw)).pages.first
