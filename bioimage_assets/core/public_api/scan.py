"""The seeds' scanning functions on top of the scanner."""

from __future__ import annotations

import pyarrow as pa

from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.model.scan_result import (
    DatasetSummary,
    ScanResult,
    build_dataset_summary,
    build_scan_result,
)
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets.core.tables.text_columns import add_image_text_columns


def scan_store(uri: str, *, options: ScanOptions | None = None) -> ScanResult:
    """Scan one OME-Zarr, Zarr, OME-TIFF or TIFF store, or a folder of them; pixel data are never read.

    Raises
    ------
    StoreNotFoundError, UnsupportedStoreError, CorruptStoreError, StoreAccessError
        Nothing is there, or it cannot be read. What can be lived with is in ``warnings``.

    Examples
    --------
    >>> result = scan_store("data/experiment.zarr")
    >>> [asset.image_id for asset in result.image_assets]
    ['experiment']
    """
    return build_scan_result(scan_store_records(str(uri), options))


def summarize_store(uri: str, *, options: ScanOptions | None = None) -> DatasetSummary:
    """Scan a store and sum it up: how many images, which shapes, types, axes and channels.

    Examples
    --------
    >>> summarize_store("data/experiment.zarr").image_asset_count
    1
    """
    return build_dataset_summary(scan_store(uri, options=options))


def summarize_scan_result(result: ScanResult) -> DatasetSummary:
    """Sum up a scan that is already there.

    Examples
    --------
    >>> summarize_scan_result(scan_store("data/experiment.zarr")).shapes
    [[2, 8, 8]]
    """
    return build_dataset_summary(result)


def scan_result_as_arrow_table(result: ScanResult | StoreScan) -> pa.Table:
    """Rows of ``image_assets`` of a scan, with the seeds' text columns (``shape_json`` …) after the typed ones.

    Examples
    --------
    >>> scan_result_as_arrow_table(scan_store("data/experiment.zarr"))["shape_json"].to_pylist()
    ['[2, 8, 8]']
    """
    return add_image_text_columns(build_image_assets(result.images))


def scan_as_arrow_table(uri: str, *, options: ScanOptions | None = None) -> pa.Table:
    """Scan a store into rows of ``image_assets``, see ``scan_result_as_arrow_table``.

    Examples
    --------
    >>> scan_as_arrow_table("data/experiment.zarr")["image_id"].to_pylist()
    ['experiment']
    """
    return scan_result_as_arrow_table(scan_store(uri, options=options))
