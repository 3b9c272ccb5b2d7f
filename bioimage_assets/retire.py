"""Retire plates: the one place where stored rows of a plate are removed, and only when asked for."""

import dagster as dg

from bioimage_assets.partitions import PLATES
from bioimage_assets.resources.project import ProjectResource


def retire_plates(instance: dg.DagsterInstance, project: ProjectResource, plate_keys: list[str]) -> list[str]:
    """Remove all rows of the plates from catalog and warehouse, then forget the partitions. Idempotent."""
    from bioimage_assets.assets.findings import remove_findings
    from bioimage_assets.assets.stored import remove_partition
    from bioimage_assets.core.catalog.replace import remove_partitions
    from bioimage_assets.core.catalog.session import resolve_identifier, table_exists
    from bioimage_assets.core.model.identity import PlateKey
    from bioimage_assets.core.settings.project import NO_CATALOG

    for key in plate_keys:
        PlateKey.parse(key)
    warehouse, settings = project.warehouse(), project.settings
    if settings.catalog_name != NO_CATALOG:
        catalog = project.catalog()
        for name in settings.iceberg_tables:
            identifier = resolve_identifier(catalog, settings.catalog_namespace, name)
            if table_exists(catalog, identifier):
                remove_partitions(catalog, identifier, plate_keys)
    for key in plate_keys:
        remove_findings(project, key)
    for name in warehouse.tables():
        for key in plate_keys:
            remove_partition(warehouse, name, key)
    for key in plate_keys:
        instance.delete_dynamic_partition(PLATES.name or "", key)
    return sorted(plate_keys)
