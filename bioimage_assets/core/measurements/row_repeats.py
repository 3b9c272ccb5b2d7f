"""Object numbers that repeat within an image: rows of several runs, or plain copies of earlier rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.measurements.duckdb_engine import open_engine
from bioimage_assets.core.measurements.flat_table_files import TableFile
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.sql import quote_identifier
from bioimage_assets.core.sql_files import parquet_relation


@dataclass(frozen=True, slots=True)
class Runs:
    """For each row the run of its image that it belongs to, from 0, and whether its object is there more than once."""

    numbers: np.ndarray
    repeated: np.ndarray


def number_runs(images: np.ndarray, objects: np.ndarray, missing: int) -> Runs:
    """Tell runs of an image apart that are in one table.

    A run begins where the object numbers start again. Where the rows are in another order, the second row of an
    object is of the second run. ``images`` are codes, below zero for rows that do not count; ``missing`` stands
    for an object without a number.
    """
    numbers = np.zeros(len(images), np.int64)
    occurrence = _count_earlier(images, objects)
    occurrence[(images < 0) | (objects == missing)] = 0
    again = occurrence > 0
    if not again.any():
        return Runs(numbers, again)
    affected = np.flatnonzero(np.isin(images, np.unique(images[again])) & (objects != missing))
    affected = affected[np.argsort(images[affected], kind="stable")]
    image, number = images[affected], objects[affected]
    is_new = np.concatenate(([True], image[1:] != image[:-1]))
    restarts = np.cumsum(np.concatenate(([False], number[1:] <= number[:-1])) & ~is_new)
    starts = np.flatnonzero(is_new)
    group = np.cumsum(is_new) - 1
    by_order = restarts - restarts[starts][group]
    by_count = occurrence[affected]
    in_order = np.maximum.reduceat(by_order, starts) == np.maximum.reduceat(by_count, starts)
    numbers[affected] = np.where(in_order[group], by_order, by_count)
    pairs = set(zip(images[again].tolist(), objects[again].tolist(), strict=True))
    repeated = np.zeros(len(images), bool)
    repeated[affected] = [pair in pairs for pair in zip(image.tolist(), number.tolist(), strict=True)]
    return Runs(numbers, repeated)


def find_copies(
    files: Sequence[TableFile],
    images: np.ndarray,
    objects: np.ndarray,
    repeated: np.ndarray,
    keys: Sequence[str],
    context: PlateContext,
) -> np.ndarray:
    """Which of the repeated rows are equal, in every column, to an earlier row of their object.

    Reads all columns once. A row without any measured value (``keys`` are none) tells nothing: it is not a copy.
    """
    hashes, has_values = [], []
    with open_engine(context) as engine:
        for file in files:
            one, measured = _hash_rows(engine, file, keys)
            hashes.append(one)
            has_values.append(measured)
    digests = np.concatenate(hashes)
    same = np.zeros(len(images), bool)
    chosen = np.flatnonzero(repeated & np.concatenate(has_values))
    same[chosen] = _count_earlier(images[chosen], objects[chosen], digests[chosen]) > 0
    return same


def _hash_rows(
    engine: duckdb.DuckDBPyConnection, file: TableFile, keys: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """A digest of each row of a file and whether it holds a measured value; no values where the engine cannot read it."""
    schema = pq.read_schema(file.path)
    rows = pq.read_metadata(file.path).num_rows
    stored = list(file.stored_names().values())
    nothing = np.zeros(rows, np.uint64), np.zeros(rows, bool)
    measured = [
        quote_identifier(column)
        for column, name in zip(stored, file.names, strict=True)
        if name not in keys and _is_measured(name, schema.field(column).type)
    ] if len(set(map(str.lower, stored))) == len(stored) else []  # fmt: skip
    if not measured:
        return nothing
    columns = [quote_identifier(column) for _, column in sorted(zip(file.names, stored, strict=True))]
    try:
        found = engine.execute(
            f"SELECT hash({', '.join(columns)}) AS digest, coalesce({', '.join(measured)}) IS NOT NULL AS has_value "
            f"FROM {parquet_relation([file.path], 'file_row_number = true')} ORDER BY file_row_number"
        ).fetchnumpy()
    except duckdb.Error:
        return nothing
    return np.asarray(found["digest"], np.uint64), np.asarray(found["has_value"], bool)


def _is_measured(name: str, kind: pa.DataType) -> bool:
    is_number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    return is_number and not name.lower().startswith(("metadata_", "image_"))


def _count_earlier(*keys: np.ndarray) -> np.ndarray:
    """For each row how many earlier rows have the same keys."""
    order = np.lexsort(keys)
    if not len(order):
        return np.zeros(0, np.int64)
    is_new = np.ones(len(order), bool)
    is_new[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    at = np.arange(len(order))
    counts = np.empty(len(order), np.int64)
    counts[order] = at - np.maximum.accumulate(np.where(is_new, at, 0))
    return counts
