"""Measurement files of one plate, whatever tool wrote them, become one stream of single cells."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.cellprofiler_csv import find_folders, read_cellprofiler_folders
from bioimage_assets.core.measurements.engine import DEFAULT_MEMORY_LIMIT_BYTES
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements
from bioimage_assets.core.measurements.table import list_parquet_tables, read_csv_tables, read_parquet_tables
from bioimage_assets.core.settings.dataset import DatasetSettings


def read_measurements(
    sources: Sequence[str],
    *,
    plate_key: str,
    dataset_id: str,
    plate_name: str,
    settings: DatasetSettings,
    memory_limit_bytes: int = DEFAULT_MEMORY_LIMIT_BYTES,
    staging_root: str | None = None,
) -> PlateMeasurements:
    """Read the measurements of one plate, one row per cell, with the plate's keys in front.

    Parameters
    ----------
    sources
        Files and folders of the plate, all of one kind: Parquet or CSV tables, CellProfiler CSV folders.
    plate_key, dataset_id
        Written into every row.
    plate_name
        Stands in where the measurements do not name their plate.
    memory_limit_bytes
        What the join engine may hold before it spills to disk; batches of about 64 MB come on top.
    staging_root
        Folder for staged files; they are removed when the reader has been read or is dropped.

    Raises
    ------
    MeasurementError
        Where the sources cannot be turned into one table at all; everything less is a finding.
    """
    staging = tempfile.TemporaryDirectory(prefix="measurements-", dir=staging_root)
    context = PlateContext(plate_key, dataset_id, plate_name, settings, Path(staging.name), memory_limit_bytes)
    try:
        result = _read(sources, context)
    except BaseException:
        staging.cleanup()
        raise
    batches = _keep_staging(result.reader, staging)
    return replace(result, reader=pa.RecordBatchReader.from_batches(result.reader.schema, batches))


def _keep_staging(
    reader: pa.RecordBatchReader, staging: tempfile.TemporaryDirectory[str]
) -> Iterator[pa.RecordBatch]:
    """Give the batches and remove the staged files after the last; dropping the iterator removes them too."""
    try:
        yield from reader
    finally:
        staging.cleanup()


def _read(sources: Sequence[str], context: PlateContext) -> PlateMeasurements:
    paths = [Path(source.removeprefix("file://")) for source in sources]
    for path in paths:
        if not path.exists():
            raise MeasurementError(f"The measurements of {context.plate_key} are not there: {path}.")
    if not paths:
        raise MeasurementError(f"The plate {context.plate_key} has no measurement files.")
    if all(path.is_dir() for path in paths):
        folders = tuple(folder for path in paths for folder in find_folders(path))
        if folders:
            return read_cellprofiler_folders(folders, context)
    files = [file for path in paths for file in _table_files(path)]
    parquet = [str(file) for file in files if file.suffix.lower() in (".parquet", ".pq")]
    if parquet and len(parquet) == len(files):
        return read_parquet_tables(list_parquet_tables(parquet), context)
    if files and not parquet:
        return read_csv_tables([str(file) for file in files], context)
    raise MeasurementError(f"No measurements of one known kind for {context.plate_key} in {', '.join(map(str, sources))}.")


def _table_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.name.lower().endswith((".parquet", ".pq", ".csv", ".csv.gz")))
