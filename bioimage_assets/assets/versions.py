"""Versions of derived tables: what a plate's table is made of, as one digest."""

from typing import Any

from bioimage_assets.assets.stored import partition_fingerprint
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.plate_source import PlateSource

WELL_PROFILES = "pycytominer_profiles"
# Raised when the code of a table changes what it holds. Tables build on each other, so a raised number rebuilds
# all tables of a plate.
TABLE_VERSIONS = {
    "single_cells": 2,
    "measured_images": 2,
    "plate_completeness": 2,
    "joined_profiles": 2,
    "join_report": 2,
    "cosmicqc_profiles": 2,
    "pycytominer_profiles": 2,
    "pycytominer_selected_features": 2,
    "pycytominer_consensus": 2,
    "image_assets": 1,
    "chunk_index": 1,
    "plate_report": 2,
    "dataset_report": 2,
}


def plate_fingerprint(source: PlateSource, table_name: str) -> str:
    """Digest of a plate's inputs (stores, measurements, settings, platemaps), the table and the code's versions."""
    return combine_fingerprints([source.signature, table_name, _code_version()])


def dataset_fingerprint(warehouse: Any, sources: list[PlateSource], table_name: str) -> str:
    """Digest of the well profiles that a dataset's table is made of, as they are stored now.

    A plate that could not be built counts as absent, so that a dataset made without it is made again once
    it is there. Where well profiles are kept in the catalog, the plates' inputs stand for them.
    """
    if warehouse.has_table(WELL_PROFILES):
        stored = [
            f"{source.plate_key}={partition_fingerprint(warehouse, WELL_PROFILES, source.plate_key)}"
            for source in sources
        ]
    else:
        stored = [plate_fingerprint(source, WELL_PROFILES) for source in sources]
    return combine_fingerprints([*stored, table_name, _code_version()])


def _code_version() -> str:
    return ",".join(f"{name}={number}" for name, number in sorted(TABLE_VERSIONS.items()))
