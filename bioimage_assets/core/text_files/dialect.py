"""How a text table is written: its encoding, its delimiter, its decimal point, and how many lines its header takes.

https://www.rfc-editor.org/rfc/rfc4180 and what spreadsheets and instruments make of it.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Generator, Iterable, Iterator
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TextIO

from bioimage_assets.core.text_files.numbers import has_decimal_comma, is_number

# The first of those that split a header into as many names is taken.
DELIMITERS = (",", "\t", ";", "|")
# CellProfiler writes up to 10,000 columns.
MAX_COLUMNS = 100_000
# 100,000 columns of numbers are 2 MB. One cell of gigabytes fits into a few megabytes of gzip, so no line is held that is longer.
MAX_LINE_CHARS = 16 << 20
# Physical lines that one header may take; names with a line break in them stand in quotes.
MAX_HEADER_LINES = 1_000
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_QUOTED = re.compile(rf"""(?:^|(?<=[{"".join(DELIMITERS)}]))"(?:[^"]|"")*(?:"|$)""")


def find_delimiter(header: str) -> str:
    """Delimiter that splits a header line into the most names; what stands in quotes does not count."""
    return max(DELIMITERS, key=_QUOTED.sub("", header).count)


def split_record(record: str, delimiter: str) -> list[str]:
    """Cells of one row, which may have several lines."""
    return next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter), [])


def find_encoding(start: bytes) -> str:
    """UTF-16 where a file begins with its byte order mark, else UTF-8 with or without one."""
    return "utf-16" if start.startswith(_UTF16_MARKS) else "utf-8-sig"


def arrow_encoding(encoding: str) -> str:
    """What Arrow calls an encoding; it skips the mark of UTF-8 by itself, and recodes everything else in Python."""
    return "utf-16" if encoding == "utf-16" else "utf8"


def find_decimal_point(numbers: Iterable[str]) -> str:
    """A comma where some numbers have one and none has a point, as Central European spreadsheets write them."""
    commas = points = 0
    for text in numbers:
        commas += has_decimal_comma(text)
        points += "." in text and is_number(text)
    return "," if commas and not points else "."


class CsvLines:
    """Lines of an open CSV; OSError at one that is longer than ``MAX_LINE_CHARS``: what follows is not read."""

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle
        self.encoding = handle.encoding
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
