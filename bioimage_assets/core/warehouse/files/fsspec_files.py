"""A warehouse root behind any fsspec file system (``memory://``, ``sftp://`` …), and what all object stores share.

One object appears or is replaced atomically, so a partition of one file is complete old or complete
new to every reader. A change of several objects gives them names of their own (see ``plan``): objects first,
the manifest after them, removals last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
from obstore.exceptions import BaseError

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.scratch import open_scratch
from bioimage_assets.core.warehouse.files.root_files import FolderGlance, TableChange
from bioimage_assets.core.warehouse.manifest.layout import (
    COLUMNS_NAME,
    MANIFEST_NAME,
    PARTITIONS_DIR,
    is_entries_name,
    is_part_name,
    split_folder,
)

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
MAX_SINGLE_LOOKS = 8  # objects that are asked for one by one; more are listed
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

    def read_documents(self, paths: Sequence[str], max_bytes: int) -> list[bytes | None]:
        """Bytes of small objects."""
        found: list[bytes | None] = []
        for path in paths:
            with as_bucket_errors(self.uri, "read"):
                try:
                    size = int(self._fs.info(self._at(path)).get("size") or 0)
                except FileNotFoundError:
                    found.append(None)
                    continue
            refuse_size(self.location(path), size, max_bytes)
            document = self.read(path)
            found.append(document[0] if document is not None else None)
        return found

    def glance(self, folder: str, expected: int) -> FolderGlance:
        """One listing; objects of our own names that no manifest names are what a killed writer left."""
        names = self.list_parts(folder)
        strangers = any(name != COLUMNS_NAME and not is_part_name(name) for name in names)
        return FolderGlance(None, COLUMNS_NAME in names, strangers)

    def sizes_of(self, folder: str, names: Collection[str]) -> dict[str, int]:
        """Bytes of some objects; one request each."""
        return {name: int(str(found.get("size") or 0)) for name, found in self._look_at(folder, names)}

    def versions_of(self, folder: str, names: Collection[str]) -> dict[str, str]:
        """ETag, or what else the store says, of some objects; of many by one listing."""
        if len(names) > MAX_SINGLE_LOOKS:
            return self.list_versions(folder)
        return {name: _version(found) for name, found in self._look_at(folder, names)}

    def _look_at(self, folder: str, names: Collection[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
        with as_bucket_errors(self.uri, "read"):
            for name in names:
                self._fs.invalidate_cache()
                with suppress(FileNotFoundError):
                    yield name, self._fs.info(self._at(f"{folder}/{name}"))

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
            self.put_documents(change.extra_puts)
            self.put_parts(change.folder, change.puts)
        self._write_manifest(manifest, version)
        if change is not None:
            for name in sorted(change.drops - set(change.puts)):
                self.remove_file(f"{change.folder}/{name}")
            self.remove_documents(change.extra_drops)

    def put_parts(self, folder: str, puts: Mapping[str, Path]) -> None:
        """Upload finished parts of a table."""
        for name, staged in puts.items():
            self.replace_file(f"{folder}/{name}", staged)

    def put_documents(self, puts: Mapping[str, Path]) -> None:
        """Upload small finished files by their root-relative paths."""
        for path, staged in puts.items():
            self.replace_file(path, staged)

    def remove_documents(self, paths: Sequence[str]) -> None:
        """Remove small objects; one that is gone, or stays, harms nobody."""
        for path in paths:
            with suppress(WarehouseError):
                self.remove_file(path)

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

    def remove_unused_entries(self, used: Collection[str], age_s: float) -> int:
        """Remove old objects of entries that nothing names; a writer may be about to name younger ones."""
        removed = 0
        for folder, kind, _, _ in list(self._list(PARTITIONS_DIR)):
            below = f"{PARTITIONS_DIR}/{folder}"
            names = [n for n, k, _, _ in self._list(below) if k == "file"] if kind == "directory" else []
            unused = [n for n in names if is_entries_name(n) and f"{below}/{n}" not in used]
            removed += self.remove_old_parts(below, unused, age_s)
        return removed

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
            yield name, str(item["type"]), int(item.get("size") or 0), _version(item)


def _version(item: Mapping[str, object]) -> str:
    return "-".join(str(item[key]) for key in _VERSION_KEYS if item.get(key) is not None)


def refuse_size(where: str, size: int, max_bytes: int) -> None:
    """WarehouseError where a document is larger than any that this project writes."""
    if size > max_bytes:
        raise WarehouseError(
            f"{where} has {size} bytes; such documents of a root are read up to {max_bytes} bytes."
        )


@contextmanager
def as_bucket_errors(uri: str, action: str) -> Iterator[None]:
    """Turn what a store's client raises into this project's error."""
    try:
        yield
    except WarehouseError:
        raise
    except (BaseError, OSError) as error:
        raise WarehouseError(f"Cannot {action} the warehouse at {uri}: {error}") from error
