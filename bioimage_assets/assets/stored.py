"""Stored tables of one partition, with absence as an answer instead of an error."""

from typing import Any

from bioimage_assets.core.errors import MissingTableError


def partition_files(warehouse: Any, table_name: str, partition: str) -> list[str]:
    """Parquet files of a partition; empty where there is no such table or partition."""
    try:
        return warehouse.files(table_name, [partition])
    except MissingTableError:
        return []


def partition_fingerprint(warehouse: Any, table_name: str, partition: str) -> str | None:
    """Fingerprint under which a partition was stored; None where it was not."""
    entry = _entry(warehouse, table_name, partition)
    return entry.fingerprint if entry is not None else None


def remove_partition(warehouse: Any, table_name: str, partition: str) -> None:
    """Remove a partition's rows if there are any, or its entry where its files are lost."""
    if partition_files(warehouse, table_name, partition) or _entry(warehouse, table_name, partition):
        warehouse.remove_partitions(table_name, [partition])


def _entry(warehouse: Any, table_name: str, partition: str) -> Any:
    name = warehouse.resolve(table_name)
    for table in warehouse.manifest().tables:
        if table.table_name == name:
            return (table.partitions or {}).get(partition)
    return None
