"""Stages many small CSVs, as per-site analyses leave them, in a few Parquet files.

Arrow parses them one by one in a tenth of the time that a SQL scan over thousands of files takes; the
order of files and rows is kept. A file that Arrow refuses is read row by row (``csv_repair``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.csv_repair import RepairColumn, repair_csv
from bioimage_assets.core.measurements.duckdb_engine import ROW_GROUP_ROWS, window_rows
from bioimage_assets.core.text_files.dialect import arrow_encoding
from bioimage_assets.core.text_files.open_csv import is_compressed

WIDE_BLOCK_BYTES = 8 << 20  # PyArrow's block of 1 MiB is shorter than a row of 100,000 columns
# A few megabytes of gzip hold gigabytes of rows.
SMALL_TABLE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class SmallCsv:
    """One CSV with its folder's number, dialect, columns (name, staged name, type) in the file's order, and header rows.

    ``header_breaks`` are line breaks inside of the column names.
    """

    unit: int
    path: str
    delimiter: str
    columns: tuple[RepairColumn, ...]
    decimal_point: str = "."
    header_rows: int = 1
    header_breaks: int = 0
    encoding: str = "utf-8-sig"


@dataclass(slots=True)
class _Part:
    """One staged file that is being written; tables are gathered into row groups."""

    path: str
    writer: pq.ParquetWriter
    pending: list[pa.Table] = field(default_factory=list)
    pending_rows: int = 0
    group_rows: int = ROW_GROUP_ROWS

    def add(self, table: pa.Table) -> None:
        self.pending.append(table)
        self.pending_rows += table.num_rows
        if self.pending_rows >= self.group_rows:
            self.flush()

    def flush(self) -> None:
        if self.pending:
            self.writer.write_table(pa.concat_tables(self.pending), row_group_size=self.group_rows)
        self.pending, self.pending_rows = [], 0

    def close(self) -> None:
        self.flush()
        self.writer.close()


def stage_small_csvs(
    files: Sequence[SmallCsv], stem: str, stage_big: Callable[[SmallCsv, str], list[Finding]]
) -> tuple[list[str], list[Finding]]:
    """Stage files of equal columns, in order; a broken one, and one that is small only while it is packed, gets a staged file of its own."""
    paths: list[str] = []
    findings: list[Finding] = []
    part: _Part | None = None
    try:
        for file in files:
            try:
                table, is_broken = _read(file), False
            except (pa.ArrowInvalid, OSError):
                table, is_broken = None, True
            if table is None:
                if part is not None:
                    part.close()
                    part = None
                paths.append(f"{stem}-{len(paths)}.parquet")
                findings += repair_small_csv(file, paths[-1]) if is_broken else stage_big(file, paths[-1])
                continue
            if part is None:
                paths.append(f"{stem}-{len(paths)}.parquet")
                part = _Part(paths[-1], pq.ParquetWriter(paths[-1], table.schema, compression="lz4"))
            part.add(table)
    finally:
        if part is not None:
            part.close()
    return paths, findings


def stage_wide_csv(file: SmallCsv, target: str) -> None:
    """Stage one file of many columns as a stream; ArrowInvalid where a row or value does not fit."""
    options = _read_options(file)
    options["read_options"].block_size = WIDE_BLOCK_BYTES
    with pa_csv.open_csv(file.path, **options) as reader:
        kinds = [
            ("unit", pa.int64()),
            ("block", pa.int64()),
            *((slot, kind) for _, slot, kind in file.columns),
        ]
        writer = pq.ParquetWriter(target, pa.schema(kinds), compression="lz4")
        part = _Part(target, writer, group_rows=window_rows(len(kinds)))
        try:
            for batch in reader:
                part.add(_with_unit(pa.Table.from_batches([batch]), file))
        finally:
            part.close()


def repair_small_csv(file: SmallCsv, target: str) -> list[Finding]:
    """Stage row by row what can be understood."""
    return repair_csv(
        file.path, file.delimiter, file.unit, file.columns, target, file.decimal_point, file.header_rows
    )


def _read(file: SmallCsv) -> pa.Table | None:
    """The whole file; None where it is packed and holds more than ``SMALL_TABLE_BYTES``."""
    options = _read_options(file)
    if not is_compressed(file.path):
        return _with_unit(pa_csv.read_csv(file.path, **options), file)
    batches: list[pa.RecordBatch] = []
    held = 0
    with pa_csv.open_csv(file.path, **options) as reader:
        for batch in reader:
            batches.append(batch)
            held += batch.nbytes
            if held > SMALL_TABLE_BYTES:
                return None
        return _with_unit(pa.Table.from_batches(batches, reader.schema), file)


def _read_options(
    file: SmallCsv,
) -> dict[str, pa_csv.ReadOptions | pa_csv.ParseOptions | pa_csv.ConvertOptions]:
    kinds = {slot: kind for _, slot, kind in file.columns}
    return {
        "read_options": pa_csv.ReadOptions(
            use_threads=False,
            column_names=list(kinds),
            skip_rows=file.header_rows + file.header_breaks,
            encoding=arrow_encoding(file.encoding),
        ),
        "parse_options": pa_csv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True),
        "convert_options": pa_csv.ConvertOptions(
            column_types=kinds, null_values=[""], strings_can_be_null=True, decimal_point=file.decimal_point
        ),
    }


def _with_unit(table: pa.Table, file: SmallCsv) -> pa.Table:
    rows = table.num_rows
    table = table.add_column(0, "unit", pa.array([file.unit] * rows, pa.int64()))
    return table.add_column(1, "block", pa.array([0] * rows, pa.int64()))
