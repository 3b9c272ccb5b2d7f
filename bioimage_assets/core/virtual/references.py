"""A file of references in, what each key of the virtual store stands for out.

https://fsspec.github.io/kerchunk/spec.html. Only references of this project are read: those that declare the files they lead into.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.formats.zarr.documents import as_list, as_object, as_text, parse_json_object
from bioimage_assets.core.virtual.model import WHOLE_FILE, SourceFile
from bioimage_assets.core.virtual.source_locations import find_again
from bioimage_assets.core.virtual.write_json import OWN_KEY

_BASE64 = "base64:"


class Reference(NamedTuple):
    """A byte range of a source; ``size`` is ``WHOLE_FILE`` for all of it."""

    source: int
    offset: int
    size: int


class References(Protocol):
    """What the keys of a store stand for, and the files that they lead into."""

    @property
    def sources(self) -> Sequence[SourceFile]:
        """The files."""
        ...

    def find(self, key: str) -> bytes | Reference | None:
        """Bytes of a document, place of a chunk, or None where the store has no such key."""
        ...

    def list_keys(self) -> Iterator[str]:
        """All keys."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class JsonReferences:
    """References of one JSON file."""

    sources: Sequence[SourceFile]
    entries: Mapping[str, object]
    numbers: Mapping[str, int]
    uri: str

    def find(self, key: str) -> bytes | Reference | None:
        """Document or place behind a key.

        CorruptStoreError where the reference is none, or leads into a file that is not declared.
        """
        entry = self.entries.get(key)
        if entry is None:
            return None
        if isinstance(entry, str):
            return _read_inline(entry, f"{self.uri}#{key}")
        place = as_list(entry)
        number = self.numbers.get(str(place[0])) if place else None
        if number is None:
            raise CorruptStoreError(
                f"{self.uri}: the reference {key!r} leads to {str(place[:1])[:200]}, which is none of the {len(self.numbers):,} files that "
                "it declares; it was not opened. Make the virtual plate again."
            )
        if len(place) == 1:
            return Reference(number, 0, WHOLE_FILE)
        offset, size = place[1:3] if len(place) >= 3 else (None, None)
        if not (isinstance(offset, int) and isinstance(size, int) and offset >= 0 and size >= 0):
            raise CorruptStoreError(
                f"{self.uri}: the reference {key!r} has no offset and size. Make the virtual plate again."
            )
        return Reference(number, offset, size)

    def list_keys(self) -> Iterator[str]:
        """All keys, as they are written."""
        return iter(self.entries)


def parse_json_references(raw: bytes, uri: str) -> JsonReferences:
    """Read a file of references that this project wrote.

    Sources that lay beside the file are where they are beside it now; others are where they were.

    Raises
    ------
    CorruptStoreError
        It is no JSON object.
    UnsupportedStoreError
        It does not declare its files.
    """
    document = parse_json_object(raw, uri)
    own = as_object(document.get(OWN_KEY))
    if OWN_KEY not in document or "refs" not in document:
        raise UnsupportedStoreError(
            f"{uri}: expected references of a virtual plate, which declare the files that they lead into; found none ({OWN_KEY!r} is missing). "
            "Open it with fsspec's reference:// file system."
        )
    declared = [as_list(item) for item in as_list(own.get("sources"))]
    names = [str(item[0]) for item in declared if len(item) == 4]
    if len(names) != len(declared):
        raise CorruptStoreError(f"{uri}: its sources are not lists of location, size, time and ETag.")
    places = find_again(names, as_text(own.get("written_at")), uri)
    sources = [
        SourceFile(place, _integer(size), _integer(time), as_text(etag))
        for place, (_, size, time, etag) in zip(places, declared, strict=True)
    ]
    numbers = {name: number for number, name in enumerate(names)}
    return JsonReferences(sources, as_object(document.get("refs")), numbers, uri)


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _read_inline(text: str, place: str) -> bytes:
    if not text.startswith(_BASE64):
        return text.encode()
    try:
        return base64.b64decode(text[len(_BASE64) :], validate=True)
    except binascii.Error as error:
        raise CorruptStoreError(f"{place}: expected text or base64, found neither ({error}).") from error
