"""Rows of a LoadData table in Parquet, as texts like those of a CSV.

JUMP keeps its tables so: ``load_data_csv/<batch>/<plate>/load_data_with_illum.parquet`` (https://github.com/jump-cellpainting/datasets).
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.stores.base import MAX_XML_BYTES

_BATCH_ROWS = 1_024
_PREFIXES = ("FileName_", "PathName_", "URL_", "Metadata_")


def read_parquet_rows(payload: bytes, name: str, max_rows: int) -> Iterator[dict[str, str | None]]:
    """Yield the header as a row of its own, then the rows; whole numbers are written without a fraction.

    Raises
    ------
    CorruptStoreError
        It is no Parquet file, has more rows, or a column of LoadData that is no text and no number.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(payload), page_checksum_verification=True)
        _check_size(file.metadata, name, max_rows)
        names = [column for column in file.schema_arrow.names if column.startswith(_PREFIXES)]
        yield dict.fromkeys(names)
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            columns = [[_spell(value) for value in column.to_pylist()] for column in batch.columns]
            for values in zip(*columns, strict=True):
                yield dict(zip(names, values, strict=True))
    except CorruptStoreError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise CorruptStoreError(f"{name}: not a Parquet table that can be read ({error}).") from error


def _check_size(metadata: pq.FileMetaData, name: str, max_rows: int) -> None:
    """Refuse what would be more than a document may be, by what the footer claims."""
    unpacked = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if not 0 <= metadata.num_rows <= max_rows:
        raise CorruptStoreError(f"{name}: more than {max_rows} rows.")
    if not 0 <= unpacked <= MAX_XML_BYTES:
        raise CorruptStoreError(f"{name}: unpacks to more than {MAX_XML_BYTES >> 20} MB.")


def _spell(value: object) -> str | None:
    if value is None:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
