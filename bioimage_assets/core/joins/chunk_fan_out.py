"""Joined rows times the full-resolution chunks of their image: the fan-out that is made on request only."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.joins.aliases import KEY_NAMES

FAN_OUT_KEY = b"bioimage_assets.chunk_fan_out"
_KEYS = (*KEY_NAMES, "plate_key", "array_path", "level")


def join_chunks(joined: pa.Table, chunk_index: pa.Table) -> pa.Table:
    """Repeat each joined row for every full-resolution chunk of its image; rows without chunks stay once.

    Chunks are found by ``dataset_id`` and ``image_id``; where ``chunk_index`` has no ``level`` column (the
    seeds' form) also by ``array_path``, null matching null. The schema metadata state the fan-out. A chunk
    column whose name is taken becomes ``chunk_<name>``.
    """
    chunks = _full_resolution(chunk_index)
    keys = ["dataset_id", "image_id"] + ([] if "level" in chunk_index.column_names else ["array_path"])
    keys = [key for key in keys if key in chunks.column_names and key in joined.column_names]
    rows_of: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for row, key in enumerate(_row_keys(chunks, keys)):
        rows_of[key].append(row)
    missing = [-1]
    found = [rows_of.get(key, missing) for key in _row_keys(joined, keys)]
    counts = np.array([len(rows) for rows in found], dtype=np.int64)
    left = pa.array(np.repeat(np.arange(joined.num_rows), counts))
    flat = np.concatenate(found).astype(np.int64) if found else np.empty(0, np.int64)
    right = pa.array(flat, mask=flat < 0)
    result = joined.take(left)
    for name in chunks.column_names:
        if name not in _KEYS:
            result = result.append_column(
                _free_name(name, result.column_names), chunks.column(name).take(right)
            )
    text = f"{result.num_rows} rows from {joined.num_rows} profile rows"
    return result.replace_schema_metadata({**(joined.schema.metadata or {}), FAN_OUT_KEY: text.encode()})


def _full_resolution(chunk_index: pa.Table) -> pa.Table:
    if "level" not in chunk_index.column_names:
        return chunk_index
    return chunk_index.filter(pc.equal(chunk_index.column("level"), 0))


def _row_keys(table: pa.Table, keys: list[str]) -> list[tuple[object, ...]]:
    return list(zip(*(table.column(key).to_pylist() for key in keys), strict=True))


def _free_name(name: str, taken: list[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        candidate, number = f"chunk_{name}" if number == 1 else f"chunk_{name}_{number}", number + 1
    return candidate
