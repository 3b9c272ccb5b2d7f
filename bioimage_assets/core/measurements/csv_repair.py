"""Reads a broken CSV row by row: stages what can be understood, counts and locates what cannot."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.text_files.missing_words import is_missing
from bioimage_assets.core.text_files.numbers import parse_number, parse_wholes
from bioimage_assets.core.text_files.open_csv import BROKEN_FILE_ERRORS, open_csv

# Values held as text at a time, and their characters.
BATCH_VALUES = 2_000_000
BATCH_CHARS = 128 << 20  # rows of 10,000 texts would not be bounded by their number
# (name in the file, name in the staged file, type) of each column, in the file's order.
RepairColumn = tuple[str, str, pa.DataType]


def repair_csv(
    path: str,
    delimiter: str,
    unit: int,
    columns: Sequence[RepairColumn],
    target: str,
    decimal_point: str = ".",
    header_rows: int = 1,
) -> list[Finding]:
    """Stage the rows of a malformed CSV that have the right width; values that do not fit become null.

    Findings name the line numbers of dropped rows and the columns of values that were no numbers.
    """
    bad_lines: list[int] = []
    bad_values: dict[str, int] = {}
    bad_text: dict[str, int] = {}
    schema = pa.schema(
        [("unit", pa.int64()), ("block", pa.int64()), *((slot, kind) for _, slot, kind in columns)]
    )
    ends: list[str] = []
    with pq.ParquetWriter(target, schema, compression="lz4") as writer:
        for rows in read_rows(path, delimiter, len(columns), bad_lines, header_rows, ends):
            arrays = [pa.array([unit] * len(rows), pa.int64()), pa.array([0] * len(rows), pa.int64())]
            values = list(zip(*rows, strict=True)) or [()] * len(columns)
            for (name, _, kind), texts in zip(columns, values, strict=True):
                converted, failures = _convert(texts, kind, decimal_point)
                arrays.append(pa.array(converted, kind))
                if pa.types.is_string(kind) and (undecoded := count_undecoded(texts)):
                    bad_text[name] = bad_text.get(name, 0) + undecoded
                if failures:
                    bad_values[name] = bad_values.get(name, 0) + failures
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    return [*_report(path, bad_lines, bad_values, ends), *report_undecoded(path, bad_text)]


def count_undecoded(texts: Sequence[str | None]) -> int:
    """Texts with bytes that were no UTF-8."""
    return sum(text is not None and "\ufffd" in text for text in texts)


def report_undecoded(path: str, counts: Mapping[str, int]) -> list[Finding]:
    """Finding that names the columns whose texts hold bytes that are not UTF-8."""
    if not counts:
        return []
    text = (
        f"{sum(counts.values())} value(s) hold bytes that are no UTF-8, in {join_names(counts)}; each became \ufffd. "
        "Save the file as UTF-8, or names with such letters find no file."
    )
    return [Finding("not-utf8", "warning", Path(path).name, text, path)]


def read_rows(
    path: str,
    delimiter: str,
    width: int,
    bad_lines: list[int],
    header_rows: int = 1,
    ends: list[str] | None = None,
) -> Iterator[list[list[str]]]:
    """Yield batches of rows of the right width; the line numbers of all others go to ``bad_lines``.

    Why nothing behind a line can be read goes to ``ends``.
    """
    batch: list[list[str]] = []
    batch_rows = max(64, BATCH_VALUES // max(width, 1))
    held_from = 0
    with open_csv(path) as handle:
        reader = csv.reader((line.replace("\0", "") for line in handle), delimiter=delimiter)
        for _ in range(header_rows):
            next(reader)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                break
            except csv.Error:
                bad_lines.append(reader.line_num)
                continue
            except BROKEN_FILE_ERRORS as error:
                bad_lines.append(reader.line_num + 1)
                if ends is not None:
                    ends.append(str(error))
                break
            if len(row) == width:
                batch.append(row)
            elif row:
                bad_lines.append(reader.line_num)
            if len(batch) == batch_rows or handle.chars_read - held_from > BATCH_CHARS:
                yield batch
                batch = []
                held_from = handle.chars_read
    yield batch


def _convert(texts: Sequence[str], kind: pa.DataType, decimal_point: str) -> tuple[Sequence[object], int]:
    """Values of one column, and how many were neither missing nor of the type."""
    if pa.types.is_string(kind):
        return [text or None for text in texts], 0
    if pa.types.is_integer(kind):
        return parse_wholes(texts, decimal_point)
    values: list[object] = []
    failures = 0
    for text in texts:
        value = None if is_missing(text) else parse_number(text, decimal_point)
        failures += value is None and not is_missing(text)
        values.append(value)
    return values, failures


def _report(
    path: str, bad_lines: list[int], bad_values: dict[str, int], ends: Sequence[str]
) -> list[Finding]:
    name = Path(path).name
    findings = []
    if bad_lines:
        where = join_names(str(line) for line in bad_lines)
        text = (
            f"{len(bad_lines)} row(s) have another number of values than the header and are left out "
            f"(line {where}). Write the file again; it may be cut off."
        )
        if ends:
            text += f" Nothing behind the last of these lines can be read: {ends[0]}."
        findings.append(Finding("malformed-rows", "error", f"{name}:{bad_lines[0]}", text, path))
    if bad_values:
        count = sum(bad_values.values())
        text = f"{count} value(s) that are no numbers, or whole numbers beyond 64 bits, became null, in {join_names(bad_values)}."
        findings.append(Finding("not-a-number", "error", name, text, path))
    return findings
