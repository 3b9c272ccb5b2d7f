"""Reads small delimited files beside a dataset (platemaps, barcodes, compounds) as tables of text.

Every cell is the text that stands there: ``Null``, ``NA`` and ``007`` are values. Empty cells, the words that a
dataset declares (``[platemaps] missing``) and what a spreadsheet writes for a failed formula (``#N/A``) are missing. CSV dialect: https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.errors import ProfilingError, StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.file_kinds import compression_of
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.base import MAX_DOCUMENT_BYTES, Store
from bioimage_assets.core.text_files.dialect import CsvLines, find_delimiter, find_encoding
from bioimage_assets.core.text_files.missing_words import SPREADSHEET_ERRORS

# Western European text of spreadsheets; a superset of Latin-1 that leaves five bytes undefined.
_FALLBACK = "cp1252"
# A row of its own behind the last one: it is swallowed where a quote is not closed.
_END = "\x1e"


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows of a file as text without surrounding blanks, None where a value is missing; ``uri`` says which file."""

    uri: str
    names: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    findings: tuple[Finding, ...] = ()

    def column(self, index: int) -> list[str | None]:
        """Values of one column."""
        return [row[index] for row in self.rows]


def read_text_table(
    store: Store, key: str, missing_words: Collection[str] = (), *, max_bytes: int = MAX_DOCUMENT_BYTES
) -> TextTable:
    """Read a small delimited file as text; the delimiter is the one that splits its header.

    UTF-8, or UTF-16 with a byte order mark; anything else is read as Windows-1252, and a finding says so.

    Raises
    ------
    ProfilingError
        The file cannot be read or is not text, is empty, has an open quote or a row of another width than its header.
    """
    path = join_path(store.uri, key)
    try:
        raw = store.get(key, max_bytes=max_bytes)
    except StoreError as error:
        raise ProfilingError(f"{path} cannot be read: {error}") from error
    text, findings = _decode(_unpack(raw, path, max_bytes), path)
    rows = _parse(text, path)
    header = next(rows, None)
    if header is None:
        raise ProfilingError(f"{path} is empty; expected a header and one row per well.")
    names = tuple(name.strip() for name in header[1])
    missing = SPREADSHEET_ERRORS | {"", *missing_words}
    cleaned = []
    for number, row in rows:
        if len(row) != len(names):
            raise ProfilingError(
                f"{path}, row {number}: {len(row)} values, the header has {len(names)}. "
                "Write as many values as there are columns; a value with the delimiter in it needs quotes."
            )
        cells = (value.strip() for value in row)
        cleaned.append(tuple(None if cell in missing else cell for cell in cells))
    return TextTable(path, names, tuple(cleaned), findings)


def _parse(text: str, path: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of the line that they begin in; blank rows are left out, quoted line breaks are kept."""
    delimiter = find_delimiter(CsvLines(io.StringIO(text.lstrip(), newline="")).read_record()[0])
    reader = csv.reader(io.StringIO(f"{text}\n{_END}\n", newline=""), delimiter=delimiter)
    start = 1
    is_closed = False
    try:
        for row in reader:
            is_closed = row == [_END]
            if not is_closed and any(cell.endswith(f"\n{_END}\n") for cell in row):
                break
            if not is_closed and any(cell.strip() for cell in row):
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise ProfilingError(
            f"{path}, row {start}: not a delimited text file ({error}). Save it as tab- or comma-separated text."
        ) from error
    if not is_closed:
        raise ProfilingError(
            f"{path}, row {start}: a quote is opened and never closed, so that the rest of the file would be one value. "
            "Close it, or write it twice inside quotes."
        )


def _unpack(raw: bytes, path: str, max_bytes: int) -> bytes:
    """Bytes of a file, unpacked as its name says; ProfilingError where they are more than a document may have."""
    packing = compression_of(path)
    if packing is None:
        return raw
    try:
        with pa.input_stream(pa.BufferReader(raw), compression=packing) as stream:
            unpacked: bytes = stream.read(max_bytes + 1)
    except OSError as error:
        raise ProfilingError(f"{path} is no whole {packing} file ({error}). Copy it again.") from error
    if len(unpacked) > max_bytes:
        raise ProfilingError(f"{path} unpacks to more than {max_bytes >> 20} MB; expected a table of wells.")
    return unpacked


def _decode(raw: bytes, path: str) -> tuple[str, tuple[Finding, ...]]:
    """Text of a file, with a finding where its encoding had to be guessed."""
    encoding = find_encoding(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise ProfilingError(
                f"{path} begins as UTF-16 and is none ({error}). Save it as UTF-8."
            ) from error
        return _decode_western(raw, path)
    if "\0" in text:
        raise ProfilingError(
            f"{path} holds zero bytes: it is no text, or UTF-16 without a byte order mark. Save it as UTF-8."
        )
    return text, ()


def _decode_western(raw: bytes, path: str) -> tuple[str, tuple[Finding, ...]]:
    try:
        if b"\0" in raw:
            raise UnicodeDecodeError(_FALLBACK, raw, raw.index(b"\0"), raw.index(b"\0") + 1, "a zero byte")
        text = raw.decode(_FALLBACK)
    except UnicodeDecodeError as error:
        raise ProfilingError(
            f"{path} is neither UTF-8 nor UTF-16 nor Windows-1252 text ({error}). Save it as UTF-8."
        ) from error
    words = dict.fromkeys(word for word in text.replace("\t", " ").split() if not word.isascii())
    shown = ", ".join(repr(word) for word in list(words)[:4])
    message = f"The file is no UTF-8; it was read as Windows-1252, which gives {shown}. Save it as UTF-8 if that is wrong."
    return text, (Finding("text-not-utf8", "warning", path, message, path),)
