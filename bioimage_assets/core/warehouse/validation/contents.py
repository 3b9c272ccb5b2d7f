"""Compares every byte of a table's files with what was written: digests of the manifest, checksums of the pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest
from bioimage_assets.core.warehouse.reading.consistent_read import read_one_state
from bioimage_assets.core.warehouse.reading.table_state import (
    TableFolder,
    describe_size,
    find_folder,
    load_state,
)
from bioimage_assets.core.warehouse.validation.digests import digest_stored, find_bad_pages

_REMEDY = "Restore it from a copy, or build its partition again"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file that the manifest names: what was written, and the bytes that are there (None: no such file)."""

    table_name: str
    key: str
    path: str
    size_bytes: int
    digest: str
    found_bytes: int | None


def list_named_files(files: RootFiles, manifest: WarehouseManifest, table_name: str) -> Iterator[ListedFile]:
    """Files of one table by partition, from its manifest entry and one listing; a table without partitions has none."""
    entry = manifest.entry(table_name)
    if entry is None or not entry.partitions:
        return
    yield from list_files(table_name, entry.partitions, find_folder(files, table_name))


def list_files(
    table_name: str, partitions: Mapping[str, PartitionEntry], folder: TableFolder
) -> Iterator[ListedFile]:
    """Files of some partitions of a table, whose folder was looked at."""
    for key, part in partitions.items():
        for name, size, digest in zip(part.files, part.file_bytes, part.file_digests, strict=True):
            yield ListedFile(table_name, key, f"{folder.path}/{name}", size, digest, folder.sizes.get(name))


def list_all_files(files: RootFiles) -> list[ListedFile]:
    """The same of all tables, in one state of the root."""

    def look() -> list[ListedFile]:
        manifest, _ = read_manifest(files)
        return [file for e in manifest.tables for file in list_named_files(files, manifest, e.table_name)]

    return read_one_state(files, look)


def check_contents(files: RootFiles, table_name: str, errors: list[str], warnings: list[str]) -> None:
    """Read all files of a table; what another process replaced meanwhile is looked at again."""
    undigested: list[str] = []
    for file in read_one_state(
        files, lambda: list(list_named_files(files, read_manifest(files)[0], table_name))
    ):
        if file.found_bytes is None:
            continue  # missing files are named already
        problem = check_file(files, file)
        if problem is not None:
            errors.append(problem)
        if not file.digest:
            undigested.append(file.path)
    adopted = read_one_state(
        files, lambda: load_state(files, read_manifest(files)[0], table_name, adopt=False)
    ).adopted
    folder = find_folder(files, table_name).path
    for path in (f"{folder}/{name}" for name in adopted):
        undigested.append(path)
        wrong = find_bad_pages(files, path)
        if wrong is not None:
            errors.append(_describe_pages(files, table_name, path, wrong))
    if undigested:
        warnings.append(
            f"Table {table_name}: no digest stored for {len(undigested)} file(s) ({undigested[0]} first), which an earlier "
            "version or another tool wrote; their pages were decoded. Partitions that are built again get one."
        )


def check_file(files: RootFiles, file: ListedFile) -> str | None:
    """What is wrong with the bytes of a file; None where nothing is, or where it was replaced while it was read."""
    problem = _check(files, file)
    if problem is None or read_one_state(files, lambda: _is_still(files, file)):
        return problem
    return None


def _check(files: RootFiles, file: ListedFile) -> str | None:
    if file.size_bytes and file.found_bytes != file.size_bytes:
        return describe_size(file.table_name, file.path, file.found_bytes or 0, file.size_bytes)
    wrong = find_bad_pages(files, file.path)
    if wrong is not None:
        return _describe_pages(files, file.table_name, file.path, wrong)
    found = digest_stored(files, file.path) if file.digest else ""
    if found == file.digest:
        return None
    return (
        f"File of table {file.table_name} is not what was written: {file.path} has the digest {found}, the manifest says "
        f"{file.digest} (partition {file.key}). {_REMEDY}."
    )


def _is_still(files: RootFiles, file: ListedFile) -> bool:
    """Whether the manifest says the same of a file as when it was listed."""
    return file in list_named_files(files, read_manifest(files)[0], file.table_name)


def _describe_pages(files: RootFiles, table_name: str, path: str, wrong: str) -> str:
    return f"File of table {table_name} is damaged: {files.location(path)} ({' '.join(wrong.split())}). {_REMEDY}."
