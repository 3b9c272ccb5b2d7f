"""Parquet pages with checksums: how this project's files are written, and how stored ones are read.

A CRC of each page is part of the format (https://parquet.apache.org/docs/file-format/data-pages/checksumming/). Pages
without one, as earlier versions and other tools write them, are read as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

_BATCH_ROWS = 4_096  # rows that are decoded at once only to verify them; 5,000 float64 columns are 160 MB
# A footer has no checksum: a bit that flips in the name of a column would make a column of nulls. The names' own is kept here.
_NAMES_KEY = b"bioimage_assets.names"
_FIELD_ID = b"PARQUET:field_id"


def open_parquet(
    source: str | Path | pa.NativeFile | BinaryIO, *, filesystem: FileSystem | None = None, **options: object
) -> pq.ParquetFile:
    """Open a Parquet file whose pages are compared with their checksums; OSError where a page is not what was written."""
    return pq.ParquetFile(source, filesystem=filesystem, page_checksum_verification=True, **options)


def write_parquet_table(table: pa.Table, path: str | Path, **options: object) -> None:
    """Write a table as one Parquet file with page checksums."""
    pq.write_table(table, path, write_page_checksum=True, **options)


def open_parquet_writer(
    path: str | Path | BinaryIO, schema: pa.Schema, **options: object
) -> pq.ParquetWriter:
    """Writer of a Parquet file with page checksums."""
    return pq.ParquetWriter(path, schema, write_page_checksum=True, **options)


def add_names_checksum(schema: pa.Schema) -> pa.Schema:
    """Schema whose metadata say what its names and field ids, nested ones included, are."""
    return schema.with_metadata({**(schema.metadata or {}), _NAMES_KEY: _sum_names(schema)})


def check_names(schema: pa.Schema) -> None:
    """Compare the names of a file's schema with what its writer said of them; a file that says nothing is taken as it is.

    Raises
    ------
    OSError
        A name is not the one that was written.
    """
    said = (schema.metadata or {}).get(_NAMES_KEY)
    try:
        is_damaged = said is not None and said != _sum_names(schema)
    except UnicodeDecodeError:
        is_damaged = True
    if is_damaged:
        raise OSError("the column names in the footer are not those that were written")


def _sum_names(schema: pa.Schema) -> bytes:
    return b"%08x" % crc32("\0".join(name for field in schema for name in _names(field)).encode())


def _names(field: pa.Field) -> Iterator[str]:
    yield f"{field.name}\0{(field.metadata or {}).get(_FIELD_ID, b'').decode()}"
    kinds = [field.type]
    while kinds:
        kind = kinds.pop()
        if pa.types.is_struct(kind):
            for child in kind:
                yield from _names(child)
        elif pa.types.is_map(kind):
            kinds += [kind.key_type, kind.item_type]
        elif hasattr(kind, "value_type") and not pa.types.is_dictionary(kind):
            kinds.append(kind.value_type)


@lru_cache(maxsize=1)
def checked_format() -> ds.ParquetFileFormat:
    """Format of datasets whose pages are compared with their checksums, whoever scans them."""
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    return ds.ParquetFileFormat(default_fragment_scan_options=options)


def decode_all(parquet: pq.ParquetFile) -> int:
    """Decode every page of every column, a few rows in memory at a time; the number of rows."""
    return sum(batch.num_rows for batch in parquet.iter_batches(batch_size=_BATCH_ROWS))
