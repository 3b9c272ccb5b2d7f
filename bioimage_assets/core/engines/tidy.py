"""The answer of an engine in this project's types and order, whichever engine gave it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.engines.plan import COUNTS, Measure


def tidy_groups(answer: pa.Table, keys: Sequence[pa.Field], measures: Sequence[Measure]) -> pa.Table:
    """Keys in their stored types, counts as int64, other measures as float64 without NaN; sorted, null keys last.

    That is the order of pandas' ``groupby``.
    """
    columns = {field.name: answer[field.name].cast(field.type) for field in keys}
    for measure in measures:
        if measure.function in COUNTS:
            columns[measure.output] = pc.fill_null(answer[measure.output].cast(pa.int64()), 0)
            continue
        values = without_nan(answer[measure.output].cast(pa.float64()))
        # The sum of nothing is zero in pandas and polars, and null in SQL.
        columns[measure.output] = pc.fill_null(values, 0.0) if measure.function == "sum" else values
    table = pa.table(columns)
    if not keys or not table.num_rows:
        return table
    order = [(field.name, "ascending") for field in keys]
    return table.take(pc.sort_indices(table, sort_keys=order, null_placement="at_end"))


def without_nan(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null for NaN."""
    is_nan = pc.fill_null(pc.is_nan(values), False)
    return pc.if_else(is_nan, pa.scalar(None, values.type), values)


def key_field(schema: pa.Schema, name: str) -> pa.Field:
    """Field of a key in a result; text has one spelling."""
    kind = schema.field(name).type
    is_text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pa.field(name, pa.string() if is_text else kind)


def to_matrix(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    """Columns of numbers as float64, NaN where null."""
    return np.column_stack([table[name].to_numpy() for name in names]).astype(np.float64)
