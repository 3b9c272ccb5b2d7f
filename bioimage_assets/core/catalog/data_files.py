"""Writing Parquet data files of an Iceberg table from Arrow batches, a bounded number of bytes in memory at a time.

The files belong to no snapshot until ``commit_files`` names them, so a commit can be tried again
without writing them again.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io import OutputFile
from pyiceberg.io.pyarrow import ParquetFormatWriter
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
from pyiceberg.schema import Schema, sanitize_column_names
from pyiceberg.table import Table
from pyiceberg.typedef import Properties, Record

from bioimage_assets.core.arrow_frames import TableOrStream
from bioimage_assets.core.catalog.arrow_types import convert_column
from bioimage_assets.core.errors import SchemaConflictError, UsageError
from bioimage_assets.core.parquet_checksums import add_names_checksum, open_parquet
from bioimage_assets.core.phrases import count_words

# Uncompressed Arrow bytes per data file: bounds the memory of a streamed write.
MAX_FILE_BYTES = 128 * 1024 * 1024

# Folder names end at 255 bytes, and foreign characters of a plate key are encoded twice in them.
_FOLDER_NAME_MAX = 200


class CheckedParquetWriter(ParquetFormatWriter):
    """PyIceberg's writer, with page checksums, for which Iceberg has no table property."""

    def __init__(self, output_file: OutputFile, file_schema: Schema, properties: Properties) -> None:
        super().__init__(output_file, file_schema, properties)
        self._parquet_writer_kwargs["write_page_checksum"] = True


@dataclass(slots=True)
class DataFileWriter:
    """Writes batches of one table; remembers its files and the rows of every partition.

    ``partition_column`` is None for an unpartitioned table, and ``keys`` are the partitions that
    rows may belong to (None for any).
    """

    table: Table
    partition_column: str | None
    keys: frozenset[str] | None
    files: list[DataFile] = field(default_factory=list)
    partition_rows: dict[str, int] = field(default_factory=dict)
    row_count: int = 0
    _uuid: uuid.UUID = field(default_factory=uuid.uuid4)
    _counter: Iterator[int] = field(default_factory=itertools.count)
    _paths: list[str] = field(default_factory=list)
    _file_schema: Schema | None = None
    _names: list[str] | None = None

    def write(self, data: TableOrStream) -> None:
        """Write everything; UsageError for rows of a foreign partition, SchemaConflictError for values that do not fit."""
        schema = self.table.schema().as_arrow()
        # One file per block and partition: a stream is never held whole.
        for block in iter_blocks(data, MAX_FILE_BYTES):
            for key, rows in self._split(self._fit(block, schema)):
                self._write_file(key, rows)

    def read_back(self) -> pa.RecordBatchReader:
        """The rows that were written, from the files: a stream that was consumed can be written again elsewhere."""
        names = list(self.columns)
        stored = self.table.schema().as_arrow()
        schema = pa.schema([pa.field(name, stored.field(name).type) for name in names])

        def batches() -> Iterator[pa.RecordBatch]:
            for file in self.files:
                with (
                    self.table.io.new_input(file.file_path).open() as stream,
                    open_parquet(stream) as parquet,
                ):
                    for batch in parquet.iter_batches():
                        rows = pa.Table.from_batches([batch]).rename_columns(names)
                        yield from fit_table(rows, schema).to_batches()

        return pa.RecordBatchReader.from_batches(schema, batches())

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the files have."""
        return tuple(self._names or ())

    def _fit(self, block: pa.Table, schema: pa.Schema) -> pa.Table:
        try:
            return fit_table(block, schema)
        except SchemaConflictError as error:
            raise SchemaConflictError(
                f"Table {'.'.join(self.table.name())}{self._name_culprit(block, schema)}: {error} Nothing was written."
            ) from None

    def _name_culprit(self, block: pa.Table, schema: pa.Schema) -> str:
        """Which partition has the value that does not fit, where the data tell."""
        column = self.partition_column
        if column is None or column not in block.column_names:
            return ""
        keys = pc.unique(block[column])
        for key in keys if len(keys) > 1 else ():
            try:
                fit_table(block.filter(pc.equal(block[column], key)), schema)
            except SchemaConflictError:
                return f", {key.as_py()}"
        return f", {', '.join(str(key) for key in keys.to_pylist()[:5])}"

    def discard(self) -> None:
        """Delete what was written, half-written files too, after a commit that certainly did not land."""
        for path in self._paths:
            try:
                self.table.io.delete(path)
            except OSError:  # Never created, or left for maintenance, which removes unreferenced files.
                continue
        self._paths.clear()
        self.files.clear()

    def _split(self, block: pa.Table) -> Iterator[tuple[str | None, pa.Table]]:
        if self.partition_column is None:
            yield None, block
            return
        column = block[self.partition_column]
        values = pc.unique(column).to_pylist()
        if self.keys is not None and (foreign := [value for value in values if value not in self.keys]):
            raise UsageError(
                f"{len(foreign)} partition value(s) in the data are not among the partitions to replace, "
                f"e.g. {foreign[0]!r}; expected {', '.join(sorted(self.keys)[:5])}."
            )
        for value in values:
            yield value, block if len(values) == 1 else block.filter(pc.equal(column, value))

    def _write_file(self, key: str | None, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        partition = None if self.table.spec().is_unpartitioned() else self._partition_key(key)
        self.files.append(self._write_parquet(rows, partition))
        self.row_count += rows.num_rows
        if key is not None:
            self.partition_rows[key] = self.partition_rows.get(key, 0) + rows.num_rows

    def _write_parquet(self, rows: pa.Table, partition: PartitionKey | None) -> DataFile:
        # PyIceberg's write_file would turn null lists of structs into empty ones.
        metadata = self.table.metadata
        file_schema = self._schema_of(rows.column_names)
        name = f"{next(self._counter):05d}-0-{self._uuid}.parquet"
        path = self.table.location_provider().new_data_location(name, _folder_key(partition))
        self._paths.append(path)
        output = self.table.io.new_output(path)
        writer = CheckedParquetWriter(output, file_schema, metadata.properties)
        with writer:
            # Names as Avro allows them, which PyIceberg's readers expect in files; columns are found by field id.
            named = rows.rename_columns([field_.name for field_ in file_schema.fields])
            writer.write(named.replace_schema_metadata(add_names_checksum(named.schema).metadata))
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=path,
            file_format=FileFormat.PARQUET,
            partition=partition.partition if partition is not None else Record(),
            file_size_in_bytes=len(output),
            # As in PyIceberg 0.12's own writer: https://github.com/apache/iceberg-python/issues/271
            sort_order_id=None,
            spec_id=metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            **writer.result().to_serialized_dict(),
        )

    def _schema_of(self, names: list[str]) -> Schema:
        """Iceberg schema of a file with these columns; all blocks of a write have the same."""
        if self._file_schema is None:
            by_name = {field_.name: field_ for field_ in self.table.metadata.schema().fields}
            self._names = names
            self._file_schema = sanitize_column_names(Schema(*(by_name[name] for name in names)))
        return self._file_schema

    def _partition_key(self, key: str | None) -> PartitionKey:
        metadata = self.table.metadata
        values = [PartitionFieldValue(field=spec_field, value=key) for spec_field in metadata.spec().fields]
        return PartitionKey(field_values=values, partition_spec=metadata.spec(), schema=metadata.schema())


def _folder_key(partition: PartitionKey | None) -> PartitionKey | None:
    """Partition that names the file's folder; none where the encoded name is longer than file systems allow."""
    fits = partition is not None and len(partition.to_path()) <= _FOLDER_NAME_MAX
    return partition if fits else None


