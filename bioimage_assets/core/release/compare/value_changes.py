"""Two columns of paired rows in; which values changed, and by how much, out.

NaN equals NaN, 0.0 equals -0.0, null equals null; null and NaN are two things. Numbers of two types are compared by value.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from bioimage_assets.core.release.compare.table_types import is_list, is_number

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ValueChanges:
    """``changed`` by row; the counts and largest differences of :class:`ColumnDiff`; ``largest`` is the row to show, None for none."""

    changed: Mask
    null_to_value: int = 0
    value_to_null: int = 0
    nan_changed: int = 0
    max_abs: float | None = None
    max_relative: float | None = None
    largest: int | None = None


def compare_values(a: pa.Array, b: pa.Array) -> ValueChanges:
    """Compare two arrays of plain, comparable types, row by row."""
    if a.type == b.type and a.equals(b):  # the usual case; NaN never equals itself here
        return ValueChanges(np.zeros(len(a), bool))
    null_a, null_b = _nulls(a), _nulls(b)
    changed = _find_changed(a, b)
    if not changed.any():
        return ValueChanges(changed)
    found = ValueChanges(
        changed,
        null_to_value=int((null_a & ~null_b).sum()),
        value_to_null=int((~null_a & null_b).sum()),
        largest=int(np.flatnonzero(changed)[0]),
    )
    both = np.flatnonzero(changed & ~null_a & ~null_b)
    return _measure(found, a, b, both) if len(both) and _has_size(a.type, b.type) else found


def _measure(found: ValueChanges, a: pa.Array, b: pa.Array, rows: npt.NDArray[np.intp]) -> ValueChanges:
    """How far apart the numbers of some rows are."""
    x, y = (_as_long(array.take(pa.array(rows))) for array in (a, b))
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return replace(found, nan_changed=len(rows))
    apart = np.abs(x[finite] - y[finite])
    relative = apart / np.maximum(np.abs(x[finite]), np.abs(y[finite]))
    return replace(
        found,
        nan_changed=int((~finite).sum()),
        max_abs=min(float(apart.max()), sys.float_info.max),
        max_relative=float(relative.max()),
        largest=int(rows[finite][int(apart.argmax())]),
    )


def _has_size(a: pa.DataType, b: pa.DataType) -> bool:
    return all(is_number(kind) or pt.is_decimal(kind) for kind in (a, b))


def _as_long(array: pa.Array) -> npt.NDArray[np.longdouble]:
    """Numbers with the 64 digits that an int64 has, where the machine can."""
    if pt.is_decimal(array.type):
        array = array.cast(pa.float64())
    return array.to_numpy(zero_copy_only=False).astype(np.longdouble)


def _nulls(array: pa.Array) -> Mask:
    if not array.null_count:
        return np.zeros(len(array), bool)
    return pc.is_null(array).to_numpy(zero_copy_only=False)


def _find_changed(a: pa.Array, b: pa.Array) -> Mask:
    """Rows whose values differ; one that is null on one side differs."""
    null_a, null_b = _nulls(a), _nulls(b)
    if pt.is_null(a.type) or pt.is_null(b.type):
        return null_a != null_b
    differ = _find_unequal(a, b)
    return (null_a != null_b) | (differ & ~null_a & ~null_b)


def _find_unequal(a: pa.Array, b: pa.Array) -> Mask:
    """Rows whose values differ, where neither is null; what stands at others means nothing."""
    if is_number(a.type) and is_number(b.type):
        return _find_unequal_numbers(a, b)
    if is_list(a.type):
        return _find_unequal_lists(a, b)
    if pt.is_struct(a.type):
        fields = (
            _find_changed(pc.struct_field(a, field.name), pc.struct_field(b, field.name)) for field in a.type
        )
        return np.logical_or.reduce([np.zeros(len(a), bool), *fields])
    if a.type != b.type and pt.is_timestamp(a.type):
        a, b = (array.cast(pa.timestamp("ns", array.type.tz), safe=False) for array in (a, b))
    return pc.fill_null(pc.not_equal(a, b), False).to_numpy(zero_copy_only=False)


def _find_unequal_numbers(a: pa.Array, b: pa.Array) -> Mask:
    x, y = _as_numbers(a), _as_numbers(b)
    if x.dtype != y.dtype:
        kinds = {x.dtype.kind, y.dtype.kind}
        # A float64 cannot hold every int64; two floats can be told by the wider one.
        common = np.float64 if kinds == {"f"} else np.longdouble
        x, y = x.astype(common), y.astype(common)
    differ = x != y
    if x.dtype.kind == "f":
        differ &= ~(np.isnan(x) & np.isnan(y))
    return differ


def _as_numbers(array: pa.Array) -> npt.NDArray[np.generic]:
    if array.null_count:
        array = pc.fill_null(array, pa.scalar(0, array.type))
    return array.to_numpy(zero_copy_only=False)


def _find_unequal_lists(a: pa.Array, b: pa.Array) -> Mask:
    lengths_a, lengths_b = (_as_numbers(pc.list_value_length(array)).astype(np.int64) for array in (a, b))
    differ = lengths_a != lengths_b
    same = ~differ & (lengths_a > 0) & ~_nulls(a) & ~_nulls(b)
    rows = np.flatnonzero(same)
    if not len(rows):
        return differ
    # Only lists of one length: item stands beside item.
    items_a, items_b = (array.take(pa.array(rows)).flatten() for array in (a, b))
    starts = np.concatenate([[0], np.cumsum(lengths_a[rows])[:-1]]).astype(np.int64)
    differ[rows] = np.logical_or.reduceat(_find_changed(items_a, items_b), starts)
    return differ
