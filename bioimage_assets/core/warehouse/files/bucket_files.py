"""A warehouse root in an object store: S3, GCS and Azure through obstore, any other scheme through fsspec.

Where the store can (S3, GCS, Azure) the manifest is written only if nobody else wrote it meanwhile, and the
change planned again otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.fsspec import FsspecStore

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.stores.clients import open_client, plan_client
from bioimage_assets.core.stores.fsspec_path import url_to_filesystem
from bioimage_assets.core.warehouse.files.fsspec_files import FsspecRootFiles, as_bucket_errors
from bioimage_assets.core.warehouse.files.root_files import ManifestChangedError
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME

CONDITIONAL_SCHEMES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "azure"})


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

    def exists(self) -> bool:
        """Whether any object is below the root."""
        with as_bucket_errors(self.uri, "read"):
            return bool(next(iter(obstore.list(self._store, self._prefix or None, chunk_size=1)), None))

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Bytes of an object and its ETag."""
        with as_bucket_errors(self.uri, "read"):
            try:
                found = obstore.get(self._store, self._key(path))
                return bytes(found.bytes()), str(found.meta.get("e_tag") or "")
            except (NotFoundError, FileNotFoundError):
                return None

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
