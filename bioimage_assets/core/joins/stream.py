"""Writes a stream of Arrow batches to one Parquet file while the next batches are being read.

Two stages overlap: one thread reads and joins, the caller's thread encodes and writes; a short queue bounds
memory. The file appears under its name only when it is complete.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.parquet_checksums import open_parquet_writer

QUEUED_BATCHES = 2  # one being written, one ready: more only costs memory
ROW_GROUP_BYTES = 128 << 20  # decoded; readers skip by row group, and one must fit into memory


def prefetch_batches(
    batches: Iterator[pa.RecordBatch], depth: int = QUEUED_BATCHES
) -> Iterator[pa.RecordBatch]:
    """Read ahead in another thread, at most ``depth`` batches; errors surface where the batches are used."""
    with ThreadPoolExecutor(1, thread_name_prefix="join-reader") as pool:
        pending = deque(pool.submit(next, batches, None) for _ in range(depth))
        while (batch := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, batches, None))
            yield batch


def dictionary_columns(schema: pa.Schema) -> list[str]:
    """Columns worth a Parquet dictionary: text repeats, measured numbers do not (trying costs a third)."""
    return [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]


def write_parquet_stream(schema: pa.Schema, batches: Iterator[pa.RecordBatch], path: str) -> int:
    """Write batches in row groups of about ``ROW_GROUP_BYTES``; complete file or none. Returns the row count."""
    target = Path(path)
    part = target.with_name(f".{target.name}.part")
    row_count = 0
    try:
        with open_parquet_writer(
            part, schema, use_dictionary=dictionary_columns(schema), compression="snappy"
        ) as writer:
            group: list[pa.RecordBatch] = []
            for batch in prefetch_batches(batches):
                row_count += batch.num_rows
                group.append(batch)
                if sum(b.nbytes for b in group) >= ROW_GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(group, schema))
                    group = []
            if group:
                writer.write_table(pa.Table.from_batches(group, schema))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return row_count
