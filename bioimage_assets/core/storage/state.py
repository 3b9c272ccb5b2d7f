"""What is stored of plates, datasets and campaigns at one moment, what it was made of, and what of it is lost.

Asked once for all plates: one look at the manifest and the entries beside it, one listing per table folder, and the manifests of the catalog's present
snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.lost_files import CatalogPresence, read_presence, release_unreadable
from bioimage_assets.core.catalog.session import (
    Identifier,
    candidate_namespaces,
    list_leaf_names,
    resolve_identifier,
)
from bioimage_assets.core.catalog.verify import check_catalog_table
from bioimage_assets.core.errors import CatalogError
from bioimage_assets.core.model.identity import dataset_of, dimension_of
from bioimage_assets.core.model.table_specs import DIMENSIONS, HOMES, TABLES
from bioimage_assets.core.settings.project import NO_CATALOG
from bioimage_assets.core.storage import built_tables, step_findings
from bioimage_assets.core.storage.built_tables import count_built
from bioimage_assets.core.storage.pages import read_page_fingerprint
from bioimage_assets.core.storage.plate_files import list_made
from bioimage_assets.core.storage.step_keys import build_step_key, partition_of
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.storage.write import list_copied
from bioimage_assets.core.warehouse.manifest.layout import leaf_name
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry
from bioimage_assets.core.warehouse.validation.lost_files import StoredPartitions, read_stored

# A scan stores these for every plate that has images; without them nothing of a plate is in the catalog.
_ALWAYS_STORED = ("image_assets", "chunk_index")
# Their partitions are ``<plate>#<table>``.
_BY_STEP = (built_tables.NAME, step_findings.NAME)


@dataclass(frozen=True)
class LostTable:
    """A table of a plate or dataset that is not there as it was written; ``problem`` names the file."""

    partition: str
    table: str
    problem: str

    def __str__(self) -> str:
        return f"{self.table}: {self.problem}"


@dataclass(frozen=True)
class StorageState:
    """Everything stored at one moment, by table and partition; of the catalog where it was asked for."""

    tables: ProjectTables
    warehouse: StoredPartitions
    catalog: Mapping[str, CatalogPresence] = field(default_factory=dict)

    def fingerprint(self, name: str, partition: str) -> str | None:
        """What the whole table of a partition was made of; None where it was never built, or is lost."""
        if HOMES[name] == "page":
            return read_page_fingerprint(self.tables.settings.reports_dir, partition)
        if HOMES[name] == "files":
            return self._made_fingerprint(partition) or self._recorded(name, partition)
        if HOMES[name] == "copy":
            return self._copy_fingerprint(partition)
        if self.tables.is_in_catalog(name):
            return None if self._lacks_in_catalog(name, partition) else self._recorded(name, partition)
        if (self._names.get(name, name), partition) in self.warehouse.lost:
            return None
        part = self._part(name, partition)
        return self._recorded(name, partition) if part is None else part.fingerprint

    def is_stored(self, name: str, partition: str) -> bool:
        """Whether a table with rows was built of a partition and is there, whatever it was made of; one without rows counts."""
        if self.fingerprint(name, partition) is not None:
            return True
        if not self.tables.is_in_catalog(name):
            return self._part(name, partition) is not None
        found = self.catalog.get(name)
        return found is not None and partition not in found.lost and bool(found.rows.get(partition))

    def is_whole(self, name: str, partition: str) -> bool:
        """Whether what a step found about a partition is there, too: lost, it is found again by the same step."""
        findings = self._names.get(step_findings.NAME, step_findings.NAME)
        return (findings, build_step_key(partition, name)) not in self.warehouse.lost

    def row_count(self, name: str, partition: str) -> int | None:
        """Rows of a table that is stored; None for a page and for files."""
        if HOMES[name] in ("page", "files"):
            return None
        if HOMES[name] == "copy":
            name = "image_assets"
        if self.tables.is_in_catalog(name) and name in self.catalog:
            return self.catalog[name].rows.get(partition, 0)
        part = self._part(name, partition)
        return count_built(self.tables.warehouse, partition, name) if part is None else part.row_count

    def holds(self, name: str, partition: str) -> bool:
        """Whether a table has rows of a partition, or a part of no rows, that can be read."""
        if self.tables.is_in_catalog(name) and name in self.catalog:
            return partition in self.catalog[name].rows and partition not in self.catalog[name].lost
        return self._part(name, partition) is not None

    @property
    def plates(self) -> list[str]:
        """Keys of all plates of which anything is stored, sorted."""
        found = {key for name, rows in self.catalog.items() if name in TABLES for key in rows.rows}
        for table, parts in self.warehouse.listed.items():
            if leaf_name(table) in TABLES and leaf_name(table) not in _BY_STEP:
                found.update(parts)
        return sorted(key for key in found if "/" in key)

    def is_most_of(self, name: str, partitions: Collection[str]) -> bool:
        """Whether a table of the warehouse is whole and consists of these partitions for the most part.

        It is then read at once: partitions that are named have the footers of their files read one by one first.
        """
        table = self._names.get(name, name)
        is_whole = not any(lost_in == table for lost_in, _ in self.warehouse.lost)
        return is_whole and 2 * len(partitions) > self.warehouse.counts.get(table, 0)

    def lost(self, partition: str) -> tuple[LostTable, ...]:
        """What is lost of a plate or dataset."""
        return (*self._lost_in_warehouse.get(partition, ()), *self._lost_in_catalog(partition))

    @property
    def partitions_with_losses(self) -> list[str]:
        """Plates and datasets whose files are known to be lost, sorted."""
        known = {key for found in self.catalog.values() for key in found.lost}
        return sorted(known | self._lost_in_warehouse.keys())

    def _part(self, name: str, partition: str) -> PartitionEntry | None:
        return self.warehouse.whole(self._names.get(name, name), partition)

    def _recorded(self, name: str, partition: str) -> str | None:
        entry = self._part(built_tables.NAME, build_step_key(partition, name))
        return None if entry is None else entry.fingerprint

    def _copy_fingerprint(self, partition: str) -> str | None:
        copied = list_copied(self.tables)
        if not copied:
            return self._recorded("cytomining_warehouse", partition)
        parts = [self._part(name, partition) for name in copied]
        found = {part.fingerprint if part is not None else None for part in parts}
        return found.pop() if len(found) == 1 else None

    def _made_fingerprint(self, partition: str) -> str | None:
        """What the files of a plate were made of; a dataset is listed when the first of its plates is asked for."""
        dataset = dataset_of(partition)
        if dataset not in self._made_files:
            settings = self.tables.settings
            self._made_files[dataset] = list_made(
                settings.virtual_plates_uri, [dataset], settings.storage_options
            )
        _, fingerprint = self._made_files[dataset].get(partition, ("", None))
        return fingerprint

    def _lacks_in_catalog(self, name: str, partition: str) -> bool:
        """Whether the catalog was looked at and does not hold what was written of a partition."""
        found = self.catalog.get(name)
        if found is None:
            return False
        if found.is_missing or found.unreadable is not None or partition in found.lost:
            return True
        copy = self._part(name, partition) if name in _ALWAYS_STORED else None
        if copy is None or self._is_outdated(copy, name, partition):
            return False
        return found.rows.get(partition, 0) != copy.row_count

    def _is_outdated(self, copy: PartitionEntry, name: str, partition: str) -> bool:
        """Whether the catalog's table was written after its copy, which then says nothing of its rows: the store changed, and
        the copy is made again by a later step."""
        record = self._part(built_tables.NAME, build_step_key(partition, name))
        return record is not None and (copy.updated_at or "") < (record.updated_at or "")

    @cached_property
    def _made_files(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Files of plates by dataset, as far as they were listed."""
        return {}

    @cached_property
    def _names(self) -> dict[str, str]:
        """Names in the manifest by the bare names of tables."""
        return {leaf_name(name): name for name in self.warehouse.listed}

    @cached_property
    def _lost_in_warehouse(self) -> dict[str, list[LostTable]]:
        found: dict[str, list[LostTable]] = {}
        for (table, key), files in self.warehouse.lost.items():
            name = leaf_name(table)
            partition = partition_of(key) if name in _BY_STEP else key
            found.setdefault(partition, []).extend(
                LostTable(partition, name, f"{file.location} {file.problem}") for file in files
            )
        return found

    def _lost_in_catalog(self, partition: str) -> Iterable[LostTable]:
        for name, found in self.catalog.items():
            if DIMENSIONS.get(name, "plate") != dimension_of(partition):
                continue  # a table of datasets says nothing of a plate
            problem = (
                found.unreadable or found.lost.get(partition) or self._find_missing_rows(name, partition)
            )
            if problem is not None:
                yield LostTable(partition, name, problem)

    def _find_missing_rows(self, name: str, partition: str) -> str | None:
        """Compare the rows of the catalog with those of their copy in the warehouse."""
        found, copy = self.catalog[name], self._part(name, partition)
        if name not in _ALWAYS_STORED or copy is None:
            return None
        if found.is_missing:
            return "the catalog has no such table any more"
        return "the catalog has no row any more" if copy.row_count and not found.rows.get(partition) else None


