"""One plate's catalog rows into the warehouse root, so that it can be used without the catalog."""

from typing import Any

import dagster as dg
import pyarrow as pa

from bioimage_assets.assets.cells import rows_of
from bioimage_assets.assets.placed import add_text_columns, stream_rows
from bioimage_assets.assets.scanning import require_source
from bioimage_assets.assets.versions import plate_fingerprint
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.tables.schemas import TABLES
from bioimage_assets.resources.project import ProjectResource


def export_plate(
    project: ProjectResource, plate_key: str, source: PlateSource | None, image_assets: pa.Table, run_id: str
) -> dict[str, Any]:
    """Copy ``chunk_index`` and then ``image_assets`` of a plate; the latter marks the plate as complete."""
    source = require_source(plate_key, source)
    warehouse, settings = project.warehouse(), project.settings
    declared = TABLES["image_assets"].schema
    assert declared is not None, "image_assets has a declared schema"
    images = rows_of(image_assets, plate_key).select(declared.names)
    data = {"chunk_index": stream_rows(project, "chunk_index", plate_key), "image_assets": images}
    metadata: dict[str, Any] = {"warehouse": dg.MetadataValue.path(project.settings.warehouse_uri)}
    for name, rows in data.items():
        written = warehouse.replace_partitions(
            name,
            add_text_columns(name, rows),
            [plate_key],
            source_type="catalog",
            source_ref=f"{settings.catalog_name}:{settings.catalog_namespace}.{name}",
            fingerprint=plate_fingerprint(source, name),
            run_id=run_id,
        )
        metadata[f"{name}_rows"] = written.row_count
    metadata["dagster/partition_row_count"] = metadata["image_assets_rows"]
    return metadata
