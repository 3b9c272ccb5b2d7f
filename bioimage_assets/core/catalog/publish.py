"""Stores are scanned and their rows put into the catalog: one commit per table, however many stores.

Registering replaces the rows of the store's partition, so doing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import CommitResult, replace_partitions
from bioimage_assets.core.catalog.session import CatalogLike, Identifier, open_catalog, resolve_identifier
from bioimage_assets.core.catalog.store_paths import find_stores
from bioimage_assets.core.catalog.store_rows import StoreRows, check_distinct, is_below, scan_store_rows
from bioimage_assets.core.errors import IdentityError, MissingTableError, StoreError
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.identity import build_plate_key, store_stem
from bioimage_assets.core.model.results import RegistrationResult, WarehouseIngestResult
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.scan import scan_chunk_index
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets.core.tables.schemas import CHUNK_INDEX, IMAGE_ASSETS

Namespace = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class _Target:
    """Where rows go; ``chunks`` is None where chunk rows were not asked for."""

    catalog: Catalog
    images: Identifier
    chunks: Identifier | None


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
    """
    chosen = _with_dataset(options, dataset_id)
    target = _target(catalog, namespace, image_assets_table, chunk_index_table)
    return _publish(target, [scan_store_rows(uri, chosen)], chosen, take_over=replace)[0]


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
    """
    chosen = _with_dataset(options, dataset_id)
    return _ingest(
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
    """
    planned = [
        (scan.uri, ScanOptions(dataset_id=scan.dataset_id, plate_key=scan.plate_key)) for scan in scan_results
    ]
    return _ingest(
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
    """
    base = options or ScanOptions()
    found = find_stores(path, glob, base.storage_options)
    planned = [(uri, _options_below(base, relative, uri)) for uri, relative in found]
    result = _ingest(
        planned, catalog, namespace, image_assets_table, chunk_index_table, base, take_over=replace
    )
    if found:
        return result
    return _with_warning(result, f"{path}: nothing matches {glob!r}; no store was registered.")


def publish_image_assets(
    catalog: CatalogLike, namespace: Namespace, table_name: str, scan_result: StoreScan
) -> int:
    """Replace the image rows of a scanned store's partitions; give their number."""
    opened = open_catalog(catalog)
    images = build_image_assets(scan_result.images)
    keys = sorted({scan_result.plate_key, *images["plate_key"].to_pylist()})
    identifier = resolve_identifier(opened, namespace, table_name)
    return replace_partitions(opened, identifier, images, keys, schema=IMAGE_ASSETS).row_count


def publish_chunk_index(
    catalog: CatalogLike,
    namespace: Namespace,
    table_name: str,
    scan_result: StoreScan,
    *,
    options: ScanOptions | None = None,
) -> int:
    """Replace the chunk rows of a scanned store's partition; give their number. A store without chunks has none."""
    opened = open_catalog(catalog)
    chosen = replace(
        options or ScanOptions(), dataset_id=scan_result.dataset_id, plate_key=scan_result.plate_key
    )
    chunks = scan_chunk_index(scan_result.uri, options=chosen)
    identifier = resolve_identifier(opened, namespace, table_name)
    return replace_partitions(
        opened, identifier, chunks, [scan_result.plate_key], schema=CHUNK_INDEX
    ).row_count


def _ingest(
    planned: Sequence[tuple[str, ScanOptions]],
    catalog: CatalogLike,
    namespace: Namespace,
    image_assets_table: str,
    chunk_index_table: str | None,
    options: ScanOptions,
    *,
    take_over: bool,
) -> WarehouseIngestResult:
    target = _target(catalog, namespace, image_assets_table, chunk_index_table)
    rows: list[StoreRows] = []
    errors: list[StoreError] = []
    for uri, store_options in planned:
        try:
            rows.append(scan_store_rows(uri, store_options))
        except StoreError as error:
            errors.append(error)
    if errors and not rows:
        raise errors[0]
    check_distinct(rows)
    results = _publish(target, rows, options, take_over=take_over) if rows else ()
    return WarehouseIngestResult(
        catalog=catalog if isinstance(catalog, str) else type(catalog).__name__,
        namespace=target.images[:-1],
        image_assets_table=image_assets_table,
        chunk_index_table=chunk_index_table,
        datasets=tuple(results),
        warnings=(*(str(error) for error in errors), *(line for store in rows for line in store.warnings)),
        unreadable_count=len(errors),
    )


def _publish(
    target: _Target, rows: Sequence[StoreRows], options: ScanOptions, *, take_over: bool
) -> tuple[RegistrationResult, ...]:
    keys = sorted({store.plate_key for store in rows})
    if not take_over:
        _check_owners(target, rows, keys)
    properties = {
        "bioimage.plates": ",".join(keys[:20]),
        "bioimage.plate-count": str(len(keys)),
        "bioimage.fingerprint": combine_fingerprints(
            scanned.scan.fingerprint for store in rows for scanned in store.stores
        ),
    }
    # Chunks first: they are listed while they are written, and a store that changes meanwhile stops here,
    # with both tables as they were.
    if target.chunks is not None:
        _replace_chunks(target.catalog, target.chunks, rows, keys, options, properties)
    images = pa.concat_tables([store.images for store in rows])
    replace_partitions(
        target.catalog, target.images, images, keys, schema=IMAGE_ASSETS, snapshot_properties=properties
    )
    return tuple(
        RegistrationResult(store.uri, store.images.num_rows, store.chunk_row_count) for store in rows
    )


def _replace_chunks(
    catalog: Catalog,
    identifier: Identifier,
    rows: Sequence[StoreRows],
    keys: Sequence[str],
    options: ScanOptions,
    properties: dict[str, str],
) -> CommitResult:
    def batches() -> Iterator[pa.RecordBatch]:
        for store in rows:
            yield from store.stream_chunks(options.levels)

    reader = pa.RecordBatchReader.from_batches(CHUNK_INDEX, batches())
    return replace_partitions(
        catalog, identifier, reader, keys, schema=CHUNK_INDEX, snapshot_properties=properties
    )


def _check_owners(target: _Target, rows: Sequence[StoreRows], keys: Sequence[str]) -> None:
    """Raise IdentityError where a partition holds images of a store that is not among those to be registered."""
    try:
        known = read_table(
            target.catalog,
            target.images,
            columns=["plate_key", "uri"],
            plate_keys=keys,
        )
    except MissingTableError:
        return
    mine: dict[str, list[str]] = {}
    for store in rows:
        mine.setdefault(store.plate_key, []).append(store.uri)
    for plate_key, uri in zip(known["plate_key"].to_pylist(), known["uri"].to_pylist(), strict=True):
        if not any(is_below(uri, store_uri) for store_uri in mine[plate_key]):
            raise IdentityError(
                f"{mine[plate_key][0]} would replace {uri}, which already is {plate_key!r} in {'.'.join(target.images)}; "
                "nothing was written. Register it with another dataset_id, or with replace=True where the store was moved."
            )


def _target(
    catalog: CatalogLike, namespace: Namespace, image_assets_table: str, chunk_index_table: str | None
) -> _Target:
    opened = open_catalog(catalog)
    images = resolve_identifier(opened, namespace, image_assets_table)
    if chunk_index_table is None:
        return _Target(opened, images, None)
    return _Target(opened, images, resolve_identifier(opened, namespace, chunk_index_table))


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
    return replace(result, warnings=(*result.warnings, warning))
