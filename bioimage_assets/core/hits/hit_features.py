"""What changes in each treatment: one row per treatment and feature, against the control wells of the same plates.

Features are read some at a time and tested for all treatments; the numbers wait in a file of the scratch folder where they are
too many for memory, because q values are made of all features of a treatment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from bioimage_assets.core.hits.feature_tests import MEASURES, Moments, build_moments, compare_features
from bioimage_assets.core.profiling.activity import adjust_p_values
from bioimage_assets.core.profiling.campaign_wells import spool_numbers
from bioimage_assets.core.profiling.dataset_wells import StoredWells, block_columns
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.replicates import Comparisons
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.schemas import HIT_FEATURES

MAX_HELD_BYTES = 64 << 20  # more numbers wait on disk
_BATCH_ROWS = 100_000


def find_plate_controls(compared: Comparisons, plates: np.ndarray) -> dict[str, tuple[int, ...]]:
    """Rows of the control wells that lie on the plates of each treatment and belong to its group."""
    known: dict[tuple[int, tuple[int, ...]], tuple[int, ...]] = {}
    found = {}
    for label, rows in compared.rows_of.items():
        stratum = compared.controls.stratum[label]
        key = (stratum, tuple(np.unique(plates[rows]).tolist()))
        if key not in known:
            # A treatment's stratum may have no control at all.
            controls = compared.controls.rows.get(stratum, np.empty(0, np.int64))
            known[key] = tuple(controls[np.isin(plates[controls], key[1])].tolist())
        found[label] = known[key]
    return found


def measure_features(
    wells: StoredWells,
    compared: Comparisons,
    controls: Mapping[str, tuple[int, ...]],
    settings: DatasetSettings,
    scratch: Path,
) -> np.ndarray:
    """Numbers of every measure, treatment and feature, in this order of axes; OSError where the scratch folder has no room."""
    features = list_profile_features(wells.schema)
    shape = (len(MEASURES), len(compared.rows_of), len(features))
    is_large = 8 * np.prod(shape, dtype=np.float64) > MAX_HELD_BYTES
    found = spool_numbers(scratch / "hit_features.f64", shape) if is_large else np.empty(shape)
    start = 0
    for names in block_columns(wells, features):
        table = wells.read(names)
        values = np.column_stack([_numbers(table[name]) for name in names])
        moments: dict[tuple[int, ...], Moments] = {}
        for place, (label, rows) in enumerate(compared.rows_of.items()):
            chosen = controls[label]
            if chosen not in moments:
                moments[chosen] = build_moments(values[list(chosen)])
            part = compare_features(build_moments(values[rows]), moments[chosen], settings.hits_test)
            found[:, place, start : start + len(names)] = part
        start += len(names)
    return found


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def stream_rows(
    measured: np.ndarray, labels: list[str], features: list[str], dataset_id: str, significance: float
) -> pa.RecordBatchReader:
    """Rows of all treatments, some treatments at a time, with q values over the features of each."""
    step = max(1, _BATCH_ROWS // max(1, len(features)))

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(labels), step):
            part = slice(start, start + step)
            yield _build_batch(measured[:, part], labels[part], features, dataset_id, significance)

    return pa.RecordBatchReader.from_batches(HIT_FEATURES, batches())


def _build_batch(
    measured: np.ndarray, labels: list[str], features: list[str], dataset_id: str, significance: float
) -> pa.RecordBatch:
    numbers = dict(zip(MEASURES, measured, strict=True))
    q_values = np.stack([_adjust(row) for row in numbers["p_value"]])
    count = q_values.size
    columns: dict[str, pa.Array] = {
        "dataset_id": pa.repeat(pa.scalar(dataset_id), count),
        "treatment": pa.array(np.repeat(np.asarray(labels, dtype=object), len(features)), pa.string()),
        "feature": pa.array(features * len(labels), pa.string()),
        "q_value": pa.array(q_values.ravel(), pa.float64(), from_pandas=True),
        "is_changed": pa.array(
            (q_values < significance).ravel(), pa.bool_(), mask=np.isnan(q_values).ravel()
        ),
    }
    for name, values in numbers.items():
        kind = HIT_FEATURES.field(name).type
        given = values.ravel().astype(np.int64) if pa.types.is_integer(kind) else values.ravel()
        columns[name] = pa.array(given, kind, from_pandas=True)
    return pa.record_batch([columns[name] for name in HIT_FEATURES.names], schema=HIT_FEATURES)


def _adjust(p_values: np.ndarray) -> np.ndarray:
    """q values of those that have a p value."""
    known = np.isfinite(p_values)
    found = np.full(p_values.shape, np.nan)
    found[known] = adjust_p_values(p_values[known].tolist())
    return found
