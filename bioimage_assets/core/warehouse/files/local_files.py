"""A warehouse root in a local folder: one lock, staged files, changes through a journal, the manifest last.

Data are staged below ``_warehouse/staging`` without the lock and flushed to the disk; the change itself
happens under the lock (see ``journal``). Whoever takes the lock next finishes a change that was cut off.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4
from zlib import crc32

import pyarrow as pa
import pyarrow.fs as pafs
from filelock import FileLock, Timeout

from bioimage_assets.core.errors import BioimageError, WarehouseError
from bioimage_assets.core.warehouse.changes.journal import ChangeJournal
from bioimage_assets.core.warehouse.files.files_without_links import (
    open_regular_file,
    read_regular_file,
    refuse_links,
    remove_any,
)
from bioimage_assets.core.warehouse.files.os_failures import as_warehouse_error
from bioimage_assets.core.warehouse.files.root_files import FolderGlance, TableChange
from bioimage_assets.core.warehouse.files.watched_folders import WatchedFolders
from bioimage_assets.core.warehouse.manifest.layout import (
    INTERNAL_DIR,
    JOURNAL_NAME,
    LOCK_NAME,
    PARTITIONS_DIR,
    SCHEMAS_DIR,
    STAGING_DIR,
    is_entries_name,
)

LOCK_TIMEOUT_S = 600.0  # a held lock is a commit; a conversion of a large root on a slow share takes minutes
LOCK_POLL_S = 0.005  # filelock's own 0.05 s would be most of the time of a commit
HEAD_BYTES = 256  # the manifest's generation stands in front of its tables
MAX_OPEN_FILES = 4096  # parts that one reader holds open; below a quarter of the process's limit
_OWN_FOLDERS = (STAGING_DIR, SCHEMAS_DIR, PARTITIONS_DIR)
_WATCHED = WatchedFolders()
_STAGED = re.compile(r"(commit-)?[0-9a-f]{32}|[0-9a-f]{32}\.lock")


class LocalRootFiles:
    """Files of a root in a local folder."""

    is_local = True

    def __init__(self, root: str) -> None:
        is_uri = root.startswith("file://")
        self._root = Path(unquote(urlsplit(root).path) if is_uri else root).absolute()
        self.uri = str(self._root)
        # flock(2) is held by the process, so a killed writer never leaves the lock taken.
        self._lock = FileLock(self._root / LOCK_NAME, timeout=LOCK_TIMEOUT_S)
        self._journal = ChangeJournal(self._root)

    def exists(self) -> bool:
        """Whether the folder exists."""
        return self._root.is_dir()

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Bytes of a file; the version token is not used locally, the lock is."""
        try:
            return read_regular_file(self._root / path), ""
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise as_warehouse_error(error, self._root / path, "read") from error

    def read_documents(self, paths: Sequence[str], max_bytes: int) -> list[bytes | None]:
        """Bytes of small files, one after the other."""
        found: list[bytes | None] = []
        for path in paths:
            try:
                found.append(read_regular_file(self._root / path, max_bytes))
            except (FileNotFoundError, NotADirectoryError):
                found.append(None)
            except OSError as error:
                if isinstance(error, BioimageError):
                    raise
                raise as_warehouse_error(error, self._root / path, "read") from error
        return found

    def glance(self, folder: str, expected: int) -> FolderGlance:
        """Number of parts; counted again only if the folder changed since, or has another number than it should."""
        try:
            return _WATCHED.glance(self._root / folder, expected)
        except (FileNotFoundError, NotADirectoryError):
            return FolderGlance(0, has_columns_file=False)
        except OSError as error:
            raise as_warehouse_error(error, self._root / folder, "read") from error

    def sizes_of(self, folder: str, names: Collection[str]) -> dict[str, int]:
        """Bytes of some files."""
        found: dict[str, int] = {}
        for name in names:
            with suppress(FileNotFoundError, NotADirectoryError):
                status = (self._root / folder / name).stat()
                if stat.S_ISREG(status.st_mode):
                    found[name] = status.st_size
        return found

    def versions_of(self, folder: str, names: Collection[str]) -> dict[str, str]:
        """Inode, time and size of some files."""
        found: dict[str, str] = {}
        for name in names:
            with suppress(FileNotFoundError, NotADirectoryError):
                found[name] = _version_of((self._root / folder / name).stat())
        return found

    def version(self, path: str) -> str | None:
        """Inode, time, size and first bytes: a file that appears by rename has others.

        An inode number may come back within one tick of the clock; the manifest's first bytes hold its generation.
        """
        try:
            stream = open_regular_file(self._root / path)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        if stream is None:
            return None
        with stream:
            found, head = os.fstat(stream.fileno()), stream.read(HEAD_BYTES)
        return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}-{crc32(head):08x}"

    def list_parts(self, folder: str) -> dict[str, int]:
        """Parquet files directly in a folder with their sizes."""
        sizes: dict[str, int] = {}
        for entry in self._scan(folder):
            # A file may vanish between the listing and the look at it.
            with suppress(FileNotFoundError):
                if entry.name.lower().endswith(".parquet") and entry.is_file():
                    sizes[entry.name] = entry.stat().st_size
        return sizes

    def list_versions(self, folder: str) -> dict[str, str]:
        """Parquet files directly in a folder with inode, time and size."""
        versions: dict[str, str] = {}
        for entry in self._scan(folder):
            with suppress(FileNotFoundError):
                if entry.name.lower().endswith(".parquet"):
                    versions[entry.name] = _version_of(entry.stat())
        return versions

    def open_parts(self, folder: str, names: Sequence[str]) -> tuple[pa.NativeFile, ...] | None:
        """Open files; None where that would take more than a quarter of the files this process may open."""
        if len(names) > _open_files_limit():
            return None
        return tuple(open_part(self._root / folder / name) for name in names)

    def list_folders(self, folder: str) -> list[str]:
        """Folders directly in a folder, without internal and hidden ones."""
        return sorted(e.name for e in self._scan(folder) if e.is_dir() and not e.name.startswith(("_", ".")))

    def list_other_files(self, folder: str) -> list[str]:
        """Files directly in a folder that are not Parquet."""
        return sorted(
            e.name for e in self._scan(folder) if e.is_file() and not e.name.lower().endswith(".parquet")
        )

    def filesystem(self) -> pafs.FileSystem:
        """The local file system."""
        return pafs.LocalFileSystem()

    def arrow_path(self, path: str) -> str:
        """Absolute path."""
        return str(self._root / path)

    def location(self, path: str) -> str:
        """Absolute path."""
        return str(self._root / path)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the root's lock; a journal that a killed writer left is finished first."""
        refuse_links(self._root, *_OWN_FOLDERS)
        try:
            (self._root / INTERNAL_DIR).mkdir(parents=True, exist_ok=True)
            with self._lock.acquire(poll_interval=LOCK_POLL_S):
                self._journal.finish()
                self.remove_leftovers()
                yield
        except Timeout as error:
            raise WarehouseError(
                f"The warehouse root {self.uri} is locked by another writer for more than {LOCK_TIMEOUT_S:.0f} s "
                f"({self._root / LOCK_NAME}). Try again when it is done."
            ) from error
        except OSError as error:
            if isinstance(error, BioimageError):
                raise
            raise as_warehouse_error(error, self._root, "write") from error

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Folder of one writer, with a lock beside it that tells the living from the dead."""
        name = uuid4().hex
        folder = self._root / STAGING_DIR / name
        lock = FileLock(folder.with_suffix(".lock"))
        # Under the root's lock, so that nobody who clears up sees a folder whose lock is not taken yet.
        with self.exclusive():
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            folder.mkdir()
        try:
            yield folder
        except OSError as error:
            if isinstance(error, BioimageError):
                raise
            raise as_warehouse_error(error, folder, "write") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()

    def replace_file(self, path: str, staged: Path) -> None:
        """Rename one finished file into place."""
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged, target)

    def put_documents(self, puts: Mapping[str, Path]) -> None:
        """Rename finished files into place."""
        refuse_links(self._root, *{path.rpartition("/")[0] for path in puts})
        for path, staged in puts.items():
            self.replace_file(path, staged)

    def commit(
        self,
        change: TableChange | None,
        manifest: bytes,
        version: str | None,
        entry: Mapping[str, object] | None,
    ) -> None:
        """Apply a change under the lock that the caller holds; ``version`` is not needed under a lock."""
        if change is None:
            self._journal.commit(change, manifest, entry)
            return
        with _WATCHED.changing(self._root / change.folder, change):
            self._journal.commit(change, manifest, entry)
        for path in change.extra_drops:
            # Nobody misses them: one that stays is cleared away by `maintain`.
            with suppress(OSError):
                (self._root / path).unlink()

    def move_folders(self, moves: Mapping[str, str], manifest: bytes, version: str | None) -> None:
        """Rename table folders and switch the manifest under the lock that the caller holds."""
        self._journal.move_folders(moves, manifest)

    def write_text(self, path: str, content: str) -> None:
        """Write a derived file by rename."""
        target = self._root / path
        beside = self._root / INTERNAL_DIR / f"{target.name}.{uuid4().hex}"
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(content, encoding="utf-8")
        os.replace(beside, target)

    def recover(self) -> bool:
        """Finish a killed change if no writer is alive; False where there is none or the root is read-only."""
        if self.version(JOURNAL_NAME) is None:
            return False
        refuse_links(self._root, *_OWN_FOLDERS)
        try:
            with self._lock.acquire(timeout=5):
                return self._journal.finish()
        except (Timeout, PermissionError):
            return False
        except OSError as error:
            if error.errno == errno.EROFS:
                return False
            raise as_warehouse_error(error, self._root, "write") from error

    def remove_leftovers(self) -> int:
        """Remove staging folders of dead writers, and nothing that no writer makes. Call with the lock held."""
        removed = 0
        staging = self._root / STAGING_DIR
        for folder in sorted(staging.iterdir()) if staging.is_dir() else ():
            if not _STAGED.fullmatch(folder.name) or folder.is_symlink():
                continue
            if folder.suffix == ".lock":
                if not folder.with_suffix("").exists():
                    removed += self._remove_if_dead(folder, None)
            elif folder.name.startswith("commit-"):
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
            else:
                removed += self._remove_if_dead(folder.with_suffix(".lock"), folder)
        for path in (self._root / INTERNAL_DIR).glob("*.*"):
            if path.name.startswith(("views.sql.", "README.md.")):
                remove_any(path)
                removed += 1
        return removed

    def remove_file(self, path: str) -> None:
        """Remove one file."""
        (self._root / path).unlink(missing_ok=True)

    def remove_unused(self, folder: str, used: set[str]) -> int:
        """Remove Parquet files of an internal folder that are not in use. Call with the lock held."""
        unused = [name for name in self.list_parts(folder) if name not in used]
        for name in unused:
            self.remove_file(f"{folder}/{name}")
        return len(unused)

    def remove_unused_entries(self, used: Collection[str], age_s: float) -> int:
        """Remove files of entries that nothing names, at once. Call with the lock held."""
        removed = 0
        above = self._root / PARTITIONS_DIR
        for folder in sorted(above.iterdir()) if above.is_dir() else ():
            if folder.is_symlink() or not folder.is_dir():
                continue
            for path in sorted(folder.iterdir()):
                name = f"{PARTITIONS_DIR}/{folder.name}/{path.name}"
                if name not in used and is_entries_name(path.name) and not path.is_dir():
                    path.unlink(missing_ok=True)
                    removed += 1
            with suppress(OSError):  # it is empty where a table is gone
                folder.rmdir()
        return removed

    def remove_old_parts(self, folder: str, names: Sequence[str], age_s: float) -> int:
        """Nothing: a local change is finished by its journal."""
        return 0

    def _remove_if_dead(self, lock_path: Path, folder: Path | None) -> int:
        lock = FileLock(lock_path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return 0
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        lock_path.unlink(missing_ok=True)
        lock.release()
        return 1

    def _scan(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self._root / folder) as entries:
                yield from (entry for entry in entries if not _leads_nowhere(entry))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise as_warehouse_error(error, self._root / folder, "read") from error


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link that leads to itself: as good as gone, and every look at it would fail."""
    if not entry.is_symlink():
        return False
    try:
        entry.stat()
    except FileNotFoundError:
        return False  # what a writer took away is noticed where it is needed
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _version_of(found: os.stat_result) -> str:
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"


def open_part(path: Path) -> pa.NativeFile:
    """Open one part; FileNotFoundError where a writer took it away."""
    return pa.OSFile(str(path), mode="r")


def _open_files_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_OPEN_FILES if soft == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, soft // 4)
