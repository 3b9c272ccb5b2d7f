"""Changes of a local root that are finished even when their writer is killed.

Everything that needs disk space is written and flushed first: the staged files, the new manifest, the
journal. What follows are renames only, so a full disk cannot stop a change half-way:

1. the journal appears by rename; from now on the change will happen;
2. a new table's folder (with those above it that are missing, too) is renamed into place with its files; one
   file of a table is renamed over the old one, or, where several files change, a copy of the table's folder
   made of hard links is exchanged with it in one step (``renameat2``; where that is missing, or very many files
   stay: new files, then removals);
3. the manifest is renamed into place, and the journal removed.

Every method wants the root's lock held.

A journal is carried out by whoever opens the root next, so one that somebody else wrote must do no harm: only
changes that this project makes are read at all (see ``change_record``), and none goes through a link.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from uuid import uuid4

from bioimage_assets.core.errors import ManifestError, WarehouseError
from bioimage_assets.core.warehouse.changes.change_record import (
    MAX_RECORD_BYTES,
    NEXT_FOLDER,
    MovesRecord,
    TableRecord,
    find_odd_names,
    parse_record,
)
from bioimage_assets.core.warehouse.files.files_without_links import (
    is_kind_or_missing,
    read_real_file,
    read_regular_file,
    refuse_links,
    remove_any,
)
from bioimage_assets.core.warehouse.files.os_failures import describe_failure
from bioimage_assets.core.warehouse.files.root_files import TableChange
from bioimage_assets.core.warehouse.files.swap_folders import exchange_paths
from bioimage_assets.core.warehouse.manifest.layout import JOURNAL_NAME, MANIFEST_NAME, STAGING_DIR
from bioimage_assets.core.warehouse.manifest.records import WarehouseTableManifestEntry, parse_manifest

MAX_LINKS = 500
LINKS_PER_CHANGE = 20
"""A change of several files exchanges the table's folder for a copy made of links unless more files than this stay."""
# A file system without hard links, a table with a sub-folder, or files of other owners.
_NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV})


