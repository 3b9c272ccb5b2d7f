"""A warehouse root in; the same root, in one state of all its tables, below a release."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.release.layout import WAREHOUSE_DIR
from bioimage_assets.core.release.place_files import place_file, write_file
from bioimage_assets.core.release.record import ReleasedTable
from bioimage_assets.core.warehouse.changes.stage_parts import digest_file
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import (
    COLUMNS_NAME,
    MANIFEST_NAME,
    README_NAME,
    VIEWS_NAME,
    leaf_name,
)
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.records import WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.manifest.stored_partitions import StoredPartitions
from bioimage_assets.core.warehouse.reading.consistent_read import read_one_state
from bioimage_assets.core.warehouse.reading.table_state import TableState, load_state

_DOCUMENTS = (MANIFEST_NAME, VIEWS_NAME, README_NAME)


def gather_warehouse(files: RootFiles, release: Path) -> tuple[ReleasedTable, ...]:
    """Place all files of a root below ``warehouse/``; give its tables.

    All are of one committed state: where a change comes in between, everything is placed once more.

    Raises
    ------
    WarehouseError
        A file that the manifest names is not there, or is not what it says (of copies, where it has their digest).
    """
    if not files.exists():
        return ()
    target = release / WAREHOUSE_DIR

    def look() -> tuple[ReleasedTable, ...]:
        if target.exists():
            shutil.rmtree(target)
        return _place_all(files, target)

    return read_one_state(files, look)


def _place_all(files: RootFiles, target: Path) -> tuple[ReleasedTable, ...]:
    manifest, _ = read_manifest(files)
    tables = []
    for entry in manifest.tables:
        state = load_state(files, manifest, entry.table_name)
        if state.entry is None:  # announced, and not there yet
            continue
        _place_table(files, state, target)
        _place_documents(files, list(_list_beside(entry)), target)
        tables.append(_describe(state, state.entry))
    _place_documents(files, _DOCUMENTS, target)
    return tuple(tables)


def _place_table(files: RootFiles, state: TableState, target: Path) -> None:
    if state.missing:
        raise WarehouseError(
            f"{files.location(f'{state.folder}/{state.missing[0]}')} is missing, which the manifest names: nothing was released. "
            "Build its plate again, or restore the file."
        )
    names = [*state.sizes, *([COLUMNS_NAME] if state.has_columns_file else [])]
    digests = _known_digests(state.entry) if not files.is_local else {}
    for name in names:
        path = f"{state.folder}/{name}"
        if files.is_local:
            place_file(Path(files.location(path)), target / path)
            continue
        _copy_object(files, path, target / path)
        if digests.get(name) and digest_file(target / path) != digests[name]:
            raise WarehouseError(
                f"{files.location(path)} is not what the manifest says: it was replaced meanwhile, or is damaged. Release again."
            )


def _copy_object(files: RootFiles, path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.filesystem().open_input_stream(files.arrow_path(path)) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)


def _known_digests(entry: WarehouseTableManifestEntry | None) -> dict[str, str]:
    parts = (entry.partitions or {}).values() if entry is not None else ()
    return {name: part.digest_of(name) for part in parts for name in part.files}


def _list_beside(entry: WarehouseTableManifestEntry) -> Iterator[str]:
    """Root-relative paths of what the manifest names of a table beside its rows: columns, index, buckets."""
    if entry.schema_file is not None:
        yield entry.schema_file
    if isinstance(entry.partitions, StoredPartitions):
        yield entry.partitions.index_path
        folder = entry.partitions.index_path.rpartition("/")[0]
        yield from (f"{folder}/{bucket.name}" for bucket in entry.partitions.index.buckets.values())


def _place_documents(files: RootFiles, paths: Sequence[str], target: Path) -> None:
    for path in paths:
        found = files.read(path)
        if found is not None:
            write_file(target / path, found[0])


def _describe(state: TableState, entry: WarehouseTableManifestEntry) -> ReleasedTable:
    partitions = state.partitions
    return ReleasedTable(
        name=leaf_name(entry.table_name),
        home="warehouse",
        role=entry.role,
        row_count=sum(part.row_count for part in partitions.values()),
        partition_count=len(partitions),
        folder=f"{WAREHOUSE_DIR}/{state.folder}",
        libraries=_read_libraries(entry.steps),
        updated_at=entry.updated_at,
    )


def _read_libraries(steps: Mapping[str, Sequence[Mapping[str, object]]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for calls in steps.values():
        for call in calls:
            package = str(call.get("call", "")).partition(".")[0]
            found.setdefault(package, set()).add(str(call.get("version", "")))
    return {package: tuple(sorted(versions)) for package, versions in sorted(found.items()) if package}
