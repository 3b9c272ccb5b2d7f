"""Image-based profiling from pixels to profiles: scan, catalogue, join, quality control, normalise.

Public functions and classes are loaded when they are first used: importing the package costs little,
and a scan does not load what only a join needs.
"""

from importlib import import_module
from typing import Any

# Every public name and the module it lives in; `bioimage_assets.api` imports them all at once.
PUBLIC_NAMES = {
    "BioimageError": "bioimage_assets.core.errors",
    "CatalogScanOptions": "bioimage_assets.core.catalog.browse",
    "ContractValidationResult": "bioimage_assets.core.joins.contract",
    "CropChoice": "bioimage_assets.core.pixels.locate",
    "CropExport": "bioimage_assets.core.pixels.crop_export.options",
    "CropExportResult": "bioimage_assets.core.pixels.crop_export.export",
    "CytominingWarehouseResult": "bioimage_assets.core.warehouse.results",
    "DatasetSummary": "bioimage_assets.core.model.scan_result",
    "ImageAsset": "bioimage_assets.core.model.scan_result",
    "RegistrationResult": "bioimage_assets.core.model.results",
    "ScanOptions": "bioimage_assets.core.model.scan",
    "ScanResult": "bioimage_assets.core.model.scan_result",
    "WarehouseIngestResult": "bioimage_assets.core.model.results",
    "WarehouseManifest": "bioimage_assets.core.warehouse.manifest.records",
    "WarehouseTableManifestEntry": "bioimage_assets.core.warehouse.manifest.records",
    "WarehouseValidationResult": "bioimage_assets.core.warehouse.results",
    "build_locator_view": "bioimage_assets.core.pixels.duckdb_view",
    "catalog_table_to_arrow": "bioimage_assets.core.catalog.browse",
    "convert_layout": "bioimage_assets.core.warehouse.convert",
    "create_duckdb_connection": "bioimage_assets.core.joins.query",
    "create_ome_arrow": "bioimage_assets.core.pixels.ome_arrow",
    "deregister_dataset": "bioimage_assets.core.catalog.deregister",
    "deregister_plates": "bioimage_assets.core.catalog.deregister",
    "deregister_store": "bioimage_assets.core.catalog.deregister",
    "export_catalog_to_cytomining_warehouse": "bioimage_assets.core.public_api.export",
    "export_crops": "bioimage_assets.core.pixels.crop_export.export",
    "export_profiles_to_cytomining_warehouse": "bioimage_assets.core.public_api.export_tables",
    "export_scan_result_to_cytomining_warehouse": "bioimage_assets.core.public_api.export",
    "export_store_to_cytomining_warehouse": "bioimage_assets.core.public_api.export",
    "export_table_to_cytomining_warehouse": "bioimage_assets.core.public_api.export_tables",
    "ingest_scan_results_to_warehouse": "bioimage_assets.core.catalog.publish",
    "ingest_stores_to_warehouse": "bioimage_assets.core.catalog.publish",
    "join_catalog_image_assets_with_profiles": "bioimage_assets.core.public_api.join",
    "join_image_assets_with_profiles": "bioimage_assets.core.public_api.join",
    "join_profiles_with_scan_result": "bioimage_assets.core.public_api.join",
    "join_profiles_with_store": "bioimage_assets.core.public_api.join",
    "list_catalog_tables": "bioimage_assets.core.catalog.browse",
    "load_catalog_table": "bioimage_assets.core.catalog.browse",
    "load_profile_column_aliases": "bioimage_assets.core.joins.aliases",
    "load_warehouse_manifest": "bioimage_assets.core.warehouse.root",
    "locate": "bioimage_assets.core.pixels.locate",
    "maintain_table": "bioimage_assets.core.catalog.maintain",
    "maintain_warehouse": "bioimage_assets.core.warehouse.maintain",
    "open_anndata": "bioimage_assets.core.anndata.open",
    "open_catalog": "bioimage_assets.core.catalog.session",
    "open_spatialdata": "bioimage_assets.core.anndata.open_spatial",
    "open_warehouse": "bioimage_assets.core.warehouse.root",
    "publish_acquisition_planes": "bioimage_assets.core.catalog.publish",
    "publish_chunk_index": "bioimage_assets.core.catalog.publish",
    "publish_image_assets": "bioimage_assets.core.catalog.publish",
    "query_metadata_table": "bioimage_assets.core.joins.query",
    "read_crop": "bioimage_assets.core.pixels.crop",
    "register_directory": "bioimage_assets.core.catalog.publish",
    "register_profile_table": "bioimage_assets.core.catalog.profile_tables",
    "register_store": "bioimage_assets.core.catalog.publish",
    "rollback": "bioimage_assets.core.catalog.history",
    "scan_as_arrow_table": "bioimage_assets.core.public_api.scan",
    "scan_acquisition_planes": "bioimage_assets.core.scan.scanner",
    "scan_chunk_index": "bioimage_assets.core.scan.scanner",
    "scan_image_assets": "bioimage_assets.core.scan.scanner",
    "scan_ome_arrow": "bioimage_assets.core.pixels.ome_arrow",
    "scan_result_as_arrow_table": "bioimage_assets.core.public_api.scan",
    "scan_store": "bioimage_assets.core.public_api.scan",
    "summarize_scan_result": "bioimage_assets.core.public_api.scan",
    "summarize_store": "bioimage_assets.core.public_api.scan",
    "tag_release": "bioimage_assets.core.catalog.history",
    "validate_microscopy_profile_columns": "bioimage_assets.core.joins.contract",
    "validate_microscopy_profile_table": "bioimage_assets.core.joins.contract",
    "validate_warehouse_manifest": "bioimage_assets.core.warehouse.validation.validate",
}

__all__ = list(PUBLIC_NAMES)


def __getattr__(name: str) -> Any:
    if name in PUBLIC_NAMES:
        return getattr(import_module(PUBLIC_NAMES[name]), name)
    raise AttributeError(f"module 'bioimage_assets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC_NAMES])
