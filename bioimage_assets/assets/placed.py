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
from bioimage_assets.core.catalog.read import read_batches, read_table, table_arrow_schema
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import resolve_identifier
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.tables.schemas import TABLES
from bioimage_assets.core.tables.text_columns import add_chunk_text_columns, add_image_text_columns
from bioimage_assets.resources.project import ProjectResource


def read_rows(
    project: ProjectResource, name: str, plate_key: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """Rows of one plate; the declared columns where the table has a declared schema, else the plate's own.

    Of named columns those that nobody's measurements have are left out.

    Raises
    ------
    MissingTableError
        Nothing was ever stored under this name.
    """
    wanted = _columns(project, name, columns)
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
    wanted = _columns(project, name, columns)
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
        return rows if rows is not None and rows.num_rows else None
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


def _columns(project: ProjectResource, name: str, columns: Sequence[str] | None) -> list[str] | None:
    declared = TABLES[name].schema
    if columns is None:
        return None if declared is None else list(declared.names)
    if declared is not None:
        return list(columns)
    # What a wide table holds depends on what was measured.
    stored = set(_stored_columns(project, name))
    return [column for column in columns if column in stored]


def _stored_columns(project: ProjectResource, name: str) -> list[str]:
    if not project.settings.is_in_catalog(name):
        return list(project.warehouse().schema(name).names)
    catalog = project.catalog()
    identifier = resolve_identifier(catalog, project.settings.catalog_namespace, name)
    with catalog_errors(f"Reading {'.'.join(identifier)}"):
        return list(table_arrow_schema(catalog.load_table(identifier)).names)
