"""Arrow columns of nested types from Python sequences, without a dictionary per row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa


def build_list_column(rows: Sequence[Sequence[object] | None], kind: pa.ListType) -> pa.ListArray:
    """Build a list column; None is a null row."""
    values = pa.array(list(chain.from_iterable(row for row in rows if row is not None)), kind.value_type)
    return wrap_lists(rows, values, kind)


def wrap_lists(rows: Sequence[Sequence[object] | None], values: pa.Array, kind: pa.ListType) -> pa.ListArray:
    """Cut flat values into the rows they came from."""
    lengths = np.fromiter((len(row) if row is not None else 0 for row in rows), np.int32, len(rows))
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    mask = np.fromiter((row is None for row in rows), bool, len(rows))
    validity = pa.array(mask) if mask.any() else None
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=kind, mask=validity)


def build_struct_column(items: Iterable[object], kind: pa.StructType) -> pa.StructArray:
    """Build a struct column from objects whose attributes have the names of the fields."""
    objects = list(items)
    children = []
    for field in kind:
        values = [getattr(item, field.name) for item in objects]
        children.append(
            build_list_column(values, field.type)
            if pa.types.is_list(field.type)
            else pa.array(values, field.type)
        )
    return pa.StructArray.from_arrays(children, fields=list(kind))


def build_nullable_struct_column(items: Sequence[object | None], kind: pa.StructType) -> pa.StructArray:
    """Build a struct column; None is a null row."""
    if not any(items):
        return pa.nulls(len(items), kind)
    some = [number for number, item in enumerate(items) if item is not None]
    numbers = np.full(len(items), -1)
    numbers[some] = np.arange(len(some))
    return build_struct_column((items[number] for number in some), kind).take(
        pa.array(numbers, mask=numbers < 0)
    )
