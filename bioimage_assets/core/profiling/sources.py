"""Single-cell tables, given as Arrow data or as Parquet files, read by columns.

A plate can be far wider than memory allows, so everything in this package asks for the columns it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.parquet_checksums import check_names, checked_format

CellSource: TypeAlias = pa.Table | ds.Dataset | str | Path | Sequence[str]


def open_cells(source: CellSource, *, filesystem: fs.FileSystem | None = None) -> ds.Dataset:
    """Open cells for repeated reads by column; Parquet parts with different columns are unified.

    Raises
    ------
    ProfilingError
        When no file is given, or the files cannot be read as one table.
    """
    if isinstance(source, ds.Dataset):
        return source
    if isinstance(source, pa.Table):
        return ds.InMemoryDataset(source)
    files = [str(source)] if isinstance(source, (str, Path)) else [str(part) for part in source]
    if not files:
        raise ProfilingError("There is no Parquet file to read cells from; measure or join the plate first.")
    try:
        parts = [ds.dataset(part, format=checked_format(), filesystem=filesystem) for part in files]
        for part in parts:
            check_names(part.schema)
        schema = pa.unify_schemas([part.schema for part in parts], promote_options="permissive")
        return ds.dataset(files, format=checked_format(), filesystem=filesystem, schema=schema)
    except (OSError, pa.ArrowException) as error:
        raise ProfilingError(
            f"The cells in {files[0]} (of {len(files)} file(s)) cannot be read: {error}"
        ) from error


def read_columns(cells: ds.Dataset, columns: Sequence[str]) -> pa.Table:
    """Read some columns of all rows in stored order; columns that do not exist are left out."""
    known = set(cells.schema.names)
    present = [name for name in columns if name in known]
    try:
        return cells.to_table(columns=present)
    except (OSError, pa.ArrowException) as error:
        raise ProfilingError(f"The columns {present[:5]} of the cells cannot be read: {error}") from error


def iterate_batches(
    cells: ds.Dataset, row_count: int, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Rows in stored order, at most ``row_count`` at a time; one row group is in memory.

    Arrow's own scan decodes row groups ahead of who takes them, as many as it has time for, whatever read-ahead it is told.
    """
    names = list(cells.schema.names if columns is None else columns)
    for fragment in cells.get_fragments():
        pieces = fragment.split_by_row_group() if hasattr(fragment, "split_by_row_group") else [fragment]
        for piece in pieces:
            try:
                rows = piece.to_table(schema=cells.schema, columns=names)
            except (OSError, pa.ArrowException) as error:
                raise ProfilingError(f"Rows of the cells cannot be read: {error}") from error
            yield from rows.combine_chunks().to_batches(max_chunksize=row_count)


def to_float64(column: pa.Array) -> np.ndarray:
    """Numbers of any type as float64, NaN where there is none: what ``to_pandas().astype(float)`` makes of them."""
    if pa.types.is_dictionary(column.type):
        return to_float64(column.cast(column.type.value_type))
    if pa.types.is_decimal(column.type):  # Arrow rounds their division, pandas the number itself
        return np.asarray(column.to_pandas(), dtype=np.float64)
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
