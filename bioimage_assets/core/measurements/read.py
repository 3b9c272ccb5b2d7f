"""Read the measurements of one plate, whatever tool wrote them, as one stream of single cells."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.anndata_files import read_anndata
from bioimage_assets.core.measurements.cellprofiler_csv import read_cellprofiler_folders
from bioimage_assets.core.measurements.cellprofiler_sqlite import read_cellprofiler_sqlite
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.measurements.cytotable_files import (
    read_cytotable_unjoined,
    read_cytotable_warehouse,
)
from bioimage_assets.core.measurements.deepprofiler import read_deepprofiler
from bioimage_assets.core.measurements.duckdb_engine import DEFAULT_MEMORY_LIMIT_BYTES
from bioimage_assets.core.measurements.find_sources import FoundSources, copy_path, find_sources
from bioimage_assets.core.measurements.flat_table_files import list_parquet_tables
from bioimage_assets.core.measurements.flat_tables import read_csv_tables, read_parquet_tables
from bioimage_assets.core.measurements.in_carta import read_in_carta
from bioimage_assets.core.measurements.limits import DEFAULT_LIMITS, MeasurementLimits
from bioimage_assets.core.measurements.missing_words import drop_missing_words
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements
from bioimage_assets.core.measurements.reader_errors import as_measurement_errors
from bioimage_assets.core.measurements.same_files import keep_one_of_same_files
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.feature_gaps import (
    list_number_lists,
    list_unused_numbers,
    list_unused_settings,
)


def read_measurements(
    sources: Sequence[str],
    *,
    plate_key: str,
    dataset_id: str,
    plate_name: str,
    settings: DatasetSettings,
    memory_limit_bytes: int = DEFAULT_MEMORY_LIMIT_BYTES,
    staging_root: str | None = None,
    storage_options: Mapping[str, object] | None = None,
    limits: MeasurementLimits = DEFAULT_LIMITS,
) -> PlateMeasurements:
    """Read the measurements of one plate, one row per cell, with the plate's keys in front.

    Parameters
    ----------
    sources
        Files and folders of the plate, all of one kind: single-cell or well-level Parquet or CSV tables,
        CellProfiler CSV folders (one per plate or per site), CellProfiler or cytominer-database SQLite,
        CytoTable Parquet and warehouses, DeepProfiler ``.npz``, IN Carta CSV, AnnData ``.h5ad``. Remote ones are copied first.
    plate_key, dataset_id
        Written into every row.
    plate_name
        Stands in where the measurements do not name their plate.
    memory_limit_bytes
        What the join engine may hold before it spills to disk; batches of about 64 MB come on top.
    staging_root
        Folder for staged files; they are removed when the reader has been read or is dropped.
    storage_options
        Of the object store that remote sources lie in (the project's ``BIOIMAGE_STORAGE_*``).
    limits
        How much foreign files may claim to hold before they are refused.

    Notes
    -----
    Peak memory does not follow the size of a plate: CellProfiler CSVs of 472 MB took 0.65 GB, of 1.9 GB 0.82 GB
    (``bench/measurements.py``). Parquet is read in pieces; its writer's dictionary pages, up to 1 MB per column, are
    held. Keys and object ids of all rows are held, about 200 bytes per row. Staged files need about as much
    disk as the sources. Running it again gives the same rows, order and ids.

    Raises
    ------
    MeasurementError
        Where the sources cannot be turned into one table at all; everything less is a finding.
    """
    staging = tempfile.TemporaryDirectory(prefix="measurements-", dir=staging_root)
    context = PlateContext(
        plate_key,
        dataset_id,
        plate_name,
        settings,
        Path(staging.name),
        memory_limit_bytes,
        storage_options or {},
        limits,
    )
    with ExitStack() as undo:
        undo.callback(staging.cleanup)
        with as_measurement_errors(sources, plate_key):
            result = drop_missing_words(_read(sources, context), settings.missing_words)
        undo.pop_all()  # The stream keeps the staged files until its last batch.
    batches = _keep_staging(result.reader, staging, sources, plate_key)
    weakref.finalize(batches, staging.cleanup)  # a generator that never began has no clean-up of its own
    return replace(result, reader=pa.RecordBatchReader.from_batches(result.reader.schema, batches))


def _keep_staging(
    reader: pa.RecordBatchReader,
    staging: tempfile.TemporaryDirectory[str],
    sources: Sequence[str],
    plate_key: str,
) -> Iterator[pa.RecordBatch]:
    """Give the batches and remove the staged files after the last; dropping the iterator removes them too."""
    try:
        while True:
            with as_measurement_errors(sources, plate_key):
                # One at a time: an error in the middle of a stream is the project's, too.
                batch = next(reader, None)
            if batch is None:
                return
            yield batch
    finally:
        staging.cleanup()


def _read(sources: Sequence[str], context: PlateContext) -> PlateMeasurements:
    found = find_sources([str(source) for source in sources], context)
    # Before anything is read: a copy of a file would double its cells.
    found, odd = keep_one_of_same_files(found, context)
    result = _read_found(found, context)
    names = {str(copy_path(source, number, context)): source for number, source in enumerate(sources)}
    files = tuple(_original_name(file, names) for file in result.source_files)
    findings = (*odd, *result.findings)
    if context.settings.measurement_engine == "cytotable" and found.kind != "cellprofiler-csv":
        text = f"The engine cytotable converts CellProfiler CSV folders; this {found.kind} source was read by the built-in one."
        findings = (*findings, Finding("engine-not-used", "info", "", text))
    findings = (*findings, *_check_features(result, context))
    return replace(result, source_files=files, findings=findings)


def _check_features(result: PlateMeasurements, context: PlateContext) -> list[Finding]:
    """Name the numbers that no rule makes features, and the settings that fit no column, so that nobody misses them in the profiles."""
    findings = []
    names = list_unused_numbers(result.reader.schema, context.settings)
    if names:
        text = (
            f"{len(names)} column(s) of numbers are neither features nor metadata: {join_names(names)}. Name those to profile in "
            "dataset.toml, [features] include or compartments."
        )
        findings.append(Finding("numbers-not-features", "info", names[0], text))
    lists = list_number_lists(result.reader.schema)
    if lists:
        text = (
            f"{join_names(lists)}: expected one number per row, found a list of numbers; they are kept and not profiled. Write a column for "
            f"each dimension: {lists[0]}_0, {lists[0]}_1 …"
        )
        findings.append(Finding("lists-not-features", "warning", lists[0], text))
    unused = list_unused_settings(result.reader.schema, context.settings)
    if unused:
        text = f"dataset.toml, [features]: no column of this plate fits {join_names(unused)}. Is it spelled as in the table?"
        findings.append(Finding("feature-setting-unused", "warning", "dataset.toml", text))
    return findings


def _original_name(file: str, copies: dict[str, str]) -> str:
    """Name of a file as it was given, where a remote one was copied first."""
    for copy, source in copies.items():
        if file == copy or file.startswith(f"{copy}/"):
            return source.rstrip("/") + file.removeprefix(copy)
    return file


def _read_found(found: FoundSources, context: PlateContext) -> PlateMeasurements:
    paths = list(found.paths)
    match found.kind:
        case "cellprofiler-csv":
            return read_cellprofiler_folders(found.folders, context)
        case "cellprofiler-sqlite":
            return read_cellprofiler_sqlite(paths[0], context)
        case "cytotable-warehouse":
            return read_cytotable_warehouse(Path(paths[0]), context)
        case "cytotable":
            return read_cytotable_unjoined(found.unjoined, context)
        case "deepprofiler":
            return read_deepprofiler(list(zip(paths, found.names, strict=True)), context)
        case "in-carta":
            return read_in_carta(paths, context)
        case "anndata":
            return read_anndata(paths, context)
        case "parquet":
            return read_parquet_tables(list_parquet_tables(paths), context)
        case "csv":
            return read_csv_tables(paths, context)