class ChangeJournal:
    """The one change of a root that may be under way."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def commit(self, change: TableChange | None, manifest: bytes, entry: Mapping[str, object] | None) -> None:
        """Apply a change and then the manifest; see the module's first lines."""
        if change is not None:
            refuse_links(self._root, change.folder, *{path.rpartition("/")[0] for path in change.extra_puts})
        with self._prepared(manifest) as work:
            if change is None:
                os.replace(work / MANIFEST_NAME, self._root / MANIFEST_NAME)
                _flush_folder(self._root)
                return
            # Before the record: these files are named by their content, so an extra one harms nobody.
            for path, staged in change.extra_puts.items():
                _replace(staged, self._root / path)
            for folder in {(self._root / path).parent for path in change.extra_puts}:
                _flush_folder(folder)
            record = self._plan(change, work, entry)
            self._record(record, work)
            with self._recorded():
                self._apply(record)
                os.replace(work / MANIFEST_NAME, self._root / MANIFEST_NAME)
                _flush_folder(self._root)
                (self._root / JOURNAL_NAME).unlink()

    def move_folders(self, moves: Mapping[str, str], manifest: bytes) -> None:
        """Rename table folders one by one and switch the manifest."""
        refuse_links(self._root, *moves.keys(), *moves.values())
        with self._prepared(manifest) as work:
            planned = tuple((old, new, (self._root / old).stat().st_ino) for old, new in moves.items())
            self._record(MovesRecord(planned, work.name), work)
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

    def _record(self, record: TableRecord | MovesRecord, work: Path) -> None:
        """From here on the change will happen."""
        payload, odd = record.to_bytes(), find_odd_names(record)
        if odd or len(payload) > MAX_RECORD_BYTES:
            what = f"the name {odd[0]!r}" if odd else f"a record of {len(payload)} bytes"
            raise WarehouseError(
                f"A change of the warehouse at {self._root} has {what}, which whoever opens the root would not take for "
                "a change. Nothing was changed. Rename the folder or file, or cut the table in two."
            )
        _write_flushed(work / "journal", payload)
        # The one step that decides: before it nothing has happened, after it everything will.
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
        """Roll a killed change forward. Call with the lock held.

        Raises
        ------
        WarehouseError
            A link stands in the way of the change; nothing was touched.
        """
        path = self._root / JOURNAL_NAME
        payload = read_real_file(path, MAX_RECORD_BYTES)
        if payload is None and not os.path.lexists(path):
            return False
        record = parse_record(payload) if payload is not None else None
        if record is not None:
            self._refuse_links(record)
        if record is None or not self._can_happen(record):
            # Journals appear by rename, so this one was damaged, or made, by somebody else; the files tell the truth.
            remove_any(path)
            return True
        work = self._root / STAGING_DIR / record.work
        if isinstance(record, MovesRecord):
            self._move_all(record, work)
        else:
            self._apply(record)
            self._put_entry(record, work)
        path.unlink()
        shutil.rmtree(work, ignore_errors=True)
        return True

    def _refuse_links(self, record: TableRecord | MovesRecord) -> None:
        work = f"{STAGING_DIR}/{record.work}"
        if isinstance(record, MovesRecord):
            names = [name for old, new, _ in record.moves for name in (old, new)]
            names += [f"{work}/folder-{number}" for number in range(len(record.moves))]
        else:
            names = [
                record.folder,
                f"{work}/{NEXT_FOLDER}",
                *(f"{work}/{put}" for put in record.puts.values()),
            ]
        refuse_links(self._root, *names, f"{work}/{MANIFEST_NAME}", f"{work}/finished")

    def _can_happen(self, record: TableRecord | MovesRecord) -> bool:
        """Whether folders are where a change needs folders, and none where it needs files: else it would fail at every open."""
        work = self._root / STAGING_DIR / record.work
        if isinstance(record, MovesRecord):
            if not work.is_dir():  # folders pass through it
                return False
            folders = [self._root / name for old, new, _ in record.moves for name in (old, new)]
            files = [work / MANIFEST_NAME]
        else:
            folder = self._root / record.folder
            staged = [work / name for name in record.puts.values()]
            files = [
                work / MANIFEST_NAME,
                *staged,
                *(folder / name for name in (*record.puts, *record.drops)),
            ]
            folders = [folder, work / NEXT_FOLDER]
        return all(is_kind_or_missing(path, stat.S_ISDIR) for path in (work, *folders)) and all(
            is_kind_or_missing(path, _is_file_or_link) for path in files
        )

    def _plan(self, change: TableChange, work: Path, entry: Mapping[str, object] | None) -> TableRecord:
        """Prepare everything that needs disk space, so that what follows are renames only."""
        folder = self._root / change.folder
        appears = _first_missing(folder, self._root)
        drops = sorted(name for name in change.drops if name not in change.puts and (folder / name).exists())
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
        record = TableRecord(change.folder, work.name, puts, tuple(drops), entry)
        if appears is not None:
            _flush_folder(following)
            return replace(record, appears=str(appears.relative_to(self._root)))
        changes = len(change.puts) + len(drops)
        if changes > 1 and _are_few(folder, changes) and _link_next(folder, work, puts, drops):
            return replace(record, exchange=(work / NEXT_FOLDER).stat().st_ino)
        return record

    def _apply(self, record: TableRecord) -> None:
        """Do, or finish, the renames of a change. Idempotent."""
        folder = self._root / record.folder
        work = self._root / STAGING_DIR / record.work
        if record.exchange is not None and _exchange_once(work / NEXT_FOLDER, folder, record.exchange):
            _flush_folder(folder.parent)
            return
        if record.appears is not None and _move_new(work / NEXT_FOLDER, self._root / record.appears):
            _flush_folder((self._root / record.appears).parent)
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name, staged in record.puts.items():
            if (work / staged).exists():
                os.replace(work / staged, folder / name)
        for name in record.drops:
            (folder / name).unlink(missing_ok=True)
        _flush_folder(folder)

    def _move_all(self, record: MovesRecord, work: Path) -> None:
        """Do, or finish, a conversion. Folders pass through the work folder: ``x`` may become ``x/x``."""
        for number, (old, new, inode) in enumerate(record.moves):
            source, between, target = self._root / old, work / f"folder-{number}", self._root / new
            if _inode(target) != inode:
                # In a copy of a root every folder has another inode.
                is_copied = _inode(target) is None and _inode(between) is None
                if _inode(source) == inode or (is_copied and source.is_dir()):
                    os.replace(source, between)
                if between.is_dir():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(between, target)
            _remove_empty(source.parent, self._root)
        if (work / MANIFEST_NAME).exists():
            os.replace(work / MANIFEST_NAME, self._root / MANIFEST_NAME)

    def _put_entry(self, record: TableRecord, work: Path) -> None:
        """Bring the entry of a finished change into whatever the manifest is now."""
        path = self._root / MANIFEST_NAME
        if not path.exists():
            # The root's first change: the manifest that was prepared for it also says version and layout.
            with suppress(FileNotFoundError):
                os.replace(work / MANIFEST_NAME, path)
            return
        try:
            manifest = parse_manifest(read_regular_file(path), str(self._root))
        except ManifestError:
            # `maintain` writes a new one from the files; they are as the change wanted them.
            return
        if record.entry is not None:
            manifest = manifest.with_entry(WarehouseTableManifestEntry.from_dict(record.entry))
        work.mkdir(parents=True, exist_ok=True)
        _write_flushed(work / "finished", manifest.to_bytes())
        os.replace(work / "finished", self._root / MANIFEST_NAME)


def _is_file_or_link(mode: int) -> bool:
    """What a rename replaces and a removal removes; a link goes itself."""
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _are_few(folder: Path, changes: int) -> bool:
    """Whether a copy of a folder made of links costs about as much as its change, not as much as its table is large."""
    most = changes + max(MAX_LINKS, LINKS_PER_CHANGE * changes)
    with os.scandir(folder) as names:
        return sum(1 for _ in islice(names, most + 1)) <= most


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
        # Whether this file system can exchange is known only by trying, before the journal promises it.
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
        with os.scandir(folder) as names:  # to the first of them: a table may have ten thousand
            return None if next(names, None) is not None else folder
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
        # rename(2) replaces an empty folder and refuses one with files; POSIX allows either errno.
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
        # The folder has other tables.
        except OSError:
            return
        folder = folder.parent


def _exchange_once(following: Path, folder: Path, inode: int) -> bool:
    """Exchange the prepared folder with the table's, unless that happened already."""
    present = _inode(folder)
    if present == inode:
        return True
    if present is None or _inode(following) != inode:
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
        # A rename is on the disk once its folder is.
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(staged: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staged, target)
