"""Frames of every library become the same Arrow table, and streams stay streams."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bioimage_assets.core.arrow_frames import to_arrow, to_table
from bioimage_assets.core.errors import UsageError

TABLE = pa.table({"well": ["A01", "B02"], "area": [1.5, None]})
FRAMES = {
    "table": TABLE,
    "batch": TABLE.to_batches()[0],
    "reader": TABLE.to_reader,
    "pandas": pd.DataFrame({"well": ["A01", "B02"], "area": [1.5, None]}),
    "pandas with a bare index": pd.DataFrame({"well": ["A01", "B02"], "area": [1.5, None]}, index=[7, 3]),
    "polars": pl.from_arrow(TABLE),
    "polars, lazy": pl.from_arrow(TABLE).lazy(),
    "duckdb": lambda: duckdb.connect().from_arrow(TABLE),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_frame_is_the_same_table(kind: str) -> None:
    frame = FRAMES[kind]
    value = frame() if kind in ("reader", "duckdb") else frame
    data = to_arrow(value)
    assert isinstance(data, pa.RecordBatchReader) == (kind in ("reader", "duckdb", "polars, lazy"))
    table = to_table(data)
    assert table.to_pylist() == TABLE.to_pylist()
    assert table.schema.field("well").type in (pa.string(), pa.large_string())


def test_a_named_index_is_a_column() -> None:
    frame = pd.DataFrame({"well": ["A01"], "area": [1.5]}).set_index("well")
    assert to_table(frame).to_pylist() == [{"area": 1.5, "well": "A01"}]


@pytest.mark.parametrize("value", [None, 3, {"a": [1]}, [{"a": 1}], "cells.parquet"])
def test_what_is_not_a_frame_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="expected pyarrow, pandas, polars"):
        to_arrow(value)


def test_no_library_is_imported_to_tell_a_frame() -> None:
    code = (
        "import sys, pyarrow as pa; from bioimage_assets.core.arrow_frames import to_arrow; to_arrow(pa.Table.from_arrays([pa.nulls(1)], ['a']))\n"
        "print([name for name in ('pandas', 'polars', 'duckdb') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