def iter_blocks(data: TableOrStream, max_bytes: int) -> Iterator[pa.Table]:
    """Cut data into tables of about ``max_bytes``; a reader is consumed lazily, an empty one gives nothing."""
    batches: list[pa.RecordBatch] = []
    size = 0
    for batch in data.to_batches() if isinstance(data, pa.Table) else data:
        for piece in _pieces(batch, max_bytes):
            batches.append(piece)
            size += _size_bytes(piece)
            if size >= max_bytes:
                yield pa.Table.from_batches(batches)
                batches, size = [], 0
    if batches:
        yield pa.Table.from_batches(batches)


def _pieces(batch: pa.RecordBatch, max_bytes: int) -> Iterator[pa.RecordBatch]:
    if not batch.num_rows:
        return
    count = max(1, -(-_size_bytes(batch) // max_bytes))
    rows = -(-batch.num_rows // count)
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _size_bytes(batch: pa.RecordBatch) -> int:
    try:
        return int(batch.nbytes)
    except pa.ArrowTypeError:  # Views cannot be measured by slice; their whole buffers are an upper bound.
        return int(batch.get_total_buffer_size())


def fit_table(block: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give the columns of a block the types of the stored schema, in the order of the block.

    Optional columns that the block lacks stay away: Iceberg gives them to readers as nulls. Columns of null type are not
    stored.
    """
    lacking = [f.name for f in schema if not f.nullable and f.name not in block.column_names]
    if lacking and block.num_rows:
        raise SchemaConflictError(
            f"Column {lacking[0]!r} is required, but {block.num_rows} of {count_words(block.num_rows, 'row')} are null."
        )
    stored = [schema.field(name) for name in block.column_names if name in schema.names]
    columns = []
    for field_ in stored:
        column = convert_column(block[field_.name], field_)
        if not field_.nullable and column.null_count:
            raise SchemaConflictError(
                f"Column {field_.name!r} is required, but {column.null_count} of {count_words(block.num_rows, 'row')} are null."
            )
        columns.append(column)
    return pa.table(columns, schema=pa.schema(stored))
