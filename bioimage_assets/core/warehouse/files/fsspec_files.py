"""A warehouse root behind any fsspec file system (``memory://``, ``sftp://`` …), and what all object stores share.

One object appears or is replaced atomically, so a partition of one file is complete old or complete
new to every reader. A change of several objects gives them names of their own (see ``plan``): objects first,
the manifest after them, removals last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
from obstore.exceptions import BaseError

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.scratch import open_scratch
from bioimage_assets.core.warehouse.files.root_files import TableChange
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME, split_folder

# What fsspec's file systems call the things that change with an object's content.
_VERSION_KEYS = (
    "e_tag",
    "ETag",
    "etag",
    "generation",
    "mtime",
    "LastModified",
    "last_modified",
    "created",
    "size",
)
# Stores without conditional writes are serialised inside this process only.
_PROCESS_LOCK = RLock()


class FsspecRootFiles:
    """Files of a root behind any fsspec file system; no conditional writes."""

    is_local = False

    def __init__(self, uri: str, filesystem: fsspec.AbstractFileSystem, path: str) -> None:
        self.uri = uri.rstrip("/")
        self._fs = filesystem
        self._path = path.rstrip("/")

    def exists(self) -> bool:
        """Whether any object is below the root."""
        with as_bucket_errors(self.uri, "read"):
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._path))

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Bytes of an object; the token is empty where the store gives none."""
        with as_bucket_errors(self.uri, "read"):
            try:
                return bytes(self._fs.cat_file(self._at(path))), ""
            except FileNotFoundError:
                return None

    def version(self, path: str) -> str | None:
        """Not known without a request."""
        return None

    def list_parts(self, folder: str) -> dict[str, int]:
        """Parquet objects directly below a prefix with their sizes."""
        return {
            name: size
            for name, kind, size, _ in self._list(folder)
            if kind == "file" and name.lower().endswith(".parquet")
        }

    def list_versions(self, folder: str) -> dict[str, str]:
        """Parquet objects directly below a prefix with their ETag, or what else the store says of their content."""
        return {
            name: version
            for name, kind, _, version in self._list(folder)
            if kind == "file" and name.lower().endswith(".parquet")
        }

    def open_parts(self, folder: str, names: Sequence[str]) -> tuple[pa.NativeFile, ...] | None:
        """An object that is read in ranges may be another one at the second range."""
        return None

    def list_folders(self, folder: str) -> list[str]:
        """Prefixes directly below a prefix, without internal ones."""
        return sorted(
            n for n, kind, _, _ in self._list(folder) if kind == "directory" and not n.startswith(("_", "."))
        )

    def list_other_files(self, folder: str) -> list[str]:
        """Objects directly below a prefix that are not Parquet."""
        return sorted(
            n for n, kind, _, _ in self._list(folder) if kind == "file" and not n.lower().endswith(".parquet")
        )

    def filesystem(self) -> pafs.FileSystem:
        """Arrow file system over fsspec."""
        return pafs.PyFileSystem(pafs.FSSpecHandler(self._fs))

    def _at(self, path: str) -> str:
        """Where an object of the root is; WarehouseError for a path that is not plainly below it."""
        if split_folder(path) is None:
            raise WarehouseError(
                f"{path!r} is no path below the warehouse root {self.uri}; it was not opened."
            )
        return f"{self._path}/{path}"

    def arrow_path(self, path: str) -> str:
        """Path as the fsspec file system knows it."""
        return self._at(path)

    def location(self, path: str) -> str:
        """URI."""
        return f"{self.uri}/{path}"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One writer of this process at a time."""
        with _PROCESS_LOCK:
            yield

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Local temporary folder: an object is uploaded only when it is complete."""
        with open_scratch() as folder:
            yield folder

    def replace_file(self, path: str, staged: Path) -> None:
        """Upload one finished file."""
        with as_bucket_errors(self.uri, "write"):
            self._fs.put_file(str(staged), self._at(path))

    def commit(
        self,
        change: TableChange | None,
        manifest: bytes,
        version: str | None,
        entry: Mapping[str, object] | None,
    ) -> None:
        """Objects, then the manifest, then removals."""
        if change is not None:
            for path, staged in change.extra_puts.items():
                self.replace_file(path, staged)
            for name, staged in change.puts.items():
                self.replace_file(f"{change.folder}/{name}", staged)
        self._write_manifest(manifest, version)
        if change is not None:
            for name in sorted(change.drops - set(change.puts)):
                self.remove_file(f"{change.folder}/{name}")

    def write_text(self, path: str, content: str) -> None:
        """Write a derived object."""
        with as_bucket_errors(self.uri, "write"):
            self._fs.pipe_file(self._at(path), content.encode())

    def recover(self) -> bool:
        """Nothing is journalled in an object store: `maintain` compares the manifest with the objects."""
        return False

    def remove_leftovers(self) -> int:
        """Nothing is staged in an object store."""
        return 0

    def move_folders(self, moves: Mapping[str, str], manifest: bytes, version: str | None) -> None:
        """Copy objects, switch the manifest, remove the old objects."""
        copied = [
            (f"{old}/{name}", f"{new}/{name}") for old, new in moves.items() for name in self.list_parts(old)
        ]
        with as_bucket_errors(self.uri, "write"):
            for source, target in copied:
                self._fs.cp_file(self._at(source), self._at(target))
        self._write_manifest(manifest, version)
        for source, _ in copied:
            self.remove_file(source)

    def remove_file(self, path: str) -> None:
        """Remove one object."""
        with as_bucket_errors(self.uri, "write"):
            if self._fs.exists(self._at(path)):
                self._fs.rm_file(self._at(path))

    def remove_unused(self, folder: str, used: set[str]) -> int:
        """Keep sidecars: another writer may be about to name one, and they are tiny."""
        return 0

    def remove_old_parts(self, folder: str, names: Sequence[str], age_s: float) -> int:
        """Remove objects by the time the store says they were written; those without one stay."""
        removed = 0
        for name in names:
            path = f"{folder}/{name}"
            written = self._written_at(path)
            if written is not None and (datetime.now(UTC) - written).total_seconds() >= age_s:
                self.remove_file(path)
                removed += 1
        return removed

    def _written_at(self, path: str) -> datetime | None:
        with as_bucket_errors(self.uri, "read"):
            try:
                found: datetime = self._fs.modified(self._at(path))
            except (NotImplementedError, FileNotFoundError):
                return None
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

    def _write_manifest(self, manifest: bytes, version: str | None) -> None:
        with as_bucket_errors(self.uri, "write"):
            self._fs.pipe_file(f"{self._path}/{MANIFEST_NAME}", manifest)

    def _list(self, folder: str) -> Iterator[tuple[str, str, int, str]]:
        with as_bucket_errors(self.uri, "read"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._at(folder) if folder else self._path, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return
        for item in found:
            name = str(item["name"]).rstrip("/").rsplit("/", 1)[-1]
            version = "-".join(str(item[key]) for key in _VERSION_KEYS if item.get(key) is not None)
            yield name, str(item["type"]), int(item.get("size") or 0), version


@contextmanager
def as_bucket_errors(uri: str, action: str) -> Iterator[None]:
    """Turn what a store's client raises into this project's error."""
    try:
        yield
    except WarehouseError:
        raise
    except (BaseError, OSError) as error:
        raise WarehouseError(f"Cannot {action} the warehouse at {uri}: {error}") from error
