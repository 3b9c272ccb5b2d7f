"""Take a table out of a warehouse root: its files go and the manifest forgets it, in one change."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.model.results import DroppedTable
from bioimage_assets.core.warehouse.changes.write import MAX_ATTEMPTS
from bioimage_assets.core.warehouse.files.root_files import ManifestChangedError, RootFiles, TableChange
from bioimage_assets.core.warehouse.manifest.layout import PARTITIONS_DIR, entries_folder
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest, remember_manifest
from bioimage_assets.core.warehouse.manifest.views import write_views
from bioimage_assets.core.warehouse.reading.table_state import load_state


def drop_table(files: RootFiles, table_name: str, *, dry_run: bool = True) -> DroppedTable | None:
    """Remove a table; None where neither the manifest nor a folder has one of that name.

    Only Parquet files directly in the table's folder go, and what this project noted about them; files of other kinds
    stay, and the folder with them. A killed removal is finished by the next open, or by the same call.
    """
    for _ in range(MAX_ATTEMPTS):
        try:
            with files.exclusive():
                return _drop(files, table_name, dry_run=dry_run)
        except ManifestChangedError:
            continue
    raise WarehouseError(
        f"Table {table_name!r} of {files.uri}: the manifest changed under {MAX_ATTEMPTS} attempts; nothing was removed."
    )


def _drop(files: RootFiles, table_name: str, *, dry_run: bool) -> DroppedTable | None:
    manifest, version = read_manifest(files)
    state = load_state(files, manifest, table_name)
    sizes = files.list_parts(state.folder)
    entry = manifest.entry(table_name)
    if entry is None and not sizes:
        return None
    described = entry or state.entry
    dropped = DroppedTable(
        "warehouse",
        table_name,
        row_count=(described.row_count or 0) if described is not None else 0,
        file_count=len(sizes),
        bytes=sum(sizes.values()),
        location=files.location(state.folder),
        is_dry_run=dry_run,
        note=_name_others(files, state.folder),
    )
    if dry_run:
        return dropped
    entries = f"{PARTITIONS_DIR}/{entries_folder(table_name)}"
    notes = [f"{entries}/{name}" for name in files.list_other_files(entries)]
    notes += [entry.schema_file] if entry is not None and entry.schema_file else []
    following = manifest.with_tables(e for e in manifest.tables if e.table_name != table_name)
    change = TableChange(state.folder, {}, frozenset(sizes), {}, tuple(notes))
    files.commit(change, following.to_bytes(), version, None)
    remember_manifest(files, following)
    if files.is_local:
        with suppress(OSError):  # something else is in it
            Path(files.location(state.folder)).rmdir()
    write_views(files)
    return dropped


def _name_others(files: RootFiles, folder: str) -> str | None:
    others = files.list_other_files(folder)
    return f"files of other kinds stay: {', '.join(others[:5])}" if others else None
