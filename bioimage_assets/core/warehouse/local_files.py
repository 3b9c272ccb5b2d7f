"""A warehouse root in a local folder: one lock, staged files, a journal, atomic renames, the manifest last.

Order of a change, so that a kill at any moment leaves complete old or complete new:

1. data are staged below ``_warehouse/staging`` (no lock), flushed to the disk;
2. under the lock the new manifest and a journal are written and flushed;
3. one file is renamed over the old one, or, where several files change, a copy of the table's folder made
   of hard links is exchanged with it in one step (``renameat2``; where that is missing: new files, then removals);
4. the manifest is renamed into place and the journal removed.

Whoever takes the lock next finishes a change whose journal is still there.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import orjson
import pyarrow.fs as pafs
from filelock import FileLock, Timeout

from bioimage_assets.core.errors import BioimageError, WarehouseError
from bioimage_assets.core.warehouse.exchange import exchange_paths
from bioimage_assets.core.warehouse.files import TableChange
from bioimage_assets.core.warehouse.layout import (
    INTERNAL_DIR,
    JOURNAL_NAME,
    LOCK_NAME,
    MANIFEST_NAME,
    STAGING_DIR,
)
from bioimage_assets.core.warehouse.manifest import WarehouseTableManifestEntry, parse_manifest

LOCK_TIMEOUT_S = 600.0
LOCK_POLL_S = 0.005


class LocalRootFiles:
    """Files of a root in a local folder."""

    is_local = True

    def __init__(self, root: str) -> None:
        self._root = Path(root.removeprefix("file://")).absolute()
        self.uri = str(self._root)
        # flock(2) is held by the process, so a killed writer never leaves the lock taken.
        self._lock = FileLock(self._root / LOCK_NAME, timeout=LOCK_TIMEOUT_S)

    def exists(self) -> bool:
        """Whether the folder exists."""
        return self._root.is_dir()

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Bytes of a file; the version token is not used locally, the lock is."""
        try:
            return (self._root / path).read_bytes(), ""
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise dress(error, self._root / path, "read") from error

    def version(self, path: str) -> str | None:
        """Inode, time and size: a file that appears by rename has others."""
        try:
            found = (self._root / path).stat()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"

    def list_parts(self, folder: str) -> dict[str, int]:
        """Parquet files directly in a folder with their sizes."""
        return {
            entry.name: entry.stat().st_size
            for entry in self._scan(folder)
            if entry.name.lower().endswith(".parquet") and entry.is_file()
        }

    def list_folders(self, folder: str) -> list[str]:
        """Folders directly in a folder, without internal and hidden ones."""
        return sorted(e.name for e in self._scan(folder) if e.is_dir() and not e.name.startswith(("_", ".")))

    def list_strangers(self, folder: str) -> list[str]:
        """Files directly in a folder that are no Parquet."""
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
        try:
            (self._root / INTERNAL_DIR).mkdir(parents=True, exist_ok=True)
            with self._lock.acquire(poll_interval=LOCK_POLL_S):
                self._finish_journal()
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
            raise dress(error, self._root, "write") from error

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
            raise dress(error, folder, "write") from error
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

    def commit(
        self,
        change: TableChange | None,
        manifest: bytes,
        version: str | None,
        entry: Mapping[str, object] | None,
    ) -> None:
        """Apply a change under the lock that the caller holds; see the module's first lines."""
        work = self._root / STAGING_DIR / f"commit-{uuid4().hex}"
        work.mkdir(parents=True)
        staged_manifest = work / MANIFEST_NAME
        _write_flushed(staged_manifest, manifest)
        if change is not None:
            for path, staged in change.extra_puts.items():
                self.replace_file(path, staged)
            journal = self._plan(change, work, entry)
            _write_flushed(work / "journal", orjson.dumps(journal, option=orjson.OPT_INDENT_2))
            os.replace(work / "journal", self._root / JOURNAL_NAME)
            self._apply(journal)
        os.replace(staged_manifest, self._root / MANIFEST_NAME)
        _flush_folder(self._root)
        (self._root / JOURNAL_NAME).unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)

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
        try:
            with self._lock.acquire(timeout=5):
                return self._finish_journal()
        except (Timeout, PermissionError):
            return False
        except OSError as error:
            if error.errno == errno.EROFS:
                return False
            raise dress(error, self._root, "write") from error

    def remove_leftovers(self) -> int:
        """Remove staging folders of dead writers. Call with the lock held."""
        removed = 0
        staging = self._root / STAGING_DIR
        for folder in sorted(staging.iterdir()) if staging.is_dir() else ():
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
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def move_folders(self, moves: Mapping[str, str], manifest: bytes, version: str | None) -> None:
        """Rename folders one by one; the journal lets the next open finish. Call with the lock held."""
        work = self._root / STAGING_DIR / f"commit-{uuid4().hex}"
        work.mkdir(parents=True)
        _write_flushed(work / MANIFEST_NAME, manifest)
        planned = [[old, new, (self._root / old).stat().st_ino] for old, new in moves.items()]
        _write_flushed(work / "journal", orjson.dumps({"moves": planned, "work": work.name}))
        os.replace(work / "journal", self._root / JOURNAL_NAME)
        self._finish_journal()

    def _move_all(self, moves: Sequence[tuple[str, str, int]], work: Path) -> None:
        """Do, or finish, a conversion. Folders pass through the work folder: ``x`` may become ``x/x``."""
        for number, (old, new, inode) in enumerate(moves):
            source, between, target = self._root / old, work / f"folder-{number}", self._root / new
            if _inode(target) == inode:
                continue
            if _inode(source) == inode:
                os.replace(source, between)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(between, target)
            if source.parent != self._root:
                with suppress(OSError):
                    source.parent.rmdir()
        if (work / MANIFEST_NAME).exists():
            os.replace(work / MANIFEST_NAME, self._root / MANIFEST_NAME)

    def remove_file(self, path: str) -> None:
        """Remove one file."""
        (self._root / path).unlink(missing_ok=True)

    def remove_unused(self, folder: str, used: set[str]) -> int:
        """Remove Parquet files of an internal folder that are not in use. Call with the lock held."""
        unused = [name for name in self.list_parts(folder) if name not in used]
        for name in unused:
            self.remove_file(f"{folder}/{name}")
        return len(unused)

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
                yield from entries
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise dress(error, self._root / folder, "read") from error

    def _plan(self, change: TableChange, work: Path, entry: Mapping[str, object] | None) -> dict[str, object]:
        """Prepare everything that needs disk space, so that what follows are renames only."""
        folder = self._root / change.folder
        folder.mkdir(parents=True, exist_ok=True)
        drops = sorted(name for name in change.drops if name not in change.puts and (folder / name).exists())
        journal: dict[str, object] = {
            "folder": change.folder,
            "entry": dict(entry) if entry is not None else None,
            "puts": {},
            "drops": drops,
            "work": work.name,
        }
        puts: dict[str, str] = {}
        for number, (name, staged) in enumerate(change.puts.items()):
            # The commit's own folder outlives a killed writer until the change is finished.
            puts[name] = f"put-{number:05d}"
            os.replace(staged, work / puts[name])
        journal["puts"] = puts
        if len(change.puts) + len(drops) > 1 and _link_next(folder, work, puts, drops):
            journal["exchange"] = (work / "next").stat().st_ino
        return journal

    def _apply(self, journal: Mapping[str, object]) -> None:
        """Do, or finish, the renames of a journal. Idempotent."""
        folder = self._root / str(journal["folder"])
        work = self._root / STAGING_DIR / str(journal["work"])
        puts, drops, inode = journal["puts"], journal["drops"], journal.get("exchange")
        assert isinstance(puts, dict)
        assert isinstance(drops, list)
        if inode is not None and _exchange_once(work / "next", folder, int(str(inode))):
            _flush_folder(folder.parent)
            return
        for name, staged in puts.items():
            with suppress(FileNotFoundError):
                os.replace(work / str(staged), folder / name)
        for name in drops:
            (folder / name).unlink(missing_ok=True)
        _flush_folder(folder)

    def _finish_journal(self) -> bool:
        """Roll a killed change forward. Call with the lock held."""
        path = self._root / JOURNAL_NAME
        try:
            journal = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            return False
        except orjson.JSONDecodeError:
            # Journals appear by rename, so this one was damaged from outside; the files tell the truth.
            path.unlink()
            return True
        work = self._root / STAGING_DIR / str(journal["work"])
        if "moves" in journal:
            self._move_all(journal["moves"], work)
        else:
            self._apply(journal)
            self._put_entry(journal.get("entry"), work)
        path.unlink()
        shutil.rmtree(work, ignore_errors=True)
        return True

    def _put_entry(self, entry: object, work: Path) -> None:
        """Bring the entry of a finished change into whatever the manifest is now."""
        found = self.read(MANIFEST_NAME)
        manifest = parse_manifest(found[0] if found else b"{}", self.uri)
        if isinstance(entry, dict):
            manifest = manifest.with_entry(WarehouseTableManifestEntry.from_dict(entry))
        work.mkdir(parents=True, exist_ok=True)
        _write_flushed(work / "finished", manifest.to_bytes())
        os.replace(work / "finished", self._root / MANIFEST_NAME)


