"""What is stored of plates and datasets, and what of it is lost, wherever the settings place it: warehouse root and catalog.

Asked once for all plates: one listing per table folder, and the manifests of the catalog's present snapshots.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bioimage_assets.assets.findings import NAME as FINDINGS_TABLE
from bioimage_assets.core.catalog.lost_files import CatalogPresence, read_presence, release_unreadable
from bioimage_assets.core.catalog.session import (
    candidate_namespaces,
    list_leaf_names,
    resolve_identifier,
    sqlite_path,
)
from bioimage_assets.core.errors import CatalogError
from bioimage_assets.core.settings.project import EMBEDDED_CATALOG, NO_CATALOG
from bioimage_assets.core.tables.schemas import TABLES
from bioimage_assets.core.warehouse.manifest.layout import leaf_name
from bioimage_assets.core.warehouse.validation.lost_files import StoredPartitions, read_stored
from bioimage_assets.resources.project import ProjectResource

# A scan stores these for every plate; without them nothing of a plate is in the catalog.
_ALWAYS_STORED = ("image_assets", "chunk_index")


@dataclass(frozen=True)
class LostTable:
    """A table of a plate or dataset that is not there as it was written; ``problem`` names the file."""

    partition: str
    table: str
    problem: str

    def __str__(self) -> str:
        return f"{self.table}: {self.problem}"


@dataclass(frozen=True)
class StoredTables:
    """Everything stored at one moment, by table and partition; of the catalog where it was asked for."""

    project: ProjectResource
    warehouse: StoredPartitions
    catalog: Mapping[str, CatalogPresence] = field(default_factory=dict)

    def fingerprint(self, name: str, partition: str) -> str | None:
        """Fingerprint under which a whole partition lies in the warehouse; None where there is none."""
        part = self.warehouse.whole(self._names.get(name, name), partition)
        return None if part is None else part.fingerprint

    def has_table(self, name: str) -> bool:
        """Whether the warehouse has a table with a partition, be its files there or not."""
        return bool(self.warehouse.listed.get(self._names.get(name, name)))

    def lost(self, partition: str) -> tuple[LostTable, ...]:
        """What is lost of a plate or dataset."""
        return (*self._lost_in_warehouse.get(partition, ()), *self._lost_in_catalog(partition))

    def has_other_rows(self, plate_key: str) -> bool:
        """Whether the catalog holds another number of a plate's rows than their copy in the warehouse."""
        copies = {
            name: self.warehouse.whole(self._names.get(name, name), plate_key) for name in _ALWAYS_STORED
        }
        return any(
            copy is not None
            and name in self.catalog
            and self.catalog[name].rows.get(plate_key, 0) != copy.row_count
            for name, copy in copies.items()
        )

    @property
    def partitions_with_losses(self) -> list[str]:
        """Plates and datasets whose files are known to be lost, sorted."""
        known = {key for found in self.catalog.values() for key in found.lost}
        return sorted(known | self._lost_in_warehouse.keys())

    @cached_property
    def _names(self) -> dict[str, str]:
        """Names in the manifest by the bare names of tables."""
        return {leaf_name(name): name for name in self.warehouse.listed}

    @cached_property
    def _lost_in_warehouse(self) -> dict[str, list[LostTable]]:
        found: dict[str, list[LostTable]] = {}
        for (table, key), files in self.warehouse.lost.items():
            name, partition = (
                leaf_name(table),
                key.split("#", 1)[0] if leaf_name(table) == FINDINGS_TABLE else key,
            )
            found.setdefault(partition, []).extend(
                LostTable(partition, name, f"{file.location} {file.problem}") for file in files
            )
        return found

    def _lost_in_catalog(self, partition: str) -> Iterable[LostTable]:
        for name, found in self.catalog.items():
            if (TABLES[name].partition_column == "dataset_id") == ("/" in partition):
                continue  # a table of datasets says nothing of a plate
            problem = (
                found.unreadable or found.lost.get(partition) or self._find_missing_rows(name, partition)
            )
            if problem is not None:
                yield LostTable(partition, name, problem)

    def _find_missing_rows(self, name: str, partition: str) -> str | None:
        """Compare the rows of the catalog with those of their copy in the warehouse."""
        found, copy = self.catalog[name], self.warehouse.whole(self._names.get(name, name), partition)
        if name not in _ALWAYS_STORED or copy is None:
            return None
        if found.is_missing:
            return "the catalog has no such table any more"
        return "the catalog has no row any more" if copy.row_count and not found.rows.get(partition) else None


def look_at_stored(project: ProjectResource, *, with_catalog: bool = True) -> StoredTables:
    """Look at all tables of warehouse and catalog."""
    settings = project.settings
    names = settings.iceberg_tables if with_catalog and settings.catalog_name != NO_CATALOG else ()
    return StoredTables(project, read_stored(project.warehouse().files_at), read_catalog(project, names))


def read_catalog(
    project: ProjectResource, names: Sequence[str], keys: Sequence[str] | None = None
) -> dict[str, CatalogPresence]:
    """What is there of tables that are kept in the catalog."""
    if not names:
        return {}
    database = sqlite_path(project.settings.catalog_properties.get("uri", ""))
    if project.settings.catalog_name == EMBEDDED_CATALOG and database is not None and not database.exists():
        # Opening it would make an empty one.
        return dict.fromkeys(names, CatalogPresence(is_missing=True))
    catalog, namespace = project.catalog(), project.settings.catalog_namespace
    return {name: _read(catalog, namespace, name, keys) for name in names}


def _read(catalog: Any, namespace: str, name: str, keys: Sequence[str] | None) -> CatalogPresence:
    return read_presence(catalog, _identify(catalog, namespace, name), keys)


def _identify(catalog: Any, namespace: str, name: str) -> tuple[str, ...]:
    """Identifier of a table whose metadata may be lost, so that loading it cannot tell whether it exists."""
    try:
        return resolve_identifier(catalog, namespace, name)
    except CatalogError:
        spaces = candidate_namespaces(namespace)
        here = next((space for space in spaces if name in list_leaf_names(catalog, space)), spaces[0])
        return (*here, name)


def check_catalog(project: ProjectResource) -> list[str]:
    """Read every data file of the tables that are kept in the catalog; a sentence per problem."""
    from bioimage_assets.core.catalog.verify import check_catalog_table

    settings = project.settings
    names = settings.iceberg_tables if settings.catalog_name != NO_CATALOG else ()
    problems: list[str] = []
    for name, found in read_catalog(project, names).items():
        if found.is_missing:
            problems += [f"The catalog has no table {name}."] if name in _ALWAYS_STORED else []
            continue
        catalog = project.catalog()
        problems += check_catalog_table(catalog, _identify(catalog, settings.catalog_namespace, name))
    return problems


def release_lost_tables(context: Any, project: ProjectResource, names: Iterable[str]) -> None:
    """Let tables whose metadata are lost be made again: this run stores its plates, later ones the others."""
    kept = [name for name in names if project.settings.is_in_catalog(name)]
    if not kept:
        return
    catalog, namespace = project.catalog(), project.settings.catalog_namespace
    for name in kept:
        lost = release_unreadable(catalog, _identify(catalog, namespace, name), context.partition_keys)
        if lost is not None:
            context.log.warning(f"{lost}: the table is made again; every plate of it is to be built again.")
