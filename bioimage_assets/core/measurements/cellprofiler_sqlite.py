"""CellProfiler's SQLite (ExportToDatabase) and cytominer-database files become one stream of cells.

Read with the standard library, so no DuckDB extension is needed. ``TableNumber`` keeps runs of equal
ImageNumbers apart. https://github.com/cytomining/cytominer-database
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
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
from bioimage_assets.core.measurements.csv_text import is_missing
from bioimage_assets.core.measurements.engine import open_engine
from bioimage_assets.core.measurements.image_table import build_image_table
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements
from bioimage_assets.core.measurements.object_reader import ObjectSources, read_objects
from bioimage_assets.core.measurements.text_numbers import TextValues, report_text_numbers
from bioimage_assets.core.measurements.wide_objects import (
    WIDE_NAME,
    check_wide_parents,
    describe_wide_column,
    drop_repeated_view,
)
from bioimage_assets.core.sql import quote_identifier

SQLITE_SUFFIXES = (".sqlite", ".sqlite3", ".db")
_BATCH_VALUES = 2_000_000
_SAMPLE_ROWS = 300


def read_cellprofiler_sqlite(path: str, context: PlateContext) -> PlateMeasurements:
    """Read one SQLite file: its image table whole, its object tables staged as Parquet a batch at a time.

    MeasurementError where the file is no SQLite database or has no object tables.
    """
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.text_factory = lambda raw: raw.decode("utf-8", "replace")
            return _read(database, path, context)
    except sqlite3.Error as error:
        raise MeasurementError(
            f"{path}: expected a SQLite database of CellProfiler or cytominer-database, found: {error}. It may still be written, "
            "or be cut off: copy it again."
        ) from error


def _read(database: sqlite3.Connection, path: str, context: PlateContext) -> PlateMeasurements:
    listed = context.settings.compartments
    image_name, objects = find_tables(database, listed)
    if not objects:
        raise MeasurementError(
            f"{path}: expected tables with ImageNumber and ObjectNumber columns, such as Cells or Per_Cells, found "
            f"{join_names(_table_names(database), 8) or 'no table'}. Export the objects, too (ExportToDatabase: one table per "
            "object type), or give the measurements as Parquet or CSV."
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


def find_tables(
    database: sqlite3.Connection, listed: Sequence[str] = ()
) -> tuple[str | None, dict[str, str]]:
    """The image table and the object tables by compartment: ``Cells``, ``Per_Cells`` or ``MyExpt_Per_Cells``.

    ``listed`` are compartments that the settings name besides the usual ones.
    """
    names = _table_names(database)
    image: str | None = None
    objects: dict[str, str] = {}
    for name in names:
        short = name.rsplit("Per_", 1)[-1] if "Per_" in name else name
        columns = [column.lower() for column in _columns(database, name)]
        if not any(column.endswith("imagenumber") for column in columns):
            continue
        compartment = canonical_compartment(short)
        if compartment == "Image":
            image = name
        elif any(column.endswith(("objectnumber", "number_object_number")) for column in columns):
            objects[compartment] = name
    return image, drop_repeated_view(objects, listed)


def _table_names(database: sqlite3.Connection) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
    return [row[0] for row in database.execute(query)]


def stage_sqlite_table(
    database: sqlite3.Connection,
    name: str,
    compartment: str,
    units: dict[str, int],
    folder: Path,
    listed: Sequence[str] = (),
) -> tuple[StagedTable, list[Finding]]:
    """Copy one object table into staged Parquet with positional names; values that do not fit are null and counted."""
    describe = _describe(compartment, listed)
    sources = _columns(database, name)
    columns = [describe(source) for source in sources]
    listed = ", ".join(quote_identifier(source) for source in sources)
    sample = database.execute(
        f"SELECT {listed} FROM {quote_identifier(name)} LIMIT {_SAMPLE_ROWS}"
    ).fetchall()
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
        for batch in _fetch(database, f"SELECT {listed} FROM {quote_identifier(name)}", len(sources)):
            values = list(zip(*batch, strict=True))
            unit = [units[str(v)] for v in values[unit_at]] if unit_at is not None else [0] * len(batch)
            arrays = [pa.array(unit, pa.int64()), pa.array([0] * len(batch), pa.int64())]
            arrays += [_to_array(v, column, lost) for v, column in zip(values, columns, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            rows += len(batch)
    findings = report_text_numbers(words)
    if lost:
        text = f"{sum(lost.values())} value(s) that are no numbers became null, in {join_names(lost)}."
        findings.append(Finding("not-a-number", "error", name, text))
    given = database.execute("PRAGMA database_list").fetchone()[2]
    return StagedTable(compartment, (target,), tuple(columns), rows, given), findings


def _describe(compartment: str, listed: Sequence[str]) -> Callable[[str], SourceColumn]:
    if compartment == WIDE_NAME:
        return lambda source: describe_wide_column(source, listed)
    return lambda source: describe_column(compartment, source)


def _columns(database: sqlite3.Connection, name: str) -> list[str]:
    return [row[1] for row in database.execute(f"PRAGMA table_info({quote_identifier(name)})")]


def _list_units(database: sqlite3.Connection, tables: Sequence[str]) -> dict[str, int]:
    """Number every TableNumber of the file in the order of its image table; empty where there is none."""
    units: dict[str, int] = {}
    for table in tables:
        column = next((c for c in _columns(database, table) if c.lower().endswith("tablenumber")), None)
        if column is not None:
            query = f"SELECT DISTINCT {quote_identifier(column)} FROM {quote_identifier(table)}"
            for (value,) in database.execute(query):
                units.setdefault(str(value), len(units))
    return units


def _read_image_columns(
    database: sqlite3.Connection, name: str, units: dict[str, int]
) -> dict[str, list[str | float | int | None]]:
    columns = _columns(database, name)
    rows = database.execute(f"SELECT * FROM {quote_identifier(name)}").fetchall()
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


def _fetch(database: sqlite3.Connection, query: str, width: int) -> Iterator[list[tuple[object, ...]]]:
    cursor = database.execute(query)
    size = max(256, _BATCH_VALUES // max(width, 1))
    while batch := cursor.fetchmany(size):
        yield batch


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
    except (TypeError, ValueError):
        return None


def _to_array(values: Sequence[object], column: SourceColumn, lost: dict[str, int]) -> pa.Array:
    if pa.types.is_string(column.kind):
        return pa.array([None if value in (None, "") else str(value) for value in values], pa.string())
    try:
        return pa.array(values, column.kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        numbers = [_to_number(value) for value in values]
        if pa.types.is_integer(column.kind):
            numbers = [n if n is None or n != n or n.is_integer() else None for n in numbers]
        failures = sum(n is None and not _is_missing(v) for n, v in zip(numbers, values, strict=True))
        if failures:
            lost[column.source] = lost.get(column.source, 0) + failures
        if pa.types.is_integer(column.kind):
            return pa.array([None if n is None or n != n else int(n) for n in numbers], column.kind)
        return pa.array(numbers, column.kind)
