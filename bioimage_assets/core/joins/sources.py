"""Opens anything that holds profile rows: one schema, and batches of chosen columns.

Accepted: Parquet and CSV files, folders and glob patterns of them (local paths and URIs), Arrow tables,
batches, readers and datasets, pandas and polars frames, lists of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq

from bioimage_assets.core.arrow_frames import ArrowStream, to_arrow, to_table, type_name
from bioimage_assets.core.errors import MeasurementError, StoreError, UsageError
from bioimage_assets.core.joins.table_files import (
    StorageOptions,
    is_remote,
    list_table_files,
    open_table_file,
    read_csv_table,
)
from bioimage_assets.core.model.file_kinds import CSV_SUFFIXES, has_suffix
from bioimage_assets.core.parquet_checksums import check_names, open_parquet
from bioimage_assets.core.stores.open import local_path

BATCH_ROWS = 16_384  # of narrow tables; BATCH_BYTES bounds wide ones
# Whole rows are read in batches of about this many decoded bytes: plates of 5,000 features or images fit, too.
BATCH_BYTES = 48 << 20
READ_BUFFER_BYTES = 1 << 18  # PyArrow reads each column chunk by itself; small ones share a read


@runtime_checkable
class ProfileSource(Protocol):
    """Rows of profiles; ``is_rereadable`` says that ``batches`` may be called more than once."""

    schema: pa.Schema
    is_rereadable: bool

    def batches(self, positions: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Batches of the columns at ascending ``positions`` (None: all), in row order."""


