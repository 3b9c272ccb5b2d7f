"""Stored tables by name, wherever they are: the Iceberg catalog, the warehouse root, or a file.

A bare name is the catalog's table where both have one (it is the source, the warehouse holds its export);
``catalog.<table>`` and ``warehouse.<table>`` say which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from bioimage_assets.cli.options import CatalogChoice, WarehouseChoice
from bioimage_assets.core.catalog.browse import list_catalog_tables
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.session import resolve_identifier
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.near_names import suggest_name
from bioimage_assets.core.warehouse.manifest.layout import leaf_name
from bioimage_assets.core.warehouse.root import Warehouse

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

Home = Literal["catalog", "warehouse"]


@dataclass(frozen=True, slots=True)
class StoredTable:
    """One table and where it is; ``name`` is dotted in a namespaced warehouse."""

    home: Home
    name: str

    @property
    def leaf(self) -> str:
        """Name without a namespace."""
        return leaf_name(self.name)


@dataclass(frozen=True, slots=True)
class StoredTables:
    """Catalog and warehouse of a project; either may be absent."""

    catalog: Catalog | None
    namespace: str
    warehouse: Warehouse | None

    def list(self) -> list[StoredTable]:
        """All tables, the catalog's first."""
        found: list[StoredTable] = []
        if self.catalog is not None:
            found += [
                StoredTable("catalog", name) for name in list_catalog_tables(self.catalog, self.namespace)
            ]
        if self.warehouse is not None:
            found += [StoredTable("warehouse", name) for name in self.warehouse.tables()]
        return found

    def find(self, name: str) -> StoredTable:
        """The table that a bare name means; MissingTableError lists what there is."""
        tables = self.list()
        for table in tables:
            if name in (table.name, table.leaf):
                return table
        known = sorted({table.leaf for table in tables})
        asked = "the warehouse root has" if self.catalog is None else "catalog and warehouse have"
        hint = " No catalog was asked; --catalog names one." if self.catalog is None else ""
        raise MissingTableError(
            f"There is no table {name!r}; {asked}: {', '.join(known) or 'none'}.{suggest_name(name, known)}{hint}"
        )

    def read(
        self,
        table: StoredTable,
        *,
        plate_keys: Sequence[str] | None = None,
        where: str | None = None,
    ) -> pa.Table:
        """Read a table or some of its plates; ``where`` is understood by the catalog only."""
        if table.home == "catalog":
            assert self.catalog is not None
            identifier = resolve_identifier(self.catalog, self.namespace, table.name)
            return read_table(self.catalog, identifier, plate_keys=plate_keys, where=where)
        assert self.warehouse is not None
        return self.warehouse.read(table.name, plate_keys=plate_keys)

    def list_plates(self, table: StoredTable) -> tuple[str, ...]:
        """Keys of the plates that a table has rows of, sorted."""
        if table.home == "warehouse":
            assert self.warehouse is not None
            return self.warehouse.partitions_with_rows(table.name)
        assert self.catalog is not None
        identifier = resolve_identifier(self.catalog, self.namespace, table.name)
        rows = read_table(self.catalog, identifier, columns=["plate_key"])
        return tuple(sorted(rows["plate_key"].unique().to_pylist()))


def open_project_tables(catalog: CatalogChoice, warehouse: WarehouseChoice) -> StoredTables:
    """Open a warehouse root and its catalog without creating either; UsageError where a named root is not there."""
    catalog = catalog.beside(warehouse)
    return StoredTables(
        catalog.open() if catalog.has_started else None,
        catalog.namespace,
        warehouse.open() if warehouse.is_there() else None,
    )
