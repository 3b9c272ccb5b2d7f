"""Which files of a warehouse root are lost: named by the manifest, and not there as they were written.

Presence and size come from one listing per table folder; nothing is opened.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.records import PartitionEntry
from bioimage_assets.core.warehouse.reading.consistent_read import read_one_state
from bioimage_assets.core.warehouse.validation.contents import list_named_files


@dataclass(frozen=True, slots=True)
class LostFile:
    """A file of one partition that is not there as it was written."""

    table_name: str
    key: str
    location: str
    problem: str

    def __str__(self) -> str:
        return f"{self.table_name}: {self.location} {self.problem}"


@dataclass(frozen=True, slots=True)
class StoredPartitions:
    """Partitions of some tables at one moment: as the manifest lists them, and the lost files among them."""

    listed: Mapping[str, Mapping[str, PartitionEntry]] = field(default_factory=dict)
    lost: Mapping[tuple[str, str], tuple[LostFile, ...]] = field(default_factory=dict)

    def whole(self, table_name: str, key: str) -> PartitionEntry | None:
        """A partition all of whose files are there; None for one that is not stored, or not any more."""
        return None if (table_name, key) in self.lost else self.listed.get(table_name, {}).get(key)


def read_stored(files: RootFiles, table_names: Collection[str] | None = None) -> StoredPartitions:
    """Look at some tables (None: all), by their names in the manifest; one state of the root, one listing per table."""
    return read_one_state(files, lambda: _look(files, table_names))


def _look(files: RootFiles, table_names: Collection[str] | None) -> StoredPartitions:
    manifest, _ = read_manifest(files)
    listed: dict[str, Mapping[str, PartitionEntry]] = {}
    lost: dict[tuple[str, str], tuple[LostFile, ...]] = {}
    for entry in manifest.tables:
        if table_names is not None and entry.table_name not in table_names:
            continue
        listed[entry.table_name] = entry.partitions or {}
        for file in list_named_files(files, manifest, entry.table_name):
            if file.found_bytes is None:
                problem = "is missing"
            elif file.size_bytes not in (0, file.found_bytes):
                problem = f"has {file.found_bytes} bytes, not the {file.size_bytes} that were written"
            else:
                continue
            at = (entry.table_name, file.key)
            found = LostFile(entry.table_name, file.key, files.location(file.path), problem)
            lost[at] = (*lost.get(at, ()), found)
    return StoredPartitions(listed, lost)
