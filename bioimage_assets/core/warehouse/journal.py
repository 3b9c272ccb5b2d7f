"""Changes of a local root that are finished even when their writer is killed.

Everything that needs disk space is written and flushed first: the staged files, the new manifest, the
journal. What follows are renames only, so a full disk cannot stop a change half-way:

1. the journal appears by rename; from now on the change will happen;
2. a new table's folder is renamed into place with its files; one file of a table is renamed over the old one,
   or, where several files change, a copy of the table's folder made of hard links is exchanged with it in one
   step (``renameat2``; where that is missing: new files, then removals);
3. the manifest is renamed into place, and the journal removed.

Every method wants the root's lock held.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import orjson

from bioimage_assets.core.warehouse.exchange import exchange_paths
from bioimage_assets.core.warehouse.files import TableChange
from bioimage_assets.core.warehouse.layout import JOURNAL_NAME, MANIFEST_NAME, STAGING_DIR
from bioimage_assets.core.warehouse.manifest import WarehouseTableManifestEntry, parse_manifest

NEXT_FOLDER = "next"
"""In a change's work folder: the table's folder as it will be."""


class ChangeJournal:
    """The one change of a root that may be under way."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def commit(self, change: TableChange | None, manifest: bytes, entry: Mapping[str, object] | None) -> None:
        """Apply a change and then the manifest; see the module's first lines."""
        work = self._root / STAGING_DIR / f"commit-{uuid4().hex}"
        work.mkdir(parents=True)
        staged_manifest = work / MANIFEST_NAME
        _write_flushed(staged_manifest, manifest)
        if change is not None:
            for path, staged in change.extra_puts.items():
                _replace(staged, self._root / path)
            journal = self._plan(change, work, entry)
            _write_flushed(work / "journal", orjson.dumps(journal, option=orjson.OPT_INDENT_2))
            os.replace(work / "journal", self._root / JOURNAL_NAME)
            self._apply(journal)
        os.replace(staged_manifest, self._root / MANIFEST_NAME)
        _flush_folder(self._root)
        (self._root / JOURNAL_NAME).unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)

    def move_folders(self, moves: Mapping[str, str], manifest: bytes) -> None:
        """Rename table folders one by one and switch the manifest."""
        work = self._root / STAGING_DIR / f"commit-{uuid4().hex}"
        work.mkdir(parents=True)
        _write_flushed(work / MANIFEST_NAME, manifest)
        planned = [[old, new, (self._root / old).stat().st_ino] for old, new in moves.items()]
        _write_flushed(work / "journal", orjson.dumps({"moves": planned, "work": work.name}))
        os.replace(work / "journal", self._root / JOURNAL_NAME)
        self.finish()

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
        is_new = not folder.exists() or not any(folder.iterdir())
        drops = sorted(name for name in change.drops if name not in change.puts and (folder / name).exists())
        journal: dict[str, object] = {
            "folder": change.folder,
            "entry": dict(entry) if entry is not None else None,
            "puts": {},
            "drops": drops,
            "work": work.name,
        }
        puts: dict[str, str] = {}
        if is_new:
            folder.parent.mkdir(parents=True, exist_ok=True)
            (work / NEXT_FOLDER).mkdir()
        for number, (name, staged) in enumerate(change.puts.items()):
            # The commit's own folder outlives a killed writer until the change is finished.
            puts[name] = f"{NEXT_FOLDER}/{name}" if is_new else f"put-{number:05d}"
            os.replace(staged, work / puts[name])
        journal["puts"] = puts
        if is_new:
            _flush_folder(work / NEXT_FOLDER)
        elif len(change.puts) + len(drops) > 1 and _link_next(folder, work, puts, drops):
            journal["exchange"] = (work / NEXT_FOLDER).stat().st_ino
        journal["is_new"] = is_new
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
        if journal.get("is_new") and _move_new(work / NEXT_FOLDER, folder):
            _flush_folder(folder.parent)
            return
        for name, staged in puts.items():
            with suppress(FileNotFoundError):
                os.replace(work / str(staged), folder / name)
        for name in drops:
            (folder / name).unlink(missing_ok=True)
        _flush_folder(folder)

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
    except OSError:
        # No hard links here, or a sub-folder in the table: the stated order of renames does it.
        shutil.rmtree(following, ignore_errors=True)
        return False


def _move_new(following: Path, folder: Path) -> bool:
    """Rename a new table's folder into place, unless that happened already; False where files are in its way."""
    try:
        following.rename(folder)
    except FileNotFoundError:
        return folder.exists()
    except OSError:
        return False
    return True


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
