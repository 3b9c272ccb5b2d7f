"""Scan stores and put their rows into the catalog: one commit per table, however many stores.

Registering replaces the rows of the store's partition, so doing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bioimage_assets.core.catalog.publish_stores import Namespace, ingest_planned, open_target, publish_rows
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import CatalogLike, open_catalog, resolve_identifier
from bioimage_assets.core.catalog.store_glob import find_stores
from bioimage_assets.core.catalog.store_rows import scan_store_rows
from bioimage_assets.core.model.identity import build_plate_key, store_stem
from bioimage_assets.core.model.results import RegistrationResult, WarehouseIngestResult
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.scan.scanner import scan_chunk_index
from bioimage_assets.core.tables.acquisition_planes import build_acquisition_planes
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets.core.tables.schemas import ACQUISITION_PLANES, CHUNK_INDEX, IMAGE_ASSETS


def register_store(
    uri: str,
    catalog: CatalogLike,
    namespace: Namespace,
    *,
    image_assets_table: str = "image_assets",
    chunk_index_table: str | None = "chunk_index",
    replace: bool = False,
    dataset_id: str | None = None,
    options: ScanOptions | None = None,
) -> RegistrationResult:
    """Scan one store and put its images and chunks into the catalog; safe to repeat.

    Planes whose metadata say how they were taken go into ``acquisition_planes`` of the same namespace.

    Parameters
    ----------
    replace
        Let the store take over an identity that another store has in the catalog (it was moved or renamed).
    dataset_id
        Default: the store's stem.

    Raises
    ------
    StoreError
        The store cannot be read; nothing was written.
    IdentityError
        Another store already has this identity; both are named, nothing was written.

    Examples
    --------
    >>> register_store("data/experiment.zarr", "embedded", "bioimage.cytotable").chunk_rows_published
    6
    """
    chosen = _with_dataset(options, dataset_id)
    target = open_target(catalog, namespace, image_assets_table, chunk_index_table)
    return publish_rows(target, [scan_store_rows(uri, chosen)], chosen, take_over=replace)[0]


def ingest_stores_to_warehouse(
    uris: Sequence[str],
    catalog: CatalogLike,
    namespace: Namespace,
    *,
    image_assets_table: str = "image_assets",
    chunk_index_table: str | None = "chunk_index",
    dataset_id: str | None = None,
    options: ScanOptions | None = None,
) -> WarehouseIngestResult:
    """Scan several stores and publish them together, one commit per table.

    A store that cannot be read is a warning and costs no other; StoreError where none can be read.
    IdentityError names two stores that would be the same; nothing was written then.

    Examples
    --------
    >>> ingest_stores_to_warehouse(["data/experiment.zarr"], "embedded", "bioimage.cytotable").dataset_count
    1
    """
    chosen = _with_dataset(options, dataset_id)
    return ingest_planned(
        [(uri, chosen) for uri in uris],
        catalog,
        namespace,
        image_assets_table,
        chunk_index_table,
        chosen,
        take_over=False,
    )


def ingest_scan_results_to_warehouse(
    scan_results: Sequence[StoreScan],
    catalog: CatalogLike,
    namespace: Namespace,
    *,
    image_assets_table: str = "image_assets",
    chunk_index_table: str | None = "chunk_index",
) -> WarehouseIngestResult:
    """Publish stores that were scanned before, one commit per table, under the identities of those scans.

    The stores are scanned anew: a chunk index is observed when it is stored, and a store that changed since
    its scan must not be published under the old one.

    Examples
    --------
    >>> from bioimage_assets import scan_store
    >>> ingest_scan_results_to_warehouse([scan_store("data/experiment.zarr")], "embedded", "bioimage.cytotable").dataset_count
    1
    """
    planned = [
        (scan.uri, ScanOptions(dataset_id=scan.dataset_id, plate_key=scan.plate_key)) for scan in scan_results
    ]
    return ingest_planned(
        planned, catalog, namespace, image_assets_table, chunk_index_table, ScanOptions(), take_over=False
    )


def register_directory(
    path: str,
    catalog: CatalogLike,
    namespace: Namespace,
    *,
    glob: str = "**/*.ome.zarr",
    image_assets_table: str = "image_assets",
    chunk_index_table: str | None = "chunk_index",
    replace: bool = False,
    options: ScanOptions | None = None,
) -> WarehouseIngestResult:
    """Register every store below a folder or bucket prefix that a pattern matches, one commit per table.

    The first folder below ``path`` is the dataset; a store directly in it is a dataset of its own. Nothing
    matched is a warning; StoreNotFoundError where the folder does not exist.

    Examples
    --------
    >>> register_directory("data", "embedded", "bioimage.cytotable", glob="exp*.zarr").dataset_count
    1
    """
    base = options or ScanOptions()
    found = find_stores(path, glob, base.storage_options)
    planned = [(uri, _options_below(base, relative, uri)) for uri, relative in found]
    result = ingest_planned(
        planned, catalog, namespace, image_assets_table, chunk_index_table, base, take_over=replace
    )
    if found:
        return result
    return _with_warning(result, f"{path}: nothing matches {glob!r}; no store was registered.")


def publish_image_assets(
    catalog: CatalogLike, namespace: Namespace, table_name: str, scan_result: StoreScan
) -> int:
    """Replace the image rows of a scanned store's partitions; give their number.

    Examples
    --------
    >>> from bioimage_assets import scan_store
    >>> publish_image_assets("embedded", "bioimage.cytotable", "image_assets", scan_store("data/experiment.zarr"))
    1
    """
    opened = open_catalog(catalog)
    images = build_image_assets(scan_result.images)
    keys = sorted({scan_result.plate_key, *images["plate_key"].to_pylist()})
    identifier = resolve_identifier(opened, namespace, table_name)
    return replace_partitions(opened, identifier, images, keys, schema=IMAGE_ASSETS).row_count


def publish_acquisition_planes(
    catalog: CatalogLike, namespace: Namespace, table_name: str, scan_result: StoreScan
) -> int:
    """Replace the rows of planes of a scanned store's partitions; give their number.

    Examples
    --------
    >>> from bioimage_assets import scan_store
    >>> publish_acquisition_planes("embedded", "bioimage.cytotable", "acquisition_planes", scan_store("data/experiment.zarr"))
    0
    """
    opened = open_catalog(catalog)
    keys = sorted({scan_result.plate_key, *(image.plate_key for image in scan_result.images)})
    planes = build_acquisition_planes(scan_result.images)
    identifier = resolve_identifier(opened, namespace, table_name)
    return replace_partitions(opened, identifier, planes, keys, schema=ACQUISITION_PLANES).row_count


def publish_chunk_index(
    catalog: CatalogLike,
    namespace: Namespace,
    table_name: str,
    scan_result: StoreScan,
    *,
    options: ScanOptions | None = None,
) -> int:
    """Replace the chunk rows of a scanned store's partition; give their number. A store without chunks has none.

    Examples
    --------
    >>> from bioimage_assets import scan_store
    >>> publish_chunk_index("embedded", "bioimage.cytotable", "chunk_index", scan_store("data/experiment.zarr"))
    6
    """
    opened = open_catalog(catalog)
    chosen = replace(
        options or ScanOptions(), dataset_id=scan_result.dataset_id, plate_key=scan_result.plate_key
    )
    chunks = scan_chunk_index(scan_result.uri, options=chosen)
    identifier = resolve_identifier(opened, namespace, table_name)
    return replace_partitions(
        opened, identifier, chunks, [scan_result.plate_key], schema=CHUNK_INDEX
    ).row_count


def _with_dataset(options: ScanOptions | None, dataset_id: str | None) -> ScanOptions:
    chosen = options or ScanOptions()
    return chosen if dataset_id is None else replace(chosen, dataset_id=dataset_id)


def _options_below(options: ScanOptions, relative: str, uri: str) -> ScanOptions:
    """Identity of a store from its place below the registered folder."""
    folders = relative.split("/")[:-1]
    if not folders:
        return options
    plate_key = build_plate_key(folders[0], store_stem(uri))
    root = uri[: len(uri) - len(relative)] + folders[0]
    return replace(options, dataset_id=folders[0], plate_key=plate_key, dataset_root_uri=root)


def _with_warning(result: WarehouseIngestResult, warning: str) -> WarehouseIngestResult:
    return replace(result, warnings=[*result.warnings, warning])
