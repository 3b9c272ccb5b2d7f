"""Stored tables wherever the settings place them: in the Iceberg catalog or in the warehouse root.

``BIOIMAGE_ICEBERG_TABLES`` names the tables that are kept in the catalog; with ``BIOIMAGE_CATALOG=none``
everything lies in the warehouse root. Readers here do not care.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.assets.stored import partition_files
from bioimage_assets.core.catalog.read import read_batches, read_table
from bioimage_assets.core.catalog.session import resolve_identifier
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.profiling.features import drop_empty_features
from bioimage_assets.core.tables.schemas import TABLES
from bioimage_assets.core.warehouse.text_columns import add_chunk_text_columns, add_image_text_columns
from bioimage_assets.resources.project import ProjectResource


def read_rows(
    project: ProjectResource, name: str, plate_key: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """Rows of one plate; the declared columns where the table has a declared schema.

    Raises
    ------
    MissingTableError
        Nothing was ever stored under this name.
    """
    wanted = _columns(name, columns)
    if not project.settings.is_in_catalog(name):
        return project.warehouse().read(name, columns=wanted, plate_keys=[plate_key])
    catalog = project.catalog()
    identifier = resolve_identifier(catalog, project.settings.catalog_namespace, name)
    partition_column = TABLES[name].partition_column
    return read_table(
        catalog, identifier, columns=wanted, plate_keys=[plate_key], partition_column=partition_column
    )


def stream_rows(
    project: ProjectResource, name: str, plate_key: str, columns: Sequence[str] | None = None
) -> pa.RecordBatchReader:
    """The same as a stream in bounded memory."""
    wanted = _columns(name, columns)
    if not project.settings.is_in_catalog(name):
        return project.warehouse().batches(name, columns=wanted, plate_keys=[plate_key])
    catalog = project.catalog()
    identifier = resolve_identifier(catalog, project.settings.catalog_namespace, name)
    return read_batches(catalog, identifier, columns=wanted, plate_keys=[plate_key])


def find_rows(
    project: ProjectResource, name: str, partition: str, columns: Sequence[str] | None = None
) -> pa.Table | None:
    """Rows of one plate or dataset, None where none are stored."""
    try:
        rows = read_rows(project, name, partition, columns)
    except MissingTableError:
        return None
    return rows if rows.num_rows or not project.settings.is_in_catalog(name) else None


def find_cells(project: ProjectResource, name: str, plate_key: str) -> list[str] | pa.Table | None:
    """A wide table of one plate in the form that streams best: files of the warehouse, or rows of the catalog."""
    # Files in a bucket are read by the warehouse, which has the bucket's options; readers of files are local.
    if project.settings.is_in_catalog(name) or "://" in project.settings.warehouse_uri:
        rows = find_rows(project, name, plate_key)
        return drop_empty_features([rows])[0] if rows is not None and rows.num_rows else None
    return partition_files(project.warehouse(), name, plate_key) or None


def open_spooled(data: Any) -> Any:
    """Turn a spooled Parquet file into a stream; anything else stays as it is."""
    if isinstance(data, Path):
        spooled = pq.ParquetFile(data)
        return pa.RecordBatchReader.from_batches(spooled.schema_arrow, spooled.iter_batches(250_000))
    return data


def add_text_columns(name: str, data: Any) -> Any:
    """Add the text columns that readers of the seeds' warehouse expect of the two catalog tables."""
    if name == "image_assets" and isinstance(data, pa.Table):
        return add_image_text_columns(data)
    if name == "chunk_index" and isinstance(data, pa.Table | pa.RecordBatchReader):
        return add_chunk_text_columns(data)
    return data


def _columns(name: str, columns: Sequence[str] | None) -> list[str] | None:
    if columns is not None:
        return list(columns)
    schema = TABLES[name].schema
    return None if schema is None else list(schema.names)
