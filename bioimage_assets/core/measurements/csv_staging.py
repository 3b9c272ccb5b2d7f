"""Stages CSV files of one kind as Parquet with positional column names and known types.

Column names are data: inside the staged files columns are called ``c0 c1 …``, so no name can clash with SQL.
DuckDB parses big files, Arrow small ones (``csv_small``); a file that they refuse is read again row by row
(``csv_repair``), which keeps every row that can be understood and says which could not.
CSV dialect: https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import SourceColumn, is_feature, join_names, resolve_duplicates
from bioimage_assets.core.measurements.csv_small import (
    SmallCsv,
    repair_small_csv,
    stage_small_csvs,
    stage_wide_csv,
)
from bioimage_assets.core.measurements.csv_two_headers import join_header_rows, list_objects
from bioimage_assets.core.measurements.duckdb_engine import ROW_GROUP_ROWS
from bioimage_assets.core.model.file_kinds import has_suffix
from bioimage_assets.core.sql import quote_literal
from bioimage_assets.core.sql_files import file_literal
from bioimage_assets.core.text_files.dialect import (
    DELIMITERS,
    MAX_COLUMNS,
    find_decimal_point,
    find_delimiter,
    split_record,
)
from bioimage_assets.core.text_files.missing_words import is_missing
from bioimage_assets.core.text_files.numbers import is_number
from bioimage_assets.core.text_files.open_csv import (
    BROKEN_FILE_ERRORS,
    check_unpacked,
    is_compressed,
    open_csv,
)

SAMPLE_ROWS = 300  # types are taken from these; a later value that does not fit is repaired (csv_repair)
# 300 rows of 10,000 numbers fit.
_SAMPLE_CHARS = 64 << 20
SMALL_FILE_BYTES = 4 << 20  # a per-site CSV; opening one in the SQL engine costs more than parsing it
# Beyond so many columns the SQL engine needs more memory to parse a file than it may have.
WIDE_COLUMNS = 3_000
# A heading that is just the word, as the object names of a combined table have it.
_IMAGE_HEADING = re.compile(
    rf"""(?:^|[{"".join(DELIMITERS)}])["']?image["']?(?:[{"".join(DELIMITERS)}\s]|$)""", re.IGNORECASE
)
_SQL_TYPES = {pa.string(): "VARCHAR", pa.float64(): "DOUBLE", pa.int64(): "DOUBLE"}


@dataclass(frozen=True, slots=True)
class StagedTable:
    """Staged Parquet files of one table; column ``c<i>`` is ``columns[i]``, ``unit`` the source folder's number.

    ``block`` counts restarts of an ImageNumber inside one file; it is 0 in sound data. ``given`` is the first file that it
    was read from, for messages.
    """

    name: str
    paths: tuple[str, ...]
    columns: tuple[SourceColumn, ...]
    row_count: int
    given: str = ""

    def slot(self, role: str) -> str | None:
        """Positional name of the first column with that role."""
        return next((f"c{i}" for i, column in enumerate(self.columns) if column.role == role), None)

    def parent_slots(self) -> dict[str, str]:
        """Positional names of the columns that point to a parent object, by compartment."""
        return {c.parent: f"c{i}" for i, c in enumerate(self.columns) if c.role == "parent" and c.parent}


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One CSV file: its folder's number, its dialect and its column names as made unique.

    ``objects`` are those of a combined table with two header rows, in their order; else there are none. ``header_breaks``
    is the number of line breaks inside of column names.
    """

    unit: int
    path: str
    delimiter: str
    names: tuple[str, ...]
    decimal_point: str = "."
    objects: tuple[str, ...] = ()
    header_breaks: int = 0
    encoding: str = "utf-8-sig"

    @property
    def header_rows(self) -> int:
        """Rows before the first value."""
        return 2 if self.objects else 1


def read_header(unit: int, path: str, max_columns: int = MAX_COLUMNS) -> tuple[CsvFile | None, list[Finding]]:
    """Read the header of a CSV, one row or CellProfiler's two; None with an error finding where there is none."""
    try:
        with open_csv(path) as handle:
            line, lines = handle.read_record()
            second, more = handle.read_record() if _IMAGE_HEADING.search(line) else ("", 0)
            encoding = handle.encoding
    except (csv.Error, *BROKEN_FILE_ERRORS) as error:
        return None, [Finding("unreadable-file", "error", Path(path).name, f"Cannot read it: {error}.", path)]
    if line.startswith("\ufffd\ufffd") or (encoding == "utf-16" and "\0" in line):
        text = "The file is neither UTF-8 nor UTF-16 text; save it as UTF-8."
        return None, [Finding("unreadable-file", "error", Path(path).name, text, path)]
    if not line.strip():
        return None, [Finding("empty-file", "error", Path(path).name, "The file has no header line.", path)]
    try:
        delimiter, names, changed, objects = _parse_header(line, second, max_columns)
    except (csv.Error, ValueError) as error:
        text = f"The header cannot be read: {error}. Expected one row of column names."
        return None, [Finding("unreadable-file", "error", Path(path).name, text, path)]
    findings = []
    odd = [name for name in names if "\ufffd" in name]
    if odd:
        text = f"{len(odd)} column name(s) hold bytes that are no UTF-8 text: {join_names(odd)}; each became \ufffd."
        findings.append(Finding("not-utf8", "warning", Path(path).name, text, path))
    if changed:
        text = f"Column names occur more than once; the later ones are now {join_names(changed)}."
        findings.append(Finding("duplicate-columns", "warning", Path(path).name, text, path))
    breaks = lines - 1 + (more - 1 if objects else 0)
    return CsvFile(
        unit, path, delimiter, names, objects=objects, header_breaks=breaks, encoding=encoding
    ), findings