def look_at_stored(tables: ProjectTables, *, with_catalog: bool = True) -> StorageState:
    """Look at all tables of warehouse and catalog."""
    settings = tables.settings
    names = settings.iceberg_tables if with_catalog and settings.catalog_name != NO_CATALOG else ()
    return StorageState(tables, read_stored(tables.warehouse.files_at), read_catalog(tables, names))


def look_at_tables(
    tables: ProjectTables, names: Collection[str], partitions: Sequence[str] | None
) -> StorageState:
    """Look at some tables, and at some partitions of them only (None: all); of others nothing is known afterwards."""
    wanted = {*names, *_BY_STEP, *(_ALWAYS_STORED if "cytomining_warehouse" in names else ())}
    listed = {tables.warehouse.resolve(name) for name in wanted if name in TABLES}
    kept = [name for name in names if name in TABLES and tables.is_in_catalog(name)]
    stored = read_stored(
        tables.warehouse.files_at, listed, None if partitions is None else _choose_keys(partitions)
    )
    return StorageState(tables, stored, read_catalog(tables, kept, partitions))


def _choose_keys(partitions: Sequence[str]) -> Callable[[str], Collection[str]]:
    """Keys of some plates and datasets in a table of the warehouse, by its name there."""
    by_step = [build_step_key(key, name) for key in partitions for name in TABLES]
    return lambda table: by_step if leaf_name(table) in _BY_STEP else partitions


