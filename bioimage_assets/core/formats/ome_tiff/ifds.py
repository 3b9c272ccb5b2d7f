"""Image file directories: the bytes of a TIFF or BigTIFF become tags, under caps.

Source of truth: TIFF 6.0 (Adobe, 1992) section 2; BigTIFF (https://www.awaresystems.be/imaging/tiff/bigtiff.html);
SubIFDs: TIFF Technical Note 1. tifffile is the independent reader that the tests compare with; it is not used
here since it has no caps on directories and counts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.byte_source import ByteSource

MAX_IFDS = 250_000
MAX_TAGS_PER_IFD = 4_096
MAX_TAGS_PER_FILE = 8_000_000

IFD_NEW_SUBFILE_TYPE = 254
IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION = 256, 257, 258, 259
IMAGE_DESCRIPTION, STRIP_OFFSETS, SAMPLES_PER_PIXEL, ROWS_PER_STRIP = 270, 273, 277, 278
STRIP_BYTE_COUNTS, X_RESOLUTION, Y_RESOLUTION, PLANAR_CONFIGURATION = 279, 282, 283, 284
RESOLUTION_UNIT, PREDICTOR, TILE_WIDTH, TILE_LENGTH = 296, 317, 322, 323
TILE_OFFSETS, TILE_BYTE_COUNTS, SUB_IFDS, SAMPLE_FORMAT = 324, 325, 330, 339

_WANTED = frozenset(
    {
        IFD_NEW_SUBFILE_TYPE, IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, IMAGE_DESCRIPTION, STRIP_OFFSETS,
        SAMPLES_PER_PIXEL, ROWS_PER_STRIP, STRIP_BYTE_COUNTS, X_RESOLUTION, Y_RESOLUTION, PLANAR_CONFIGURATION,
        RESOLUTION_UNIT, PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTE_COUNTS, SUB_IFDS, SAMPLE_FORMAT,
    }
)  # fmt: skip

# Field types: TIFF 6.0 section 2, page 15; 13 = IFD; 16-18 = BigTIFF LONG8, SLONG8, IFD8.
_NUMPY_TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_TYPE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}

_KNOWN_STARTS = (
    (b"version https://git-lfs", "a git-lfs pointer, the image itself was not downloaded"),
    (b"/annex/objects", "a git-annex pointer, the image itself was not downloaded"),
    (b"\x00\x05\x16\x07", "an AppleDouble resource file of macOS"),
    (b"<!DOCTYPE", "an HTML page, probably the error page of a download"),
    (b"<html", "an HTML page, probably the error page of a download"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"PK\x03\x04", "a zip archive"),
)


@dataclass(frozen=True, slots=True)
class TiffHeader:
    """Byte order and flavour of a TIFF. ``order`` is the struct prefix, ``<`` or ``>``."""

    order: str
    is_big: bool
    first_ifd_offset: int


class Tag(NamedTuple):
    """One directory entry: its values lie at ``offset`` (inside the entry itself when small).

    ``raw`` is the entry's value field as stored; equal type, count and raw mean equal values when small.
    """

    field_type: int
    value_count: int
    offset: int
    raw: int


@dataclass(frozen=True, slots=True)
class Ifd:
    """One image file directory with the tags this project needs."""

    offset: int
    next_offset: int
    tags: dict[int, Tag]


@dataclass(slots=True)
class IfdBudget:
    """What may still be read of one file; shared by its main chain and its SubIFDs."""

    ifds: int = MAX_IFDS
    tags: int = MAX_TAGS_PER_FILE
    seen_offsets: set[int] = field(default_factory=set)


def read_tiff_header(source: ByteSource) -> TiffHeader:
    """Read the first 8 or 16 bytes; UnsupportedStoreError names what the file is instead."""
    if source.size_bytes < 8:
        found = "it is empty" if source.size_bytes == 0 else f"it has only {source.size_bytes} bytes"
        raise UnsupportedStoreError(f"{source.name}: expected a TIFF, found that {found}.")
    start = source.read(0, min(16, source.size_bytes))
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    version = struct.unpack(f"{order}H", start[2:4])[0] if order else 0
    if order and version == 42:
        return TiffHeader(order, False, struct.unpack(f"{order}I", start[4:8])[0])
    if order and version == 43 and len(start) == 16:
        offset_bytes, zero, first = struct.unpack(f"{order}HHQ", start[4:16])
        if offset_bytes == 8 and zero == 0:
            return TiffHeader(order, True, first)
    raise UnsupportedStoreError(f"{source.name}: expected a TIFF, found {_describe_start(source, start)}.")


def _describe_start(source: ByteSource, start: bytes) -> str:
    longer = source.read(0, min(64, source.size_bytes))
    for known, meaning in _KNOWN_STARTS:
        if longer.lstrip().startswith(known):
            return meaning
    return f"a file that starts with {start[:8]!r}"


def read_ifd(source: ByteSource, header: TiffHeader, offset: int, budget: IfdBudget) -> Ifd:
    """Read one directory in one or two reads; CorruptStoreError where it is broken or the budget is spent."""
    order = header.order
    head_bytes, entry_bytes, link_bytes = (8, 20, 8) if header.is_big else (2, 12, 4)
    count = int(struct.unpack(order + ("Q" if header.is_big else "H"), source.read(offset, head_bytes))[0])
    if count == 0 or count > MAX_TAGS_PER_IFD or count > budget.tags or budget.ifds <= 0:
        raise CorruptStoreError(
            f"{source.name}: the directory at offset {offset} claims {count} tags; "
            f"1 to {MAX_TAGS_PER_IFD} per directory, {MAX_IFDS} directories and {MAX_TAGS_PER_FILE} tags per file are read."
        )
    budget.tags -= count
    budget.ifds -= 1
    start = offset + head_bytes
    try:
        raw = source.read(start, count * entry_bytes + link_bytes)
        link = int(struct.unpack_from(order + ("Q" if header.is_big else "I"), raw, count * entry_bytes)[0])
    except (
        CorruptStoreError
    ):  # some writers leave out the link of the last directory at the very end of the file
        raw = source.read(start, count * entry_bytes)
        link = 0
    fields = struct.unpack_from(order + ("HHQQ" if header.is_big else "HHII") * count, raw)
    inline_bytes, value_at = (8, 12) if header.is_big else (4, 8)
    tags: dict[int, Tag] = {}
    for index, code in enumerate(fields[0::4]):
        if code not in _WANTED:
            continue
        kind, values, pointer = fields[4 * index + 1], fields[4 * index + 2], fields[4 * index + 3]
        size = _TYPE_BYTES.get(kind)
        if size is None or values == 0:
            continue
        inline = size * values <= inline_bytes
        tags[code] = Tag(kind, values, start + index * entry_bytes + value_at if inline else pointer, pointer)
    return Ifd(offset, link, tags)


def read_ifd_chain(
    source: ByteSource, header: TiffHeader, budget: IfdBudget
) -> tuple[list[Ifd], list[Finding]]:
    """Follow the main chain; a loop or a broken link ends it with a finding, a broken first directory raises."""
    ifds: list[Ifd] = []
    offset = header.first_ifd_offset
    while offset:
        problem = None
        if offset in budget.seen_offsets:
            problem = ("ifd-loop", f"the directory chain returns to offset {offset}")
        else:
            budget.seen_offsets.add(offset)
            try:
                ifds.append(read_ifd(source, header, offset, budget))
            except CorruptStoreError as error:
                problem = ("ifd-chain-broken", str(error))
        if problem is not None:
            if not ifds:
                raise CorruptStoreError(f"{source.name}: no readable image directory: {problem[1]}")
            code, text = problem
            return ifds, [
                Finding(code, "error", f"ifd {len(ifds)}", f"Reading stopped after {len(ifds)} pages: {text}")
            ]
        offset = ifds[-1].next_offset
    if not ifds:
        raise CorruptStoreError(f"{source.name}: the TIFF header points at no image directory.")
    return ifds, []


def read_integers(source: ByteSource, header: TiffHeader, tag: Tag) -> np.ndarray:
    """Values of an integer tag as int64; CorruptStoreError where they do not fit the file or int64."""
    kind = _NUMPY_TYPES.get(tag.field_type)
    if kind is None:
        raise CorruptStoreError(
            f"{source.name}: a tag that must hold integers has field type {tag.field_type}."
        )
    raw = source.read(tag.offset, tag.value_count * _TYPE_BYTES[tag.field_type])
    values = np.frombuffer(raw, dtype=header.order + kind)
    if kind == "u8" and values.size and int(values.max()) > 2**63 - 1:
        raise CorruptStoreError(f"{source.name}: an offset or count of a tag is beyond 2^63.")
    return values.astype(np.int64)


_SCALARS = {
    (order, kind): struct.Struct(order + code)
    for order in "<>"
    for kind, code in (
        (1, "B"),
        (3, "H"),
        (4, "I"),
        (6, "b"),
        (8, "h"),
        (9, "i"),
        (13, "I"),
        (16, "Q"),
        (17, "q"),
        (18, "Q"),
    )
}


def read_integer(source: ByteSource, header: TiffHeader, ifd: Ifd, code: int, default: int = 0) -> int:
    """First value of an integer tag, the default where the tag is absent."""
    tag = ifd.tags.get(code)
    if tag is None:
        return default
    scalar = _SCALARS.get((header.order, tag.field_type))
    if scalar is None:
        raise CorruptStoreError(
            f"{source.name}: tag {code} must hold integers, found field type {tag.field_type}."
        )
    return int(scalar.unpack(source.read(tag.offset, scalar.size))[0])


def read_rational(source: ByteSource, header: TiffHeader, ifd: Ifd, code: int) -> float | None:
    """First value of a RATIONAL tag, None where absent, of another type or divided by zero."""
    tag = ifd.tags.get(code)
    if tag is None or tag.field_type != 5:
        return None
    numerator, denominator = struct.unpack(header.order + "II", source.read(tag.offset, 8))
    return float(numerator) / float(denominator) if denominator else None


def read_text_bytes(source: ByteSource, ifd: Ifd, code: int) -> bytes:
    """Raw bytes of a text tag without its final NULs, empty where the tag is absent or no text."""
    tag = ifd.tags.get(code)
    if tag is None or tag.field_type not in (1, 2, 7):
        return b""
    return source.read(tag.offset, tag.value_count).rstrip(b"\0")


def list_sub_ifd_offsets(source: ByteSource, header: TiffHeader, ifd: Ifd) -> Iterable[int]:
    """Offsets of the reduced copies of a page, empty where it has none."""
    tag = ifd.tags.get(SUB_IFDS)
    return [] if tag is None else [int(value) for value in read_integers(source, header, tag)]
