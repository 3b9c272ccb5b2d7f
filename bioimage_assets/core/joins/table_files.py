"""Paths, folders and glob patterns become lists of table files; CSV files become Arrow tables.

Local paths, ``file://`` and every URI that fsspec knows.
"""

from __future__ import annotations

import glob
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.csv as pa_csv

from bioimage_assets.core.errors import MeasurementError

CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".csv.zst", ".csv.bz2")
PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")


def list_table_files(location: str) -> list[str]:
    """Files of a path, folder or glob pattern, sorted; MeasurementError when there are none."""
    is_remote = "://" in location and not location.startswith("file://")
    if is_remote:
        system, path = fsspec.url_to_fs(location)
        if system.isdir(path):
            found = sorted(
                p for p in system.find(path) if p.lower().endswith(PARQUET_SUFFIXES + CSV_SUFFIXES)
            )
        else:
            found = (
                sorted(system.glob(path)) if glob.has_magic(path) else [path] if system.exists(path) else []
            )
        files = [system.unstrip_protocol(p) for p in found]
    else:
        files = _list_local(location.removeprefix("file://"))
    if not files:
        raise MeasurementError(f"No Parquet or CSV table at '{location}'.")
    return files


def _list_local(location: str) -> list[str]:
    path = Path(location)
    if path.is_file():
        return [location]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".", "_")))
        parquet = [str(p) for p in files if p.name.lower().endswith(PARQUET_SUFFIXES)]
        return parquet or [str(p) for p in files if p.name.lower().endswith(CSV_SUFFIXES)]
    return sorted(p for p in glob.glob(location, recursive=True) if Path(p).is_file())


def read_csv_table(path: str) -> pa.Table:
    """Read a CSV or TSV; ``Metadata_``, file and key columns stay text so that plate ``001`` keeps its zeros."""
    delimiter = "\t" if ".tsv" in path.lower() else ","
    parse = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    try:
        with fsspec.open(path, "rb", compression="infer") as stream:
            header = pa_csv.read_csv(pa.BufferReader(stream.readline()), parse_options=parse).schema.names
        convert = pa_csv.ConvertOptions(
            column_types={name: pa.string() for name in header if _is_text_column(name)},
            strings_can_be_null=True,
        )
        with fsspec.open(path, "rb", compression="infer") as stream:
            return pa_csv.read_csv(stream, parse_options=parse, convert_options=convert)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise MeasurementError(f"CSV table '{path}' cannot be read: {error}") from error


def _is_text_column(name: str) -> bool:
    lowered = name.lower()
    return lowered.startswith(("metadata_", "image_metadata_")) or lowered.endswith(
        ("_id", "plate", "well", "site")
    )
