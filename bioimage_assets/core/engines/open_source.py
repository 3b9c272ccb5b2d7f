"""Find what an engine reads of a table: files of a warehouse root, data files of an Iceberg table, files, rows in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.filters import partition_filter
from bioimage_assets.core.catalog.history import resolve_snapshot
from bioimage_assets.core.catalog.read import AsOf, table_arrow_schema
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import parse_identifier
from bioimage_assets.core.engines.table_source import Part, StoredColumn, TableSource
from bioimage_assets.core.errors import MissingTableError, SchemaConflictError, UsageError
from bioimage_assets.core.model.table_specs import TABLES
from bioimage_assets.core.parquet_checksums import check_names, open_parquet
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.warehouse.changes.stage_parts import PartFooter, parse_footer
from bioimage_assets.core.warehouse.columns.evolution import union_schemas
from bioimage_assets.core.warehouse.reading.adopted_parts import read_footer
from bioimage_assets.core.warehouse.root import Warehouse

_READERS = 8  # footers that are fetched at once
_FIELD_ID = b"PARQUET:field_id"


def project_source(tables: ProjectTables, name: str, partitions: Sequence[str] | None = None) -> TableSource:
    """One table of a project, or some of its plates or datasets, wherever the settings keep it.

    Raises
    ------
    MissingTableError
        Nothing was ever stored under this name.
    """
    options = tables.settings.storage_options
    column = TABLES[name].partition_column if name in TABLES else "plate_key"
    if not tables.is_in_catalog(name):
        return warehouse_source(tables.warehouse, name, partitions, options=options, partition_column=column)
    catalog, identifier = tables.identify(name)
    return iceberg_source(catalog, identifier, partitions, options=options, partition_column=column)


def warehouse_source(
    warehouse: Warehouse,
    name: str,
    partitions: Sequence[str] | None = None,
    *,
    options: Mapping[str, object] | None = None,
    partition_column: str = "plate_key",
) -> TableSource:
    """A table of a Parquet warehouse root; the footer of each file is read once.

    The files are those of one state; a plate that is replaced later is read as it is then, complete.
    """
    locations = warehouse.files(name, list(partitions) if partitions is not None else None)
    if not locations and name not in warehouse.tables():
        raise MissingTableError(f"Missing table: {name!r} in the warehouse {warehouse.root}.")
    files = warehouse.files_at
    start = len(files.location(""))
    with ThreadPoolExecutor(_READERS) as pool:
        footers = list(pool.map(lambda place: read_footer(files, place[start:].lstrip("/")), locations))
    if partitions is not None and any(f.row_count and f.partition is None for f in footers):
        return _read_partitions(warehouse, name, partitions, partition_column)
    return _source_of_footers(name, locations, footers, options, partition_column, warehouse.root)


def _read_partitions(
    warehouse: Warehouse, name: str, partitions: Sequence[str], partition_column: str
) -> TableSource:
    """Some partitions of a table with files of another tool, which may hold rows of others, too: an engine reads whole files."""
    found = {key: warehouse.read(name, plate_keys=[key]) for key in dict.fromkeys(partitions)}
    tables = {key: table for key, table in found.items() if table.num_rows}
    if not tables:
        return TableSource(name, (), warehouse.schema(name), partition_column)
    source = arrow_source(name, list(tables.values()), partition_column=partition_column)
    parts = tuple(replace(part, partition=key) for key, part in zip(tables, source.parts, strict=True))
    return replace(source, parts=parts)


def parquet_source(
    name: str,
    uris: Sequence[str | Path],
    *,
    options: Mapping[str, object] | None = None,
    partition_column: str = "plate_key",
) -> TableSource:
    """Local Parquet files of any maker; the statistics of a file tell whether it is of one plate."""
    locations = [str(uri) for uri in uris]
    footers = []
    for location in locations:
        with open_parquet(location) as file:
            footer = parse_footer(file.metadata, file.schema_arrow)
            partition = footer.partition or _find_only_value(file.metadata, partition_column)
            footers.append(replace(footer, partition=partition))
    return _source_of_footers(name, locations, footers, options, partition_column, "files")


def _find_only_value(footer: pq.FileMetaData, column: str) -> str | None:
    """Text that all rows of a file have in a column, None where statistics do not say so."""
    if column not in footer.schema.names:
        return None
    place = footer.schema.names.index(column)
    found = set()
    for group in range(footer.num_row_groups):
        statistics = footer.row_group(group).column(place).statistics
        if statistics is None or not statistics.has_min_max or statistics.null_count != 0:
            return None
        found |= {statistics.min, statistics.max}
    only = found.pop() if len(found) == 1 else None
    return only if isinstance(only, str) else None


def _source_of_footers(
    name: str,
    locations: Sequence[str],
    footers: Sequence[PartFooter],
    options: Mapping[str, object] | None,
    partition_column: str,
    where: str,
) -> TableSource:
    parts = []
    schema: pa.Schema | None = None
    seen: dict[int, pa.Schema] = {}
    for location, footer in zip(locations, footers, strict=True):
        check_names(footer.schema)
        logical = footer.logical_schema
        if hash(logical) not in seen:  # plates of one screen are alike
            seen[hash(logical)] = logical
            schema = union_schemas(schema, logical, f"Table {name!r} of {where}")
        # A column that is empty on this plate has no type here.
        held = {f.name: StoredColumn(f.name, f.type) for f in logical if not pa.types.is_null(f.type)}
        parts.append(Part(held, footer.row_count, footer.partition, location))
    known = schema if schema is not None else pa.schema([])
    typed = pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in known])
    return TableSource(name, tuple(parts), typed, partition_column, dict(options or {}))


def iceberg_source(
    catalog: Catalog,
    identifier: str | Sequence[str],
    partitions: Sequence[str] | None = None,
    *,
    as_of: AsOf = None,
    options: Mapping[str, object] | None = None,
    partition_column: str = "plate_key",
) -> TableSource:
    """An Iceberg table at one snapshot; its files' columns are found by field id, whatever they were called.

    Raises
    ------
    UsageError
        A file has deletes beside it, or carries no field ids: another tool wrote it.
    """
    parts = parse_identifier(identifier)
    label = ".".join(parts)
    with catalog_errors(f"Reading {label}"):
        table = catalog.load_table(parts)
        snapshot_id = resolve_snapshot(table, as_of)
        schema = table_arrow_schema(table, snapshot_id)
        scan = table.scan(snapshot_id=snapshot_id)
        ids = {field.field_id: field.name for field in scan.projection().fields}
        if partitions is not None:
            scan = table.scan(
                snapshot_id=snapshot_id, row_filter=partition_filter(partition_column, partitions)
            )
        tasks = list(scan.plan_files())
        if any(task.delete_files for task in tasks):
            raise UsageError(
                f"Iceberg table {label} has delete files, which no project table has; rewrite it without."
            )

        def read_part(place: int) -> Part:
            file = tasks[place].file
            with scan.io.new_input(file.file_path).open() as stream, open_parquet(stream) as parquet:
                held = _columns_by_id(parquet.schema_arrow, ids, file.file_path)
            sources = [ids.get(each.source_id) for each in table.specs()[file.spec_id].fields]
            value = file.partition[sources.index(partition_column)] if partition_column in sources else None
            return Part(held, file.record_count, value, _plain_uri(file.file_path))

        with ThreadPoolExecutor(_READERS) as pool:
            found = tuple(pool.map(read_part, range(len(tasks))))
    fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in schema]
    return TableSource(label, found, pa.schema(fields), partition_column, dict(options or {}))


def _columns_by_id(schema: pa.Schema, ids: Mapping[int, str], path: str) -> dict[str, StoredColumn]:
    held = {}
    for field in schema:
        number = (field.metadata or {}).get(_FIELD_ID)
        if number is None:
            raise UsageError(f"Data file {path}: column {field.name!r} has no Iceberg field id.")
        if int(number) in ids:
            held[ids[int(number)]] = StoredColumn(
                field.name,
                field.type.storage_type if isinstance(field.type, pa.ExtensionType) else field.type,
            )
    return held


def _plain_uri(uri: str) -> str:
    """Local files as plain paths."""
    return uri.removeprefix("file://") if uri.startswith("file:///") else uri


def arrow_source(
    name: str, tables: Sequence[pa.Table], *, partition_column: str = "plate_key"
) -> TableSource:
    """Rows in memory; tables may have different columns.

    Raises
    ------
    SchemaConflictError
        A column has types that go not together.
    """
    try:
        schema = pa.unify_schemas([table.schema for table in tables], promote_options="permissive")
    except pa.ArrowException as error:
        raise SchemaConflictError(f"Table {name!r}: {error}") from error
    parts = tuple(
        Part({f.name: StoredColumn(f.name, f.type) for f in table.schema}, table.num_rows, None, "", table)
        for table in tables
    )
    return TableSource(name, parts, schema.remove_metadata(), partition_column)
