"""CSV files, plain or compressed, opened as text, and what numbers look like in them."""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from inspect import GEN_CLOSED, getgeneratorstate
from typing import BinaryIO, TextIO

import pyarrow as pa

from bioimage_assets.core.model.file_kinds import compression_of
from bioimage_assets.core.text_table import MISSING_WORDS

# What reading a cut-off compressed file raises.
BROKEN_FILE_ERRORS = (EOFError, OSError, zlib.error)
# 100,000 columns of numbers are 2 MB. One cell of gigabytes fits into a few megabytes of gzip, so no line is held that is longer.
MAX_LINE_CHARS = 16 << 20
# Physical lines that one header may take; names with a line break in them stand in quotes.
MAX_HEADER_LINES = 1_000
_PIECE_BYTES = 1 << 20  # read and decoded at once
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,19}")
_INT64 = range(-(2**63), 2**63)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


DELIMITERS = (",", "\t", ";")


def find_delimiter(header: str) -> str:
    """Delimiter that splits a header line into the most names."""
    return max(DELIMITERS, key=header.count)


class CsvLines:
    """Lines of an open CSV; OSError at one that is longer than ``MAX_LINE_CHARS``: what follows is not read."""

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle
        self.chars_read = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def readline(self) -> str:
        """The next line with its end; empty behind the last."""
        line = self._handle.readline(MAX_LINE_CHARS + 1)
        if len(line) > MAX_LINE_CHARS:
            raise OSError(f"expected lines of at most {MAX_LINE_CHARS} characters, found a longer one")
        self.chars_read += len(line)
        return line

    def read_record(self) -> tuple[str, int]:
        """The next row as it is written, and the number of its lines: a line break in quotes belongs to it.

        Where a quote is never closed the row is one line.
        """
        lines = [self.readline()]
        delimiter = ""
        while '"' in lines[0] and delimiter != (delimiter := find_delimiter("".join(lines))):
            feed = self._feed(lines)
            try:
                next(csv.reader(feed, delimiter=delimiter), None)
            except csv.Error:  # a cell that is too long, mostly the rest of the file behind an open quote
                return lines[0], 1
            if getgeneratorstate(feed) == GEN_CLOSED:  # the row did not end before it did
                return lines[0], 1
        return "".join(lines), len(lines)

    def _feed(self, lines: list[str]) -> Generator[str, None, None]:
        """Give lines, then those that follow, which are added; none and nothing more where a row may not be that long."""
        yield from tuple(lines)
        while len(lines) < MAX_HEADER_LINES and (line := self.readline()):
            lines.append(line)
            yield line


@contextmanager
def open_csv(path: str) -> Iterator[CsvLines]:
    """Open a plain, gzipped or zstd CSV as text; bytes that are not UTF-8 become the replacement character.

    OSError for anything that is not a file: a pipe would never end.
    """
    with (
        _open_file(path) as file,
        _unpack(file, path) as stream,
        io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="") as handle,
    ):
        yield CsvLines(handle)


def _unpack(file: BinaryIO, path: str) -> gzip.GzipFile | pa.CompressedInputStream | BinaryIO:
    """The bytes of a file, unpacked as its name says."""
    packing = compression_of(path)
    if packing == "gzip":  # Arrow's refuses the zeros that tapes and disks pad a file with
        return gzip.GzipFile(fileobj=file)
    return file if packing is None else pa.CompressedInputStream(file, packing)


def _open_file(path: str) -> BinaryIO:
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"expected a file, found something else at {path}")
    return file


def is_compressed(path: str) -> bool:
    """Tell a compressed CSV by its name."""
    return compression_of(path) is not None


def check_unpacked(path: str) -> None:
    """Unpack a compressed file once, in pieces; OSError where it is cut off, damaged, or holds a line that is too long.

    The SQL engine compares no checksums: it takes damaged values, and the rest of a cut-off file for its end.
    """
    open_line = 0
    with pa.input_stream(path, compression=compression_of(path)) as stream:
        while piece := stream.read(_PIECE_BYTES):
            end = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
            open_line = len(piece) - end - 1 if end >= 0 else open_line + len(piece)
            if open_line > 4 * MAX_LINE_CHARS:
                raise OSError(f"expected lines of at most {MAX_LINE_CHARS} characters, found a longer one")


def is_number(text: str, decimal_point: str = ".") -> bool:
    """Tell whether a text is a number, NaN and infinities included."""
    return parse_number(text, decimal_point) is not None


def parse_number(text: str, decimal_point: str = ".") -> float | None:
    """Value of a text, None where it is not a number."""
    try:
        return float(text.replace(decimal_point, ".") if decimal_point != "." else text)
    except ValueError:
        return None


def parse_wholes(texts: Iterable[str], decimal_point: str = ".") -> tuple[list[int | None], int]:
    """Whole numbers of texts (``7``, ``7.0``), and how many texts are neither missing, NaN included, nor whole.

    A half becomes null, and a number beyond 64 bits: it must not become another number.
    """
    values: list[int | None] = []
    failures = 0
    for text in texts:
        values.append(None if is_missing(text) else _parse_whole(text, decimal_point))
        failures += values[-1] is None and not is_missing(text) and text.strip().lower() != "nan"
    return values, failures


def _parse_whole(text: str, decimal_point: str) -> int | None:
    """A whole number that a column of 64 bits holds; digits are read as they are, since a float keeps sixteen of them."""
    if _WHOLE_NUMBER.fullmatch(text.strip()):
        whole = int(text)
    else:
        number = parse_number(text, decimal_point)
        if number is None or not number.is_integer():
            return None
        whole = int(number)
    return whole if whole in _INT64 else None


def is_missing(text: str) -> bool:
    """Tell whether a text stands for a value that is not there."""
    return text.strip().lower() in MISSING_WORDS


def has_decimal_comma(text: str) -> bool:
    """Tell a number as Central European spreadsheets write it: ``12,5``."""
    return _DECIMAL_COMMA.fullmatch(text.strip()) is not None