class ArrowSource:
    """An Arrow table in memory."""

    is_rereadable = True

    def __init__(self, table: pa.Table) -> None:
        self.schema = table.schema
        self._table = table

    def batches(self, positions: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        table = self._table if positions is None else self._table.select(list(positions))
        if not table.num_columns:
            table = self._table.select([])
        yield from table.to_batches(max_chunksize=BATCH_ROWS)


class ReaderSource:
    """A stream that can be read once."""

    is_rereadable = False

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self.schema = reader.schema
        self._reader = reader

    def batches(self, positions: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        for batch in self._reader:
            yield batch if positions is None else batch.select(list(positions))


class DatasetSource:
    """An Arrow dataset, scanned in order."""

    is_rereadable = True

    def __init__(self, dataset: pa_dataset.Dataset) -> None:
        self.schema = dataset.schema
        self._dataset = dataset

    def batches(self, positions: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Batches of the chosen columns."""
        given = self.schema.names
        names = None if positions is None else [given[position] for position in positions]
        yield from self._dataset.scanner(columns=names, batch_size=BATCH_ROWS).to_batches()


class ParquetSource:
    """Parquet files read one after another; columns that a file lacks are null, types are widened to fit."""

    is_rereadable = True

    def __init__(self, paths: Sequence[str], storage_options: StorageOptions | None = None) -> None:
        self._paths = tuple(paths)
        self._storage_options = storage_options
        schemas = [_read_parquet_schema(path, storage_options) for path in self._paths]
        self._schemas = schemas
        self.schema = (
            schemas[0] if all(s.equals(schemas[0]) for s in schemas) else _unify(schemas, self._paths)
        )

    def batches(self, positions: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        wanted = range(len(self.schema)) if positions is None else positions
        target = pa.schema([self.schema.field(i) for i in wanted])
        for path, schema in zip(self._paths, self._schemas, strict=True):
            same = schema.equals(self.schema)
            names = None if positions is None else list(dict.fromkeys(target.names))
            for batch in _iter_parquet(path, names, self._storage_options):
                if positions is None and same:
                    yield batch
                else:
                    yield _conform(batch, target, self.schema, tuple(wanted) if same else None)


def open_profiles(source: object, storage_options: StorageOptions | None = None) -> ProfileSource:
    """Open any accepted kind of profile table.

    ``storage_options`` open files in a bucket; without them the project's (``BIOIMAGE_STORAGE_*``) do.
    UsageError for a kind that is not accepted; MeasurementError for a file that cannot be read.
    """
    if isinstance(source, pa.RecordBatchReader):
        return ReaderSource(to_arrow(source))
    if isinstance(source, ProfileSource):
        return source
    if isinstance(source, pa_dataset.Dataset):
        return DatasetSource(source)
    if isinstance(source, str | Path):
        return _open_paths(list_table_files(str(source), storage_options), storage_options)
    if isinstance(source, ArrowStream | pa.RecordBatch) or type_name(type(source)):
        return ArrowSource(to_table(source))
    if isinstance(source, list | tuple):
        return _open_list(source, storage_options)
    raise UsageError(
        f"Unsupported profile source type: {type(source).__name__}. Expected a path, folder or glob pattern of "
        "Parquet or CSV, an Arrow, pandas or polars table, or a list of rows."
    )


def _open_list(items: Sequence[object], storage_options: StorageOptions | None) -> ProfileSource:
    if items and all(isinstance(item, str | Path) for item in items):
        paths = [path for item in items for path in list_table_files(str(item), storage_options)]
        return _open_paths(paths, storage_options)
    if not all(isinstance(item, dict) for item in items):
        raise UsageError("Unsupported profile source type: a list must hold rows (dict) or paths, not both.")
    columns = dict.fromkeys(name for item in items if isinstance(item, dict) for name in item)
    rows = [{name: item.get(name) for name in columns} for item in items if isinstance(item, dict)]
    try:
        return ArrowSource(pa.Table.from_pylist(rows))
    except pa.ArrowException as error:
        raise UsageError(f"The rows do not form one table: {error}") from error


def _open_paths(paths: Sequence[str], storage_options: StorageOptions | None) -> ProfileSource:
    csv = [path for path in paths if has_suffix(path, CSV_SUFFIXES)]
    if not csv:
        return ParquetSource(paths, storage_options)
    if len(csv) != len(paths):
        raise UsageError("Parquet and CSV files cannot be one table: " + ", ".join(map(str, paths[:4])))
    tables = [read_csv_table(path, storage_options) for path in csv]
    return ArrowSource(tables[0] if len(tables) == 1 else _concat(tables, csv))


def _read_parquet_schema(path: str, storage_options: StorageOptions | None) -> pa.Schema:
    with _parquet_file(path, storage_options) as file:
        try:
            check_names(file.schema_arrow)
        except OSError as error:
            raise MeasurementError(f"Parquet table '{path}' cannot be read: {error}") from error
        return file.schema_arrow


def _parquet_file(path: str, storage_options: StorageOptions | None) -> pq.ParquetFile:
    try:
        if is_remote(path):
            return open_parquet(open_table_file(path, storage_options), pre_buffer=True)
        return open_parquet(local_path(path), buffer_size=READ_BUFFER_BYTES, pre_buffer=False)
    except (OSError, pa.ArrowException, StoreError) as error:
        raise MeasurementError(f"Parquet table '{path}' cannot be read: {error}") from error


def _iter_parquet(
    path: str, names: list[str] | None, storage_options: StorageOptions | None
) -> Iterator[pa.RecordBatch]:
    with _parquet_file(path, storage_options) as file:
        batch_rows = BATCH_ROWS if names is not None else _batch_rows(file.metadata)
        try:
            yield from file.iter_batches(batch_size=batch_rows, columns=names)
        except (OSError, pa.ArrowException, StoreError) as error:
            raise MeasurementError(f"Parquet table '{path}' cannot be read: {error}") from error


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """Rows that make ``BATCH_BYTES``, by the uncompressed sizes that the file states."""
    total = sum(int(metadata.row_group(group).total_byte_size) for group in range(metadata.num_row_groups))
    row_bytes = max(1, total // max(1, int(metadata.num_rows)))
    return max(1, min(BATCH_ROWS, BATCH_BYTES // row_bytes))


def _conform(
    batch: pa.RecordBatch, target: pa.Schema, whole: pa.Schema, positions: tuple[int, ...] | None
) -> pa.RecordBatch:
    """Select the target's columns; the n-th column of a name stays the n-th."""
    columns = []
    for number, field in enumerate(target):
        found = batch.schema.get_all_field_indices(field.name)
        nth = 0 if positions is None else whole.get_all_field_indices(field.name).index(positions[number])
        if nth < len(found):
            column = batch.column(found[nth])
            columns.append(column if column.type == field.type else column.cast(field.type))
        else:
            columns.append(pa.nulls(batch.num_rows, field.type))
    if not columns:
        return batch.select([])
    return pa.RecordBatch.from_arrays(columns, schema=target)


def _unify(schemas: Sequence[pa.Schema], paths: Sequence[str]) -> pa.Schema:
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise MeasurementError(
            f"Files {paths[0]!r} … {paths[-1]!r} do not form one table: {error}"
        ) from error


def _concat(tables: Sequence[pa.Table], paths: Sequence[str]) -> pa.Table:
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise MeasurementError(
            f"Files {paths[0]!r} … {paths[-1]!r} do not form one table: {error}"
        ) from error
