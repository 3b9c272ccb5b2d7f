"""What the manifest says of some partitions of a table, or of all: one state of the root, and only the entries that are asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.detect import resolve_table_name
from bioimage_assets.core.warehouse.manifest.layout import Layout
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry
from bioimage_assets.core.warehouse.manifest.stored_partitions import StoredPartitions
from bioimage_assets.core.warehouse.reading.consistent_read import read_one_state

Calls = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class ListedPartitions:
    """Entries by key, and the calls that made them by the key that the entries give."""

    partitions: Mapping[str, PartitionEntry] = field(default_factory=dict)
    steps: Mapping[str, Calls] = field(default_factory=dict)


def read_listed(
    files: RootFiles, layout: Layout, table_name: str, keys: Collection[str] | None
) -> ListedPartitions:
    """Read entries of a table; none where the manifest has no such table. No folder is listed."""
    return read_one_state(files, lambda: _look(files, layout, table_name, keys))


def _look(
    files: RootFiles, layout: Layout, table_name: str, keys: Collection[str] | None
) -> ListedPartitions:
    manifest = read_manifest(files)[0]
    entry = manifest.entry(resolve_table_name(manifest, layout, table_name, None, None))
    if entry is None or entry.partitions is None:
        return ListedPartitions()
    found, steps = entry.partitions, dict[str, Calls]()
    if isinstance(found, StoredPartitions):
        # Read now: a mapping that reads later would do so after a writer let the files go.
        for bucket in found.load(keys).values():
            steps |= bucket.steps
    else:
        steps |= entry.steps
    wanted = found if keys is None else [key for key in dict.fromkeys(keys) if key in found]
    return ListedPartitions({key: found[key] for key in wanted}, steps)
