"""Read Iceberg tables into Arrow: chosen columns and plates, now or as of an earlier snapshot.

Column types are those the data were written with (see ``original_types``). A reader holds one snapshot from
start to end, so writers beside it are never seen half done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression
from pyiceberg.schema import Schema
from pyiceberg.table import DataScan, Table

from bioimage_assets.core.catalog.arrow_type_memory import read_original_types
from bioimage_assets.core.catalog.arrow_types import convert_column, storage_schema, storage_type
from bioimage_assets.core.catalog.columns_in_files import find_columns_in_files
from bioimage_assets.core.catalog.evolution import PARTITION_COLUMN
from bioimage_assets.core.catalog.file_reader import read_scan, read_scan_at_once
from bioimage_assets.core.catalog.filters import parse_filter, partition_filter
from bioimage_assets.core.catalog.history import resolve_snapshot
from bioimage_assets.core.catalog.retry import call_with_retry, catalog_errors
from bioimage_assets.core.catalog.session import parse_identifier
from bioimage_assets.core.errors import UsageError

AsOf = int | str | datetime | None

_READ_DEADLINE_S = 5.0  # planning again takes milliseconds; a file that is still missing after this is lost


def read_table(
    catalog: Catalog,
    identifier: str | Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    plate_keys: Sequence[str] | None = None,
    where: str | BooleanExpression | None = None,
    as_of: AsOf = None,
    limit: int | None = None,
    partition_column: str = PARTITION_COLUMN,
) -> pa.Table:
    """Read rows of one snapshot into memory.

    Parameters
    ----------
    columns
        In this order; None for all. UsageError names one that does not exist.
    plate_keys
        Only these partitions are opened. An empty sequence gives no rows. All columns are then the plates' own:
        those that their files hold, whatever other plates of the table have.
    where
        Row filter in PyIceberg's syntax, e.g. ``"well_id = 'A01' and level_count > 1"``.
    as_of
        Snapshot id, time (datetime, or ISO text) or name of a tag. None: newest.

    Raises
    ------
    MissingTableError
        The table does not exist.
    """
    parts = parse_identifier(identifier)

    def read() -> pa.Table:
        scan, schema = _plan(catalog, parts, columns, plate_keys, where, as_of, limit, partition_column)
        parts_read = [restore_table(rows, schema) for rows in read_scan_at_once(scan)]
        return pa.concat_tables(parts_read).combine_chunks() if parts_read else schema.empty_table()

    with catalog_errors(f"Reading {'.'.join(parts)}"):
        # Maintenance may remove a file between planning and reading: the newest state has no such file.
        return call_with_retry(read, deadline_s=_READ_DEADLINE_S, retryable=_is_vanished_file)


def read_batches(
    catalog: Catalog,
    identifier: str | Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    plate_keys: Sequence[str] | None = None,
    where: str | BooleanExpression | None = None,
    as_of: AsOf = None,
    limit: int | None = None,
    partition_column: str = PARTITION_COLUMN,
) -> pa.RecordBatchReader:
    """Stream the rows that ``read_table`` would give, one file's batches in memory at a time."""
    parts = parse_identifier(identifier)
    with catalog_errors(f"Reading {'.'.join(parts)}"):
        scan, schema = _plan(catalog, parts, columns, plate_keys, where, as_of, limit, partition_column)

    def batches() -> Iterator[pa.RecordBatch]:
        with catalog_errors(f"Reading {'.'.join(parts)}"):
            for rows in read_scan(scan):
                yield from restore_table(rows, schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def table_arrow_schema(table: Table, snapshot_id: int | None = None) -> pa.Schema:
    """Schema with the types that reading a table gives back, now or as it was at a snapshot."""
    original_types = read_original_types(table.properties)
    stored = storage_schema(table.scan(snapshot_id=snapshot_id).projection().as_arrow())
    fields = [
        field.with_type(original_types[field.name].type).with_metadata(original_types[field.name].metadata)
        if field.name in original_types
        else field
        for field in stored
    ]
    lost = [
        field
        for name, field in original_types.items()
        if name not in stored.names and storage_type(field.type) is None
    ]
    return pa.schema([*fields, *lost])


def restore_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give stored columns the types of ``schema``; columns of null type, which are not stored, come back."""
    given = set(table.column_names)
    columns = [
        convert_column(table[field.name], field)
        if field.name in given
        else pa.chunked_array([pa.nulls(table.num_rows, field.type)])
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _plan(
    catalog: Catalog,
    parts: tuple[str, ...],
    columns: Sequence[str] | None,
    plate_keys: Sequence[str] | None,
    where: str | BooleanExpression | None,
    as_of: AsOf,
    limit: int | None,
    partition_column: str,
) -> tuple[DataScan, pa.Schema]:
    table = catalog.load_table(parts)
    snapshot_id = resolve_snapshot(table, as_of)
    schema = table_arrow_schema(table, snapshot_id)
    chosen = list(schema.names if columns is None else columns)
    if unknown := [name for name in chosen if name not in schema.names]:
        raise UsageError(
            f"Table {'.'.join(parts)} has no column {unknown[0]!r}; it has {', '.join(schema.names)}."
        )
    projection = table.scan(snapshot_id=snapshot_id).projection()
    stored = [field.name for field in projection.fields]
    scan = table.scan(
        row_filter=_row_filter(where, plate_keys, partition_column), snapshot_id=snapshot_id, limit=limit
    )
    if columns is None and plate_keys is not None:
        chosen = _own_columns(scan, projection, chosen)
    # A column of null type is not stored; reading the first column counts its rows.
    selected = tuple(name for name in chosen if name in stored) or (stored[0],)
    return scan.update(selected_fields=selected), pa.schema([schema.field(name) for name in chosen])


def _own_columns(scan: DataScan, projection: Schema, names: list[str]) -> list[str]:
    """Columns that the planned files hold; all where they do not say, or where there is no file."""
    tasks = list(scan.plan_files())
    held = find_columns_in_files(tasks, projection) if tasks else None
    if held is None:
        return names
    stored = {field.name for field in projection.fields}
    return [name for name in held if name in names] + [name for name in names if name not in stored]


def _row_filter(
    where: str | BooleanExpression | None, plate_keys: Sequence[str] | None, partition_column: str
) -> BooleanExpression:
    wanted = AlwaysTrue() if where is None else parse_filter(where)
    return wanted if plate_keys is None else And(wanted, partition_filter(partition_column, plate_keys))


def _is_vanished_file(error: BaseException) -> bool:
    return isinstance(error, FileNotFoundError)
