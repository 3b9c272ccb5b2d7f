"""A zip archive as a store: one read of the central directory answers every listing.

Source of truth: https://ngff.openmicroscopy.org/rfc/9/index.html (``.ozx``) and the ZIP specification.
Sizes are checked in the directory before anything is decompressed; unsafe names are not keys.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import BinaryIO

from bioimage_assets.core.errors import CorruptStoreError, KeyMissingError, LimitExceededError, StoreError
from bioimage_assets.core.model.chunk import NO_OFFSET
from bioimage_assets.core.model.file_kinds import ZIP_START
from bioimage_assets.core.model.store_paths import is_safe_path
from bioimage_assets.core.stores.base import (
    MAX_CONSOLIDATED_BYTES,
    MAX_DOCUMENT_BYTES,
    DocumentResult,
    FolderListing,
    LevelListing,
    ListedSizes,
    RangeBytes,
    StoredObject,
)
from bioimage_assets.core.stores.links import NO_LINKS

# Magic, 22 bytes that the directory repeats, lengths of name and extra field (APPNOTE 4.3.7).
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    # zipfile's, for compression methods it does not know.
    NotImplementedError,
    # zipfile's, for encrypted members.
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)


class ZipStore:
    """Objects are the members of one archive; ``file`` is seekable and closed with the store."""

    is_remote = False
    can_list = True
    names_not_utf8: Sequence[str] = ()  # names arrive as text
    links_not_followed = NO_LINKS

    def __init__(self, file: BinaryIO, *, uri: str) -> None:
        self.uri = uri
        self._file = file
        try:
            self._zip = zipfile.ZipFile(file)
            members = self._zip.infolist()
        except _READ_ERRORS as error:
            file.close()
            raise CorruptStoreError(f"{uri}: not a readable zip archive ({error}).") from error
        # The last of equal names wins, as in zipfile itself.
        self._members = {m.filename: m for m in members if not m.is_dir() and is_safe_path(m.filename)}
        self._names = sorted(self._members)

    @property
    def comment(self) -> bytes:
        """The archive's comment; RFC-9 puts the OME version there."""
        return self._zip.comment

    def get(self, key: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Read one member whole; its declared size is checked first."""
        member = self._member(key)
        if member.file_size > max_bytes:
            raise LimitExceededError(
                f"{self.uri}/{key}: {member.file_size:,} bytes unpacked, more than the limit of {max_bytes:,}."
            )
        try:
            return self._zip.read(member)
        except _READ_ERRORS as error:
            raise CorruptStoreError(f"{self.uri}/{key}: the member cannot be unpacked ({error}).") from error

    def get_many(
        self, keys: Sequence[str], *, max_bytes: int = MAX_DOCUMENT_BYTES
    ) -> dict[str, DocumentResult]:
        """Read many members; None where absent."""
        results: dict[str, DocumentResult] = {}
        for key in keys:
            if key not in self._members:
                results[key] = None
                continue
            try:
                results[key] = self.get(key, max_bytes=max_bytes)
            except StoreError as error:
                results[key] = error
        return results

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List members below a folder; ``offset`` is set for members stored without compression."""
        for name in self._below(prefix):
            member = self._members[name]
            offset = self._data_offset(member)
            yield StoredObject(
                name, member.compress_size, f"{member.CRC:08x}", None if offset == NO_OFFSET else offset
            )

    def list_sizes(self, prefix: str = "") -> ListedSizes:
        """List members below a folder with the bytes they take in the archive and where these begin."""
        members = [self._members[name] for name in self._below(prefix)]
        return ListedSizes(
            [member.filename for member in members],
            [member.compress_size for member in members],
            [self._data_offset(member) for member in members],
        )

    def list_folders(self, prefix: str = "") -> FolderListing:
        """List one level of the archive's tree."""
        start = len(prefix) + 1 if prefix else 0
        folders: dict[str, None] = {}
        objects: list[str] = []
        for name in self._below(prefix):
            head, slash, _ = name[start:].partition("/")
            if slash:
                folders[head] = None
            else:
                objects.append(head)
        return sorted(folders), objects

    def list_level(self, prefix: str = "") -> LevelListing:
        """List one level of the archive's tree with sizes and checksums."""
        start = len(prefix) + 1 if prefix else 0
        objects = [item for item in self.list(prefix) if "/" not in item.key[start:]]
        return self.list_folders(prefix)[0], objects

    def may_have(self, prefix: str) -> bool:
        """Tell whether any member is below a folder."""
        position = bisect_left(self._names, f"{prefix}/")
        return position < len(self._names) and self._names[position].startswith(f"{prefix}/")

    def head(self, key: str) -> StoredObject:
        """Size and checksum of a member."""
        member = self._member(key)
        return StoredObject(key, member.file_size, f"{member.CRC:08x}")

    def tail(self, key: str, n: int) -> bytes:
        """Read the last bytes of a member."""
        size = self._member(key).file_size
        return self.get_ranges(key, [(max(0, size - n), n)])[0]

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> RangeBytes:
        """Read ranges of a member, directly where it is stored without compression."""
        member = self._member(key)
        offset = self._data_offset(member)
        if offset == NO_OFFSET:
            data = self.get(key, max_bytes=MAX_CONSOLIDATED_BYTES)
            return [data[start : start + length] for start, length in ranges]
        parts = []
        for start, length in ranges:
            self._file.seek(offset + start)
            parts.append(self._file.read(max(0, min(length, member.file_size - start))))
        return parts

    def open_file(self, key: str) -> BinaryIO:
        """Unpack one member into memory."""
        return BytesIO(self.get(key, max_bytes=MAX_CONSOLIDATED_BYTES))

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()
        self._file.close()

    def _member(self, key: str) -> zipfile.ZipInfo:
        member = self._members.get(key)
        if member is None:
            raise KeyMissingError(f"{self.uri}/{key}: no such member.")
        return member

    def _below(self, prefix: str) -> Sequence[str]:
        if not prefix:
            return self._names
        # "0" is the character after "/".
        return self._names[bisect_left(self._names, f"{prefix}/") : bisect_left(self._names, f"{prefix}0")]

    def _data_offset(self, member: zipfile.ZipInfo) -> int:
        """Where the bytes of an uncompressed member begin; ``NO_OFFSET`` for others (the local header's length may differ)."""
        # Bit 0: encrypted (APPNOTE 4.4.4).
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            return NO_OFFSET
        try:
            self._file.seek(member.header_offset)
            magic, name_length, extra_length = _LOCAL_HEADER.unpack(self._file.read(_LOCAL_HEADER.size))
        except (OSError, struct.error, ValueError):
            return NO_OFFSET
        if magic != ZIP_START:
            return NO_OFFSET
        return member.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)
