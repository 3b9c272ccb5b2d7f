"""A warehouse root in; its tables to be compared out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pyarrow.dataset as ds

from bioimage_assets.core.release.compare.state import ComparedTable, PartitionFiles
from bioimage_assets.core.release.record import TableHome
from bioimage_assets.core.warehouse.manifest.detect import list_table_folders
from bioimage_assets.core.warehouse.manifest.layout import leaf_name
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry
from bioimage_assets.core.warehouse.reading.consistent_read import read_one_state
from bioimage_assets.core.warehouse.reading.table_state import TableState, load_state
from bioimage_assets.core.warehouse.root import Warehouse


def list_warehouse_tables(warehouse: Warehouse) -> Mapping[tuple[TableHome, str], ComparedTable]:
    """All tables of a root, those of its manifest and those that only lie there, in one state."""
    files = warehouse.files_at
    if not files.exists():
        return {}

    def look() -> list[TableState]:
        manifest, _ = read_manifest(files)
        named = [load_state(files, manifest, entry.table_name) for entry in manifest.tables]
        folders = {state.folder for state in named}
        others = [name for name in list_table_folders(files) if name.replace(".", "/") not in folders]
        return [*named, *(load_state(files, manifest, name) for name in others)]

    found = [state for state in read_one_state(files, look) if state.entry is not None]
    return {("warehouse", leaf_name(state.table_name)): _describe(warehouse, state) for state in found}


def _describe(warehouse: Warehouse, state: TableState) -> ComparedTable:
    partitions = {
        key: PartitionFiles(entry.row_count, _token(entry, state.sizes))
        for key, entry in state.partitions.items()
    }
    return ComparedTable(
        leaf_name(state.table_name), "warehouse", partitions, partial(_open, warehouse, state.table_name)
    )


def _open(warehouse: Warehouse, name: str, key: str | None) -> ds.Dataset:
    return warehouse.dataset(name, plate_keys=None if key is None else [key])


def _token(entry: PartitionEntry, sizes: Mapping[str, int]) -> str | None:
    """Digests of all files, where the manifest has them, and the files are there in the size that it says."""
    names = entry.files
    if not all(entry.digest_of(name) and sizes.get(name) == entry.size_of(name) for name in names):
        return None
    return " ".join(sorted(entry.digest_of(name) for name in names)) or None
