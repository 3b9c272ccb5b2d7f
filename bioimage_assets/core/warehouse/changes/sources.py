"""Schema and batches of whatever holds Arrow data, keyed by partition where that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.arrow_frames import ArrowData, to_arrow
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.warehouse.columns.evolution import logical_schema


@dataclass(frozen=True, slots=True)
class PartSource:
    """Data of one or many partitions.

    ``only_key`` is set where the data have no partition column; ``added`` is that column, to be put
    first, where rows must carry it. ``given_for`` is the partition that the data were given for, if one was named.
    """

    schema: pa.Schema
    reader: pa.RecordBatchReader
    only_key: str | None
    added: str | None = None
    given_for: str | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches once through, with the partition column in place."""
        for received in self.reader:
            batch = self._plain(received)
            if self.added is None:
                yield batch
            else:
                # One copy of the key in memory, however long the batch.
                keys = pa.array([self.only_key], pa.string()).take(pa.array([0] * batch.num_rows, pa.int8()))
                yield pa.RecordBatch.from_arrays(
                    [keys, *batch.columns], names=[self.added, *batch.schema.names]
                )

    def _plain(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Decode dictionaries and views, whose kernels are incomplete."""
        fields = [field for field in self.schema if field.name != self.added]
        if all(field.type.equals(own.type) for field, own in zip(fields, batch.schema, strict=True)):
            return batch
        columns = [
            column if column.type.equals(field.type) else column.cast(field.type)
            for column, field in zip(batch.columns, fields, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def open_source(
    data: ArrowData, where: str, *, column: str, keys: Sequence[str] | None, is_partitioned: bool
) -> PartSource:
    """Look at the data's schema; nothing is read yet.

    Raises
    ------
    UsageError
        Several partitions are to be replaced but the data have no partition column, or are not Arrow data.
    """
    reader = as_reader(data, column)
    schema = logical_schema(reader.schema, where)
    if column in schema.names:
        return PartSource(schema, reader, None)
    if keys is not None and len(keys) == 1:
        schema = schema.insert(0, pa.field(column, pa.string(), nullable=False))
        return PartSource(schema, reader, keys[0], column)
    if is_partitioned:
        raise UsageError(
            f"{where}: the data need a column {column!r} that says which partition a row belongs to."
        )
    return PartSource(schema, reader, "*")


def open_sources(
    data: ArrowData | Mapping[str, ArrowData], where: str, *, column: str, keys: Sequence[str] | None
) -> list[PartSource]:
    """Sources of one data object, or of a mapping from partition key to data object."""
    if not isinstance(data, Mapping):
        return [open_source(data, where, column=column, keys=keys, is_partitioned=keys is not None)]
    return [
        replace(
            open_source(part, f"{where} [{key}]", column=column, keys=[key], is_partitioned=True),
            given_for=key,
        )
        for key, part in data.items()
    ]


def as_reader(data: ArrowData, column: str | None = None) -> pa.RecordBatchReader:
    """Stream any Arrow data; a table whose partitions are interleaved is sorted by them first."""
    arrow = to_arrow(data)
    if isinstance(arrow, pa.RecordBatchReader):
        return arrow
    if column is not None and column in arrow.column_names:
        arrow = _grouped(arrow, column)
    return arrow.to_reader()


def _grouped(table: pa.Table, column: str) -> pa.Table:
    keys = table.column(column)
    if table.num_rows < 2 or keys.null_count:
        return table
    keys = keys.combine_chunks()
    changes = pc.sum(pc.not_equal(keys.slice(1), keys.slice(0, len(keys) - 1))).as_py() or 0
    # Every key stands in one run.
    if changes + 1 == len(pc.unique(keys)):
        return table
    return table.take(pc.sort_indices(keys))
