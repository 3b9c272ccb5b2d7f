"""Selected features and consensus profiles of a dataset from the wells of all its plates, by pycytominer's rules.

Both need every plate at once: features selected plate by plate leave plates with different columns
(https://github.com/cytomining/pycytominer/pull/708).
"""

from __future__ import annotations

from bioimage_assets.core.profiling.consensus import (
    PLATE_COUNT,
    REPLICATE_COUNT,
    ConsensusReport,
    build_consensus,
)
from bioimage_assets.core.profiling.selection import (
    MIN_WELLS,
    OPERATIONS,
    SelectionReport,
    SelectionStep,
    build_selected_features,
)

__all__ = [
    "MIN_WELLS",
    "OPERATIONS",
    "PLATE_COUNT",
    "REPLICATE_COUNT",
    "ConsensusReport",
    "SelectionReport",
    "SelectionStep",
    "build_consensus",
    "build_selected_features",
]
