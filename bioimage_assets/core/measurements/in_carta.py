"""Reads IN Carta's object CSVs: one row per cell, headings in words.

Headings: ``OBJECT ID``, unique only within (``Plate ID``, ``WELL LABEL``, ``FOV``, ``Z``, ``T``); measures like
``Nuclei Area wv1``. There are no image file names. https://www.moleculardevices.com (IN Carta)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from bioimage_assets.core.measurements.columns import SourceColumn
from bioimage_assets.core.measurements.csv_staging import read_header, stage_csv_files
from bioimage_assets.core.measurements.duckdb_engine import open_engine
from bioimage_assets.core.measurements.flat_table_files import name_staged_files
from bioimage_assets.core.measurements.flat_tables import read_parquet_tables
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements

_KEYS = {
    "plate id": ("Metadata_Plate", pa.string()),
    "well label": ("Metadata_Well", pa.string()),
    "fov": ("Metadata_Site", pa.string()),
    "object id": ("Metadata_ObjectNumber", pa.int64()),
    "row": ("Metadata_Row", pa.string()),
    "column": ("Metadata_Column", pa.string()),
    "z": ("Metadata_Z", pa.string()),
    "t": ("Metadata_T", pa.string()),
}


def is_in_carta(path: str) -> bool:
    """Tell by the headings whether a CSV comes from IN Carta; reads the first line."""
    header, _ = read_header(0, path)
    names = {name.strip().lower() for name in header.names} if header else set()
    return {"object id", "well label"} <= names


def describe_in_carta_column(name: str) -> SourceColumn:
    """Keys get the usual names, measures keep theirs with blanks as underscores (``Nuclei_Area_wv1``)."""
    key = _KEYS.get(name.strip().lower())
    if key is not None:
        return SourceColumn(name, "text" if pa.types.is_string(key[1]) else "object", key[0], key[1])
    return SourceColumn(name, "number", "_".join(name.split()), pa.float64())


def read_in_carta(paths: Sequence[str], context: PlateContext) -> PlateMeasurements:
    """Read the IN Carta CSVs of one plate as one table."""
    staged, findings = stage_csv_files(
        open_engine(context),
        "in-carta",
        list(enumerate(paths)),
        describe_in_carta_column,
        context.staging_dir,
        context.limits.max_columns,
    )
    result = read_parquet_tables(name_staged_files(staged), context, findings, "in-carta")
    return replace(result, source_files=tuple(paths))
