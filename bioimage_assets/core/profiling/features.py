"""Which columns of cells and of wells are features to profile, and which wells can be compared.

Which columns of cells are features is decided in ``core/tables/feature_columns.py``. Tables of wells that this project made hold
their features, keys and ``Metadata_*`` only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from bioimage_assets.core.tables.feature_columns import (
    NO_FEATURE_PREFIXES,
    PLACE_PATTERN,
    FeatureColumns,
    select_feature_columns,
    split_places,
)
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

__all__ = [
    "PLACE_PATTERN",
    "FeatureColumns",
    "drop_empty_features",
    "list_profile_features",
    "select_feature_columns",
    "split_places",
    "with_profiles",
]


def list_profile_features(schema: pa.Schema) -> list[str]:
    """Features of a table of wells or treatments that this project made: every floating column that is not a key or metadata.

    Such a table holds what was profiled, so that settings that were changed since do not change its meaning.
    """
    known = set(IMAGE_ASSETS.names)
    return [
        field.name
        for field in schema
        if pa.types.is_floating(field.type)
        and field.name not in known
        and not field.name.startswith("Metadata_")
    ]


def drop_empty_features(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Leave out features that have no value in any of the tables, which are all of one dataset: there is nothing to compare."""
    known = frozenset(IMAGE_ASSETS.names)
    filled: set[str] = set()
    named: dict[str, None] = {}
    for table in tables:
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name in known or name.startswith(NO_FEATURE_PREFIXES):
                continue
            named[name] = None
            if name not in filled and not _is_empty(column):
                filled.add(name)
    empty = named.keys() - filled
    return [table.select([n for n in table.column_names if n not in empty]) for table in tables]


def _is_empty(column: pa.ChunkedArray) -> bool:
    is_feature = pa.types.is_floating(column.type) or pa.types.is_null(column.type)
    return bool(is_feature and column.null_count == len(column))


def with_profiles(wells: pa.Table) -> pa.Table:
    """Wells that have a profile: a well without a passing cell has nulls only, and nothing to compare."""
    names = list_profile_features(wells.schema)
    has_value = np.zeros(wells.num_rows, bool)
    for name in names:
        values = wells[name].to_numpy()
        has_value |= np.isfinite(values.astype(np.float64))
    return wells.filter(pa.array(has_value)) if names else wells
