"""A prefix of an object store (S3, GCS, Azure, HTTP) as a store, with many requests in flight.

Client: https://developmentseed.org/obstore/latest/ (no HEAD before a GET). Documents are fetched by one
event loop in its own thread, so that callers need none and may have one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, ObjectStore

from bioimage_assets.core.errors import (
    CorruptStoreError,
    KeyMissingError,
    LimitExceededError,
    StoreError,
    UnsupportedStoreError,
)
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.storage_options import read_storage_options
from bioimage_assets.core.stores.base import (
    MAX_DOCUMENT_BYTES,
    DocumentResult,
    FolderListing,
    LevelListing,
    ListedSizes,
    RangeBytes,
    StoredObject,
    check_key,
)
from bioimage_assets.core.stores.clients import as_access_error, open_client
from bioimage_assets.core.stores.links import NO_LINKS
from bioimage_assets.core.stores.range_file import open_range_file

if TYPE_CHECKING:  # only in the client's type stubs
    from obstore import ObjectMeta

REQUESTS_IN_FLIGHT = 128  # a request waits 20 to 50 ms; S3 serves 5,500 reads a second per prefix
# A plain web server is one machine, not a fleet; small ones drop connections beyond a short queue.
WEB_REQUESTS_IN_FLIGHT = 16
LIST_PAGE_KEYS = 1_000  # what S3 gives per page
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html; GCS and Azure have the same limit.
MAX_KEY_BYTES = 1_024

_T = TypeVar("_T")


class _Loop:
    """One event loop in a daemon thread, shared by all remote stores of the process."""

    _lock = threading.Lock()
    _loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def run(cls, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine from any thread and wait for it."""
        with cls._lock:
            if cls._loop is None or cls._loop.is_closed():
                cls._loop = asyncio.new_event_loop()
                threading.Thread(target=cls._loop.run_forever, name="object-store", daemon=True).start()
        # A loop of our own: notebooks run one in the main thread, where asyncio.run fails.
        return asyncio.run_coroutine_threadsafe(work, cls._loop).result()