@lru_cache(maxsize=32)
def _parse_header(
    line: str, second: str, max_columns: int
) -> tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Delimiter, unique names, changed names and combined objects of a header; sites of a plate share it."""
    delimiter = find_delimiter(line)
    first = split_record(line.replace("\0", "\ufffd"), delimiter)  # a zero byte is not text
    if len(first) > max_columns:
        raise ValueError(f"expected at most {max_columns} columns, found {len(first)}")
    joined = (
        join_header_rows(first, split_record(second.replace("\0", "\ufffd"), delimiter)) if second else None
    )
    names, changed = resolve_duplicates(joined or first)
    return delimiter, names, changed, list_objects(first) if joined else ()


def stage_csv_files(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    files: Sequence[tuple[int, str]],
    describe: Callable[[str], SourceColumn],
    folder: Path,
    max_columns: int = MAX_COLUMNS,
) -> tuple[StagedTable, list[Finding]]:
    """Stage the CSVs of one table (``(unit, path)`` each) below ``folder``; each byte is read once, twice if broken or packed.

    MeasurementError where no file has a header.
    """
    findings: list[Finding] = []
    sources: list[CsvFile] = []
    for unit, path in files:
        source, odd = read_header(unit, path, max_columns)
        findings += odd
        if source is not None:
            sources.append(source)
    if not sources:
        raise MeasurementError(
            f"{files[0][1]}: none of the {len(files)} CSV file(s) of {name} can be read. Expected a header line of column names, "
            f"found: {findings[0].message} Write the file again or remove it."
        )
    sources = _find_decimal_points(sources, describe)
    columns, odd = _describe_all(sources, describe)
    findings += odd
    groups: dict[tuple[str, str, int, int, tuple[str, ...]], list[CsvFile]] = {}
    for source in sources:
        dialect = (
            source.delimiter, source.decimal_point, source.header_rows, source.header_breaks, source.names,
        )  # fmt: skip
        groups.setdefault(dialect, []).append(source)
    paths: list[str] = []
    for group in groups.values():
        staged, odd = _stage_group(connection, group, columns, folder / f"{name}-{len(paths)}")
        paths += staged
        findings += odd
    row_count = sum(pq.read_metadata(path).num_rows for path in paths)
    return StagedTable(name, tuple(paths), tuple(columns.values()), row_count, sources[0].path), findings


def _find_decimal_points(
    sources: Sequence[CsvFile], describe: Callable[[str], SourceColumn]
) -> list[CsvFile]:
    """Tell files whose numbers have decimal commas; the first file of each header speaks for all."""
    known: dict[tuple[str, tuple[str, ...]], str] = {}
    for source in sources:
        key = (source.delimiter, source.names)
        if key not in known:
            known[key] = "." if source.delimiter == "," else _find_decimal_point(source, describe)
    return [replace(source, decimal_point=known[source.delimiter, source.names]) for source in sources]


def _find_decimal_point(source: CsvFile, describe: Callable[[str], SourceColumn]) -> str:
    numbers = [i for i, name in enumerate(source.names) if describe(name).kind == pa.float64()]
    return find_decimal_point(row[i] for row in _read_sample(source) for i in numbers)


def _describe_all(
    sources: Sequence[CsvFile], describe: Callable[[str], SourceColumn]
) -> tuple[dict[str, SourceColumn], list[Finding]]:
    """Describe the union of all files' columns; numbers that are words in a file's first rows become text."""
    names = dict.fromkeys(name for header in dict.fromkeys(s.names for s in sources) for name in header)
    columns = {name: describe(name) for name in names}
    sampled: set[tuple[str, ...]] = set()
    changed: list[str] = []
    for source in sources:
        if source.names in sampled:
            continue
        sampled.add(source.names)
        for name in _text_columns(source, columns):
            columns[name] = replace(columns[name], role="text", kind=pa.string())
            if is_feature(columns[name].output):
                changed.append(name)
    findings = []
    if changed:
        text = f"Features that hold words, not numbers, are kept as text: {join_names(changed)}."
        findings.append(Finding("text-features", "warning", changed[0], text, sources[0].path))
    return columns, findings


def _text_columns(source: CsvFile, columns: dict[str, SourceColumn]) -> list[str]:
    """Names of the number columns whose first values are never numbers."""
    numbers = [i for i, name in enumerate(source.names) if columns[name].kind == pa.float64()]
    words: set[int] = set()
    seen_numbers: set[int] = set()
    for row in _read_sample(source):
        for index in numbers:
            if not is_missing(row[index]):
                is_one = is_number(row[index], source.decimal_point)
                (seen_numbers if is_one else words).add(index)
    return [source.names[index] for index in sorted(words - seen_numbers)]


def _read_sample(source: CsvFile) -> list[list[str]]:
    """The first rows of the right width; what is wrong with a file is reported when it is staged."""
    rows: list[list[str]] = []
    with open_csv(source.path) as handle:
        reader = csv.reader(handle, delimiter=source.delimiter)
        try:
            for number, row in zip(range(SAMPLE_ROWS + source.header_rows), reader, strict=False):
                if number >= source.header_rows and len(row) == len(source.names):
                    rows.append(row)
                if handle.chars_read > _SAMPLE_CHARS:
                    break
        except (csv.Error, *BROKEN_FILE_ERRORS):
            return rows
    return rows


def _stage_group(
    connection: duckdb.DuckDBPyConnection,
    group: Sequence[CsvFile],
    columns: dict[str, SourceColumn],
    stem: Path,
) -> tuple[list[str], list[Finding]]:
    """Stage files with equal headers in their order: small ones together, a big one by the SQL engine."""
    slots = {name: f"c{i}" for i, name in enumerate(columns)}
    described = tuple((name, slots[name], columns[name].kind) for name in group[0].names)
    paths: list[str] = []
    findings: list[Finding] = []
    for is_small, run in groupby(group, key=lambda source: _is_small(source.path)):
        sources = [
            SmallCsv(
                source.unit,
                source.path,
                source.delimiter,
                described,
                source.decimal_point,
                source.header_rows,
                source.header_breaks,
                source.encoding,
            )
            for source in run
        ]
        if is_small:
            staged, odd = stage_small_csvs(sources, f"{stem}-{len(paths)}", partial(_stage_big, connection))
            paths += staged
            findings += odd
            continue
        for source in sources:
            paths.append(f"{stem}-{len(paths)}.parquet")
            findings += _stage_big(connection, source, paths[-1])
    return paths, findings


def _is_small(path: str) -> bool:
    return os.path.getsize(path) < SMALL_FILE_BYTES


def _stage_big(connection: duckdb.DuckDBPyConnection, source: SmallCsv, target: str) -> list[Finding]:
    """Stage one file by SQL, a very wide one by Arrow; where that refuses it, row by row."""
    try:
        if is_compressed(source.path):
            check_unpacked(source.path)
        if len(source.columns) > WIDE_COLUMNS or source.header_breaks or not _is_for_sql(source):
            stage_wide_csv(source, target)
        else:
            connection.execute(_copy_statement(source, target))
    except (duckdb.Error, pa.ArrowInvalid, OSError):
        Path(target).unlink(missing_ok=True)
        return repair_small_csv(source, target)
    return []


def _is_for_sql(source: SmallCsv) -> bool:
    """The SQL engine unpacks no bzip2 and takes UTF-8 only."""
    return source.encoding != "utf-16" and not has_suffix(source.path, ".bz2")


def _copy_statement(source: SmallCsv, target: str) -> str:
    kinds = ", ".join(f"'{slot}': '{_SQL_TYPES[kind]}'" for _, slot, kind in source.columns)
    # The engine rounds where it casts: half an image number would become another image.
    whole = ", ".join(
        f"CASE WHEN isnan({slot}) THEN NULL WHEN {slot} <> trunc({slot}) THEN error('no whole number') "
        f"ELSE {slot}::BIGINT END AS {slot}"
        for _, slot, kind in source.columns
        if kind == pa.int64()
    )
    chosen = f"* REPLACE ({whole})" if whole else "*"
    read = (
        f"read_csv({file_literal(source.path)}, columns={{{kinds}}}, header=true, auto_detect=false, hive_partitioning=false, "
        f"skip={source.header_rows - 1}, "
        f"delim={quote_literal(source.delimiter)}, quote='\"', escape='\"', "
        f"decimal_separator={quote_literal(source.decimal_point)})"
    )
    return (
        f"COPY (SELECT {source.unit}::BIGINT AS unit, 0::BIGINT AS block, {chosen} FROM {read}) TO {quote_literal(target)} "
        f"(FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
    )
