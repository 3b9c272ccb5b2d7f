"""The join functions of the seeds: images from a store, a table or a catalog, profiles of any kind, one Arrow table.

They keep the seeds' names, arguments and join on ``dataset_id`` and ``image_id``, and add what the rules of
``core.joins.join`` does; ``docs/upstream-differences.md`` lists what differs. The report of the join travels as
JSON in the schema metadata under ``bioimage_assets.join_report``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.browse import CatalogScanOptions, catalog_table_to_arrow
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.joins.aliases import check_aliases, resolve_profile_columns
from bioimage_assets.core.joins.chunk_fan_out import join_chunks
from bioimage_assets.core.joins.contract import require_linkable
from bioimage_assets.core.joins.join import JoinHow, JoinOptions, JoinResult, join_profiles
from bioimage_assets.core.joins.join_rules import DEFAULT_JOIN_KEYS
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.joins.report import JoinReport
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.model.scan_result import ScanResult
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.tables.image_assets import build_image_assets

REPORT_KEY = b"bioimage_assets.join_report"
AliasInput = Mapping[str, object]

_log = logging.getLogger(__name__)


def join_image_assets_with_profiles(
    image_assets: object,
    profiles: object,
    *,
    join_keys: Sequence[str] | str = DEFAULT_JOIN_KEYS,
    chunk_index: object | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
    profile_dataset_id: str | None = None,
    alias_map: AliasInput | None = None,
    how: JoinHow = "left",
    storage_options: Mapping[str, object] | None = None,
    profile_site_offset: int | None = None,
    ignore_profile_plate: bool = False,
) -> pa.Table:
    """Join profiles to an image table; one row per profile row.

    Parameters
    ----------
    image_assets, profiles, chunk_index
        Path, folder or glob pattern of Parquet or CSV, Arrow, pandas or polars table, or list of rows.
    join_keys
        The default tries the join rules in order (ids, plate and well, files). Any other choice of canonical keys joins on
        exactly these, all of which must be present and equal.
    chunk_index
        With it every row is repeated for each full-resolution chunk of its image.
    connection
        Accepted for the seeds' sake; the join does not run in SQL.
    profile_dataset_id
        Dataset of rows that name none.
    alias_map
        Further column names per key, see ``load_profile_column_aliases``.
    how
        ``left`` keeps rows without image, with null image columns; ``inner`` drops them.
    storage_options
        Of the object store that tables lie in; by default the project's (``BIOIMAGE_STORAGE_*``).
    profile_site_offset, ignore_profile_plate
        As in ``DatasetSettings``. Sites that all differ from those of the images by one are not linked unless an offset is
        given, or image files prove it.

    Raises
    ------
    ContractError
        The profiles have no column that any linking rule could use.

    Examples
    --------
    >>> images = [{"dataset_id": "ds-1", "image_id": "img-1", "uri": "data/example.zarr"}]
    >>> cells = [{"dataset_id": "ds-1", "image_id": "img-1", "cell_count": 42}]
    >>> join_image_assets_with_profiles(images, cells).column("uri").to_pylist()
    ['data/example.zarr']
    """
    keys = _check_join_keys(join_keys)
    aliases = check_aliases(alias_map or {})
    source = open_profiles(profiles, storage_options)
    if keys == DEFAULT_JOIN_KEYS:
        require_linkable(
            source.schema.names, resolve_profile_columns(source.schema.names, aliases, profile_dataset_id)
        )
    options = JoinOptions(
        how=how,
        dataset_id=profile_dataset_id,
        alias_map=aliases,
        join_keys=keys,
        site_offset=profile_site_offset,
        ignore_profile_plate=ignore_profile_plate,
    )
    images = query_metadata_table(image_assets, storage_options=storage_options)
    joined = with_report(join_profiles(images, source, options))
    if chunk_index is None:
        return joined
    return join_chunks(joined, query_metadata_table(chunk_index, storage_options=storage_options))


def join_profiles_with_store(
    uri: str,
    profiles: object,
    *,
    include_chunks: bool = False,
    profile_dataset_id: str | None = None,
    alias_map: AliasInput | None = None,
    how: JoinHow = "left",
    storage_options: Mapping[str, object] | None = None,
    profile_site_offset: int | None = None,
    ignore_profile_plate: bool = False,
) -> pa.Table:
    """Scan a store and join profiles to its images; one row per profile row.

    ``include_chunks=True`` repeats every row for each full-resolution chunk of its image: 400 cells on fields
    of 45 chunks are 18,000 rows. Other arguments as in ``join_image_assets_with_profiles``.

    Examples
    --------
    >>> join_profiles_with_store("data/experiment.zarr", "data/cells.parquet").num_rows
    4
    """
    options = ScanOptions(storage_options=dict(storage_options or {}))
    return join_image_assets_with_profiles(
        scan_image_assets(uri, options=options),
        profiles,
        chunk_index=scan_chunk_index(uri, levels=(0,), options=options) if include_chunks else None,
        profile_dataset_id=profile_dataset_id,
        alias_map=alias_map,
        how=how,
        storage_options=storage_options,
        profile_site_offset=profile_site_offset,
        ignore_profile_plate=ignore_profile_plate,
    )


def join_profiles_with_scan_result(
    scan_result: ScanResult | StoreScan,
    profiles: object,
    *,
    include_chunks: bool = False,
    profile_dataset_id: str | None = None,
    alias_map: AliasInput | None = None,
    how: JoinHow = "left",
    storage_options: Mapping[str, object] | None = None,
    profile_site_offset: int | None = None,
    ignore_profile_plate: bool = False,
) -> pa.Table:
    """Join profiles to the images of a scan that is already there; chunks are listed anew where asked for.

    Examples
    --------
    >>> from bioimage_assets import scan_store
    >>> join_profiles_with_scan_result(scan_store("data/experiment.zarr"), "data/cells.parquet").num_rows
    4
    """
    chunks = None
    if include_chunks:
        options = ScanOptions(storage_options=dict(storage_options or {}))
        chunks = scan_chunk_index(
            scan_result.uri, dataset_id=scan_result.dataset_id, levels=(0,), options=options
        )
    return join_image_assets_with_profiles(
        build_image_assets(scan_result.images),
        profiles,
        chunk_index=chunks,
        profile_dataset_id=profile_dataset_id,
        alias_map=alias_map,
        how=how,
        storage_options=storage_options,
        profile_site_offset=profile_site_offset,
        ignore_profile_plate=ignore_profile_plate,
    )


def join_catalog_image_assets_with_profiles(
    catalog: str | Catalog,
    namespace: str | Sequence[str],
    profiles: object,
    *,
    image_assets_table: str = "image_assets",
    chunk_index_table: str | None = None,
    join_keys: Sequence[str] | str = DEFAULT_JOIN_KEYS,
    image_assets_scan_options: CatalogScanOptions | None = None,
    chunk_index_scan_options: CatalogScanOptions | None = None,
    profile_dataset_id: str | None = None,
    alias_map: AliasInput | None = None,
    how: JoinHow = "left",
    storage_options: Mapping[str, object] | None = None,
    profile_site_offset: int | None = None,
    ignore_profile_plate: bool = False,
) -> pa.Table:
    """Join profiles to the image table of an Iceberg catalog; one row per profile row.

    With ``chunk_index_table`` every row is repeated for each full-resolution chunk of its image.

    Examples
    --------
    >>> from bioimage_assets import register_store
    >>> _ = register_store("data/experiment.zarr", "embedded", "bioimage.cytotable")
    >>> join_catalog_image_assets_with_profiles("embedded", "bioimage.cytotable", "data/cells.parquet").num_rows
    4
    """
    keys = _check_join_keys(join_keys)
    opened = open_catalog(catalog)
    chunks = None
    if chunk_index_table is not None:
        chunks = catalog_table_to_arrow(
            opened, namespace, chunk_index_table, scan_options=chunk_index_scan_options
        )
    return join_image_assets_with_profiles(
        catalog_table_to_arrow(opened, namespace, image_assets_table, scan_options=image_assets_scan_options),
        profiles,
        join_keys=keys,
        chunk_index=chunks,
        profile_dataset_id=profile_dataset_id,
        alias_map=alias_map,
        how=how,
        storage_options=storage_options,
        profile_site_offset=profile_site_offset,
        ignore_profile_plate=ignore_profile_plate,
    )


def with_report(result: JoinResult) -> pa.Table:
    """Joined table with the report in its schema metadata; unmatched rows are logged, never silent."""
    table = result.table()
    report = result.report
    _log_unmatched(report)
    metadata = {**(table.schema.metadata or {}), REPORT_KEY: report.to_json().encode()}
    return table.replace_schema_metadata(metadata)


def _log_unmatched(report: JoinReport) -> None:
    if report.matched_rows < report.profile_rows:
        _log.warning(
            "%d of %d profile rows have no image (%d ambiguous).",
            report.profile_rows - report.matched_rows, report.profile_rows, report.count("ambiguous"),
        )  # fmt: skip
    for finding in report.findings:
        if finding.severity == "error":
            _log.warning("%s: %s", finding.code, finding.name_file("").message)


def _check_join_keys(join_keys: Sequence[str] | str) -> tuple[str, ...]:
    keys = (join_keys,) if isinstance(join_keys, str) else tuple(join_keys)
    if not keys:
        raise UsageError("join_keys must be a non-empty sequence of column names.")
    return keys
