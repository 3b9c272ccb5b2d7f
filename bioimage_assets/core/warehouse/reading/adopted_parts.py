"""Parts as their own footers tell them: whose rows they hold, and what a table is that only its folder knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.model.table_specs import TABLES
from bioimage_assets.core.parquet_checksums import open_parquet
from bioimage_assets.core.warehouse.changes.stage_parts import PartFooter, parse_footer
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.changed_partitions import ChangedPartitions
from bioimage_assets.core.warehouse.manifest.layout import WHOLE_TABLE, leaf_name
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry
from bioimage_assets.core.warehouse.manifest.records import WarehouseTableManifestEntry

# What a truncated or foreign file raises; the last where a column's name is not text.
UNREADABLE_PARQUET = (pa.ArrowException, OSError, UnicodeDecodeError)


MAX_READ_AT_ONCE = 1 << 20  # bytes of an object whose footer and pages would take five requests


@contextmanager
def open_part(
    files: RootFiles, path: str, size_bytes: int | None = None
) -> Iterator[tuple[pq.ParquetFile, PartFooter]]:
    """Open one part with its footer; one of ``UNREADABLE_PARQUET`` where it cannot be read.

    A small object, of which the size is given, is read by one request.
    """
    is_small = not files.is_local and size_bytes is not None and size_bytes <= MAX_READ_AT_ONCE
    with (
        _read_at_once(files, path) if is_small else _open(files, path) as stream,
        pq.ParquetFile(stream) as parquet,
    ):
        yield parquet, parse_footer(parquet.metadata, parquet.schema_arrow)


def _open(files: RootFiles, path: str) -> pa.NativeFile:
    return files.filesystem().open_input_file(files.arrow_path(path))


def _read_at_once(files: RootFiles, path: str) -> pa.NativeFile:
    found = files.read(path)
    if found is None:
        raise FileNotFoundError(path)
    return pa.BufferReader(found[0])


def read_footer(files: RootFiles, path: str) -> PartFooter:
    """Read the footer of one part.

    Raises
    ------
    WarehouseError
        The file is truncated or no Parquet.
    """
    try:
        with open_part(files, path) as (_, footer):
            return footer
    except UNREADABLE_PARQUET as error:
        raise _unreadable(files.location(path), error) from error


def parse_part(payload: bytes, where: str) -> PartFooter:
    """The same of a small file that was read already."""
    try:
        with pq.ParquetFile(pa.BufferReader(payload)) as parquet:
            return parse_footer(parquet.metadata, parquet.schema_arrow)
    except UNREADABLE_PARQUET as error:
        raise _unreadable(where, error) from error


def _unreadable(where: str, error: Exception) -> WarehouseError:
    return WarehouseError(
        f"{where} is no readable Parquet file ({error}). Restore it, or replace its partition."
    )


def adopt_parts(
    files: RootFiles,
    folder: str,
    table_name: str,
    entry: WarehouseTableManifestEntry | None,
    names: tuple[str, ...],
    sizes: Mapping[str, int],
) -> WarehouseTableManifestEntry:
    """Entry of a table with files that only its folder has; ``entry`` is None where the manifest has no such table."""
    column = (entry.partition_column if entry else None) or "plate_key"
    partitions = ChangedPartitions(entry.partitions if entry else None)
    for name in names:
        footer = read_footer(files, f"{folder}/{name}")
        if entry is None:
            entry = _entry_from_footer(table_name, footer)
            column = entry.partition_column or column
        key = footer.partition or _single_key(files, f"{folder}/{name}", footer, column)
        found = partitions.get(key)
        partitions[key] = add_file(found, name, footer.row_count, footer.fingerprint, sizes[name])
    assert entry is not None
    return replace(entry, partitions=partitions, row_count=partitions.row_count)


def add_file(
    part: PartitionEntry | None,
    name: str,
    row_count: int,
    fingerprint: str | None = None,
    size_bytes: int = 0,
    digest: str = "",
) -> PartitionEntry:
    """Partition with one more file; size and digest where they are known."""
    if part is None:
        return PartitionEntry(
            (name,), row_count, fingerprint, file_rows=(row_count,), file_bytes=(size_bytes,), file_digests=(digest,)
        )  # fmt: skip
    return replace(
        part,
        files=(*part.files, name),
        row_count=part.row_count + row_count,
        file_rows=(*part.file_rows, row_count),
        file_bytes=(*part.file_bytes, size_bytes),
        file_digests=(*part.file_digests, digest),
        digest=None,
    )


def _entry_from_footer(table_name: str, footer: PartFooter) -> WarehouseTableManifestEntry:
    spec = TABLES.get(leaf_name(table_name))
    described = footer.description
    return WarehouseTableManifestEntry(
        table_name=table_name,
        role=described.role if described else spec.role if spec else "",
        join_keys=described.join_keys if described else spec.join_keys if spec else (),
        columns=tuple(footer.schema.names),
        source_type=described.source_type if described else None,
        source_ref=described.source_ref if described else None,
        analysis_level=described.analysis_level if described else spec.analysis_level if spec else None,
        object_type=described.object_type if described else spec.object_type if spec else None,
        partition_column=described.partition_column if described else "plate_key",
    )


def _single_key(files: RootFiles, path: str, footer: PartFooter, column: str) -> str:
    """The one partition key of a foreign file, else the key of the whole table."""
    if column not in footer.schema.names or not footer.row_count:
        return WHOLE_TABLE
    with open_parquet(files.arrow_path(path), filesystem=files.filesystem()) as parquet:
        keys = pc.unique(parquet.read(columns=[column]).column(column))
    return str(keys[0]) if len(keys) == 1 and keys[0].is_valid else WHOLE_TABLE
