"""Wells of a dataset's plates as they are stored, plate by plate: their metadata, and the features of the reference batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.plan import Condition, IsPositive, Rows
from bioimage_assets.core.engines.table_source import TableSource
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.result_columns import OBJECT_COUNT
from bioimage_assets.core.profiling.selection import find_features, select_stored_features
from bioimage_assets.core.profiling.stacking import stack_wells
from bioimage_assets.core.settings.dataset import DatasetSettings


def read_metadata(engine: Engine, plates: TableSource) -> pa.Table:
    """What is known of the wells with a passing cell, besides their profiles, in the order of the plates."""
    features = set(list_profile_features(plates.schema))
    names = [name for name in plates.schema.names if name not in features]
    parts = [engine.collect(Rows(part, _passing(part)), names) for part in plates.split(1)]
    return stack_wells(parts)[0].combine_chunks()


def read_values(engine: Engine, plates: TableSource, features: Sequence[str], row_count: int) -> np.ndarray:
    """Profiles of the same wells in the same order (wells x features), NaN where there is no value."""
    values = np.full((row_count, len(features)), np.nan)
    start = 0
    for part in plates.split(1):
        rows = engine.collect(Rows(part, _passing(part)), [*features])
        for place, name in enumerate(features):
            values[start : start + rows.num_rows, place] = rows[name].to_numpy()
        start += rows.num_rows
    return values


def select_features(
    engine: Engine, plates: TableSource, keys: Sequence[str], settings: DatasetSettings
) -> tuple[str, ...]:
    """Features that carry information over some plates, as ``pycytominer_selected_features`` selects them over all.

    Raises
    ------
    ProfilingError
        The plates share no feature, or nothing is left.
    """
    own = plates.prune(keys)
    _, report = select_stored_features(engine, own, settings, find_features(engine, own))
    return report.selected


def _passing(plates: TableSource) -> tuple[Condition, ...]:
    return (IsPositive(OBJECT_COUNT),) if OBJECT_COUNT in plates.schema.names else ()
