"""CSV files, plain or compressed, opened as text, and what numbers look like in them."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

import pyarrow as pa

from bioimage_assets.core.text_table import MISSING_WORDS

CSV_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".txt.gz", ".csv.zst", ".tsv.zst")
# What reading a cut-off compressed file raises.
BROKEN_FILE_ERRORS = (EOFError, OSError, zlib.error)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


DELIMITERS = (",", "\t", ";")


def find_delimiter(header: str) -> str:
    """Delimiter that splits a header line into the most names."""
    return max(DELIMITERS, key=header.count)


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


def parse_wholes(texts: Iterable[str], decimal_point: str = ".") -> tuple[list[int | None], int]:
    """Whole numbers of texts (``7``, ``7.0``), and how many texts are neither missing, NaN included, nor whole.

    A half becomes null: it must not become another number.
    """
    values: list[int | None] = []
    failures = 0
    for text in texts:
        number = None if is_missing(text) else parse_number(text, decimal_point)
        values.append(int(number) if number is not None and number.is_integer() else None)
        failures += values[-1] is None and not is_missing(text) and text.strip().lower() != "nan"
    return values, failures


def is_missing(text: str) -> bool:
    """Tell whether a text stands for a value that is not there."""
    return text.strip().lower() in MISSING_WORDS


def has_decimal_comma(text: str) -> bool:
    """Tell a number as Central European spreadsheets write it: ``12,5``."""
    return _DECIMAL_COMMA.fullmatch(text.strip()) is not None
