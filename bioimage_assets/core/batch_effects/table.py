"""Rows of ``sphered_profiles``: corrected profiles beside what is known of the wells, some thousand wells at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from bioimage_assets.core.batch_effects.dataset import Correction

BATCH, REFERENCE = "Metadata_Correction_Batch", "Metadata_Reference_Batch"
METHOD, POSITION = "Metadata_Correction_Method", "Metadata_Position_Corrected"
FILLED = "Metadata_Filled_Features"
_WELLS_AT_ONCE = 4_096


def stream_profiles(
    metadata: pa.Table, correction: Correction, batches: np.ndarray, reference: str, method: str
) -> pa.RecordBatchReader:
    """The corrected wells; ``metadata`` and ``batches`` have one row for each of ``correction.rows``."""
    position = {report.batch: report.position for report in correction.batches}
    words = {
        BATCH: batches,
        REFERENCE: np.full(batches.size, reference, object),
        METHOD: np.full(batches.size, method, object),
        POSITION: np.asarray([position[batch] for batch in batches], object),
    }
    added = {name: pa.array(values, pa.string()) for name, values in words.items()}
    added[FILLED] = pa.array(correction.filled, pa.int64())
    known = metadata.drop_columns([name for name in added if name in metadata.column_names])
    for name, column in added.items():
        known = known.append_column(name, column)
    numbers = [pa.field(name, pa.float64()) for name in correction.columns]
    schema = pa.schema([*known.schema, *numbers])
    return pa.RecordBatchReader.from_batches(schema, _batches(known, correction.after, schema))


def _batches(known: pa.Table, values: np.ndarray, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for start in range(0, known.num_rows, _WELLS_AT_ONCE):
        part = known.slice(start, _WELLS_AT_ONCE)
        numbers = [pa.array(column) for column in values[start : start + _WELLS_AT_ONCE].T.copy()]
        yield from pa.table([*part.columns, *numbers], schema=schema).to_batches()
