"""Versions of derived tables: what a plate's table is made of, as one digest."""

from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.plate_source import PlateSource

# Raised when the code of a table changes what it holds; stored tables of older versions are rebuilt.
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
    """Digest of a plate's inputs (stores, measurements, settings, platemaps) and the table's version."""
    return combine_fingerprints([source.signature, f"{table_name}={TABLE_VERSIONS[table_name]}"])


def dataset_fingerprint(sources: list[PlateSource], table_name: str) -> str:
    """Digest of the inputs of all plates of a dataset and the table's version."""
    plates = [plate_fingerprint(source, "pycytominer_profiles") for source in sources]
    return combine_fingerprints([*plates, f"{table_name}={TABLE_VERSIONS[table_name]}"])
