"""The cells that are furthest beyond the thresholds of quality control: which they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from bioimage_assets.core.pictures.well_numbers import clip_numbers, read_column
from bioimage_assets.core.profiling.cosmicqc import QcCondition
from bioimage_assets.core.profiling.result_columns import OBJECT_ID

PER_CONDITION = 10


def list_worst_cells(qc: pa.Table, condition: QcCondition, count: int) -> list[str]:
    """Flagged cells of a condition, furthest beyond its nearest threshold first."""
    return [str(row[OBJECT_ID]) for row in find_worst_cells(qc, condition, count)]


def find_worst_cells(qc: pa.Table, condition: QcCondition, count: int) -> list[Mapping[str, object]]:
    """The same with their wells and images, as far as the table names them."""
    flags = read_column(qc, f"Metadata_cqc_{condition.name}_is_outlier")
    flagged = qc.take(pa.array(np.flatnonzero(flags == 1), pa.int64()))
    if flagged.num_rows == 0:
        return []
    excess = [
        np.abs(clip_numbers(read_column(flagged, f"Metadata_cqc_{condition.name}_{limit.feature}_zscore")))
        - abs(limit.zscore)
        for limit in condition.thresholds
    ]
    # Cells of flagged fields are alike: a condition without thresholds has no worst.
    order = np.argsort(-np.min(excess, axis=0), kind="stable") if excess else np.arange(flagged.num_rows)
    order = order[:count]
    names = [
        name for name in (OBJECT_ID, "well_id", "Metadata_Well", "image_id") if name in flagged.column_names
    ]
    found: list[Mapping[str, object]] = flagged.select(names).take(pa.array(order)).to_pylist()
    return found
