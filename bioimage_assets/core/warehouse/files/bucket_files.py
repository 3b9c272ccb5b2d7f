"""A warehouse root in an object store: S3, GCS and Azure through obstore, any other scheme through fsspec.

Where the store can (S3, GCS, Azure) the manifest is written only if nobody else wrote it meanwhile, and the
change planned again otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
import pyarrow as pa
import pyarrow.fs as pafs
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    NotModifiedError,
    PreconditionError,
)
from obstore.fsspec import FsspecStore

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.stores.clients import open_client, plan_client
from bioimage_assets.core.stores.fsspec_path import url_to_filesystem
from bioimage_assets.core.warehouse.files.fsspec_files import (
    MAX_SINGLE_LOOKS,
    FsspecRootFiles,
    as_bucket_errors,
    refuse_size,
)
from bioimage_assets.core.warehouse.files.root_files import FolderGlance, ManifestChangedError
from bioimage_assets.core.warehouse.manifest.layout import COLUMNS_NAME, MANIFEST_NAME

if TYPE_CHECKING:
    from obstore import GetOptions

CONDITIONAL_SCHEMES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "azure"})

MAX_REQUESTS_AT_ONCE = 32
_PARTS = "part-"
_BEHIND_PARTS = "part."  # the first name behind all that begin with "part-"
_FEW_NAMES = 64  # of the thousand that a store gives by one request: the first of our own ends the look

T = TypeVar("T")


def object_files(uri: str, storage_options: Mapping[str, object]) -> FsspecRootFiles:
    """Open a root by its scheme."""
    scheme = uri.split("://", 1)[0].lower()
    if scheme in CONDITIONAL_SCHEMES:
        return ObstoreRootFiles(uri, storage_options)
    try:
        filesystem, path = url_to_filesystem(uri, dict(storage_options))
    except (ValueError, ImportError) as error:
        raise WarehouseError(f"Cannot open the warehouse root {uri}: {error}") from error
    return FsspecRootFiles(uri, filesystem, path)


class _ObjectHandler(pafs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
    """Opens objects without asking for each whether it is a file: opening it asks for its size."""

    def open_input_file(self, path: str) -> pa.NativeFile:
        try:
            return pa.PythonFile(self.fs.open(path, mode="rb"), mode="r")
        except BaseError as error:
            raise OSError(str(error)) from error

    open_input_stream = open_input_file


class ObstoreRootFiles(FsspecRootFiles):
    """Files of a root in S3, GCS or Azure; the manifest is compared and swapped."""

    def __init__(self, uri: str, storage_options: Mapping[str, object]) -> None:
        scheme, rest = uri.split("://", 1)
        bucket, _, prefix = rest.strip("/").partition("/")
        plan = plan_client(uri, storage_options)
        try:
            store = open_client(f"{scheme}://{bucket}", storage_options)
            fs = FsspecStore(
                scheme, config=plan.config, client_options=plan.client_options, retry_config=plan.retry
            )  # type: ignore[call-overload]
        except (BaseError, ValueError, TypeError) as error:
            raise WarehouseError(f"Cannot open the warehouse root {uri}: {error}") from error
        super().__init__(uri, fs, f"{bucket}/{prefix}".rstrip("/"))
        self._store = store
        self._prefix = f"{prefix}/" if prefix else ""
        self._manifest: tuple[bytes, str] | None = None

    def exists(self) -> bool:
        """Whether any object is below the root."""
        with as_bucket_errors(self.uri, "read"):
            return bool(next(iter(obstore.list(self._store, self._prefix or None, chunk_size=1)), None))

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Bytes of an object and its ETag. A manifest that is still the one that was read last is not sent again."""
        known = self._manifest if path == MANIFEST_NAME else None
        options: GetOptions = {"if_none_match": known[1]} if known is not None else {}
        with as_bucket_errors(self.uri, "read"):
            try:
                answer = obstore.get(self._store, self._key(path), options=options)
                found = bytes(answer.bytes()), str(answer.meta.get("e_tag") or "")
            except NotModifiedError:
                return known
            except (NotFoundError, FileNotFoundError):
                return None
        if path == MANIFEST_NAME and found[1]:
            self._manifest = found
        return found

    def read_documents(self, paths: Sequence[str], max_bytes: int) -> list[bytes | None]:
        """Bytes of small objects, many requests at a time."""

        def read(path: str) -> bytes | None:
            with as_bucket_errors(self.uri, "read"):
                try:
                    found = obstore.get(self._store, self._key(path))
                except (NotFoundError, FileNotFoundError):
                    return None
                refuse_size(self.location(path), found.meta["size"], max_bytes)
                return bytes(found.bytes())

        return self._at_once(read, paths)

    def glance(self, folder: str, expected: int) -> FolderGlance:
        """Two requests, however many objects there are: what stands before our own names in a listing, and behind them.

        An object of another tool whose name begins as ours do is met by whoever lists the whole table.
        """
        prefix = f"{self._key(folder)}/"
        names: list[str] = []
        with as_bucket_errors(self.uri, "read"):
            for offset in (None, f"{prefix}{_BEHIND_PARTS}"):
                names += self._list_some(prefix, offset)
        parts = [name for name in names if name.lower().endswith(".parquet") and "/" not in name]
        return FolderGlance(None, COLUMNS_NAME in parts, any(name != COLUMNS_NAME for name in parts))

    def _list_some(self, prefix: str, offset: str | None) -> Iterator[str]:
        """Names below a prefix up to the first one of our own parts."""
        for page in obstore.list(self._store, prefix, offset=offset, chunk_size=_FEW_NAMES):
            for found in page:
                name = str(found["path"]).removeprefix(prefix)
                if name.startswith(_PARTS):
                    return
                yield name

    def sizes_of(self, folder: str, names: Collection[str]) -> dict[str, int]:
        """Bytes of some objects; one request each, of many by one listing."""
        if len(names) > 2 * MAX_REQUESTS_AT_ONCE:
            return {name: size for name, size in self.list_parts(folder).items() if name in names}
        return {name: found["size"] for name, found in self._heads(folder, names)}

    def versions_of(self, folder: str, names: Collection[str]) -> dict[str, str]:
        """ETags of some objects; of many by one listing."""
        if len(names) > MAX_SINGLE_LOOKS:
            return self.list_versions(folder)
        return {name: str(found.get("e_tag")) for name, found in self._heads(folder, names)}

    def _heads(self, folder: str, names: Collection[str]) -> Iterator[tuple[str, obstore.ObjectMeta]]:
        def head(name: str) -> obstore.ObjectMeta | None:
            with as_bucket_errors(self.uri, "read"):
                try:
                    return obstore.head(self._store, self._key(f"{folder}/{name}"))
                except (NotFoundError, FileNotFoundError):
                    return None

        ordered = list(names)
        for name, found in zip(ordered, self._at_once(head, ordered), strict=True):
            if found is not None:
                yield name, found

    def put_parts(self, folder: str, puts: Mapping[str, Path]) -> None:
        """Upload parts, many of them at once; the file that names their columns comes first."""
        if len(puts) <= MAX_SINGLE_LOOKS:
            super().put_parts(folder, puts)
            return
        names = [name for name in puts if name != COLUMNS_NAME]
        super().put_parts(folder, {name: puts[name] for name in puts.keys() & {COLUMNS_NAME}})
        self._at_once(lambda name: self.replace_file(f"{folder}/{name}", puts[name]), names)

    def put_documents(self, puts: Mapping[str, Path]) -> None:
        """Upload small files, many requests at a time."""
        self._at_once(lambda path: self.replace_file(path, puts[path]), list(puts))

    def remove_documents(self, paths: Sequence[str]) -> None:
        """Remove small objects by one request."""
        if paths:
            # One that stays harms nobody: `maintain` clears it away.
            with suppress(BaseError, OSError):
                obstore.delete(self._store, [self._key(path) for path in paths])

    def filesystem(self) -> pafs.FileSystem:
        """Arrow file system over fsspec."""
        return pafs.PyFileSystem(_ObjectHandler(self._fs))

    def _at_once(self, act: Callable[[str], T], names: Sequence[str]) -> list[T]:
        if len(names) < 2:
            return [act(name) for name in names]
        with ThreadPoolExecutor(min(MAX_REQUESTS_AT_ONCE, len(names))) as pool:
            return list(pool.map(act, names))

    def _key(self, path: str) -> str:
        """Key of an object of the root in its bucket."""
        self._at(path)
        return self._prefix + path

    def _written_at(self, path: str) -> datetime | None:
        with as_bucket_errors(self.uri, "read"):
            try:
                return obstore.head(self._store, self._key(path))["last_modified"]
            except (NotFoundError, FileNotFoundError):
                return None

    def replace_file(self, path: str, staged: Path) -> None:
        """Upload one finished file; large ones in parts, visible only when complete."""
        with as_bucket_errors(self.uri, "write"):
            obstore.put(self._store, self._key(path), staged)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nothing is locked: the manifest is compared and swapped."""
        yield

    def write_text(self, path: str, content: str) -> None:
        """Write a derived object."""
        with as_bucket_errors(self.uri, "write"):
            obstore.put(self._store, self._key(path), content.encode())

    def _write_manifest(self, manifest: bytes, version: str | None) -> None:
        mode: object = "create" if version is None else {"e_tag": version} if version else None
        with as_bucket_errors(self.uri, "write"):
            try:
                obstore.put(self._store, self._prefix + MANIFEST_NAME, manifest, mode=mode)  # type: ignore[arg-type]
            except (PreconditionError, AlreadyExistsError) as error:
                raise ManifestChangedError(f"Another writer changed the manifest of {self.uri}.") from error
            except BaseError:
                # The answer may have got lost on its way; an append made again would be there twice.
                found = self.read(MANIFEST_NAME)
                if found is None or found[0] != manifest:
                    raise
