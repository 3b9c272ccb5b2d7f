"""CytoTable's own outputs: joined Parquet, unjoined Parquet per compartment, and warehouses with a ``catalog.json``.

https://cytomining.github.io/CytoTable/ (joined tables are plain profile tables and go through ``table``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import (
    SourceColumn,
    canonical_compartment,
    describe_column,
)
from bioimage_assets.core.measurements.csv_staging import StagedTable
from bioimage_assets.core.measurements.duckdb_engine import ROW_GROUP_ROWS, open_engine
from bioimage_assets.core.measurements.flat_table_files import list_parquet_tables
from bioimage_assets.core.measurements.flat_tables import read_parquet_tables
from bioimage_assets.core.measurements.folders import refuse_pipes
from bioimage_assets.core.measurements.image_table import ImageTable, build_image_table
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements
from bioimage_assets.core.measurements.object_reader import ObjectSources, read_objects
from bioimage_assets.core.measurements.text_numbers import read_text_values, report_text_numbers
from bioimage_assets.core.model.compartments import COMPARTMENTS
from bioimage_assets.core.model.file_kinds import has_suffix
from bioimage_assets.core.sql import quote_identifier, quote_literal
from bioimage_assets.core.sql_files import parquet_relation
from bioimage_assets.core.stores.base import MAX_DOCUMENT_BYTES
from bioimage_assets.core.tables.feature_columns import is_number
from bioimage_assets.core.tables.feature_gaps import is_text
from bioimage_assets.core.text_files.missing_words import MISSING_WORDS

CATALOG_FILE = "catalog.json"
_JSON_ERRORS = (OSError, ValueError, KeyError, TypeError, RecursionError)
_JOINED_NAMES = ("profiles.joined_profiles", "joined_profiles")


@dataclass(frozen=True, slots=True)
class UnjoinedFolder:
    """Parquet files by compartment (``Image`` among them), as ``convert(join=False)`` leaves them."""

    tables: Mapping[str, tuple[str, ...]]


def find_warehouse(folder: Path) -> Path | None:
    """The ``catalog.json`` of a CytoTable warehouse at or directly below a folder."""
    for candidate in (folder / CATALOG_FILE, folder / "warehouse" / CATALOG_FILE):
        if candidate.is_file():
            return candidate
    return None


def read_cytotable_warehouse(catalog: Path, context: PlateContext) -> PlateMeasurements:
    """Read the profile table of a warehouse from its Parquet data files, wherever the folder was moved to.

    CytoTable never appends to a table, so its data files are the table; the row count that the
    newest metadata state is compared with them. MeasurementError where there is no profile table.
    """
    name = _choose_table(catalog)
    folder = catalog.parent.joinpath(*name.split("."))
    found = sorted(folder.joinpath("data").rglob("*.parquet"))
    refuse_pipes(found)
    files = [str(path) for path in found]
    if not files:
        raise MeasurementError(
            f"{catalog}: expected Parquet files of the table {name} below {folder / 'data'}, found none. Copy the warehouse as a "
            "whole, catalog.json and the folders of its tables."
        )
    findings = []
    stated = _stated_rows(folder / "metadata")
    rows = sum(pq.read_metadata(path).num_rows for path in files)
    if stated is not None and stated != rows:
        text = f"The table's metadata state {stated} rows, its data files hold {rows}."
        findings.append(Finding("row-count-differs", "error", name, text, str(catalog)))
    return read_parquet_tables(list_parquet_tables(files), context, findings, "cytotable-warehouse")


def _choose_table(catalog: Path) -> str:
    try:
        tables = [str(name) for name in _read_json(catalog)["tables"]]
    except _JSON_ERRORS as error:
        raise MeasurementError(
            f"{catalog}: expected a CytoTable catalog (JSON with the tables by name), found: {error!r}. Copy it again, or move it "
            "away so that the other files of the folder are read."
        ) from error
    named = [name for name in _JOINED_NAMES if name in tables]
    named = named or [name for name in tables if name.startswith("profiles.")]
    if len(named) != 1:
        raise MeasurementError(
            f"{catalog}: expected one profile table (profiles.joined_profiles), found {', '.join(named or tables) or 'none'}. Keep "
            "one, or give its folder of Parquet files as the measurements."
        )
    if any(sign in str(named[0]) for sign in "/\\\0"):
        raise MeasurementError(
            f"{catalog}: expected a table name of words with points between them, found {str(named[0])[:200]!r}, which leads elsewhere."
        )
    return str(named[0])


def _read_json(path: Path) -> dict[str, Any]:
    """A document of a warehouse; OSError where it is not a file or longer than any that CytoTable writes."""
    if not path.is_file() or path.stat().st_size > MAX_DOCUMENT_BYTES:
        raise OSError(f"expected a file of at most {MAX_DOCUMENT_BYTES} bytes")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _stated_rows(folder: Path) -> int | None:
    """Total rows of the current snapshot in the newest Iceberg metadata; None where it is not stated."""
    documents = sorted(folder.glob("*.metadata.json"))
    if not documents:
        return None
    try:
        metadata = _read_json(documents[-1])
        current = metadata.get("current-snapshot-id")
        totals = [
            s["summary"]["total-records"]
            for s in metadata.get("snapshots", [])
            if s["snapshot-id"] == current
        ]
        return int(totals[0]) if totals else None
    except (AttributeError, OverflowError, *_JSON_ERRORS):
        return None


def find_unjoined(folder: Path, listed: Sequence[str] = ()) -> UnjoinedFolder | None:
    """Parquet files or folders named after compartments, each with the columns of one compartment only.

    ``listed`` are compartments that the settings name besides the usual ones.
    """
    tables: dict[str, tuple[str, ...]] = {}
    for path in sorted(folder.iterdir()):
        if not has_suffix(path.name, ".parquet") and not path.is_dir():
            continue
        compartment = canonical_compartment(path.name.split(".")[0])
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if compartment in ("Image", *COMPARTMENTS, *listed) and files:
            refuse_pipes(files)
            tables[compartment] = tuple(str(file) for file in files)
    return UnjoinedFolder(tables) if set(tables) - {"Image"} else None


def read_cytotable_unjoined(folder: UnjoinedFolder, context: PlateContext) -> PlateMeasurements:
    """Join the compartments that ``convert(join=False)`` left apart."""
    findings: list[Finding] = []
    connection = open_engine(context)
    tables = []
    for compartment, files in folder.tables.items():
        if compartment == "Image":
            continue
        schema = pa.unify_schemas([pq.read_schema(file) for file in files], promote_options="permissive")
        columns = [_describe(compartment, field) for field in schema]
        columns, points, odd = _find_text_numbers(files, schema, columns)
        findings += odd
        listed = ", ".join(
            f"{_as_sql(column, points.get(name), name)} AS c{i}"
            for i, (name, column) in enumerate(zip(schema.names, columns, strict=True))
        )
        target = str(context.staging_dir / f"{compartment}.parquet")
        connection.execute(
            f"COPY (SELECT 0::BIGINT AS unit, 0::BIGINT AS block, {listed} FROM {parquet_relation(files)}) "
            f"TO {quote_literal(target)} (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
        )
        tables.append(StagedTable(compartment, (target,), tuple(columns), pq.read_metadata(target).num_rows))
    images, odd = _read_images(folder.tables.get("Image", ()), context)
    findings += odd
    sources = ObjectSources(
        tuple(tables), images, ("",), tuple(f for files in folder.tables.values() for f in files), "cytotable",
        context.settings.compartments,
    )  # fmt: skip
    return read_objects(connection, sources, context, findings)


def _describe(compartment: str, field: pa.Field) -> SourceColumn:
    column = describe_column(compartment, field.name.removeprefix(f"Metadata_{compartment}_"))
    is_empty = pa.types.is_null(field.type)
    if column.role == "number" and not (is_number(field.type) or is_text(field.type) or is_empty):
        return SourceColumn(column.source, "text", column.output, pa.string())
    return column


def _find_text_numbers(
    files: Sequence[str], schema: pa.Schema, columns: Sequence[SourceColumn]
) -> tuple[list[SourceColumn], dict[str, str], list[Finding]]:
    """Columns with words as text, the decimal points of those whose texts are numbers, and what to say."""
    names = [
        name
        for name, column in zip(schema.names, columns, strict=True)
        if column.role == "number" and is_text(schema.field(name).type)
    ]
    values = read_text_values(list_parquet_tables(files), names)
    sources = dict(zip(schema.names, columns, strict=True))
    points = {name: p for name, one in values.items() if (p := one.decimal_point) is not None}
    typed = [
        replace(column, role="text", kind=pa.string()) if name in values and name not in points else column
        for name, column in sources.items()
    ]
    return typed, points, report_text_numbers({sources[name].output: one for name, one in values.items()})


def _as_sql(column: SourceColumn, decimal_point: str | None, name: str) -> str:
    """A column of a Parquet file with the type it is staged with."""
    source = quote_identifier(name)
    if decimal_point is not None:
        text = f"trim({source}::VARCHAR)"
        missing = ", ".join(quote_literal(word) for word in sorted(MISSING_WORDS))
        number = f"replace({text}, {quote_literal(decimal_point)}, '.')"
        return f"CASE WHEN lower({text}) IN ({missing}) THEN NULL ELSE TRY_CAST({number} AS DOUBLE) END"
    kinds = {pa.int64(): "BIGINT", pa.float64(): "DOUBLE"}
    return f"{source}::{kinds.get(column.kind, 'VARCHAR')}"


def _read_images(files: Sequence[str], context: PlateContext) -> tuple[ImageTable | None, list[Finding]]:
    if not files:
        text = "No image table: the cells have no file names, plate, well or site, and no promised counts."
        return None, [Finding("missing-image-table", "warning", "Image", text)]
    table = pa.concat_tables([pq.read_table(file) for file in files], promote_options="permissive")
    columns = {name: table[name].to_pylist() for name in table.column_names}
    return build_image_table({**columns, "unit": [0] * table.num_rows}, ("",), context)
