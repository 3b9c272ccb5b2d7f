"""The record of tables outside of the warehouse root: kept in the catalog, used in place, or without rows.

A part of the root carries its fingerprint in the manifest. An Iceberg table has no place for one per partition, and a table
that a plate does not have has no part at all: both are written down in ``built_tables``, one partition per plate and table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.storage.step_keys import build_step_key
from bioimage_assets.core.tables.schemas import BUILT_TABLES
from bioimage_assets.core.warehouse.root import Warehouse

NAME = "built_tables"


@dataclass(frozen=True, slots=True)
class BuiltTable:
    """One table of one plate or dataset: where it is kept (``catalog``, ``in place``, ``nowhere``), its rows, what it was made of."""

    partition: str
    table_name: str
    kept_in: str
    row_count: int
    fingerprint: str

    @property
    def step_key(self) -> str:
        """Key of its partition in the record."""
        return build_step_key(self.partition, self.table_name)


def record_built(warehouse: Warehouse, tables: Sequence[BuiltTable], run_id: str) -> None:
    """Write tables down in one change of the root; what was written down of them before is replaced."""
    if not tables:
        return
    data = {table.step_key: pa.Table.from_pylist([_row(table)], schema=BUILT_TABLES) for table in tables}
    warehouse.replace_partitions(
        NAME,
        data,
        list(data),
        fingerprint={table.step_key: table.fingerprint for table in tables},
        source_type="dagster_asset",
        source_ref=NAME,
        run_id=run_id,
    )


def count_built(warehouse: Warehouse, partition: str, table_name: str) -> int:
    """Rows of a table as they were written down."""
    rows = warehouse.read(NAME, columns=["row_count"], plate_keys=[build_step_key(partition, table_name)])
    return sum(rows["row_count"].to_pylist())


def _row(table: BuiltTable) -> Mapping[str, object]:
    return {
        "step_key": table.step_key,
        "plate_key": table.partition,
        "dataset_id": dataset_of(table.partition),
        "table_name": table.table_name,
        "kept_in": table.kept_in,
        "row_count": table.row_count,
        "fingerprint": table.fingerprint,
    }
