"""Versions of derived tables: what a plate's table is made of, as one digest."""

from typing import Any

from bioimage_assets.assets.stored import partition_fingerprint
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.plate_source import PlateSource

WELL_PROFILES = "pycytominer_profiles"
# Raised when the code of a table changes what it holds. Tables build on each other, so a raised number rebuilds
# all tables of a plate.
TABLE_VERSIONS = {
    "single_cells": 1,
    "measured_images": 1,
    "plate_completeness": 1,
    "joined_profiles": 1,
    "join_report": 1,
    "cosmicqc_profiles": 1,
    "pycytominer_profiles": 1,
    "pycytominer_selected_features": 1,
    "pycytominer_consensus": 1,
    "image_assets": 1,
    "chunk_index": 1,
    "plate_report": 1,
    "dataset_report": 1,
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
