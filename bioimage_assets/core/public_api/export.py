"""Export the images of a store, a scan or a catalog, and profiles joined to them, to a Cytomining warehouse root.

The functions keep the seeds' names, arguments and results. One thing differs on purpose: ``include_chunks``
writes ``chunk_index`` but does not repeat profile rows per chunk. A joined table of 10 cells on fields of 128
chunks would have 1,280 rows, and every count or mean that pycytominer makes of it would be wrong; the pixels of
a cell are found by ``locate``. ``join_chunks=True`` repeats the rows all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.read import read_batches, read_table
from bioimage_assets.core.catalog.session import open_catalog, resolve_identifier
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.joins.aliases import check_aliases, resolve_profile_columns
from bioimage_assets.core.joins.chunk_fan_out import join_chunks as repeat_per_chunk
from bioimage_assets.core.joins.contract import require_linkable
from bioimage_assets.core.joins.join import JoinOptions, JoinResult, join_profiles
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.model.scan_result import ScanResult
from bioimage_assets.core.public_api.export_planes import read_planes, write_planes
from bioimage_assets.core.public_api.export_tables import (
    build_result,
    check_mode,
    describe_source,
    open_for_export,
    write_export,
)
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_store_records
from bioimage_assets.core.tables.acquisition_planes import build_acquisition_planes
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets.core.tables.text_columns import add_chunk_text_columns, add_image_text_columns
from bioimage_assets.core.warehouse.manifest.layout import leaf_name
from bioimage_assets.core.warehouse.results import CytominingWarehouseResult, TableWrite
from bioimage_assets.core.warehouse.root import Warehouse

IMAGE_KEYS = ("dataset_id", "image_id")
CHUNK_KEYS = ("dataset_id", "image_id", "array_path")


@dataclass(frozen=True, slots=True)
class ExportNames:
    """Names of the three tables of an export; ``chunk_index`` is None where it is not written."""

    image_assets: str
    chunk_index: str | None
    joined: str


def export_store_to_cytomining_warehouse(
    uri: str,
    warehouse_root: str | Path,
    *,
    profiles: object | None = None,
    include_chunks: bool = True,
    join_chunks: bool = False,
    image_assets_table_name: str = "image_assets",
    chunk_index_table_name: str = "chunk_index",
    joined_table_name: str = "joined_profiles",
    profile_dataset_id: str | None = None,
    alias_map: dict[str, object] | None = None,
    mode: str = "overwrite",
    options: ScanOptions | None = None,
) -> CytominingWarehouseResult:
    """Scan a store and write its tables, joined to profiles where some are given.

    Nothing is written before the scan and the matching of the profiles have succeeded.

    Examples
    --------
    >>> export_store_to_cytomining_warehouse(
    ...     "data/experiment.zarr", "warehouse-root", profiles="data/profiles.parquet"
    ... ).row_counts
    {'image_assets': 1, 'chunk_index': 6, 'joined_profiles': 4}
    """
    return export_scan_result_to_cytomining_warehouse(
        scan_store_records(uri, options), warehouse_root, profiles=profiles, include_chunks=include_chunks,
        join_chunks=join_chunks, image_assets_table_name=image_assets_table_name,
        chunk_index_table_name=chunk_index_table_name, joined_table_name=joined_table_name,
        profile_dataset_id=profile_dataset_id, alias_map=alias_map, mode=mode, options=options,
    )  # fmt: skip


def export_scan_result_to_cytomining_warehouse(
    scan_result: ScanResult | StoreScan,
    warehouse_root: str | Path,
    *,
    profiles: object | None = None,
    include_chunks: bool = True,
    join_chunks: bool = False,
    image_assets_table_name: str = "image_assets",
    chunk_index_table_name: str = "chunk_index",
    joined_table_name: str = "joined_profiles",
    profile_dataset_id: str | None = None,
    alias_map: dict[str, object] | None = None,
    mode: str = "overwrite",
    options: ScanOptions | None = None,
) -> CytominingWarehouseResult:
    """Write the tables of a scan that is there already; see ``export_store_to_cytomining_warehouse``.

    Chunks are listed anew, as ``options`` say.

    Examples
    --------
    >>> from bioimage_assets import scan_store
    >>> found = scan_store("data/experiment.zarr")
    >>> export_scan_result_to_cytomining_warehouse(found, "of-a-scan", include_chunks=False).tables_written
    ['image_assets']
    """
    check_mode(mode)
    scan = scan_result.scan if isinstance(scan_result, ScanResult) else scan_result
    names = ExportNames(
        image_assets_table_name, chunk_index_table_name if include_chunks else None, joined_table_name
    )
    images = build_image_assets(scan.images)
    joined = _plan_join(images, profiles, profile_dataset_id, alias_map)
    warehouse = open_for_export(warehouse_root, *_given(names))
    written = [_write_images(warehouse, names, images, mode, "scan_result", scan.uri)]
    written += write_planes(warehouse, build_acquisition_planes(scan.images), mode, "scan_result", scan.uri)
    if names.chunk_index is not None:
        chunks = scan_chunk_index(scan.uri, dataset_id=scan.dataset_id, options=options)
        written.append(_write_chunks(warehouse, names.chunk_index, chunks, mode, "scan_result", scan.uri))
    if joined is not None:
        repeated = (
            scan_chunk_index(scan.uri, dataset_id=scan.dataset_id, levels=(0,), options=options)
            if join_chunks
            else None
        )
        written.append(
            _write_joined(
                warehouse, names.joined, joined, repeated, mode, "joined_profiles", describe_source(profiles)
            )
        )
    warnings = [
        f"{finding.code}: {finding.message}" for finding in scan.findings if finding.severity != "info"
    ]
    return build_result(warehouse, written, [*warnings, *_join_warnings(joined)])


def export_catalog_to_cytomining_warehouse(
    catalog: str | Catalog,
    namespace: str | Sequence[str],
    warehouse_root: str | Path,
    *,
    profiles: object | None = None,
    image_assets_table_name: str = "image_assets",
    chunk_index_table_name: str | None = "chunk_index",
    joined_table_name: str = "joined_profiles",
    catalog_image_assets_table_name: str | None = None,
    catalog_chunk_index_table_name: str | None = None,
    profile_dataset_id: str | None = None,
    alias_map: dict[str, object] | None = None,
    join_chunks: bool = False,
    mode: str = "overwrite",
) -> CytominingWarehouseResult:
    """Write the image tables of an Iceberg catalog, joined to profiles where some are given.

    A catalog without ``chunk_index`` (it was registered without chunks) is not an error: the result says so in
    ``warnings``. Chunks are streamed, plate by plate.

    Examples
    --------
    >>> from bioimage_assets import register_store
    >>> _ = register_store("data/experiment.zarr", "embedded", "bioimage.cytotable")
    >>> "image_assets" in export_catalog_to_cytomining_warehouse("embedded", "bioimage.cytotable", "from-catalog").tables_written
    True
    """
    check_mode(mode)
    opened = open_catalog(catalog)
    names = ExportNames(image_assets_table_name, chunk_index_table_name, joined_table_name)
    image_table = resolve_identifier(
        opened, namespace, catalog_image_assets_table_name or leaf_name(image_assets_table_name)
    )
    images = read_table(opened, image_table)
    joined = _plan_join(images, profiles, profile_dataset_id, alias_map)
    chunk_table, warnings = _find_chunks(opened, namespace, names, catalog_chunk_index_table_name)
    warehouse = open_for_export(warehouse_root, *_given(names))
    label = catalog if isinstance(catalog, str) else type(catalog).__name__
    written = [
        _write_images(
            warehouse,
            names,
            images,
            mode,
            "catalog",
            f"{label}:{'.'.join(image_table)}",
            _snapshot(opened, image_table),
        )
    ]
    written += write_planes(warehouse, read_planes(opened, image_table), mode, "catalog", label)
    if names.chunk_index is not None and chunk_table is not None:
        source = f"{label}:{'.'.join(chunk_table)}"
        chunks = read_batches(opened, chunk_table)
        written.append(
            _write_chunks(
                warehouse, names.chunk_index, chunks, mode, "catalog", source, _snapshot(opened, chunk_table)
            )
        )
    if joined is not None:
        repeated = read_batches(opened, chunk_table) if join_chunks and chunk_table is not None else None
        written.append(
            _write_joined(
                warehouse,
                names.joined,
                joined,
                repeated,
                mode,
                "catalog_join",
                f"{label}:{'.'.join(image_table)}",
            )
        )
    return build_result(warehouse, written, [*warnings, *_join_warnings(joined)])


def _plan_join(
    images: pa.Table, profiles: object | None, dataset_id: str | None, alias_map: dict[str, object] | None
) -> JoinResult | None:
    """Match the profiles before anything is written; ContractError where no rule can link them."""
    if profiles is None:
        return None
    source = open_profiles(profiles)
    aliases = check_aliases(alias_map or {})
    require_linkable(source.schema.names, resolve_profile_columns(source.schema.names, aliases, dataset_id))
    return join_profiles(images, source, JoinOptions(dataset_id=dataset_id, alias_map=aliases))


def _write_images(
    warehouse: Warehouse,
    names: ExportNames,
    images: pa.Table,
    mode: str,
    source_type: str,
    source_ref: str,
    snapshot_id: int | None = None,
) -> TableWrite:
    return write_export(
        warehouse, names.image_assets, add_image_text_columns(images), mode, role="image_assets",
        join_keys=IMAGE_KEYS, source_type=source_type, source_ref=source_ref, namespace="images",
        snapshot_id=snapshot_id,
    )  # fmt: skip


def _write_chunks(
    warehouse: Warehouse,
    name: str,
    chunks: pa.RecordBatchReader,
    mode: str,
    source_type: str,
    source_ref: str,
    snapshot_id: int | None = None,
) -> TableWrite:
    return write_export(
        warehouse, name, add_chunk_text_columns(chunks), mode, role="chunk_index", join_keys=CHUNK_KEYS,
        source_type=source_type, source_ref=source_ref, namespace="images", snapshot_id=snapshot_id,
    )  # fmt: skip


def _write_joined(
    warehouse: Warehouse,
    name: str,
    joined: JoinResult,
    chunks: pa.RecordBatchReader | None,
    mode: str,
    source_type: str,
    source_ref: str,
) -> TableWrite:
    data = joined.reader() if chunks is None else repeat_per_chunk(joined.table(), chunks.read_all())
    return write_export(
        warehouse, name, data, mode, role="joined_profiles", join_keys=IMAGE_KEYS, source_type=source_type,
        source_ref=source_ref, namespace="profiles",
    )  # fmt: skip


def _join_warnings(joined: JoinResult | None) -> list[str]:
    if joined is None:
        return []
    report = joined.report
    if report.matched_rows == report.profile_rows:
        return []
    return [
        f"{report.profile_rows - report.matched_rows} of {report.profile_rows} profile rows have no image; "
        "they are kept with null image columns."
    ]


def _given(names: ExportNames) -> tuple[str | None, ...]:
    return names.image_assets, names.chunk_index, names.joined


def _find_chunks(
    catalog: Catalog, namespace: str | Sequence[str], names: ExportNames, given: str | None
) -> tuple[tuple[str, ...] | None, list[str]]:
    if names.chunk_index is None:
        return None, []
    identifier = resolve_identifier(catalog, namespace, given or leaf_name(names.chunk_index))
    try:
        read_batches(catalog, identifier, limit=0)
    except MissingTableError:
        if given is not None:
            raise
        return None, [f"The catalog has no table {'.'.join(identifier)}; chunk_index was not written."]
    return identifier, []


def _snapshot(catalog: Catalog, identifier: tuple[str, ...]) -> int | None:
    snapshot = catalog.load_table(identifier).current_snapshot()
    return None if snapshot is None else snapshot.snapshot_id