class RemoteStore:
    """Objects below one prefix; keys are relative to it. Missing prefixes look like empty ones."""

    is_remote = True
    names_not_utf8: Sequence[str] = ()  # names arrive as text
    links_not_followed = NO_LINKS

    def __init__(
        self,
        client: ObjectStore,
        *,
        uri: str,
        requests_in_flight: int = REQUESTS_IN_FLIGHT,
        can_list: bool = True,
    ) -> None:
        self.uri = uri
        self.can_list = can_list
        self._client = client
        self._in_flight = requests_in_flight
        # A web server has no such limit; the key of an object is the prefix and the key below it.
        self._key_room = MAX_KEY_BYTES - len(urlsplit(uri).path.encode()) if can_list else None

    def get(self, key: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Read one object; its size is known from the response before the body is read."""
        self._check_key(key)
        try:
            result = obstore.get(self._client, key)
            self._check_size(key, result.meta["size"], max_bytes)
            return bytes(result.bytes())
        except (BaseError, OSError) as error:
            raise self._as_store_error(error, key) from error

    def get_many(
        self, keys: Sequence[str], *, max_bytes: int = MAX_DOCUMENT_BYTES
    ) -> dict[str, DocumentResult]:
        """Read many objects, one request each, at most 128 in flight."""
        return _Loop.run(self._get_all(keys, max_bytes))

    def _check_key(self, key: str) -> None:
        check_key(key, self.uri)
        if (
            self._key_room is not None
            # A character has at most four bytes in UTF-8: shorter keys need no encoding to be measured.
            and len(key) > self._key_room // 4
            and len(key.encode()) > self._key_room
        ):
            raise CorruptStoreError(
                f"{self.uri}/{key[:60]}…: {len(key.encode()):,} bytes of key, but no bucket holds keys of more than "
                f"{MAX_KEY_BYTES:,} bytes; it was not asked for."
            )

    async def _get_all(self, keys: Sequence[str], max_bytes: int) -> dict[str, DocumentResult]:
        results: dict[str, DocumentResult] = dict.fromkeys(keys)
        waiting = iter(list(results))

        async def work() -> None:
            # All workers draw from one iterator: as many requests in flight as workers.
            for key in waiting:
                try:
                    self._check_key(key)
                    results[key] = await self._fetch(key, max_bytes)
                except (BaseError, OSError) as error:
                    failure = self._as_store_error(error, key)
                    results[key] = None if isinstance(failure, KeyMissingError) else failure

        await asyncio.gather(*(work() for _ in range(min(self._in_flight, len(results)))))
        return results

    async def _fetch(self, key: str, max_bytes: int) -> bytes:
        """Read one object; asking a bucket for a range takes half the processor time, with nothing read beyond it."""
        if self.can_list:
            try:
                # One byte more than allowed says that the object is longer.
                found = bytes(await obstore.get_range_async(self._client, key, start=0, length=max_bytes + 1))
            except BaseError as error:
                if not _is_range_refused(error):
                    raise
            else:
                self._check_size(key, len(found), max_bytes)
                return found
        response = await obstore.get_async(self._client, key)
        self._check_size(key, response.meta["size"], max_bytes)
        return bytes(await response.bytes_async())

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List objects below a prefix, 1,000 per request."""
        self._check_listable()
        try:
            for page in obstore.list(self._client, self._folder(prefix), chunk_size=LIST_PAGE_KEYS):
                for item in page:
                    yield StoredObject(item["path"], item["size"], object_version(item))
        except (BaseError, OSError) as error:
            raise self._as_store_error(error, prefix) from error

    def list_sizes(self, prefix: str = "") -> ListedSizes:
        """List keys and sizes below a prefix."""
        keys: list[str] = []
        sizes: list[int] = []
        for item in self.list(prefix):
            keys.append(item.key)
            sizes.append(item.size_bytes)
        return ListedSizes(keys, sizes)

    def list_folders(self, prefix: str = "") -> FolderListing:
        """List one level below a prefix."""
        self._check_listable()
        try:
            found = obstore.list_with_delimiter(self._client, self._folder(prefix))
        except (BaseError, OSError) as error:
            raise self._as_store_error(error, prefix) from error
        folders = [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]
        return sorted(folders), sorted(item["path"].rpartition("/")[2] for item in found["objects"])

    def list_level(self, prefix: str = "") -> LevelListing:
        """List one level below a prefix with sizes and ETags."""
        self._check_listable()
        try:
            found = obstore.list_with_delimiter(self._client, self._folder(prefix))
        except (BaseError, OSError) as error:
            raise self._as_store_error(error, prefix) from error
        folders = [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]
        objects = [
            StoredObject(item["path"], item["size"], object_version(item)) for item in found["objects"]
        ]
        return sorted(folders), sorted(objects)

    def may_have(self, prefix: str) -> bool:
        """Always: only a request could tell."""
        return True

    def head(self, key: str) -> StoredObject:
        """Size and ETag (else the time of its last change) with one request."""
        self._check_key(key)
        try:
            found = obstore.head(self._client, key)
        except (BaseError, OSError) as error:
            raise self._as_store_error(error, key) from error
        return StoredObject(key, found["size"], object_version(found))

    def tail(self, key: str, n: int) -> bytes:
        """Read the last bytes with one suffix request; Azure knows none and is asked for the size first."""
        self._check_key(key)
        try:
            #
            # https://learn.microsoft.com/rest/api/storageservices/specifying-the-range-header-for-blob-service-operations
            if isinstance(self._client, AzureStore):
                size = obstore.head(self._client, key)["size"]
                start = max(0, size - n)
                return bytes(obstore.get_range(self._client, key, start=start, end=size)) if size else b""
            return bytes(obstore.get(self._client, key, options={"range": {"suffix": n}}).bytes())
        except (BaseError, OSError) as error:
            raise self._as_store_error(error, key) from error

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> RangeBytes:
        """Read ranges; neighbours are fetched together."""
        self._check_key(key)
        try:
            found = obstore.get_ranges(
                self._client,
                key,
                starts=[start for start, _ in ranges],
                lengths=[length for _, length in ranges],
            )
        except (BaseError, OSError) as error:
            raise self._as_store_error(error, key) from error
        return [bytes(part) for part in found]

    def open_file(self, key: str) -> BinaryIO:
        """Open an object as a file of ranged reads."""
        self._check_key(key)
        try:
            size = obstore.head(self._client, key)["size"]
        except (BaseError, OSError) as error:
            raise self._as_store_error(error, key) from error
        return open_range_file(self, key, size)

    def close(self) -> None:
        """Connections are pooled by the client and go with it."""

    def _check_listable(self) -> None:
        if not self.can_list:
            raise UnsupportedStoreError(
                f"{self.uri}: a web server does not list what it holds. Give the URI of one store, or use s3:// or gs://."
            )

    @staticmethod
    def _folder(prefix: str) -> str | None:
        return prefix.strip("/") or None

    def _check_size(self, key: str, size: int, max_bytes: int) -> None:
        if size > max_bytes:
            raise LimitExceededError(
                f"{self.uri}/{key}: {size:,} bytes or more, beyond the limit of {max_bytes:,}."
            )

    def _as_store_error(self, error: BaseError | OSError, key: str) -> StoreError:
        return as_access_error(error, join_path(self.uri, key))


def _is_range_refused(error: BaseError) -> bool:
    """Tell what a server answers to any range of an empty object, and to ranges that it does not know."""
    if isinstance(error, (NotFoundError, PermissionDeniedError, UnauthenticatedError)):
        return False
    text = str(error)
    # obstore 0.12 has no class for it: the status stands in the text only.
    return "416" in text or "range" in text.lower()


def object_version(meta: ObjectMeta) -> str:
    """ETag, else the time of the last change; Azure quotes the ETag of a blob but not that of a listed one."""
    return (meta["e_tag"] or "").strip('"') or meta["last_modified"].isoformat()


def open_remote_store(uri: str, options: Mapping[str, object]) -> RemoteStore:
    """Open a prefix; nothing is requested. UsageError and StoreAccessError as ``open_client``."""
    is_web = urlsplit(uri).scheme.lower() in ("http", "https")
    default = WEB_REQUESTS_IN_FLIGHT if is_web else REQUESTS_IN_FLIGHT
    named = {name.lower(): value for name, value in (options or read_storage_options()).items()}
    in_flight = int(str(named.get("requests_in_flight", default)))
    return RemoteStore(open_client(uri, options), uri=uri, requests_in_flight=in_flight, can_list=not is_web)
