"""The one object table that CellProfiler may write instead of one per compartment: all compartments side by side.

"Single object table" and "single object view" of ExportToDatabase and the combined CSVs of ExportToSpreadsheet put objects
of equal *number* beside each other, whoever their parents are: https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/fileprocessing.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb
import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import (
    TEXT_PREFIXES,
    SourceColumn,
    canonical_name,
    describe_column,
)
from bioimage_assets.core.measurements.csv_staging import StagedTable
from bioimage_assets.core.model.compartments import COMPARTMENTS
from bioimage_assets.core.sql_files import parquet_relation

WIDE_NAME = "Object"


def drop_repeated_view(objects: Mapping[str, str], listed: Sequence[str] = ()) -> dict[str, str]:
    """Leave the wide table out where the compartments have tables of their own, of which it is a view.

    ``listed`` are compartments that the settings name besides the usual ones.
    """
    has_own = any(name in objects for name in (*COMPARTMENTS, *listed) if name != WIDE_NAME)
    return {name: table for name, table in objects.items() if name != WIDE_NAME or not has_own}


def describe_wide_column(source: str, listed: Sequence[str] = ()) -> SourceColumn:
    """Describe a column of a table that holds all compartments side by side; the name says which one.

    ``listed`` are compartments besides the usual ones; the longest name that fits counts.
    """
    for compartment in sorted({*COMPARTMENTS, *listed}, key=len, reverse=True):
        if source.lower().startswith(f"{compartment}_".lower()):
            described = describe_column(compartment, source)
            if described.role in ("image", "object", "unit"):
                return SourceColumn(source, "number", source, pa.float64())
            return described
    return describe_column(WIDE_NAME, source)


def describe_combined_column(objects: Sequence[str], source: str) -> SourceColumn:
    """Describe a column of a combined CSV: one of the objects, or one that each object has from its image."""
    usual = canonical_name(source.strip())
    if not usual.startswith("Image_"):
        return describe_wide_column(source, objects)
    bare = usual.removeprefix("Image_")
    if bare.startswith("Metadata_"):
        return SourceColumn(source, "text", bare, pa.string())
    is_text = bare.startswith(TEXT_PREFIXES)
    return SourceColumn(
        source, "text" if is_text else "number", usual, pa.string() if is_text else pa.float64()
    )


def check_wide_parents(connection: duckdb.DuckDBPyConnection, table: StagedTable) -> Iterator[Finding]:
    """Find rows whose compartments are of different cells: a parent's number is not the one beside it."""
    slots = {column.output: f"c{index}" for index, column in enumerate(table.columns)}
    for column in table.columns:
        beside = slots.get(f"{column.parent}_Number_Object_Number")
        if column.role != "parent" or beside is None:
            continue
        query = (
            f"SELECT count(*) FROM {parquet_relation(table.paths)} WHERE {slots[column.output]} <> {beside}"
        )
        found = connection.execute(query).fetchone()
        count = found[0] if found else 0
        if count:
            text = (
                f"{count} of {table.row_count} row(s) hold measurements of two different cells: {column.source} is not "
                f"the {column.parent} beside it, since CellProfiler puts objects of equal number side by side. "
                "Export one table per object type."
            )
            yield Finding("objects-side-by-side", "error", column.source, text)
