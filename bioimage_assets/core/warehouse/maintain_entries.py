"""Entries of partitions in maintenance: made anew where they cannot be read, written where they change, cleared where nobody needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.changes.stage_entries import stage_entries
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.changed_partitions import ChangedPartitions
from bioimage_assets.core.warehouse.manifest.layout import entries_folder
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.manifest.stored_partitions import StoredPartitions


def without_lost_entries(
    entry: WarehouseTableManifestEntry, rebuilt: list[str]
) -> WarehouseTableManifestEntry:
    """A table whose entries of partitions cannot be read gets new ones from its files; it is noted."""
    try:
        if isinstance(entry.partitions, StoredPartitions):
            entry.partitions.load()
    except WarehouseError:
        rebuilt.append(entry.table_name)
        return replace(entry, partitions=None, partition_count=None, partition_index=None, steps={})
    return entry


def store_entries(
    files: RootFiles,
    entry: WarehouseTableManifestEntry,
    partitions: Mapping[str, PartitionEntry],
    staging: Path,
) -> WarehouseTableManifestEntry:
    """Entry with these partitions in files beside the manifest, which are put in place; as it was where nothing is new."""
    before = entry.partitions
    base = before.base if isinstance(before, ChangedPartitions) else before
    if isinstance(base, StoredPartitions):
        changed = ChangedPartitions(base)
        changed.changes |= {key: part for key, part in partitions.items() if base.get(key) != part}
        changed.changes |= {key: None for key in base if key not in partitions}
        if not changed.changes:
            return replace(
                entry, partitions=base, partition_index=base.index_path, partition_count=len(base),
                row_count=base.row_count, steps=base.steps,
            )  # fmt: skip
        partitions = changed
    steps = entry.steps if not isinstance(base, StoredPartitions) else {}
    folder = staging / f"entries-{entries_folder(entry.table_name)}"
    folder.mkdir()
    entry = replace(entry, partitions=partitions)
    staged = stage_entries(files, entry, replace(entry, partitions=base), steps, folder)
    files.put_documents(staged.puts)
    return staged.entry


def list_entries_files(manifest: WarehouseManifest) -> frozenset[str]:
    """Root-relative paths of the files of entries that a manifest names, and of those that are kept for older ones."""
    used: set[str] = set()
    for entry in manifest.tables:
        if isinstance(entry.partitions, StoredPartitions):
            path, index = entry.partitions.index_path, entry.partitions.index
            names = (*(ref.name for ref in index.buckets.values()), *index.retired)
            used |= {path, *(f"{path.rpartition('/')[0]}/{name}" for name in names)}
    return frozenset(used)
