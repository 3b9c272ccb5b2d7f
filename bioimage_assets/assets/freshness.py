"""Whether stored tables were made from the inputs that lie there now, told from the warehouse manifest alone."""

from pathlib import Path
from typing import Any

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


def _is_stored(stored: Any, name: str, partition: str, fingerprint: str) -> bool:
    """Tell whether the warehouse holds this state; a table that it has of no plate is judged by the page."""
    found = stored.fingerprint(name, partition)
    return found == fingerprint or (found is None and not stored.has_table(name))


def is_plate_current(stored: Any, reports_dir: Path, source: PlateSource) -> bool:
    """Tell whether every table and the page of the plate are there, made from its present inputs by the present code.

    ``stored`` is what ``presence.look_at_stored`` found.
    """
    key = source.plate_key
    if not is_page_current(reports_dir, source) or stored.lost(key) or stored.has_other_rows(key):
        return False
    # Every plate has a part of this one, if of no rows: a root without it has nothing of the plate.
    if stored.fingerprint(LAST_PLATE_TABLE, key) != plate_fingerprint(source, LAST_PLATE_TABLE):
        return False
    names = MEASURED_TABLES if source.measurement_uris else ()
    return all(_is_stored(stored, name, key, plate_fingerprint(source, name)) for name in names)


def is_dataset_current(
    stored: Any, warehouse: Any, reports_dir: Path, dataset: str, sources: list[PlateSource]
) -> bool:
    """Tell whether the dataset's tables and page are there, made from its plates as they are now."""
    page = reports_dir / "datasets" / f"{dataset}.html"
    if not _is_page_current(page, dataset_fingerprint(warehouse, sources, "dataset_report")):
        return False
    if not any(source.measurement_uris for source in sources):
        return True
    return not stored.lost(dataset) and all(
        _is_stored(stored, name, dataset, dataset_fingerprint(warehouse, sources, name))
        for name in DATASET_TABLES
    )
