"""Opens CSV files, plain or packed, in UTF-8 or UTF-16, as text."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from bioimage_assets.core.model.file_kinds import compression_of
from bioimage_assets.core.text_files.dialect import MAX_LINE_CHARS, CsvLines, find_encoding

# What reading a cut-off compressed file raises.
BROKEN_FILE_ERRORS = (EOFError, OSError, zlib.error)
_PIECE_BYTES = 1 << 20  # read and decoded at once


@contextmanager
def open_csv(path: str) -> Iterator[CsvLines]:
    """Open a plain or packed CSV as text; bytes that are neither UTF-8 nor UTF-16 become the replacement character.

    OSError for anything that is not a file: a pipe would never end.
    """
    with (
        _open_file(path) as file,
        _unpack(file, path) as stream,
        io.TextIOWrapper(
            stream, encoding=find_encoding(stream.peek(2)), errors="replace", newline=""
        ) as handle,
    ):
        yield CsvLines(handle)


def _unpack(file: io.BufferedReader, path: str) -> gzip.GzipFile | io.BufferedReader:
    """The bytes of a file, unpacked as its name says."""
    packing = compression_of(path)
    if packing == "gzip":  # Arrow's refuses the zeros that tapes and disks pad a file with
        return gzip.GzipFile(fileobj=file)
    return file if packing is None else io.BufferedReader(pa.CompressedInputStream(file, packing))


def _open_file(path: str) -> io.BufferedReader:
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