def _link_next(folder: Path, work: Path, puts: Mapping[str, str], drops: Sequence[str]) -> bool:
    """Build the table's next folder of hard links; False where links or exchanges are not possible."""
    following = work / "next"
    gone = {*puts, *drops}
    try:
        following.mkdir()
        for present in folder.iterdir():
            if present.name not in gone:
                os.link(present, following / present.name)
        for name, staged in puts.items():
            os.link(work / staged, following / name)
        _flush_folder(following)
        probe = following.with_name("probe")
        probe.mkdir()
        other = following.with_name("probe2")
        other.mkdir()
        return exchange_paths(probe, other)
    except OSError:
        # No hard links here, or a sub-folder in the table: the stated order of renames does it.
        shutil.rmtree(following, ignore_errors=True)
        return False


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except (FileNotFoundError, NotADirectoryError):
        return None


def _exchange_once(following: Path, folder: Path, inode: int) -> bool:
    """Exchange the prepared folder with the table's, unless that happened already."""
    if folder.stat().st_ino == inode:
        return True
    if not following.exists() or following.stat().st_ino != inode:
        return False
    return exchange_paths(following, folder)


def dress(error: OSError, path: Path, action: str) -> WarehouseError:
    """Say in the project's words why a root cannot be read or written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason = (
            "no space is left (or a size limit was reached). The root is unchanged; free space and run again"
        )
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        reason = "permission is denied or the file system is read-only. The root is unchanged"
    else:
        reason = error.strerror or str(error)
    return WarehouseError(f"Cannot {action} the warehouse at {path}: {reason}.")


def _write_flushed(path: Path, payload: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(payload)
        stream.flush()
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
