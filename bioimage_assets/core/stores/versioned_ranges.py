"""A byte range of a remote object in, its bytes out together with size and version of the object that the same answer names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.stores.clients import as_access_error, open_client
from bioimage_assets.core.stores.open import split_file_uri
from bioimage_assets.core.stores.remote import object_version

if TYPE_CHECKING:  # only in the client's type stubs
    from obstore import GetOptions


class VersionedBytes(NamedTuple):
    """Bytes, and what the object that they are of was at that moment; ``version`` as in ``StoredObject``."""

    raw: bytes
    size_bytes: int
    version: str


class VersionedRanges:
    """Reads ranges of any objects with one client per bucket or folder of a web server."""

    def __init__(self, storage_options: Mapping[str, object] | None = None) -> None:
        self._options = dict(storage_options or {})
        self._clients: dict[str, ObjectStore] = {}

    async def read(self, uri: str, offset: int, size: int | None) -> VersionedBytes:
        """Read ``size`` bytes from ``offset`` on, all of them where it is None, with one request.

        Raises
        ------
        KeyMissingError
            There is no such object.
        StoreError
            It cannot be read.
        """
        try:
            client, key = self._find_client(uri)
            result = await obstore.get_async(client, key, options=_build_options(offset, size))
            return VersionedBytes(
                bytes(await result.bytes_async()), result.meta["size"], object_version(result.meta)
            )
        except (BaseError, OSError) as error:
            if isinstance(error, StoreError):
                raise
            raise as_access_error(error, uri) from error

    async def head(self, uri: str) -> tuple[int, str]:
        """Size and version of an object; errors as ``read``."""
        try:
            client, key = self._find_client(uri)
            found = await obstore.head_async(client, key)
        except (BaseError, OSError) as error:
            if isinstance(error, StoreError):
                raise
            raise as_access_error(error, uri) from error
        return found["size"], object_version(found)

    def _find_client(self, uri: str) -> tuple[ObjectStore, str]:
        base, key = _split_object(uri)
        client = self._clients.get(base)
        if client is None:
            client = self._clients[base] = open_client(base, self._options)
        return client, key


def _build_options(offset: int, size: int | None) -> GetOptions:
    if size is None:
        return cast("GetOptions", {"range": {"offset": offset}} if offset else {})
    return cast("GetOptions", {"range": (offset, offset + size)})


def _split_object(uri: str) -> tuple[str, str]:
    """Bucket, or folder of a web server, and the key in it."""
    scheme, _, rest = uri.partition("://")
    if urlsplit(uri).scheme.lower() in ("http", "https"):
        return split_file_uri(uri)
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key
