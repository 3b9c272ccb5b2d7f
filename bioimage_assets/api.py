"""All public functions and classes, imported at once: for type checkers, documentation and notebooks."""

from bioimage_assets.core.anndata.open import (
    open_anndata,
)
from bioimage_assets.core.anndata.open_spatial import (
    open_spatialdata,
)
from bioimage_assets.core.catalog.browse import (
    CatalogScanOptions,
    catalog_table_to_arrow,
    list_catalog_tables,
    load_catalog_table,
)
from bioimage_assets.core.catalog.deregister import (
    deregister_dataset,
    deregister_plates,
    deregister_store,
)
from bioimage_assets.core.catalog.history import (
    rollback,
    tag_release,
)
from bioimage_assets.core.catalog.maintain import (
    maintain_table,
)
from bioimage_assets.core.catalog.profile_tables import (
    register_profile_table,
)
from bioimage_assets.core.catalog.publish import (
    ingest_scan_results_to_warehouse,
    ingest_stores_to_warehouse,
    publish_acquisition_planes,
    publish_chunk_index,
    publish_image_assets,
    register_directory,
    register_store,
)
from bioimage_assets.core.catalog.session import (
    open_catalog,
)
from bioimage_assets.core.errors import (
    BioimageError,
)
from bioimage_assets.core.joins.aliases import (
    load_profile_column_aliases,
)
from bioimage_assets.core.joins.contract import (
    ContractValidationResult,
    validate_microscopy_profile_columns,
    validate_microscopy_profile_table,
)
from bioimage_assets.core.joins.query import (
    create_duckdb_connection,
    query_metadata_table,
)
from bioimage_assets.core.model.results import (
    RegistrationResult,
    WarehouseIngestResult,
)
from bioimage_assets.core.model.scan import (
    ScanOptions,
)
from bioimage_assets.core.model.scan_result import (
    DatasetSummary,
    ImageAsset,
    ScanResult,
)
from bioimage_assets.core.pixels.crop import (
    read_crop,
)
from bioimage_assets.core.pixels.crop_export.export import (
    CropExportResult,
    export_crops,
)
from bioimage_assets.core.pixels.crop_export.options import (
    CropExport,
)
from bioimage_assets.core.pixels.duckdb_view import (
    build_locator_view,
)
from bioimage_assets.core.pixels.locate import (
    CropChoice,
    locate,
)
from bioimage_assets.core.pixels.ome_arrow import (
    create_ome_arrow,
    scan_ome_arrow,
)
from bioimage_assets.core.public_api.export import (
    export_catalog_to_cytomining_warehouse,
    export_scan_result_to_cytomining_warehouse,
    export_store_to_cytomining_warehouse,
)
from bioimage_assets.core.public_api.export_tables import (
    export_profiles_to_cytomining_warehouse,
    export_table_to_cytomining_warehouse,
)
from bioimage_assets.core.public_api.join import (
    join_catalog_image_assets_with_profiles,
    join_image_assets_with_profiles,
    join_profiles_with_scan_result,
    join_profiles_with_store,
)
from bioimage_assets.core.public_api.scan import (
    scan_as_arrow_table,
    scan_result_as_arrow_table,
    scan_store,
    summarize_scan_result,
    summarize_store,
)
from bioimage_assets.core.scan.scanner import (
    scan_acquisition_planes,
    scan_chunk_index,
    scan_image_assets,
)
from bioimage_assets.core.warehouse.convert import (
    convert_layout,
)
from bioimage_assets.core.warehouse.maintain import (
    maintain_warehouse,
)
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.results import (
    CytominingWarehouseResult,
    WarehouseValidationResult,
)
from bioimage_assets.core.warehouse.root import (
    load_warehouse_manifest,
    open_warehouse,
)
from bioimage_assets.core.warehouse.validation.validate import (
    validate_warehouse_manifest,
)

__all__ = [
    "BioimageError",
    "CatalogScanOptions",
    "ContractValidationResult",
    "CropChoice",
    "CropExport",
    "CropExportResult",
    "CytominingWarehouseResult",
    "DatasetSummary",
    "ImageAsset",
    "RegistrationResult",
    "ScanOptions",
    "ScanResult",
    "WarehouseIngestResult",
    "WarehouseManifest",
    "WarehouseTableManifestEntry",
    "WarehouseValidationResult",
    "build_locator_view",
    "catalog_table_to_arrow",
    "convert_layout",
    "create_duckdb_connection",
    "create_ome_arrow",
    "deregister_dataset",
    "deregister_plates",
    "deregister_store",
    "export_catalog_to_cytomining_warehouse",
    "export_crops",
    "export_profiles_to_cytomining_warehouse",
    "export_scan_result_to_cytomining_warehouse",
    "export_store_to_cytomining_warehouse",
    "export_table_to_cytomining_warehouse",
    "ingest_scan_results_to_warehouse",
    "ingest_stores_to_warehouse",
    "join_catalog_image_assets_with_profiles",
    "join_image_assets_with_profiles",
    "join_profiles_with_scan_result",
    "join_profiles_with_store",
    "list_catalog_tables",
    "load_catalog_table",
    "load_profile_column_aliases",
    "load_warehouse_manifest",
    "locate",
    "maintain_table",
    "maintain_warehouse",
    "open_anndata",
    "open_catalog",
    "open_spatialdata",
    "open_warehouse",
    "publish_acquisition_planes",
    "publish_chunk_index",
    "publish_image_assets",
    "query_metadata_table",
    "read_crop",
    "register_directory",
    "register_profile_table",
    "register_store",
    "rollback",
    "scan_acquisition_planes",
    "scan_as_arrow_table",
    "scan_chunk_index",
    "scan_image_assets",
    "scan_ome_arrow",
    "scan_result_as_arrow_table",
    "scan_store",
    "summarize_scan_result",
    "summarize_store",
    "tag_release",
    "validate_microscopy_profile_columns",
    "validate_microscopy_profile_table",
    "validate_warehouse_manifest",
]
