"""What one table is right now: its manifest entry, completed from the files in its folder.

Files that the manifest does not know (another tool's parts, a lost manifest) are adopted by reading
their footers; nothing is renamed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.columns.evolution import logical_schema, union_all
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.changed_partitions import ChangedPartitions
from bioimage_assets.core.warehouse.manifest.detect import list_row_parts, list_table_folders
from bioimage_assets.core.warehouse.manifest.layout import (
    WHOLE_TABLE,
    build_part_name,
    find_entry_folder,
    is_part_name,
    leaf_name,
)
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.manifest.stored_partitions import EntriesGoneError, StoredPartitions
from bioimage_assets.core.warehouse.reading.adopted_parts import adopt_parts, parse_part, read_footer


@dataclass(frozen=True, slots=True)
class TableState:
    """A table as it is. ``entry`` is None where neither manifest nor folder has it.

    ``sizes`` are the bytes of the files that are really there; ``missing`` the files that the
    manifest names in vain; ``adopted`` those that only the folder has. ``leftovers`` are objects of a write
    that did not reach the manifest, or that the manifest has let go: nobody's rows. ``has_columns_file``: its parts do
    not all have the same columns, and a file of zero rows names them all. ``other_count`` is the number of files that are not
    in ``sizes``, where only some partitions were asked for and the folder holds nothing that the manifest does not name.
    """

    table_name: str
    folder: str
    entry: WarehouseTableManifestEntry | None
    sizes: Mapping[str, int]
    missing: tuple[str, ...] = ()
    adopted: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    has_columns_file: bool = False
    other_count: int = 0

    @property
    def partitions(self) -> ChangedPartitions:
        """Partitions by key, to be changed by whoever plans a change."""
        return ChangedPartitions(self.entry.partitions if self.entry else None)

    @property
    def is_partial(self) -> bool:
        """Whether the table has files that were not looked at."""
        return self.other_count > 0


@dataclass(frozen=True, slots=True)
class TableFolder:
    """Folder of a table, the sizes of its parts by file name, and whether its columns stand in a file of their own."""

    path: str
    sizes: Mapping[str, int]
    has_columns_file: bool = False


def find_folder(files: RootFiles, table_name: str) -> TableFolder:
    """Folder of a table and its parts; none where its name can be no folder.

    A manifest that was rewritten to dotted names without moving the data (iceberg-bioimage 0.1.0 on a
    flat root) is forgiven: where the dotted folder is empty, ``<root>/<leaf>`` is looked at.
    """
    folder = find_entry_folder(table_name)
    if folder is None:
        return TableFolder(table_name, {})
    found = _list_folder(files, folder)
    if not found.sizes and "/" in folder:
        fallback = _list_folder(files, leaf_name(table_name))
        if fallback.sizes:
            return fallback
    return found


def _list_folder(files: RootFiles, folder: str) -> TableFolder:
    return TableFolder(folder, *list_row_parts(files, folder))


def find_copies(files: RootFiles, manifest: WarehouseManifest) -> dict[str, str]:
    """Folders that a conversion of the layout, cut off in an object store, left: folder to table of the same rows.

    Objects were copied before the manifest switched, or not removed yet after it. A local root has a journal.
    They are known by their names and sizes and never removed: a conversion may be under way.
    """
    if files.is_local:
        return {}
    folders = {entry.table_name: find_folder(files, entry.table_name).path for entry in manifest.tables}
    copies: dict[str, str] = {}
    for name in list_table_folders(files):
        folder = name.replace(".", "/")
        twins = [other for other in folders if leaf_name(other) == leaf_name(name)]
        if folder in folders.values() or len(twins) != 1:
            continue
        present = _list_folder(files, folder).sizes
        if all(is_part_name(part) for part in present) and (
            present.items() <= files.list_parts(folders[twins[0]]).items()
        ):
            copies[folder] = twins[0]
    return copies


def load_state(
    files: RootFiles,
    manifest: WarehouseManifest,
    table_name: str,
    *,
    adopt: bool = True,
    keys: Collection[str] | None = None,
) -> TableState:
    """Compare a table's manifest entry with its folder; adopt what only the folder has.

    With ``keys`` only the files of these partitions are looked at, unless the folder holds what the manifest does not name:
    the cost does not grow with the table.
    """
    entry = manifest.entry(table_name)
    if keys is not None and entry is not None:
        found = _load_some(files, entry, keys)
        if found is not None:
            return found
    return _load_all(files, _without_lost_entries(files, entry), table_name, adopt)


def _load_some(
    files: RootFiles, entry: WarehouseTableManifestEntry, keys: Collection[str]
) -> TableState | None:
    """State of some partitions; None where all files have to be looked at."""
    partitions, folder = entry.partitions, find_entry_folder(entry.table_name)
    if not isinstance(partitions, StoredPartitions) or folder is None or entry.gone_files:
        return None
    try:
        index, known = partitions.index, partitions.load(keys)
    except EntriesGoneError:
        return None
    glance = files.glance(folder, index.file_count)
    if glance.strangers or glance.part_count not in (None, index.file_count) or entry.schema_file is None:
        return None
    chosen = [partitions[key] for key in dict.fromkeys((*keys, WHOLE_TABLE)) if key in partitions]
    named = {name for part in chosen for name in part.files}
    sizes = files.sizes_of(folder, named)
    # Maybe nothing is left of the folder, or the table lies elsewhere: a count tells, else any file of it.
    neighbours = [
        part.files[0] for bucket in known.values() for part in bucket.partitions.values() if part.files
    ]
    if not sizes and glance.part_count is None and not files.sizes_of(folder, neighbours[:1]):
        return None
    other_count = index.file_count - sum(len(part.files) for part in chosen)
    missing = tuple(sorted(named - sizes.keys()))
    return TableState(
        entry.table_name, folder, entry, sizes, missing,
        has_columns_file=glance.has_columns_file, other_count=max(0, other_count),
    )  # fmt: skip


def complete_state(files: RootFiles, state: TableState) -> TableState:
    """The same table with all its files looked at."""
    return _load_all(files, state.entry, state.table_name, adopt=True) if state.is_partial else state


def find_taken_names(files: RootFiles, state: TableState, keys: Collection[str]) -> dict[str, int]:
    """Files that have the names which new parts of some partitions would get, and are not listed for them.

    What a killed writer left in a bucket under such a name is overwritten; a file of another partition is not.
    """
    if not state.is_partial:
        return {}
    names = {build_part_name(key): key for key in keys}
    found = files.sizes_of(state.folder, [name for name in names if name not in state.sizes])
    if files.is_local:
        return found
    return {name: size for name, size in found.items() if not _is_left_over(files, state, name, names[name])}


def _is_left_over(files: RootFiles, state: TableState, name: str, key: str) -> bool:
    try:
        return read_footer(files, f"{state.folder}/{name}").partition == key
    except WarehouseError:
        return False


def _without_lost_entries(
    files: RootFiles, entry: WarehouseTableManifestEntry | None
) -> WarehouseTableManifestEntry | None:
    """A local table whose entries of partitions are gone is what its files say: all of them are rows, with or without entries."""
    if entry is None or not files.is_local or not isinstance(entry.partitions, StoredPartitions):
        return entry
    try:
        entry.partitions.load()
    except EntriesGoneError:
        return replace(entry, partitions=None, partition_index=None, partition_count=None, steps={})
    return entry


def _load_all(
    files: RootFiles, entry: WarehouseTableManifestEntry | None, table_name: str, adopt: bool
) -> TableState:
    found = find_folder(files, table_name)
    folder, sizes = found.path, dict(found.sizes)
    named = set(entry.files) if entry is not None else set()
    missing = tuple(sorted(named - set(sizes)))
    leftovers: tuple[str, ...] = ()
    if sizes and not files.is_local and entry is not None and entry.partitions is not None:
        # Locally a journal tells; here the manifest does, which follows the objects and precedes removals.
        gone = _gone_names(files, folder, entry.gone_files)
        leftovers = tuple(sorted(name for name in set(sizes) - named if is_part_name(name) or name in gone))
        sizes = {name: size for name, size in sizes.items() if name not in leftovers}
    if entry is not None and entry.is_announced and not sizes:
        return TableState(
            table_name, folder, None, sizes, leftovers=leftovers, has_columns_file=found.has_columns_file
        )
    adopted = tuple(sorted(set(sizes) - named))
    if adopted and adopt:
        entry = adopt_parts(files, folder, table_name, entry, adopted, sizes)
    return TableState(table_name, folder, entry, sizes, missing, adopted, leftovers, found.has_columns_file)


def _gone_names(files: RootFiles, folder: str, gone: Mapping[str, str]) -> set[str]:
    """Objects that a change let go and that are still the ones it let go."""
    versions = files.list_versions(folder) if gone else {}
    return {name for name, version in gone.items() if versions.get(name) == version}


def read_logical_schema(files: RootFiles, state: TableState) -> pa.Schema | None:
    """Schema of a table, ``null`` types included: from its sidecar, else from the footers of its files."""
    if state.entry is None:
        return None
    schemas: list[pa.Schema] = []
    rest = sorted(state.sizes)
    stored = read_listed_schema(files, state.entry)
    if stored is None and state.is_partial:
        return read_logical_schema(files, complete_state(files, state))
    if stored is not None:
        schemas.append(stored)
        rest = list(state.adopted)
    schemas += [read_footer(files, f"{state.folder}/{name}").logical_schema for name in rest]
    return _unite(files, state.table_name, schemas)


def read_listed_schema(files: RootFiles, entry: WarehouseTableManifestEntry) -> pa.Schema | None:
    """Columns of a table as its sidecar has them, ``null`` types included; None where it has none, or it is gone.

    One request, however many files the table has. WarehouseError where the sidecar is damaged.
    """
    found = files.read(entry.schema_file) if entry.schema_file is not None else None
    if found is None:
        return None
    schema = parse_part(found[0], files.location(str(entry.schema_file))).schema
    return _unite(files, entry.table_name, [schema])


def read_own_schema(files: RootFiles, state: TableState, names: Sequence[str]) -> pa.Schema | None:
    """Schema of some files of a table: their own columns, whatever other files of the table have; None for no file."""
    paths = (f"{state.folder}/{name}" for name in names)
    return _unite(files, state.table_name, [read_footer(files, path).logical_schema for path in paths])


def _unite(files: RootFiles, table_name: str, schemas: Sequence[pa.Schema]) -> pa.Schema | None:
    where = f"Table {table_name!r} of {files.uri}"
    return union_all((logical_schema(schema, where) for schema in schemas if len(schema)), where)


def describe_size(table_name: str, path: str, found: int, expected: int) -> str:
    """Sentence on a file that is not as long as it was written."""
    return (
        f"File of table {table_name} has {found} bytes, the manifest says {expected}: {path}. It was cut off, or another "
        "program wrote it; restore it, or build its partition again."
    )
