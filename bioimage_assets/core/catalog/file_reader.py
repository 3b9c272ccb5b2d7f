"""Reading the data files of a planned scan into Arrow, with every null where it was written.

PyIceberg 0.12.0 turns a null list of structs into an empty list, on its way in (the stored file has lost the null) and
on its way out: ``ArrowProjectionVisitor.list`` in its io/pyarrow.py builds the list again without the mask of nulls.
Files are therefore read here and written in ``data_files``, columns matched by field id
(https://iceberg.apache.org/spec/#column-projection); files of other writers that carry deletes or no field ids are left
to PyIceberg. Both can go back to PyIceberg once ``[[{"x": 1}], None, []]`` comes back from it as it was given
(https://github.com/apache/iceberg-python/issues/3833) and it compares page checksums, too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.expressions.visitors import bind, extract_field_ids
from pyiceberg.io.pyarrow import ArrowScan, expression_to_pyarrow
from pyiceberg.manifest import FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import DataScan, FileScanTask
from pyiceberg.utils.concurrent import ExecutorFactory

from bioimage_assets.core.catalog.arrow_types import convert_column, storage_schema
from bioimage_assets.core.errors import CatalogError
from bioimage_assets.core.parquet_checksums import check_names, open_parquet

_FIELD_ID = b"PARQUET:field_id"
# PyArrow's default; files end at MAX_FILE_BYTES of data_files.py, so batches of wide tables are smaller.
_BATCH_ROWS = 65_536


def read_scan(scan: DataScan) -> Iterator[pa.Table]:
    """Read the planned files one after the other, a batch of rows at a time."""
    left = scan.limit
    for task in scan.plan_files():
        for rows in _read_task(scan, task):
            yield rows if left is None else rows.slice(0, left)
            left = None if left is None else left - min(left, rows.num_rows)
            if left == 0:
                return


def read_scan_at_once(scan: DataScan) -> list[pa.Table]:
    """Read the planned files side by side; in the order of the plan."""
    if scan.limit is not None:
        return list(read_scan(scan))
    # PyIceberg's own pool, so that its setting for the number of threads holds here, too.
    parts = ExecutorFactory.get_or_create().map(
        lambda task: list(_read_task(scan, task)), list(scan.plan_files())
    )
    return [rows for part in parts for rows in part]


def _read_task(scan: DataScan, task: FileScanTask) -> Iterator[pa.Table]:
    path = task.file.file_path
    with scan.io.new_input(path).open() as stream:
        try:
            columns = None
            if task.file.file_format == FileFormat.PARQUET and not task.delete_files:
                # Pages are compared with their checksums, which PyIceberg does not ask for.
                file = open_parquet(stream)
                check_names(file.schema_arrow)
                columns = _columns_by_id(file.schema_arrow)
            if columns:
                yield from _read_parquet(scan, task, file, columns)
            else:
                yield from _read_with_library(scan, task)
        except (pa.ArrowException, OSError) as error:
            raise CatalogError(
                f"Data file {path} cannot be read ({error}). Write its plate again, or roll the table back."
            ) from error


def _read_parquet(
    scan: DataScan, task: FileScanTask, file: pq.ParquetFile, columns: dict[int, str]
) -> Iterator[pa.Table]:
    wanted = scan.projection()
    table_schema = _table_schema(scan)
    bound = bind(table_schema, task.residual, scan.case_sensitive)
    needed = _with_filter_columns(table_schema, wanted, extract_field_ids(bound))
    target = storage_schema(needed.as_arrow())
    present = {
        field.field_id: columns[field.field_id] for field in needed.fields if field.field_id in columns
    }
    # A file written before any of the columns existed still says how many rows it has.
    names = list(present.values()) or [next(iter(columns.values()))]
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
        rows = _project(pa.Table.from_batches([batch]), needed, present, target)
        if bound != AlwaysTrue():
            # The residual: what the partition values do not decide already.
            rows = rows.filter(expression_to_pyarrow(bound, table_schema))
        yield rows.select([field.name for field in wanted.fields])


def _project(rows: pa.Table, needed: Schema, present: dict[int, str], target: pa.Schema) -> pa.Table:
    arrays = [
        convert_column(rows[present[iceberg.field_id]], field)
        if iceberg.field_id in present
        else pa.chunked_array([pa.nulls(rows.num_rows, field.type)])
        for iceberg, field in zip(needed.fields, target, strict=True)
    ]
    # Nullability is the table's promise for rows written since; older files may lack the column.
    return pa.table(arrays, names=target.names)


def _columns_by_id(schema: pa.Schema) -> dict[int, str]:
    """Top-level column names by field id; empty where the file does not carry them."""
    found = {}
    for field in schema:
        number = (field.metadata or {}).get(_FIELD_ID)
        if number is None:
            return {}
        found[int(number)] = field.name
    return found


def _table_schema(scan: DataScan) -> Schema:
    return scan.update(selected_fields=("*",)).projection()


def _with_filter_columns(table_schema: Schema, wanted: Schema, ids: set[int]) -> Schema:
    names = {field.name for field in wanted.fields}
    extra = [field for field in table_schema.fields if field.field_id in ids and field.name not in names]
    return Schema(*wanted.fields, *extra)


def _read_with_library(scan: DataScan, task: FileScanTask) -> Iterator[pa.Table]:
    reader = ArrowScan(scan.table_metadata, scan.io, scan.projection(), scan.row_filter, scan.case_sensitive)
    for batch in reader.to_record_batches([task]):
        yield pa.Table.from_batches([batch])
