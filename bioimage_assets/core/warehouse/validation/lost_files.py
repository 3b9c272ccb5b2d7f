"""Which files of a warehouse root are lost: named by the manifest, and not there as they were written.

Presence and size come from one listing per table folder, or of few partitions from a look at each file; nothing is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.partition_records import IndexedPartitions, PartitionEntry
from bioimage_assets.core.warehouse.reading.consistent_read import read_one_state
from bioimage_assets.core.warehouse.reading.table_state import TableFolder, find_folder, load_state


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
    """Partitions of some tables at one moment: as the manifest lists them, and the lost files among them.

    ``counts`` are those of all partitions of the tables, of which ``listed`` may be the ones that were asked for.
    """

    listed: Mapping[str, Mapping[str, PartitionEntry]] = field(default_factory=dict)
    lost: Mapping[tuple[str, str], tuple[LostFile, ...]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    def whole(self, table_name: str, key: str) -> PartitionEntry | None:
        """A partition all of whose files are there; None for one that is not stored, or not any more."""
        return None if (table_name, key) in self.lost else self.listed.get(table_name, {}).get(key)


def read_stored(
    files: RootFiles,
    table_names: Collection[str] | None = None,
    keys_of: Callable[[str], Collection[str]] | None = None,
) -> StoredPartitions:
    """Look at some tables (None: all), by their names in the manifest; one state of the root, one listing per table.

    ``keys_of`` gives the partitions of a table that are asked for: only their entries are read and only their files looked at.
    """
    return read_one_state(files, lambda: _look(files, table_names, keys_of))


def _look(
    files: RootFiles,
    table_names: Collection[str] | None,
    keys_of: Callable[[str], Collection[str]] | None,
) -> StoredPartitions:
    manifest, _ = read_manifest(files)
    listed: dict[str, Mapping[str, PartitionEntry]] = {}
    counts: dict[str, int] = {}
    lost: dict[tuple[str, str], tuple[LostFile, ...]] = {}
    for entry in manifest.tables:
        name = entry.table_name
        if table_names is not None and name not in table_names:
            continue
        counts[name] = len(entry.partitions or ())
        if keys_of is not None and isinstance(entry.partitions, IndexedPartitions):
            state = load_state(files, manifest, name, adopt=False, keys=keys_of(name))
            listed[name] = entry.partitions.choose(keys_of(name))
            folder = TableFolder(state.folder, state.sizes)
        else:
            listed[name] = entry.partitions or {}
            folder = find_folder(files, name) if listed[name] else TableFolder(name, {})
        lost |= _find_lost(files, name, listed[name], folder)
    return StoredPartitions(listed, lost, counts)


def _find_lost(
    files: RootFiles, table_name: str, partitions: Mapping[str, PartitionEntry], folder: TableFolder
) -> dict[tuple[str, str], tuple[LostFile, ...]]:
    """Lost files of some partitions of a table, whose folder was looked at."""
    found: dict[tuple[str, str], tuple[LostFile, ...]] = {}
    sizes = folder.sizes
    for key, part in partitions.items():
        for name, written in zip(part.files, part.file_bytes, strict=True):
            size = sizes.get(name)
            if size is None:
                problem = "is missing"
            elif written not in (0, size):
                problem = f"has {size} bytes, not the {written} that were written"
            else:
                continue
            at, location = (table_name, key), files.location(f"{folder.path}/{name}")
            found[at] = (*found.get(at, ()), LostFile(table_name, key, location, problem))
    return found
