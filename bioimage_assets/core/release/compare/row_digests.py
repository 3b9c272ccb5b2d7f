"""Columns in; one 64-bit digest per row out, equal where all values are equal, whatever the layout, NaN and the sign of zero."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from bioimage_assets.core.release.compare.table_types import as_plain, is_number

Digests = npt.NDArray[np.uint64]
_NULL = np.uint64(0x9E3779B97F4A7C15)


def add_column(digests: Digests, column: pa.ChunkedArray, name: str, kind: pa.DataType) -> Digests:
    """Digests that tell this column, too, its values taken as ``kind``: the same on both sides."""
    array = as_plain(column)
    values = _digest_numbers(array, kind) if is_number(kind) else _digest_others(array)
    if array.null_count:
        values = np.where(pc.is_null(array).to_numpy(zero_copy_only=False), _NULL, values)
    with np.errstate(over="ignore"):
        return _mix(digests * np.uint64(31) + _mix(values ^ _digest_text(name)))


def _mix(values: Digests) -> Digests:
    """SplitMix64 (https://prng.di.unimi.it/splitmix64.c): each bit of the value changes half of the bits."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _digest_numbers(array: pa.Array, kind: pa.DataType) -> Digests:
    if pt.is_null(array.type):
        return np.zeros(len(array), np.uint64)
    if array.null_count:
        array = pc.fill_null(array, pa.scalar(0, array.type))
    numbers = array.to_numpy(zero_copy_only=False)
    if pt.is_integer(kind):
        return numbers.astype(np.uint64)
    floats = numbers.astype(np.float64) + 0.0  # of the two zeros one
    floats[np.isnan(floats)] = np.nan  # of all NaN one
    return floats.view(np.uint64)


def _digest_others(array: pa.Array) -> Digests:
    if pt.is_null(array.type):
        return np.zeros(len(array), np.uint64)
    if pt.is_nested(array.type):
        digests = [_digest_text(repr(_settle(value))) for value in array.to_pylist()]
        return np.array(digests, dtype=np.uint64)
    encoded = pc.dictionary_encode(array)
    texts = [_digest_text(repr(value)) for value in encoded.dictionary.to_pylist()] or [_NULL]
    # What stands for null is not looked at.
    return np.array(texts, dtype=np.uint64)[pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)]


def _settle(value: object) -> object:
    """Numbers in lists and structs without the sign of zero."""
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, list):
        return [_settle(item) for item in value]
    if isinstance(value, dict):
        return {key: _settle(item) for key, item in value.items()}
    return value


def _digest_text(text: str) -> np.uint64:
    return np.uint64(
        int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    )