def read_catalog(
    tables: ProjectTables, names: Sequence[str], keys: Sequence[str] | None = None
) -> dict[str, CatalogPresence]:
    """What is there of tables that are kept in the catalog."""
    if not names:
        return {}
    if not tables.is_catalog_there():
        return dict.fromkeys(names, CatalogPresence(is_missing=True))
    catalog = tables.open_catalog()
    namespace = tables.settings.catalog_namespace
    return {name: read_presence(catalog, _identify(catalog, namespace, name), keys) for name in names}


def _identify(catalog: Catalog, namespace: str, name: str) -> Identifier:
    """Identifier of a table whose metadata may be lost, so that loading it cannot tell whether it exists."""
    try:
        return resolve_identifier(catalog, namespace, name)
    except CatalogError:
        spaces = candidate_namespaces(namespace)
        here = next((space for space in spaces if name in list_leaf_names(catalog, space)), spaces[0])
        return (*here, name)


def check_catalog(tables: ProjectTables) -> list[str]:
    """Read every data file of the tables that are kept in the catalog; a sentence per problem."""
    settings = tables.settings
    names = settings.iceberg_tables if settings.catalog_name != NO_CATALOG else ()
    problems: list[str] = []
    for name, found in read_catalog(tables, names).items():
        if found.is_missing:
            problems += [f"The catalog has no table {name}."] if name in _ALWAYS_STORED else []
            continue
        catalog = tables.open_catalog()
        problems += check_catalog_table(catalog, _identify(catalog, settings.catalog_namespace, name))
    return problems


def release_lost_tables(tables: ProjectTables, names: Iterable[str], partitions: Sequence[str]) -> list[str]:
    """Let tables whose metadata are lost be made again: this run stores its plates, later ones the others.

    Gives a sentence for each of them.
    """
    found = []
    for name in names:
        if name in TABLES and tables.is_in_catalog(name):
            catalog = tables.open_catalog()
            identifier = _identify(catalog, tables.settings.catalog_namespace, name)
            lost = release_unreadable(catalog, identifier, partitions)
            if lost is not None:
                found.append(f"{lost}: the table is made again; every plate of it is to be built again.")
    return found
