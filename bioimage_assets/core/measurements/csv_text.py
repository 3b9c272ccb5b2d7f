"""CSV files, plain or compressed, opened as text, and what numbers look like in them."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pyarrow as pa

CSV_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".txt.gz", ".csv.zst", ".tsv.zst")
# What reading a cut-off compressed file raises.
BROKEN_FILE_ERRORS = (EOFError, OSError, zlib.error)
# How R, pandas, KNIME and spreadsheets write a value that is not there, in columns of numbers.
MISSING_WORDS = frozenset({"", "na", "n/a", "#n/a", "null", "none", "?", "missing"})
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


@contextmanager
def open_csv(path: str) -> Iterator[TextIO]:
    """Open a plain, gzipped or zstd CSV as text; bytes that are no UTF-8 become the replacement character."""
    name = path.lower()
    if name.endswith(".gz"):
        with gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as handle:
            yield handle
    elif name.endswith(".zst"):
        with (
            pa.input_stream(path, compression="zstd") as stream,
            io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="") as handle,
        ):
            yield handle
    else:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as handle:
            yield handle


def is_number(text: str, decimal_point: str = ".") -> bool:
    """Tell whether a text is a number, NaN and infinities included."""
    return parse_number(text, decimal_point) is not None


def parse_number(text: str, decimal_point: str = ".") -> float | None:
    """Value of a text, None where it is no number."""
    try:
        return float(text.replace(decimal_point, ".") if decimal_point != "." else text)
    except ValueError:
        return None


def parse_whole(text: str, decimal_point: str = ".") -> int | None:
    """Whole number of a text (``7``, ``7.0``), None where it is none: a half must not become another number."""
    value = parse_number(text, decimal_point)
    return int(value) if value is not None and value.is_integer() else None


def is_missing(text: str) -> bool:
    """Tell whether a text stands for a value that is not there."""
    return text.strip().lower() in MISSING_WORDS


def has_decimal_comma(text: str) -> bool:
    """Tell a number as Central European spreadsheets write it: ``12,5``."""
    return _DECIMAL_COMMA.fullmatch(text.strip()) is not None
