"""Commands that put stores and profiles into the Iceberg catalog, and take them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from bioimage_assets.cli.command import PLACE, Several, argument, command, flag, option
from bioimage_assets.cli.options import (
    CatalogChoice,
    DatasetId,
    FollowSymlinks,
    MaxHeadRequests,
    Profiles,
    Store,
    TableName,
    build_scan_options,
)
from bioimage_assets.cli.output import FAILED, OK, print_coded, print_json
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.phrases import count_words

if TYPE_CHECKING:
    from bioimage_assets.core.model.results import WarehouseIngestResult

Stores = Annotated[
    tuple[str, ...], argument("URI...", "stores, local or in an object store", nargs=-1, type=PLACE)
]
Folder = Annotated[str, argument("FOLDER", "folder or bucket prefix", type=PLACE)]
SkipChunks = Annotated[bool, flag("leave the chunks out")]


@dataclass(frozen=True, slots=True)
class TableNames:
    """The two tables that stores are registered in."""

    images: Annotated[str, option("TABLE", "table of the images", "--table-name")] = "image_assets"
    chunks: Annotated[str, option("TABLE", "table of the chunks", "--chunk-table-name")] = "chunk_index"


@command
def register(
    uri: Store,
    catalog: CatalogChoice,
    tables: TableNames,
    publish_chunks: Annotated[bool, flag("put its chunks there, too")] = False,
    max_head_requests: MaxHeadRequests = None,
    follow_symlinks: FollowSymlinks = False,
    replace: Annotated[bool, flag("take over what a moved store left")] = False,
    dataset_id: DatasetId = None,
) -> None:
    """Put the images of one store into the catalog.

    Examples:
        bioimage-assets register --publish-chunks data/incoming/screen-a/SA-P1.ome.zarr
    """
    from bioimage_assets.core.catalog.publish import register_store

    name, namespace = catalog.require()
    chunks = tables.chunks if publish_chunks else None
    options = build_scan_options(dataset_id, max_head_requests)
    with show_progress(f"Registering {uri}"):
        result = register_store(
            uri, name, namespace, replace=replace, image_assets_table=tables.images, chunk_index_table=chunks,
            options=options,
        )  # fmt: skip
    where = {"catalog": name, "namespace": namespace, "image_assets_table": tables.images, "source_uri": uri}
    print_json({**result.to_dict(), **where, **({"chunk_table_name": chunks} if chunks else {})})


@command
def ingest(
    uris: Stores,
    catalog: CatalogChoice,
    tables: TableNames,
    skip_chunks: SkipChunks = False,
    max_head_requests: MaxHeadRequests = None,
    follow_symlinks: FollowSymlinks = False,
) -> int:
    """Put several stores and their chunks into the catalog.

    Exit code 1: one of them could not be read; the others are registered.

    Examples:
        bioimage-assets ingest data/incoming/screen-a/SA-P1.ome.zarr data/incoming/screen-a/SA-P2.ome.zarr
    """
    from bioimage_assets.core.catalog.publish import ingest_stores_to_warehouse

    with show_progress(f"Registering {count_words(len(uris), 'store')}"):
        result = ingest_stores_to_warehouse(
            uris,
            *catalog.require(),
            image_assets_table=tables.images,
            chunk_index_table=None if skip_chunks else tables.chunks,
            options=build_scan_options(max_head_requests=max_head_requests),
        )
    _print_ingest(result)
    return OK if result.dataset_count == len(uris) else FAILED


def _print_ingest(result: WarehouseIngestResult) -> None:
    print_coded(result.warnings)
    print_json(result.to_dict())


@command
def publish_chunks(
    uri: Store,
    catalog: CatalogChoice,
    table_name: TableName = "chunk_index",
    max_head_requests: MaxHeadRequests = None,
    follow_symlinks: FollowSymlinks = False,
    dataset_id: DatasetId = None,
) -> None:
    """Put the chunks of one store into the catalog.

    Examples:
        bioimage-assets publish-chunks data/incoming/screen-a/SA-P1.ome.zarr
    """
    from bioimage_assets.core.catalog.publish import publish_chunk_index
    from bioimage_assets.core.scan.scanner import scan_store_records

    name, namespace = catalog.require()
    options = build_scan_options(dataset_id, max_head_requests)
    with show_progress(f"Listing the chunks of {uri}"):
        scan = scan_store_records(uri, options)
        rows = publish_chunk_index(name, namespace, table_name, scan, options=options)
    where = {"catalog": name, "namespace": namespace, "table_name": table_name, "source_uri": uri}
    print_json({**where, "rows_published": rows})


@command
def register_directory(
    path: Folder,
    catalog: CatalogChoice,
    tables: TableNames,
    glob: Annotated[str, option("PATTERN", "which of them")] = "**/*.ome.zarr",
    skip_chunks: SkipChunks = False,
    max_head_requests: MaxHeadRequests = None,
    follow_symlinks: FollowSymlinks = False,
    replace: Annotated[bool, flag("take over what moved stores left")] = False,
) -> int:
    """Put every store below a folder into the catalog.

    Exit code 1: nothing was found, or one of them could not be read.

    Examples:
        bioimage-assets register-directory data/incoming/screen-a
        bioimage-assets register-directory data/incoming/screen-b --glob 'SB-P*'
    """
    from bioimage_assets.core.catalog import publish

    with show_progress(f"Registering the stores of {path}"):
        result = publish.register_directory(
            path,
            *catalog.require(),
            glob=glob,
            replace=replace,
            image_assets_table=tables.images,
            chunk_index_table=None if skip_chunks else tables.chunks,
            options=build_scan_options(max_head_requests=max_head_requests),
        )
    _print_ingest(result)
    return OK if result.dataset_count and not result.unreadable_count else FAILED


@command
def register_profiles(
    profile_table: Profiles, catalog: CatalogChoice, table_name: TableName = "profiles"
) -> None:
    """Put a Parquet file of profiles into the catalog.

    Once more replaces what it had registered.

    Examples:
        bioimage-assets register-profiles data/incoming/screen-a/measurements/SA-P1.parquet
    """
    from bioimage_assets.core.catalog.profile_tables import register_profile_table

    with show_progress(f"Registering {profile_table}"):
        rows = register_profile_table(profile_table, *catalog.require(), table_name=table_name)
    print_json({"source_ref": profile_table, "rows_published": rows})


@command
def deregister(
    catalog: CatalogChoice,
    tables: TableNames,
    uri: Annotated[str | None, argument("[URI]", "the store; images are not touched", type=PLACE)] = None,
    plates: Annotated[
        tuple[str, ...], option("DATASET/PLATE...", "remove these plates instead", cls=Several)
    ] = (),
    dataset: Annotated[str | None, option("ID", "remove all plates of this dataset instead")] = None,
) -> None:
    """Remove a store, plates or a dataset from the catalog.

    What is not there is not an error.

    Examples:
        bioimage-assets deregister --plates screen-a/SA-P2
        bioimage-assets deregister data/incoming/screen-a/SA-P2.ome.zarr
    """
    from bioimage_assets.core.catalog.deregister import deregister_dataset, deregister_plates

    if sum(value is not None for value in (uri, plates or None, dataset)) != 1:
        raise UsageError("Say what to remove: one of a store's URI, --plates or --dataset.")
    if uri is not None:
        removed = _deregister_store(uri, catalog, tables)
    elif dataset is not None:
        removed = deregister_dataset(catalog.open(), catalog.namespace, dataset)
    else:
        removed = deregister_plates(catalog.open(), catalog.namespace, plates)
    print_json({"rows_removed": removed})


def _deregister_store(uri: str, catalog: CatalogChoice, tables: TableNames) -> dict[str, int]:
    """Rows that are gone, for each table that lost some."""
    from bioimage_assets.core.catalog.browse import list_catalog_tables, load_catalog_table
    from bioimage_assets.core.catalog.deregister import deregister_store
    from bioimage_assets.core.catalog.publish_stores import PLANES

    opened, namespace = catalog.open(), catalog.namespace

    def count_rows() -> dict[str, int]:
        there = {tables.images, tables.chunks, PLANES} & set(list_catalog_tables(opened, namespace))
        return {name: load_catalog_table(opened, namespace, name).scan().count() for name in there}

    before = count_rows()
    deregister_store(
        uri, opened, namespace, image_assets_table=tables.images, chunk_index_table=tables.chunks
    )
    after = count_rows()
    return {name: before[name] - after[name] for name in before if before[name] != after[name]}
