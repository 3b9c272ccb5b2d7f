"""One plate's catalog rows into the warehouse root, so that it can be used without the catalog."""

from typing import Any

import dagster as dg
import pyarrow as pa

from bioimage_assets.assets.cells import rows_of
from bioimage_assets.assets.scanning import require_source
from bioimage_assets.assets.versions import plate_fingerprint
from bioimage_assets.core.catalog.read import read_batches
from bioimage_assets.core.catalog.session import resolve_identifier
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.tables.schemas import TABLES
from bioimage_assets.core.warehouse.text_columns import add_chunk_text_columns, add_image_text_columns
from bioimage_assets.resources.project import ProjectResource


def export_plate(
    project: ProjectResource, plate_key: str, source: PlateSource | None, image_assets: pa.Table, run_id: str
) -> dict[str, Any]:
    """Copy ``chunk_index`` and then ``image_assets`` of a plate; the latter marks the plate as complete."""
    source = require_source(plate_key, source)
    catalog, warehouse = project.catalog(), project.warehouse()
    namespace = project.settings.catalog_namespace
    identifier = resolve_identifier(catalog, namespace, "chunk_index")
    chunks = read_batches(catalog, identifier, plate_keys=[plate_key])
    data = {
        "chunk_index": add_chunk_text_columns(chunks),
        "image_assets": add_image_text_columns(rows_of(image_assets, plate_key)),
    }
    metadata: dict[str, Any] = {"warehouse": dg.MetadataValue.path(project.settings.warehouse_uri)}
    for name, rows in data.items():
        spec = TABLES[name]
        written = warehouse.replace_partitions(
            name,
            rows,
            [plate_key],
            role=spec.role,
            join_keys=list(spec.join_keys),
            source_type="catalog",
            source_ref=f"{project.settings.catalog_name}:{namespace}.{name}",
            analysis_level=spec.analysis_level,
            object_type=spec.object_type,
            fingerprint=plate_fingerprint(source, name),
            run_id=run_id,
        )
        metadata[f"{name}_rows"] = written.row_count
    metadata["dagster/partition_row_count"] = metadata["image_assets_rows"]
    return metadata
