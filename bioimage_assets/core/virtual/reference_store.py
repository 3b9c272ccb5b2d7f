"""A read-only Zarr store whose keys are documents and references.

https://zarr.readthedocs.io/en/stable/api/zarr/abc/store/
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from bioimage_assets.core.errors import UnsupportedStoreError
from bioimage_assets.core.virtual.model import WHOLE_FILE
from bioimage_assets.core.virtual.references import Reference, References
from bioimage_assets.core.virtual.source_reader import SourceReader

_Buffers = list[Buffer | None]
_Keys = list[str]  # named, because a store's method ``list`` hides the builtin inside its class
# Behind every key that begins with a folder's name and a slash.
_AFTER_SLASH = chr(ord("/") + 1)


class ReferenceStore(Store):
    """Documents come from the references, chunks from the original files; a chunk without a reference is absent."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(
        self, references: References, reader: SourceReader, uri: str, reopen: Callable[[], Store]
    ) -> None:
        super().__init__(read_only=True)
        self._references = references
        self._reader = reader
        self._uri = uri
        self._reopen = reopen
        self._sorted: _Keys | None = None

    def __reduce__(self) -> tuple[Callable[[], Store], tuple[()]]:
        """Other processes open the plate anew."""
        return self._reopen, ()

    def __eq__(self, value: object) -> bool:
        return isinstance(value, type(self)) and value._references is self._references

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ReferenceStore({self._uri!r})"

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Bytes of a key, or a range of them; None where the key is absent.

        StoreChangedError where the original file is not the one that the reference was made for.
        """
        found = self._references.find(key)
        if found is None:
            return None
        raw = (
            found[_cut(byte_range, len(found))]
            if isinstance(found, bytes)
            else await self._read(found, byte_range)
        )
        return (prototype or default_buffer_prototype()).buffer.from_bytes(raw)

    async def _read(self, place: Reference, byte_range: ByteRequest | None) -> bytes:
        size = place.size
        if size == WHOLE_FILE:
            known = self._references.sources[place.source].size_bytes
            size = WHOLE_FILE if known is None else known - place.offset
        if byte_range is None:
            return await self._reader.read(place.source, place.offset, size)
        if size == WHOLE_FILE:
            raw = await self._reader.read(place.source, place.offset, size)
            return raw[_cut(byte_range, len(raw))]
        part = _cut(byte_range, size)
        return await self._reader.read(place.source, place.offset + part.start, part.stop - part.start)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> _Buffers:
        """Ranges of several keys."""
        return _Buffers(
            await asyncio.gather(*(self.get(key, prototype, wanted) for key, wanted in key_ranges))
        )

    async def exists(self, key: str) -> bool:
        """Whether there is a document or reference; no file is asked."""
        return self._references.find(key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse."""
        raise UnsupportedStoreError(f"{self._uri}: a virtual plate is read-only.")

    async def delete(self, key: str) -> None:
        """Refuse."""
        raise UnsupportedStoreError(f"{self._uri}: a virtual plate is read-only.")

    async def list(self) -> AsyncIterator[str]:
        """All keys."""
        for key in self._keys():
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Keys that begin with a text."""
        keys = self._keys()
        for number in range(bisect_left(keys, prefix), len(keys)):
            if not keys[number].startswith(prefix):
                return
            yield keys[number]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below a folder; the keys below each are passed over in one step."""
        keys = self._keys()
        start = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        number = bisect_left(keys, start)
        while number < len(keys) and keys[number].startswith(start):
            name, is_folder, _ = keys[number][len(start) :].partition("/")
            yield name
            number = bisect_left(keys, f"{start}{name}{_AFTER_SLASH}", number) if is_folder else number + 1

    def _keys(self) -> _Keys:
        if self._sorted is None:
            self._sorted = sorted(self._references.list_keys())
        return self._sorted


def _cut(byte_range: ByteRequest | None, size: int) -> slice:
    """Start and stop of a request inside of some bytes."""
    if byte_range is None:
        return slice(0, size)
    if isinstance(byte_range, RangeByteRequest):
        return slice(min(byte_range.start, size), min(byte_range.end, size))
    if isinstance(byte_range, OffsetByteRequest):
        return slice(min(byte_range.offset, size), size)
    assert isinstance(byte_range, SuffixByteRequest)
    return slice(max(0, size - byte_range.suffix), size)
