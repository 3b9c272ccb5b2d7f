"""Changes of a local root that are finished even when their writer is killed.

Everything that needs disk space is written and flushed first: the staged files, the new manifest, the
journal. What follows are renames only, so a full disk cannot stop a change half-way:

1. the journal appears by rename; from now on the change will happen;
2. a new table's folder (with those above it that are missing, too) is renamed into place with its files; one
   file of a table is renamed over the old one, or, where several files change, a copy of the table's folder
   made of hard links is exchanged with it in one step (``renameat2``; where that is missing: new files, then
   removals);
3. the manifest is renamed into place, and the journal removed.

Every method wants the root's lock held.
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

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.exchange import exchange_paths
from bioimage_assets.core.warehouse.failures import describe_failure
from bioimage_assets.core.warehouse.files import TableChange
from bioimage_assets.core.warehouse.layout import JOURNAL_NAME, MANIFEST_NAME, STAGING_DIR
from bioimage_assets.core.warehouse.manifest import WarehouseTableManifestEntry, parse_manifest

NEXT_FOLDER = "next"
"""In a change's work folder: the table's folder as it will be."""

# A file system without hard links, a table with a sub-folder, or files of other owners.
_NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV})


class ChangeJournal:
    """The one change of a root that may be under way."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def commit(self, change: TableChange | None, manifest: bytes, entry: Mapping[str, object] | None) -> None:
        """Apply a change and then the manifest; see the module's first lines."""
        with self._prepared(manifest) as work:
            if change is None:
                os.replace(work / MANIFEST_NAME, self._root / MANIFEST_NAME)
                _flush_folder(self._root)
                return
            for path, staged in change.extra_puts.items():
                _replace(staged, self._root / path)
            journal = self._plan(change, work, entry)
            self._record(journal, work)
            with self._recorded():
                self._apply(journal)
                os.replace(work / MANIFEST_NAME, self._root / MANIFEST_NAME)
                _flush_folder(self._root)
                (self._root / JOURNAL_NAME).unlink()

    def move_folders(self, moves: Mapping[str, str], manifest: bytes) -> None:
        """Rename table folders one by one and switch the manifest."""
        with self._prepared(manifest) as work:
            planned = [[old, new, (self._root / old).stat().st_ino] for old, new in moves.items()]
            self._record({"moves": planned, "work": work.name}, work)
            with self._recorded():
                self.finish()

    @contextmanager
    def _prepared(self, manifest: bytes) -> Iterator[Path]:
        """Work folder of one change with the manifest as it will be; it goes unless the change is on record."""
        work = self._root / STAGING_DIR / f"commit-{uuid4().hex}"
        work.mkdir(parents=True)
        try:
            _write_flushed(work / MANIFEST_NAME, manifest)
            yield work
        finally:
            if not (self._root / JOURNAL_NAME).exists():
                shutil.rmtree(work, ignore_errors=True)

    def _record(self, journal: Mapping[str, object], work: Path) -> None:
        """From here on the change will happen."""
        _write_flushed(work / "journal", orjson.dumps(journal, option=orjson.OPT_INDENT_2))
        os.replace(work / "journal", self._root / JOURNAL_NAME)

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Say of a failure that the change is on record and will be finished."""
        try:
            yield
        except OSError as error:
            raise WarehouseError(
                f"The warehouse at {self._root} could not be changed completely: {describe_failure(error)}. The "
                "change is on record: whoever opens the root next finishes it, for example `bioimage-assets "
                "maintain`, or the same write run again."
            ) from error

    def finish(self) -> bool:
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

    def _plan(self, change: TableChange, work: Path, entry: Mapping[str, object] | None) -> dict[str, object]:
        """Prepare everything that needs disk space, so that what follows are renames only."""
        folder = self._root / change.folder
        appears = _first_missing(folder, self._root)
        drops = sorted(name for name in change.drops if name not in change.puts and (folder / name).exists())
        journal: dict[str, object] = {
            "folder": change.folder,
            "entry": dict(entry) if entry is not None else None,
            "puts": {},
            "drops": drops,
            "work": work.name,
        }
        puts: dict[str, str] = {}
        following = work / NEXT_FOLDER
        if appears is not None:
            following /= folder.relative_to(appears)
            following.mkdir(parents=True)
        for number, (name, staged) in enumerate(change.puts.items()):
            # The commit's own folder outlives a killed writer until the change is finished.
            target = following / name if appears is not None else work / f"put-{number:05d}"
            os.replace(staged, target)
            puts[name] = str(target.relative_to(work))
        journal["puts"] = puts
        if appears is not None:
            journal["appears"] = str(appears.relative_to(self._root))
            _flush_folder(following)
        elif len(change.puts) + len(drops) > 1 and _link_next(folder, work, puts, drops):
            journal["exchange"] = (work / NEXT_FOLDER).stat().st_ino
        return journal

    def _apply(self, journal: Mapping[str, object]) -> None:
        """Do, or finish, the renames of a journal. Idempotent."""
        folder = self._root / str(journal["folder"])
        work = self._root / STAGING_DIR / str(journal["work"])
        puts, drops, inode = journal["puts"], journal["drops"], journal.get("exchange")
        assert isinstance(puts, dict)
        assert isinstance(drops, list)
        if inode is not None and _exchange_once(work / NEXT_FOLDER, folder, int(str(inode))):
            _flush_folder(folder.parent)
            return
        if "appears" in journal and _move_new(work / NEXT_FOLDER, self._root / str(journal["appears"])):
            _flush_folder((self._root / str(journal["appears"])).parent)
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name, staged in puts.items():
            if (work / str(staged)).exists():
                os.replace(work / str(staged), folder / name)
        for name in drops:
            (folder / name).unlink(missing_ok=True)
        _flush_folder(folder)

    def _move_all(self, moves: Sequence[tuple[str, str, int]], work: Path) -> None:
        """Do, or finish, a conversion. Folders pass through the work folder: ``x`` may become ``x/x``."""
        for number, (old, new, inode) in enumerate(moves):
            source, between, target = self._root / old, work / f"folder-{number}", self._root / new
            if _inode(target) != inode:
                if _inode(source) == inode:
                    os.replace(source, between)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(between, target)
            _remove_empty(source.parent, self._root)
        if (work / MANIFEST_NAME).exists():
            os.replace(work / MANIFEST_NAME, self._root / MANIFEST_NAME)

    def _put_entry(self, entry: object, work: Path) -> None:
        """Bring the entry of a finished change into whatever the manifest is now."""
        path = self._root / MANIFEST_NAME
        if not path.exists():
            # The root's first change: the manifest that was prepared for it also says version and layout.
            with suppress(FileNotFoundError):
                os.replace(work / MANIFEST_NAME, path)
            return
        manifest = parse_manifest(path.read_bytes(), str(self._root))
        if isinstance(entry, dict):
            manifest = manifest.with_entry(WarehouseTableManifestEntry.from_dict(entry))
        work.mkdir(parents=True, exist_ok=True)
        _write_flushed(work / "finished", manifest.to_bytes())
        os.replace(work / "finished", self._root / MANIFEST_NAME)


def _link_next(folder: Path, work: Path, puts: Mapping[str, str], drops: Sequence[str]) -> bool:
    """Build the table's next folder of hard links; False where links or exchanges are not possible."""
    following = work / NEXT_FOLDER
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
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # No hard links here, or a sub-folder in the table: the stated order of renames does it.
        shutil.rmtree(following, ignore_errors=True)
        return False


def _first_missing(folder: Path, root: Path) -> Path | None:
    """The folder that comes into being with a new table: its own or one above it; None for a table that has files."""
    if folder.exists():
        return None if any(folder.iterdir()) else folder
    return next(
        path
        for path in reversed((folder, *folder.parents))
        if path.is_relative_to(root) and not path.exists()
    )


def _move_new(following: Path, appears: Path) -> bool:
    """Rename a new table's folder into place, unless that happened already; False where files are in its way."""
    if not following.exists():
        return appears.exists()
    try:
        following.rename(appears)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove a namespace's folder that lost its last table, and those above it."""
    while folder != root:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent


def _exchange_once(following: Path, folder: Path, inode: int) -> bool:
    """Exchange the prepared folder with the table's, unless that happened already."""
    if folder.stat().st_ino == inode:
        return True
    if not following.exists() or following.stat().st_ino != inode:
        return False
    return exchange_paths(following, folder)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except (FileNotFoundError, NotADirectoryError):
        return None


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


def _replace(staged: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staged, target)
