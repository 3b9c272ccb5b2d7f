"""Columns of Arrow tables in, values that anndata writes as a column of ``obs`` out.

https://anndata.readthedocs.io/en/stable/fileformat-prose.html. Text that repeats is categorical, whole numbers and flags with gaps are
nullable, lists are text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

ObsValues: TypeAlias = "np.ndarray | pd.Categorical | pd.arrays.IntegerArray | pd.arrays.BooleanArray"


def flatten_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of a type that ``obs`` can hold: numbers, flags and text as they are, all else as text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return flatten_column(column.cast(kind.value_type))
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column
    if pa.types.is_null(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if pa.types.is_string(kind.value_type) or pa.types.is_integer(kind.value_type):
            return pc.binary_join(column.cast(pa.list_(pa.string())), ", ")
    elif not pa.types.is_nested(kind) and not pa.types.is_binary(kind):
        return column.cast(pa.string())
    texts = [None if value is None else json.dumps(value, default=str) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])


def build_obs_values(parts: Sequence[pa.ChunkedArray]) -> ObsValues:
    """One column of several plates, each flattened, as anndata writes it; text where plates do not agree on numbers."""
    kinds = {part.type for part in parts if part.null_count < len(part)} or {pa.float64()}
    kind = next(iter(kinds)) if len(kinds) == 1 else _common(kinds)
    column = pa.chunked_array([chunk for part in parts for chunk in part.cast(kind).chunks], kind)
    if pa.types.is_string(kind):
        return _build_text(column)
    if pa.types.is_floating(kind):
        return np.asarray(column.to_numpy())
    if not column.null_count:
        return np.asarray(column.to_numpy())
    mask = np.asarray(column.is_null().to_numpy())
    if pa.types.is_boolean(kind):
        return pd.arrays.BooleanArray(np.asarray(column.fill_null(False).to_numpy()), mask)
    return pd.arrays.IntegerArray(np.asarray(column.fill_null(0).to_numpy()), mask)


def _common(kinds: set[pa.DataType]) -> pa.DataType:
    if all(pa.types.is_integer(kind) for kind in kinds):
        return pa.int64()
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        return pa.float64()
    return pa.string()


def _build_text(column: pa.ChunkedArray) -> ObsValues:
    """Categories of text that repeats or has gaps; names of single rows as they are."""
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.unify_dictionaries().combine_chunks()
    if len(coded.dictionary) * 2 > len(coded) and not coded.null_count:
        return np.asarray(column.to_pylist(), dtype=object)
    codes = np.asarray(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False))
    # Sorted, as pandas has them, so that the same rows give the same file.
    names = np.asarray(coded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(names) if len(names) else np.zeros(0, np.int64)
    places = np.empty(len(names) + 1, np.int64)
    places[order] = np.arange(len(names))
    places[-1] = -1
    return pd.Categorical.from_codes(places[codes], categories=pd.Index(names[order], dtype=object))
