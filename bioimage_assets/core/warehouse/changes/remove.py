"""Remove partitions of a table: their files go, mixed files lose their rows, the manifest follows."""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.warehouse.changes.request import WriteRequest
from bioimage_assets.core.warehouse.changes.stage_parts import TableDescription
from bioimage_assets.core.warehouse.changes.write import write_table
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.results import TableWrite


def remove_partitions(
    files: RootFiles, table_name: str, keys: Sequence[str], partition_column: str
) -> TableWrite:
    """Remove the rows of some partitions from one table."""
    unchanged = TableDescription(role="", partition_column=partition_column)
    return write_table(files, WriteRequest(table_name, "remove", (), unchanged, tuple(keys)))
