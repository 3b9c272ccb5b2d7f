"""The table ``acquisition_planes`` of an export: written where any plane says how it was taken."""

from __future__ import annotations

import pyarrow as pa
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.publish_stores import PLANES
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.session import Identifier, table_exists
from bioimage_assets.core.public_api.export_tables import write_export
from bioimage_assets.core.tables.schemas import ACQUISITION_PLANES
from bioimage_assets.core.warehouse.results import TableWrite
from bioimage_assets.core.warehouse.root import Warehouse

_KEYS = ("dataset_id", "image_id")


def write_planes(
    warehouse: Warehouse, planes: pa.Table, mode: str, source_type: str, source_ref: str
) -> list[TableWrite]:
    """Write the planes; an export without any leaves no such table, and empties one that an earlier export left."""
    if not planes.num_rows and not (mode == "overwrite" and warehouse.has_table(PLANES)):
        return []
    return [
        write_export(
            warehouse,
            PLANES,
            planes,
            mode,
            role="annotations",
            join_keys=_KEYS,
            source_type=source_type,
            source_ref=source_ref,
        )
    ]


def read_planes(catalog: Catalog, image_table: Identifier) -> pa.Table:
    """The planes that stand in the catalog beside a table of images; none where there is no such table."""
    identifier = (*image_table[:-1], PLANES)
    if not table_exists(catalog, identifier):
        return ACQUISITION_PLANES.empty_table()
    return read_table(catalog, identifier)
