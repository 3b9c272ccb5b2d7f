"""Rows of a LoadData table in Parquet, as texts like those of a CSV.

JUMP keeps its tables so: ``load_data_csv/<batch>/<plate>/load_data_with_illum.parquet`` (https://github.com/jump-cellpainting/datasets).
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import CorruptStoreError

_BATCH_ROWS = 4_096
_PREFIXES = ("FileName_", "PathName_", "URL_", "Metadata_")


def read_parquet_rows(payload: bytes, name: str, max_rows: int) -> Iterator[dict[str, str | None]]:
    """Yield the header as a row of its own, then the rows; whole numbers are written without a fraction.

    Raises
    ------
    CorruptStoreError
        It is no Parquet file, has more rows, or a column of LoadData that is no text and no number.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(payload))
        if file.metadata.num_rows > max_rows:
            raise CorruptStoreError(f"{name}: more than {max_rows} rows.")
        names = [column for column in file.schema_arrow.names if column.startswith(_PREFIXES)]
        yield dict.fromkeys(names)
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            columns = [[_spell(value) for value in column.to_pylist()] for column in batch.columns]
            for values in zip(*columns, strict=True):
                yield dict(zip(names, values, strict=True))
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, CorruptStoreError):
            raise
        raise CorruptStoreError(f"{name}: not a Parquet table that can be read ({error}).") from error


def _spell(value: object) -> str | None:
    if value is None:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
