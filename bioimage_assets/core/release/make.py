"""A project's tables in; a release out: gathered aside, described, tagged in the catalog, and put in place by one rename.

A kill before the release is whole leaves what nobody reads; a kill after it leaves a release that the next call of the same name
finishes. Tags come last but one: a tag without a release can only be of a release that will be finished.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from bioimage_assets.core.catalog.history import check_tag, tag_snapshots
from bioimage_assets.core.catalog.session import Identifier
from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets.core.release.crate import DEFAULT_LICENSE, need_rocrate, write_crate
from bioimage_assets.core.release.gather_catalog import gather_catalog
from bioimage_assets.core.release.gather_settings import gather_settings
from bioimage_assets.core.release.gather_warehouse import gather_warehouse
from bioimage_assets.core.release.layout import (
    CHECKSUMS_NAME,
    LOCK_NAME,
    NOW,
    RECORD_NAME,
    SETTINGS_DIR,
    check_release_name,
    complete_dir,
    is_release,
    staged_dir,
)
from bioimage_assets.core.release.place_files import (
    PlacedFile,
    flush,
    flush_folders,
    hash_files,
    write_file,
)
from bioimage_assets.core.release.record import ReleasedTable, ReleaseRecord, read_record
from bioimage_assets.core.release.software import read_software
from bioimage_assets.core.settings.project import NO_CATALOG
from bioimage_assets.core.storage.tables import ProjectTables

LOCK_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class ReleaseWords:
    """What a release says of itself beside its content.

    ``license`` is a URI; ``author`` and ``publisher`` are names, with an address in angle brackets behind them where there is one.
    """

    description: str = ""
    license: str = ""
    author: str = ""
    publisher: str = ""


@dataclass(frozen=True, slots=True)
class MadeRelease:
    """A release, where it is, and whether this call made it (``made``), ended what a killed one had left (``finished``), or found it."""

    folder: Path
    record: ReleaseRecord
    outcome: Literal["made", "finished", "unchanged"]


def make_release(
    tables: ProjectTables, releases_dir: Path, name: str, words: ReleaseWords | None = None
) -> MadeRelease:
    """Release the tables of a project as they are now.

    The catalog's tables get the tag ``name`` on the snapshots that were released. Atomic: the release is there whole or not at
    all. A second call with the same content changes nothing.

    Raises
    ------
    UsageError
        The name is taken by a release of other content, or by a tag of a table.
    MissingTableError
        The project has no table yet.
    MissingExtraError
        The package rocrate is not installed.
    """
    need_rocrate()
    check_release_name(name)
    target = releases_dir / name
    with _locked(releases_dir):
        finished = _finish(tables, releases_dir, name)
        staged = staged_dir(releases_dir, name)
        shutil.rmtree(staged, ignore_errors=True)
        try:
            record = _gather(tables, staged, name, words or ReleaseWords())
            if target.exists():
                return _compare(tables, target, record, is_finished=finished)
            _check_tags(tables, record)
            staged.rename(complete_dir(releases_dir, name))
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        flush(releases_dir)
        _finish(tables, releases_dir, name)
    return MadeRelease(target, record, "made")


@contextmanager
def _locked(releases_dir: Path) -> Iterator[None]:
    releases_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(releases_dir / LOCK_NAME)
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_S)
    except Timeout as error:
        raise UsageError(
            f"Another release is being made in {releases_dir}. Try again when it is done."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _finish(tables: ProjectTables, releases_dir: Path, name: str) -> bool:
    """Tag and put in place a release that is whole; False where there is none."""
    complete, target = complete_dir(releases_dir, name), releases_dir / name
    if not complete.exists():
        return False
    _tag(tables, read_record(complete))
    complete.rename(target)
    flush(releases_dir)
    return True


def _compare(tables: ProjectTables, target: Path, record: ReleaseRecord, *, is_finished: bool) -> MadeRelease:
    """The release of that name, if it has the content that would be released."""
    if not is_release(target):
        raise UsageError(f"{target} is there and is no release. Choose another name, or move it away.")
    there = read_record(target)
    if there.content_sha256 != record.content_sha256:
        raise UsageError(
            f"Release {there.name!r} of {there.created_at} has other content, and a release never changes: "
            f"`bioimage-assets diff {there.name} {NOW}` says what differs. Choose another name."
        )
    _tag(tables, there)
    return MadeRelease(target, there, "finished" if is_finished else "unchanged")


def _gather(tables: ProjectTables, staged: Path, name: str, words: ReleaseWords) -> ReleaseRecord:
    staged.mkdir(parents=True)
    found = (*_gather_catalog(tables, staged), *gather_warehouse(tables.warehouse.files_at, staged))
    if not found:
        raise MissingTableError(
            f"There is nothing to release: neither the catalog nor {tables.warehouse.root} has a table. Run `materialize` first."
        )
    partitions = _list_partitions(tables, found)
    absences = gather_settings(tables.settings, partitions, staged)
    files = hash_files(staged)
    record = ReleaseRecord(
        name=name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        content_sha256=_sum_content(found, files),
        software=read_software(found),
        tables=found,
        description=words.description,
        license=words.license or DEFAULT_LICENSE,
        author=words.author,
        publisher=words.publisher,
        file_count=len(files),
        total_bytes=sum(file.size_bytes for file in files),
        absences=absences,
    )
    lines = "".join(f"{file.sha256}  {file.path}\n" for file in files)
    write_file(staged / CHECKSUMS_NAME, lines.encode())
    write_file(staged / RECORD_NAME, record.to_bytes())
    write_crate(staged, record, files)
    flush_folders(staged)
    return record


def _gather_catalog(tables: ProjectTables, staged: Path) -> tuple[ReleasedTable, ...]:
    if not _has_catalog(tables):
        return ()
    return gather_catalog(tables.open_catalog(), tables.settings.catalog_namespace, staged)


def _has_catalog(tables: ProjectTables) -> bool:
    return tables.settings.catalog_name != NO_CATALOG and tables.is_catalog_there()


def _list_partitions(tables: ProjectTables, found: Sequence[ReleasedTable]) -> set[str]:
    keys = {key for table in found for key in table.partitions}
    for table in found:
        if table.home == "warehouse" and table.name in tables.warehouse.tables():
            keys.update(tables.warehouse.partitions(table.name))
    return keys


def _sum_content(tables: Sequence[ReleasedTable], files: Sequence[PlacedFile]) -> str:
    """Digest of rows and settings: the manifest, which counts its changes, is not among them."""
    folders = (*(f"{table.folder}/" for table in tables), f"{SETTINGS_DIR}/")
    lines = [f"{file.sha256}  {file.path}" for file in files if file.path.startswith(folders)]
    names = [f"{table.home} {table.name} {table.row_count}" for table in tables]
    return sha256("\n".join(sorted(lines) + sorted(names)).encode()).hexdigest()


def _snapshots(record: ReleaseRecord) -> dict[Identifier, int]:
    return {table.identifier: table.snapshot_id for table in record.tables if table.snapshot_id is not None}


def _check_tags(tables: ProjectTables, record: ReleaseRecord) -> None:
    found = _snapshots(record)
    if found:
        check_tag(tables.open_catalog(), record.name, found)


def _tag(tables: ProjectTables, record: ReleaseRecord) -> None:
    found = _snapshots(record)
    if found:
        tag_snapshots(tables.open_catalog(), record.name, found)
