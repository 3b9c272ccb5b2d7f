"""The door to stored tables: find, read, stream, count, replace and remove them, wherever the settings keep them.

``BIOIMAGE_ICEBERG_TABLES`` names the tables that are kept in the catalog; with ``BIOIMAGE_CATALOG=none`` everything is in the
warehouse root. Who comes through this door does not care.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.read import read_batches, read_table, table_arrow_schema
from bioimage_assets.core.catalog.replace import remove_partitions
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import Identifier, resolve_identifier, sqlite_path, table_exists
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.model.table_specs import TABLES
from bioimage_assets.core.settings.project import EMBEDDED_CATALOG, ProjectSettings
from bioimage_assets.core.tables.schemas import TABLE_SCHEMAS
from bioimage_assets.core.warehouse.root import Warehouse


@dataclass(frozen=True, slots=True)
class ProjectTables:
    """Every stored table of a project. Holds no state: each call sees what other processes wrote.

    ``open_catalog`` is called when a table of the catalog is asked for, never where there is no catalog.
    """

    settings: ProjectSettings
    warehouse: Warehouse
    open_catalog: Callable[[], Catalog]

    def is_in_catalog(self, name: str) -> bool:
        """Whether a table is kept in the Iceberg catalog rather than in the warehouse root."""
        return self.settings.is_in_catalog(name)

    def is_catalog_there(self) -> bool:
        """Whether the catalog can be asked without making it: the embedded one is made by its first writer."""
        database = sqlite_path(self.settings.catalog_properties.get("uri", ""))
        return self.settings.catalog_name != EMBEDDED_CATALOG or database is None or database.exists()

    def identify(self, name: str) -> tuple[Catalog, Identifier]:
        """The catalog, and the identifier that a table has, or would have, there."""
        catalog = self.open_catalog()
        return catalog, resolve_identifier(catalog, self.settings.catalog_namespace, name)

    def read(self, name: str, partition: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of one plate or dataset; the declared columns where the table has a declared schema, else its own.

        Of named columns those that nobody's measurements have are left out.

        Raises
        ------
        MissingTableError
            Nothing was ever stored under this name.
        """
        wanted = self._columns(name, columns)
        if not self.is_in_catalog(name):
            return self.warehouse.read(name, columns=wanted, plate_keys=[partition])
        catalog, identifier = self.identify(name)
        column = TABLES[name].partition_column
        return read_table(
            catalog, identifier, columns=wanted, plate_keys=[partition], partition_column=column
        )

    def stream(self, name: str, partition: str, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """The same as a stream in bounded memory."""
        wanted = self._columns(name, columns)
        if not self.is_in_catalog(name):
            return self.warehouse.batches(name, columns=wanted, plate_keys=[partition])
        catalog, identifier = self.identify(name)
        return read_batches(catalog, identifier, columns=wanted, plate_keys=[partition])

    def find(self, name: str, partition: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Rows of one plate or dataset, None where none are stored."""
        try:
            rows = self.read(name, partition, columns)
        except MissingTableError:
            return None
        return rows if rows.num_rows or not self.is_in_catalog(name) else None

    def schema(self, name: str) -> pa.Schema:
        """Columns of the stored table, of all partitions together; MissingTableError where there is none."""
        if not self.is_in_catalog(name):
            return self.warehouse.schema(name)
        catalog, identifier = self.identify(name)
        with catalog_errors(f"Reading {'.'.join(identifier)}"):
            return table_arrow_schema(catalog.load_table(identifier))

    def find_cells(self, name: str, plate_key: str) -> list[str] | pa.Table | None:
        """A wide table of one plate in the form that streams best: files of the warehouse, or rows of the catalog."""
        # Files in a bucket are read by the warehouse, which has the bucket's options; readers of files are local.
        if self.is_in_catalog(name) or "://" in self.settings.warehouse_uri:
            rows = self.find(name, plate_key)
            return rows if rows is not None and rows.num_rows else None
        return self.warehouse.files(name, [plate_key]) or None

    def count(self, name: str, partition: str) -> int:
        """Rows of one plate or dataset, 0 where there is no such table."""
        if not self.is_in_catalog(name):
            return self.count_in_warehouse(name, partition)
        rows = self.find(name, partition, [TABLES[name].partition_column])
        return 0 if rows is None else rows.num_rows

    def count_in_warehouse(self, name: str, partition: str) -> int:
        """Rows in the warehouse, as the files' footers say, also of a table whose home is the catalog."""
        if not self.warehouse.files(name, [partition]):
            return 0
        return int(self.warehouse.scanner(name, plate_keys=[partition]).count_rows())

    def remove(self, name: str, partitions: Sequence[str]) -> None:
        """Remove rows of plates or datasets where the table is kept; what is not there is no error."""
        if not self.is_in_catalog(name):
            drop_partitions(self.warehouse, name, partitions)
            return
        catalog, identifier = self.identify(name)
        if table_exists(catalog, identifier):
            column = TABLES[name].partition_column
            remove_partitions(catalog, identifier, partitions, partition_column=column)

    def _columns(self, name: str, columns: Sequence[str] | None) -> list[str] | None:
        declared = TABLE_SCHEMAS.get(name)
        if columns is None:
            return None if declared is None else list(declared.names)
        if declared is not None:
            return list(columns)
        # What a wide table holds depends on what was measured.
        stored = set(self.schema(name).names)
        return [column for column in columns if column in stored]


def drop_partitions(warehouse: Warehouse, name: str, partitions: Sequence[str]) -> None:
    """Remove partitions that are stored, or whose entries are while their files are lost; else nothing is touched."""
    if not partitions:
        return
    there = warehouse.find_partitions(name, partitions)
    if there:
        warehouse.remove_partitions(name, there)
