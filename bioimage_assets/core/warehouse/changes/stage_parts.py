"""Writes Arrow batches as staged Parquet parts, one per partition, each with its own columns, in bounded memory.

Row groups are cut by bytes, not rows, so that a table of 3,000 columns and one of 10 both stream.
The footer of every part says which table and partition it belongs to: a lost manifest can be rebuilt.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.parquet_checksums import add_names_checksum, check_names, open_parquet_writer
from bioimage_assets.core.warehouse.columns.casting import conform
from bioimage_assets.core.warehouse.manifest.layout import WHOLE_TABLE

PART_METADATA_KEY = b"bioimage_assets"
ROW_GROUP_BYTES = 64 << 20  # decoded, of one part; a reader's memory
MAX_BUFFERED_BYTES = 256 << 20  # of all open parts, the largest is flushed first
MAX_OPEN_PARTS = 64  # plates whose rows come mixed; each has an open file


@dataclass(frozen=True, slots=True)
class TableDescription:
    """What a manifest says about a table besides its columns and files."""

    role: str
    join_keys: tuple[str, ...] = ()
    source_type: str | None = None
    source_ref: str | None = None
    analysis_level: str | None = None
    object_type: str | None = None
    partition_column: str = "plate_key"
    snapshot_id: int | None = None


@dataclass(frozen=True, slots=True)
class StagedPart:
    """A finished Parquet file that no reader sees yet."""

    key: str
    path: Path
    row_count: int
    digest: str

    @property
    def size_bytes(self) -> int:
        """Bytes of the file; before it is put in place."""
        return self.path.stat().st_size


@dataclass(frozen=True, slots=True)
class PartFooter:
    """What the footer of one part says."""

    schema: pa.Schema
    row_count: int
    partition: str | None = None
    table_name: str | None = None
    description: TableDescription | None = None
    fingerprint: str | None = None
    empty_columns: tuple[str, ...] = ()

    @property
    def logical_schema(self) -> pa.Schema:
        """Schema with type ``null`` for columns that had none when the part was written."""
        empty = set(self.empty_columns)
        return pa.schema([f.with_type(pa.null()) if f.name in empty else f for f in self.schema])


def build_footer_metadata(
    table_name: str,
    key: str,
    description: TableDescription,
    fingerprint: str | None,
    empty: Sequence[str] = (),
) -> dict[bytes, bytes]:
    """Key-value metadata of one part. Holds nothing that differs between two runs over the same data."""
    content = asdict(description) | {"table_name": table_name, "partition": key, "fingerprint": fingerprint}
    # Differs from run to run: equal data would have unequal bytes and be written again.
    content.pop("snapshot_id")
    content |= {"empty_columns": list(empty)} if empty else {}
    # Sorted, so that equal content has equal bytes.
    return {PART_METADATA_KEY: orjson.dumps(content, option=orjson.OPT_SORT_KEYS)}


def parse_footer(metadata: pq.FileMetaData, schema: pa.Schema) -> PartFooter:
    """Read what :func:`build_footer_metadata` wrote; foreign files give schema and rows only.

    A file may come from anybody: words that are not text are as good as none.

    Raises
    ------
    OSError
        The names of the columns are damaged.
    """
    check_names(schema)
    content = _own_words((metadata.metadata or {}).get(PART_METADATA_KEY))
    if content is None:
        return PartFooter(schema.remove_metadata(), metadata.num_rows)
    description = TableDescription(
        role=_text(content.get("role")) or "",
        join_keys=_texts(content.get("join_keys")),
        source_type=_text(content.get("source_type")),
        source_ref=_text(content.get("source_ref")),
        analysis_level=_text(content.get("analysis_level")),
        object_type=_text(content.get("object_type")),
        partition_column=_text(content.get("partition_column")) or "plate_key",
    )
    return PartFooter(
        schema.remove_metadata(), metadata.num_rows, _text(content.get("partition")), _text(content.get("table_name")),
        description, _text(content.get("fingerprint")), _texts(content.get("empty_columns")),
    )  # fmt: skip


def read_partition(schema: pa.Schema) -> str | None:
    """Partition that a file was written for, from the metadata of its schema; None for files of other tools."""
    return _text((_own_words((schema.metadata or {}).get(PART_METADATA_KEY)) or {}).get("partition"))


def _own_words(raw: bytes | None) -> Mapping[str, object] | None:
    """What this project says of a part; None where nothing, or no object, stands there."""
    try:
        content = orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class PartColumns:
    """Columns of one part as they are stored; ``empty`` names those that had no type yet when they came."""

    schema: pa.Schema
    empty: tuple[str, ...] = ()


class PartWriter:
    """One Parquet part being staged; use as a context manager, then read ``staged``."""

    def __init__(
        self, key: str, path: Path, schema: pa.Schema, metadata: Mapping[bytes, bytes], where: str
    ) -> None:
        self.key = key
        self.path = path
        self.buffered_bytes = 0
        self._where = where
        self.schema = schema
        self._rows = 0
        self._buffer: list[pa.Table] = []
        # Dictionary pages cost time and gain nothing on measured floats.
        encoded = [
            field.name for field in schema if not pt.is_floating(field.type) and not pt.is_nested(field.type)
        ]
        self._writer = open_parquet_writer(
            path,
            add_names_checksum(schema.with_metadata(dict(metadata))),
            compression="zstd",
            use_dictionary=encoded or False,
        )

    def add(self, table: pa.Table) -> None:
        """Take rows; they reach the file once a row group is full."""
        self._buffer.append(conform(table, self.schema, self._where))
        self.buffered_bytes += table.nbytes
        self._rows += table.num_rows
        if self.buffered_bytes >= ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the buffered rows as one row group."""
        if self._buffer:
            table = pa.concat_tables(self._buffer)
            self._buffer, self.buffered_bytes = [], 0
            if table.num_rows:
                # PyArrow would cut at a million rows.
                self._writer.write_table(table, row_group_size=table.num_rows)

    def close(self) -> StagedPart:
        """Finish the file, flush it to the disk and give its digest."""
        self.flush()
        self._writer.close()
        return StagedPart(self.key, self.path, self._rows, digest_file(self.path))

    def abandon(self) -> None:
        """Close the handle of a part that will not be used."""
        self._buffer = []
        self._writer.close()


