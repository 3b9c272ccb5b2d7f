"""The one place where stored rows and the page of a plate, dataset or campaign are removed, and only when asked for."""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.model.identity import (
    PlateKey,
    build_campaign_key,
    campaign_name,
    check_key_part,
    dimension_of,
)
from bioimage_assets.core.settings.project import NO_CATALOG
from bioimage_assets.core.storage import built_tables, step_findings
from bioimage_assets.core.storage.page_index import write_index
from bioimage_assets.core.storage.pages import INDEX, remove_page
from bioimage_assets.core.storage.plate_files import remove_plate_files
from bioimage_assets.core.storage.step_findings import list_step_keys
from bioimage_assets.core.storage.tables import ProjectTables, drop_partitions


def remove_plates(tables: ProjectTables, plate_keys: Sequence[str]) -> None:
    """Remove all rows of plates, datasets or campaigns from catalog and warehouse, with what was found about them, their pages and virtual plates.

    Idempotent. IdentityError where a key names none of them. A dataset's key removes its own tables and page, not its plates.
    """
    if not plate_keys:
        return
    for key in plate_keys:
        if dimension_of(key) == "campaign":
            build_campaign_key(campaign_name(key))
        elif dimension_of(key) == "dataset":
            check_key_part(key)
        else:
            PlateKey.parse(key)
    settings, warehouse = tables.settings, tables.warehouse
    if settings.catalog_name != NO_CATALOG:
        for name in settings.iceberg_tables:
            tables.remove(name, plate_keys)
    for name in (step_findings.NAME, built_tables.NAME):
        keys = [step_key for key in plate_keys for step_key in list_step_keys(warehouse, name, key)]
        drop_partitions(warehouse, name, keys)
    for name in warehouse.tables():
        drop_partitions(warehouse, name, plate_keys)
    for key in plate_keys:
        if dimension_of(key) == "plate":
            remove_plate_files(settings.virtual_plates_uri, key, settings.storage_options)
        remove_page(settings.reports_dir, key)
    if (settings.reports_dir / INDEX).exists():
        write_index(settings.reports_dir)
