"""Whether stored tables were made from the inputs that lie there now, told from the warehouse manifest alone."""

from typing import Any

from bioimage_assets.assets.stored import partition_fingerprint
from bioimage_assets.assets.versions import dataset_fingerprint, plate_fingerprint
from bioimage_assets.core.model.plate_source import PlateSource

# Written last in a plate's run; its fingerprint stands for the whole plate.
LAST_PLATE_TABLE = "image_assets"
MEASURED_TABLES = ("joined_profiles", "cosmicqc_profiles", "pycytominer_profiles")
DATASET_TABLES = ("pycytominer_selected_features", "pycytominer_consensus")


def is_plate_current(warehouse: Any, source: PlateSource) -> bool:
    """Tell whether every table of the plate was made from its present inputs by the present code."""
    names = [LAST_PLATE_TABLE, *(MEASURED_TABLES if source.measurement_uris else ())]
    return all(
        partition_fingerprint(warehouse, name, source.plate_key) == plate_fingerprint(source, name)
        for name in names
    )


def is_dataset_current(warehouse: Any, dataset: str, sources: list[PlateSource]) -> bool:
    """Tell whether the dataset's tables were made from its plates as they are now."""
    return all(
        partition_fingerprint(warehouse, name, dataset) == dataset_fingerprint(sources, name)
        for name in DATASET_TABLES
    )
