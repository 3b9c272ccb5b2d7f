"""Reads CellProfiler's SQLite (ExportToDatabase) and cytominer-database files.

Read with the standard library, so no DuckDB extension is needed. ``TableNumber`` keeps runs of equal
ImageNumbers apart. https://github.com/cytomining/cytominer-database
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import (
    SourceColumn,
    canonical_compartment,
    describe_column,
    join_names,
)
from bioimage_assets.core.measurements.csv_staging import StagedTable
from bioimage_assets.core.measurements.duckdb_engine import open_engine
from bioimage_assets.core.measurements.image_table import build_image_table
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements
from bioimage_assets.core.measurements.object_reader import ObjectSources, read_objects
from bioimage_assets.core.measurements.sqlite_database import Database, open_database
from bioimage_assets.core.measurements.text_numbers import TextValues, report_text_numbers
from bioimage_assets.core.measurements.wide_objects import (
    WIDE_NAME,
    check_wide_parents,
    describe_wide_column,
    drop_repeated_view,
)
from bioimage_assets.core.text_files.missing_words import is_missing
from bioimage_assets.core.text_files.numbers import parse_wholes

_BATCH_VALUES = 2_000_000  # some 150 MB as Python objects
_SAMPLE_ROWS = 300  # types of columns that SQLite does not declare are taken from these


def read_cellprofiler_sqlite(path: str, context: PlateContext) -> PlateMeasurements:
    """Read one SQLite file: its image table whole, its object tables staged as Parquet a batch at a time.

    MeasurementError where the file is not a SQLite database or has no object tables.
    """
    with open_database(path, context.limits) as database:
        return _read(database, path, context)


def _read(database: Database, path: str, context: PlateContext) -> PlateMeasurements:
    listed = context.settings.compartments
    image_name, objects = find_tables(database, listed)
    if not objects:
        raise MeasurementError(
            f"{path}: expected tables with ImageNumber and ObjectNumber columns, such as Cells or Per_Cells, found "
            f"{join_names(database.list_tables(), 8) or 'no table'}{_describe_views(database)}. Export the objects, too (ExportToDatabase: "
            "one table per object type), or give the measurements as Parquet or CSV."
        )
    units = _list_units(database, [*([image_name] if image_name else []), *objects.values()])
    findings: list[Finding] = []
    tables = []
    for compartment, name in objects.items():
        staged, odd = stage_sqlite_table(database, name, compartment, units, context.staging_dir, listed)
        tables.append(staged)
        findings += odd
    engine = open_engine(context)
    if list(objects) == [WIDE_NAME]:
        findings += check_wide_parents(engine, tables[0])
    names = tuple(units) or ("",)
    images = None
    if image_name:
        columns = _read_image_columns(database, image_name, units)
        images, odd = build_image_table(columns, names, context, f"{path}, table {image_name}")
        findings += odd
    else:
        text = "No Image table: the cells have no file names, plate, well or site, and no promised counts."
        findings.append(Finding("missing-image-table", "warning", Path(path).name, text, path))
    wanted = (WIDE_NAME,) if list(objects) == [WIDE_NAME] else listed
    sources = ObjectSources(tuple(tables), images, names, (path,), "cellprofiler-sqlite", wanted, bool(units))
    return read_objects(engine, sources, context, findings)


def find_tables(database: Database, listed: Sequence[str] = ()) -> tuple[str | None, dict[str, str]]:
    """The image table and the object tables by compartment: ``Cells``, ``Per_Cells`` or ``MyExpt_Per_Cells``.

    ``listed`` are compartments that the settings name besides the usual ones; a view is read only where its compartment is one
    of them, since a view may be anything, and may never end.
    """
    image: str | None = None
    objects: dict[str, str] = {}
    views = [name for name in database.list_views() if _compartment_of(name) in listed]
    for name in sorted([*database.list_tables(), *views]):
        columns = [column.lower() for column in database.list_columns(name)]
        if not any(column.endswith("imagenumber") for column in columns):
            continue
        compartment = _compartment_of(name)
        if compartment == "Image":
            image = name
        elif any(column.endswith(("objectnumber", "number_object_number")) for column in columns):
            objects[compartment] = name
    return image, drop_repeated_view(objects, listed)


def _compartment_of(name: str) -> str:
    return canonical_compartment(name.rsplit("Per_", 1)[-1])


def _describe_views(database: Database) -> str:
    """What to do where the cells stand in a view."""
    views = database.list_views()
    if not views:
        return ""
    return (
        f" (and the views {join_names(views)}; a view is read only if it is named: dataset.toml, [measurements] compartments = "
        f'["{_compartment_of(views[0])}"])'
    )


def stage_sqlite_table(
    database: Database,
    name: str,
    compartment: str,
    units: dict[str, int],
    folder: Path,
    listed: Sequence[str] = (),
) -> tuple[StagedTable, list[Finding]]:
    """Copy one object table into staged Parquet with positional names; values that do not fit are null and counted."""
    describe = _describe(compartment, listed)
    sources = database.list_columns(name)
    columns = [describe(source) for source in sources]
    sample = next(database.read_rows(name, sources, _SAMPLE_ROWS), [])
    words: dict[str, TextValues] = {}
    for i, sampled in enumerate(zip(*sample, strict=True)):
        if columns[i].kind == pa.float64() and (word := _find_word(sampled)) is not None:
            words[columns[i].source] = TextValues(points=False, commas=False, is_empty=False, word=word)
            columns[i] = replace(columns[i], role="text", kind=pa.string())
    unit_at = next((i for i, column in enumerate(columns) if column.role == "unit"), None)
    if unit_at is not None:
        columns[unit_at] = replace(columns[unit_at], kind=pa.string())
    target = str(folder / f"{compartment}.parquet")
    schema = pa.schema(
        [
            ("unit", pa.int64()),
            ("block", pa.int64()),
            *((f"c{i}", column.kind) for i, column in enumerate(columns)),
        ]
    )
    lost: dict[str, int] = {}
    rows = 0
    with pq.ParquetWriter(target, schema, compression="lz4") as writer:
        # At least 256 rows, however wide the table.
        for batch in database.read_rows(name, sources, max(256, _BATCH_VALUES // max(len(sources), 1))):
            values = list(zip(*batch, strict=True))
            unit = [units[str(v)] for v in values[unit_at]] if unit_at is not None else [0] * len(batch)
            arrays = [pa.array(unit, pa.int64()), pa.array([0] * len(batch), pa.int64())]
            arrays += [_to_array(v, column, lost) for v, column in zip(values, columns, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            rows += len(batch)
    findings = report_text_numbers(words)
    if lost:
        text = f"{sum(lost.values())} value(s) that are no numbers, or whole numbers beyond 64 bits, became null, in {join_names(lost)}."
        findings.append(Finding("not-a-number", "error", name, text))
    return StagedTable(compartment, (target,), tuple(columns), rows, database.path), findings


def _describe(compartment: str, listed: Sequence[str]) -> Callable[[str], SourceColumn]:
    if compartment == WIDE_NAME:
        return lambda source: describe_wide_column(source, listed)
    return lambda source: describe_column(compartment, source)


def _list_units(database: Database, tables: Sequence[str]) -> dict[str, int]:
    """Number every TableNumber of the file in the order of its image table; empty where there is none."""
    units: dict[str, int] = {}
    for table in tables:
        column = next((c for c in database.list_columns(table) if c.lower().endswith("tablenumber")), None)
        if column is not None:
            for value in database.list_values(table, column):
                units.setdefault(str(value), len(units))
    return units


def _read_image_columns(
    database: Database, name: str, units: dict[str, int]
) -> dict[str, list[str | float | int | None]]:
    columns = database.list_columns(name)
    rows = [row for batch in database.read_rows(name, columns, _SAMPLE_ROWS) for row in batch]
    values: dict[str, list[str | float | int | None]] = {
        column: [_plain(row[i]) for row in rows] for i, column in enumerate(columns)
    }
    unit = next((c for c in columns if c.lower().endswith("tablenumber")), None)
    values["unit"] = [units[str(v)] for v in values[unit]] if unit else [0] * len(rows)
    return values


def _plain(value: object) -> str | float | int | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str | float | int) else str(value)


def _find_word(values: Sequence[object]) -> str | None:
    """The first text of a column whose first values include text and no number."""
    there = [value for value in values if not _is_missing(value)]
    texts = [value for value in there if isinstance(value, str)]
    return texts[0] if texts and all(_to_number(value) is None for value in there) else None


def _is_missing(value: object) -> bool:
    """Whether a value of a column of numbers is none: null, empty, or a word for that."""
    return value is None or (isinstance(value, str) and is_missing(value))


def _to_number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def _to_array(values: Sequence[object], column: SourceColumn, lost: dict[str, int]) -> pa.Array:
    if pa.types.is_string(column.kind):
        return pa.array([None if value in (None, "") else str(value) for value in values], pa.string())
    try:
        return pa.array(values, column.kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        numbers = [_to_number(value) for value in values]
        if pa.types.is_integer(column.kind):
            return _to_wholes(values, column, lost)
        failures = sum(n is None and not _is_missing(v) for n, v in zip(numbers, values, strict=True))
        if failures:
            lost[column.source] = lost.get(column.source, 0) + failures
        return pa.array(numbers, column.kind)


def _to_wholes(values: Sequence[object], column: SourceColumn, lost: dict[str, int]) -> pa.Array:
    """Whole numbers of 64 bits, whatever type the database stores them with."""
    wholes, failures = parse_wholes("" if value is None else str(value) for value in values)
    if failures:
        lost[column.source] = lost.get(column.source, 0) + failures
    return pa.array(wholes, column.kind)
