"""Reads arrays of numbers in an ``.npz`` archive in blocks of rows, whatever the archive claims to hold.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html inside a zip archive. The header is read with
a pattern of its own: only numbers are arrays, so that no type of numpy, and nothing it could point to, is built from a file.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import IO

import numpy as np

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.model.file_kinds import NUMPY_START, ZIP64_END, ZIP_END

MAX_MEMBERS = 1_000  # DeepProfiler writes three arrays per file
MAX_DIRECTORY_BYTES = 1 << 20  # zipfile reads the whole directory into memory
# What numpy itself accepts; it writes 128 bytes.
MAX_HEADER_BYTES = 10_000
_MAX_DEFLATE_RATIO = 1_040  # deflate's limit is 1,032 (https://zlib.net/zlib_tech.html)
_END = struct.Struct("<4s4H2LH")
_MAX_END_BYTES = _END.size + (1 << 16)  # the comment at the end of an archive has a 16-bit length
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_NUMBER = re.compile(r"[<>|=]?(?:b1|\?|[iu][1248]|f[248])")
_PARTS = re.compile(
    r"""\s*['"](?:
        descr['"]\s*:\s*(?:['"](?P<descr>[^'"\\]{1,40})['"]|(?P<fields>[\[(]))
        |fortran_order['"]\s*:\s*(?P<fortran>True|False)
        |shape['"]\s*:\s*\((?P<shape>[\d\sL,]*)\)
    )\s*,?""",
    re.VERBOSE,
)
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, struct.error,
    OverflowError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """What an array says it is; ``descr`` is its type as written (``<f4``, ``|O``), ``offset`` where its values begin."""

    name: str
    shape: tuple[int, ...]
    descr: str
    is_fortran: bool
    offset: int

    @property
    def is_numeric(self) -> bool:
        """Whether the values are real numbers or booleans."""
        return _NUMBER.fullmatch(self.descr) is not None

    @property
    def dtype(self) -> np.dtype:
        """Type of the values; ValueError where they are not numbers."""
        if not self.is_numeric:
            raise ValueError(f"{self.name}: expected numbers, found values of type {self.descr!r}")
        return np.dtype(self.descr)

    @property
    def value_bytes(self) -> int:
        """Bytes that the values take."""
        return prod(self.shape) * self.dtype.itemsize


class NpzArchive:
    """An open ``.npz``; every method raises ValueError or what zipfile raises, which ``open_npz`` turns into the project's errors."""

    def __init__(self, file: IO[bytes]) -> None:
        size = os.fstat(file.fileno()).st_size
        _check_directory(file, size)
        self._zip = zipfile.ZipFile(file)
        self._size = size
        self.names = [member.filename.removesuffix(".npy") for member in self._zip.infolist()]

    def read_header(self, name: str) -> ArrayHeader:
        """Read what an array is; that its values fit into the archive is checked, they are not read."""
        with self._open(name) as handle:
            header = _parse_header(handle, name)
        held = self._member(name).file_size - header.offset
        if header.is_numeric and header.value_bytes > held:
            shape = " × ".join(map(str, header.shape))
            raise ValueError(
                f"{name}: expected {header.value_bytes} bytes for {shape} values of type {header.descr!r}, found {held}"
            )
        return header

    def read_rest(self, header: ArrayHeader, max_bytes: int) -> bytes:
        """Bytes behind the header, at most so many."""
        with self._open(header.name) as handle:
            handle.read(header.offset)
            raw = handle.read(max_bytes + 1)
        if len(raw) > max_bytes:
            raise ValueError(f"{header.name}: expected at most {max_bytes} bytes, found more")
        return raw

    def read_blocks(
        self, header: ArrayHeader, rows: int, columns: int, block_rows: int
    ) -> Iterator[np.ndarray]:
        """Values as ``rows`` × ``columns``, ``block_rows`` at a time; an array in Fortran order is held whole."""
        dtype = header.dtype
        with self._open(header.name) as handle:
            handle.read(header.offset)
            if header.is_fortran and len(header.shape) > 1:
                values = np.frombuffer(_read_exactly(handle, header.value_bytes, header.name), dtype)
                yield values.reshape(header.shape, order="F").reshape(rows, columns)
            else:
                for start in range(0, rows, block_rows):
                    count = min(block_rows, rows - start)
                    raw = _read_exactly(handle, count * columns * dtype.itemsize, header.name)
                    yield np.frombuffer(raw, dtype).reshape(count, columns)
            handle.read(1)  # the checksum is compared at the end

    def _member(self, name: str) -> zipfile.ZipInfo:
        found = [member for member in self._zip.infolist() if member.filename.removesuffix(".npy") == name]
        if len(found) != 1:
            raise ValueError(
                f"expected one array {name!r}, found {len(found)} (arrays: {', '.join(self.names[:8]) or 'none'})"
            )
        return found[0]

    def _open(self, name: str) -> IO[bytes]:
        member = self._member(name)
        if member.flag_bits & 1:
            raise ValueError(f"{name} is encrypted; expected an archive without a password")
        if member.compress_type not in _METHODS:
            raise ValueError(
                f"{name} is compressed by zip method {member.compress_type}; expected {' or '.join(_METHODS.values())}, as numpy writes it"
            )
        ratio = _MAX_DEFLATE_RATIO if member.compress_type == zipfile.ZIP_DEFLATED else 1
        if member.compress_size > self._size or member.file_size > ratio * member.compress_size:
            raise ValueError(
                f"{name} states {member.file_size} bytes from {member.compress_size}, which no archive of {self._size} bytes holds"
            )
        return self._zip.open(member)


@contextmanager
def open_npz(path: str) -> Iterator[NpzArchive]:
    """Open an archive of arrays; MeasurementError names the file where anything of it is not as it should be."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("expected a file, found something else under its name")
            yield NpzArchive(file)
    except MeasurementError:
        raise
    except _ZIP_ERRORS as error:
        raise MeasurementError(
            f"{path}: expected an .npz of DeepProfiler, found one that cannot be read: {error}. Write it again with numpy.savez or savez_compressed: features of "
            "cells × dimensions, metadata a dictionary of text and numbers."
        ) from error


def _check_directory(file: IO[bytes], size: int) -> None:
    """Refuse a directory of more members than arrays need before zipfile builds it."""
    # 20: the locator of a ZIP64 end record stands in front (APPNOTE 4.3.15).
    start = max(0, size - _MAX_END_BYTES - 20)
    file.seek(start)
    tail = file.read(_MAX_END_BYTES + 20)
    at = len(tail) - _END.size
    at = at if tail[at : at + 4] == ZIP_END else tail.rfind(ZIP_END)
    if at < 0 or len(tail) - at < _END.size:
        raise ValueError("expected a zip archive, found none, or one that is cut off")
    if tail[max(0, at - 20) : at].startswith(ZIP64_END):
        raise ValueError("expected an archive below 4 GB, found one with a 64-bit directory")
    _, _, _, _, members, directory_bytes, _, _ = _END.unpack(tail[at : at + _END.size])
    if members > MAX_MEMBERS or directory_bytes > MAX_DIRECTORY_BYTES:
        raise ValueError(
            f"expected at most {MAX_MEMBERS} arrays, found {members} in a directory of {directory_bytes} bytes"
        )
    file.seek(0)


def _parse_header(handle: IO[bytes], name: str) -> ArrayHeader:
    start = handle.read(8)
    if len(start) < 8 or start[:6] != NUMPY_START or start[6] not in (1, 2, 3):
        raise ValueError(f"{name}: expected an array of numpy (format 1 to 3), found something else")
    size = struct.Struct("<H" if start[6] == 1 else "<I")
    (length,) = size.unpack(_read_exactly(handle, size.size, name))
    if length > MAX_HEADER_BYTES:
        raise ValueError(
            f"{name}: expected a header of at most {MAX_HEADER_BYTES} bytes, found one of {length}"
        )
    text = _read_exactly(handle, length, name).decode("latin-1").strip()
    parts: dict[str, str] = {}
    at = 1
    while text.startswith("{") and (match := _PARTS.match(text, at)):
        parts |= {key: value for key, value in match.groupdict().items() if value is not None}
        at = match.end()
        if "fields" in parts:
            raise ValueError(f"{name}: expected one number per value, found records of several fields")
    if parts.keys() != {"descr", "fortran", "shape"} or text[at:].strip() != "}":
        raise ValueError(f"{name}: expected a header of type, order and shape, found {text[:80]!r}")
    shape = tuple(int(part.strip().rstrip("L")) for part in parts["shape"].split(",") if part.strip())
    return ArrayHeader(name, shape, parts["descr"], parts["fortran"] == "True", 8 + size.size + length)


def _read_exactly(handle: IO[bytes], count: int, name: str) -> bytes:
    raw = handle.read(count)
    if len(raw) != count:
        raise ValueError(f"{name}: expected {count} more bytes, found {len(raw)}: the file is cut off")
    return raw