def digest_file(path: Path) -> str:
    """Digest of a file's bytes; also forces them to the disk."""
    with path.open("rb") as stream:
        digest = digest_stream(stream)
        os.fsync(stream.fileno())
    return digest


def digest_stream(stream: BinaryIO | pa.NativeFile) -> str:
    """Digest of all bytes of a stream, as the manifest keeps it of each part."""
    total = blake2b(digest_size=16)
    while block := stream.read(1 << 20):
        total.update(block)
    return total.hexdigest()


class PartStager:
    """Splits a stream of batches into one staged part per partition key.

    Parameters
    ----------
    folder
        Staging folder; part files in it have no ``.parquet`` suffix, so no glob finds them.
    keys
        Allowed partition keys, None for any.
    columns_without_rows
        Columns of the part of a key that gets no row, by key; the last one, under None, for all others.
    partition_column
        Column with the key; where the data lack it, everything belongs to the only key, or to the whole table.
    """

    def __init__(
        self,
        folder: Path,
        table_name: str,
        description: TableDescription,
        keys: Sequence[str] | None,
        fingerprints: Mapping[str, str],
        columns_without_rows: Mapping[str | None, PartColumns],
    ) -> None:
        self._folder = folder
        self._table_name = table_name
        self._description = description
        self._keys = keys
        self._allowed = None if keys is None else set(keys)
        self._fingerprints = fingerprints
        self._without_rows = columns_without_rows
        self._writers: dict[str, PartWriter] = {}
        self._finished: list[StagedPart] = []

    def stage(self, batches: Iterator[pa.RecordBatch], only_key: str | None, columns: PartColumns) -> None:
        """Take all batches; ``only_key`` is the key of data that have no partition column."""
        for batch in batches:
            table = pa.Table.from_batches([batch])
            if only_key is not None:
                self._add(only_key, table, columns)
                continue
            for key, rows in split_by_key(
                table, self._description.partition_column, self._table_name, allows_null=self._allowed is None
            ):
                self._add(key, rows, columns)

    def finish(self) -> list[StagedPart]:
        """Close every part; keys that got no row get a part of zero rows, so that readers find the columns."""
        started = {part.key for part in self._finished}
        for key in self._keys if self._keys is not None else ():
            if key not in started:
                self._writer(key, self._without_rows.get(key, self._without_rows[None]))
        if not self._writers and not self._finished:
            self._writer(WHOLE_TABLE, self._without_rows[None])
        while self._writers:
            self._close(next(iter(self._writers)))
        return self._finished

    def abandon(self) -> None:
        """Close all handles."""
        for writer in self._writers.values():
            writer.abandon()

    def _add(self, key: str, rows: pa.Table, columns: PartColumns) -> None:
        if self._allowed is not None and key not in self._allowed:
            raise UsageError(
                f"{self._table_name}: the data hold rows of partition {key!r}, but only "
                f"{', '.join(sorted(self._allowed)[:5])} may be replaced. Nothing was written."
            )
        self._writer(key, columns).add(rows)
        if sum(writer.buffered_bytes for writer in self._writers.values()) > MAX_BUFFERED_BYTES:
            # The fullest: its row group is nearest to a whole one.
            max(self._writers.values(), key=lambda writer: writer.buffered_bytes).flush()

    def _close(self, key: str) -> None:
        self._finished.append(self._writers.pop(key).close())

    def _writer(self, key: str, columns: PartColumns) -> PartWriter:
        """Writer of a key, most recently used last.

        A key that comes back after being closed, or with other columns, gets another part.
        """
        if key in self._writers and self._writers[key].schema.equals(columns.schema):
            self._writers[key] = self._writers.pop(key)
            return self._writers[key]
        if key in self._writers:
            self._close(key)
        elif len(self._writers) >= MAX_OPEN_PARTS:
            self._close(next(iter(self._writers)))
        metadata = build_footer_metadata(
            self._table_name, key, self._description, self._fingerprints.get(key), columns.empty
        )
        path = self._folder / f"{len(self._writers) + len(self._finished):05d}.part"
        self._writers[key] = PartWriter(key, path, columns.schema, metadata, f"{self._table_name} [{key}]")
        return self._writers[key]


def split_by_key(
    table: pa.Table, column: str, where: str, *, allows_null: bool
) -> Iterator[tuple[str, pa.Table]]:
    """Cut a table into slices of one partition key each; order within a key is kept.

    Rows without a key (profiles without an image) belong to the whole table, or are refused.
    """
    if not table.num_rows:
        return
    keys = table.column(column).combine_chunks()
    if keys.null_count and not allows_null:
        raise UsageError(f"{where}: {keys.null_count} row(s) have no {column!r}. Nothing was written.")
    if isinstance(keys, pa.ChunkedArray):
        keys = pa.concat_arrays(keys.chunks)
    runs = pc.run_end_encode(keys)
    if len(runs.values) > 1 and len(runs.values) > pc.count_distinct(runs.values, mode="all").as_py():
        order = pc.sort_indices(keys)
        table, keys = table.take(order), keys.take(order)
        runs = pc.run_end_encode(keys)
    start = 0
    for end, value in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
        yield WHOLE_TABLE if value is None else str(value), table.slice(start, end - start)
        start = end
