"""Settings of a project in, the door to its stored tables out."""

from __future__ import annotations

from functools import cache, partial

from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.settings.project import EMBEDDED_CATALOG, ProjectSettings
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.warehouse.root import open_warehouse


def open_project_tables(settings: ProjectSettings) -> ProjectTables:
    """The door to the stored tables of a project; nothing is created."""
    warehouse = open_warehouse(
        settings.warehouse_uri,
        layout=settings.warehouse_layout,
        storage_options=dict(settings.storage_options),
    )
    # One catalog for all requests: opening it takes longer than asking it.
    return ProjectTables(settings, warehouse, cache(partial(_open_catalog, settings)))


def _open_catalog(settings: ProjectSettings) -> Catalog:
    if settings.catalog_name == EMBEDDED_CATALOG:
        return open_catalog(EMBEDDED_CATALOG, settings.catalog_properties)
    return open_catalog(settings.catalog_name)
