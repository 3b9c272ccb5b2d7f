"""Whether stored tables were made from the inputs that lie there now, told from the warehouse manifest alone."""

from pathlib import Path
from typing import Any

from bioimage_assets.assets.stored import partition_fingerprint
from bioimage_assets.assets.versions import dataset_fingerprint, plate_fingerprint
from bioimage_assets.core.model.plate_source import PlateSource

# Written last in a plate's run; its fingerprint stands for the whole plate.
LAST_PLATE_TABLE = "image_assets"
MEASURED_TABLES = ("joined_profiles", "cosmicqc_profiles", "pycytominer_profiles")
DATASET_TABLES = ("pycytominer_selected_features", "pycytominer_consensus")


def page_mark(fingerprint: str) -> str:
    """Comment at the end of a page that says what it was made from."""
    return f"<!-- fingerprint {fingerprint} -->\n"


def _is_page_current(page: Path, fingerprint: str) -> bool:
    mark = page_mark(fingerprint).encode()
    try:
        with page.open("rb") as handle:
            handle.seek(-len(mark), 2)
            return handle.read() == mark
    except OSError:
        return False


def is_page_current(reports_dir: Path, source: PlateSource) -> bool:
    """Tell whether the plate's page was made from its present inputs by the present code."""
    page = reports_dir / "plates" / f"{source.plate_key}.html"
    return _is_page_current(page, plate_fingerprint(source, "plate_report"))


def _is_stored(warehouse: Any, name: str, partition: str, fingerprint: str) -> bool:
    """Tell whether the warehouse holds this state; a table that is kept in the catalog is judged by its page."""
    stored = partition_fingerprint(warehouse, name, partition)
    return stored == fingerprint or (stored is None and not warehouse.has_table(name))


def is_plate_current(warehouse: Any, reports_dir: Path, source: PlateSource) -> bool:
    """Tell whether every table and the page of the plate were made from its present inputs by the present code."""
    if not is_page_current(reports_dir, source):
        return False
    names = [LAST_PLATE_TABLE, *(MEASURED_TABLES if source.measurement_uris else ())]
    return all(
        _is_stored(warehouse, name, source.plate_key, plate_fingerprint(source, name)) for name in names
    )


def is_dataset_current(warehouse: Any, reports_dir: Path, dataset: str, sources: list[PlateSource]) -> bool:
    """Tell whether the dataset's tables and page were made from its plates as they are now."""
    page = reports_dir / "datasets" / f"{dataset}.html"
    if not _is_page_current(page, dataset_fingerprint(warehouse, sources, "dataset_report")):
        return False
    if not any(source.measurement_uris for source in sources):
        return True
    return all(
        _is_stored(warehouse, name, dataset, dataset_fingerprint(warehouse, sources, name))
        for name in DATASET_TABLES
    )
