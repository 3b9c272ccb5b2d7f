"""Publish scanned stores: check who owns each identity, chunks first, one commit per table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.landing import CommitResult
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import (
    CatalogLike,
    Identifier,
    open_catalog,
    resolve_identifier,
    table_exists,
)
from bioimage_assets.core.catalog.store_rows import StoreRows, check_distinct, is_below, scan_store_rows
from bioimage_assets.core.errors import IdentityError, MissingTableError, StoreError
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.results import RegistrationResult, WarehouseIngestResult
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.tables.schemas import ACQUISITION_PLANES, CHUNK_INDEX, IMAGE_ASSETS

Namespace = str | Sequence[str]
PLANES = "acquisition_planes"  # one name in every namespace: what a scan makes beside images and chunks


@dataclass(frozen=True, slots=True)
class PublishTarget:
    """Where rows go; ``chunks`` is None where chunk rows were not asked for. ``planes`` is made by the first plane."""

    catalog: Catalog
    images: Identifier
    chunks: Identifier | None
    planes: Identifier


def open_target(
    catalog: CatalogLike, namespace: Namespace, image_assets_table: str, chunk_index_table: str | None
) -> PublishTarget:
    """Open a catalog and find its tables."""
    opened = open_catalog(catalog)
    images = resolve_identifier(opened, namespace, image_assets_table)
    planes = resolve_identifier(opened, namespace, PLANES)
    if chunk_index_table is None:
        return PublishTarget(opened, images, None, planes)
    return PublishTarget(opened, images, resolve_identifier(opened, namespace, chunk_index_table), planes)


def ingest_planned(
    planned: Sequence[tuple[str, ScanOptions]],
    catalog: CatalogLike,
    namespace: Namespace,
    image_assets_table: str,
    chunk_index_table: str | None,
    options: ScanOptions,
    *,
    take_over: bool,
) -> WarehouseIngestResult:
    """Scan stores with options of their own and publish those that can be read; StoreError where none can."""
    target = open_target(catalog, namespace, image_assets_table, chunk_index_table)
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
    results = publish_rows(target, rows, options, take_over=take_over) if rows else ()
    return WarehouseIngestResult(
        catalog=catalog if isinstance(catalog, str) else type(catalog).__name__,
        namespace=list(target.images[:-1]),
        image_assets_table=image_assets_table,
        chunk_index_table=chunk_index_table,
        datasets=list(results),
        warnings=[*(str(error) for error in errors), *(line for store in rows for line in store.warnings)],
        unreadable_count=len(errors),
    )


def publish_rows(
    target: PublishTarget, rows: Sequence[StoreRows], options: ScanOptions, *, take_over: bool
) -> tuple[RegistrationResult, ...]:
    """Replace the partitions of these stores, after looking who has them."""
    keys = sorted({store.plate_key for store in rows})
    if not take_over:
        _check_owners(target, rows, keys)
    properties = {
        # A summary is read with every snapshot of the table: names of a few, the number of all.
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
    planes = pa.concat_tables([store.planes for store in rows])
    if planes.num_rows or table_exists(target.catalog, target.planes):
        replace_partitions(
            target.catalog,
            target.planes,
            planes,
            keys,
            schema=ACQUISITION_PLANES,
            snapshot_properties=properties,
        )
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


def _check_owners(target: PublishTarget, rows: Sequence[StoreRows], keys: Sequence[str]) -> None:
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
