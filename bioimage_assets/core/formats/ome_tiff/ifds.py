"""Parse the image file directories of a TIFF or BigTIFF into tags, under caps.

Source of truth: TIFF 6.0 (Adobe, 1992) section 2; BigTIFF (https://www.awaresystems.be/imaging/tiff/bigtiff.html);
SubIFDs: TIFF Technical Note 1. tifffile is the independent reader that the tests compare with; it is not used
here since it has no caps on directories and counts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.byte_source import ByteSource
from bioimage_assets.core.model.file_kinds import describe_start

MAX_IFDS = 100_000  # a time series of 100,000 planes in one file; longer chains are loops or hostile
MAX_TAGS_PER_IFD = 4_096  # writers use twenty to two hundred; the field itself is 16 bits, in BigTIFF 64
MAX_TAGS_PER_FILE = 4_000_000  # some hundred MB of Python objects at most

IFD_NEW_SUBFILE_TYPE = 254  # tag numbers of TIFF 6.0, section 8 and 15; 330 and above of the supplements
IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION = 256, 257, 258, 259
PHOTOMETRIC, FILL_ORDER, IMAGE_DESCRIPTION, STRIP_OFFSETS = 262, 266, 270, 273
SAMPLES_PER_PIXEL, ROWS_PER_STRIP = 277, 278
STRIP_BYTE_COUNTS, X_RESOLUTION, Y_RESOLUTION, PLANAR_CONFIGURATION = 279, 282, 283, 284
RESOLUTION_UNIT, PREDICTOR, TILE_WIDTH, TILE_LENGTH = 296, 317, 322, 323
TILE_OFFSETS, TILE_BYTE_COUNTS, SUB_IFDS, SAMPLE_FORMAT = 324, 325, 330, 339
JPEG_TABLES, YCBCR_SUBSAMPLING = 347, 530  # Technical Note 2; section 21
SOFTWARE = 305
# Tags of vendors. MetaMorph: one value per plane each; Zeiss: CZ_LSMINFO; Opera: an XML document; Hamamatsu: FormatFlag,
# SourceLens (magnification, below 0 for other pictures).
UIC1, UIC2, UIC3, UIC4 = 33628, 33629, 33630, 33631
CZ_LSMINFO, FLEX_XML, NDPI_FORMAT, NDPI_SOURCE_LENS = 34412, 65200, 65420, 65421
MICRO_MANAGER = 51123  # JSON of one plane
# Whose metadata say what the pages are, and are not read here.
FOREIGN_TAGS = {
    34361: "Olympus FluoView", 33560: "Olympus SIS", 43314: "NIH Image", 37706: "TVIPS", 34682: "FEI", 34118: "Zeiss SEM",
    50288: "Media Cybernetics", 4864: "Andor", 65006: "EER",
}  # fmt: skip
IMAGE_DEPTH = 32997  # SGI: one page holds a whole volume

_WANTED = frozenset(
    {
        IFD_NEW_SUBFILE_TYPE, IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, IMAGE_DESCRIPTION, STRIP_OFFSETS,
        SAMPLES_PER_PIXEL, ROWS_PER_STRIP, STRIP_BYTE_COUNTS, X_RESOLUTION, Y_RESOLUTION, PLANAR_CONFIGURATION,
        RESOLUTION_UNIT, PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTE_COUNTS, SUB_IFDS, SAMPLE_FORMAT,
        PHOTOMETRIC, FILL_ORDER, JPEG_TABLES, YCBCR_SUBSAMPLING, IMAGE_DEPTH, SOFTWARE, UIC1, UIC2, UIC3, UIC4, CZ_LSMINFO, FLEX_XML, NDPI_FORMAT,
        NDPI_SOURCE_LENS, MICRO_MANAGER, *FOREIGN_TAGS,
    }
)  # fmt: skip

GEOMETRY_TAGS = (
    IFD_NEW_SUBFILE_TYPE, IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, SAMPLES_PER_PIXEL, ROWS_PER_STRIP,
    PLANAR_CONFIGURATION, TILE_WIDTH, TILE_LENGTH, SAMPLE_FORMAT, PHOTOMETRIC, YCBCR_SUBSAMPLING, IMAGE_DEPTH, PREDICTOR,
    FILL_ORDER,
)  # fmt: skip

# Field types: TIFF 6.0 section 2, page 15; 13 = IFD; 16-18 = BigTIFF LONG8, SLONG8, IFD8.
TYPE_BYTES = {
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


class TiffHeader(NamedTuple):
    """Byte order and flavour of a TIFF. ``order`` is the struct prefix, ``<`` or ``>``."""

    order: str
    is_big: bool
    first_ifd_offset: int


class Tag(NamedTuple):
    """One directory entry: its values lie at ``offset`` (inside the entry itself when small).

    ``raw`` is the entry's value field as stored.
    """

    field_type: int
    value_count: int
    offset: int
    raw: int


class GeometryKinds:
    """Tags that decide a page's geometry with their types; one object each, whose digest takes no time."""

    __slots__ = ("types",)

    def __init__(self, types: tuple[tuple[int, int], ...]) -> None:
        self.types = types


_find_kinds = lru_cache(maxsize=512)(GeometryKinds)


class IfdLayout:
    """Which tags a directory has, and where; pages of one writer share a layout.

    ``geometry`` picks the counts and raw values that decide a page's geometry, ``kinds`` says of which tags.
    """

    __slots__ = ("geometry", "kinds", "positions", "strip", "strip_kind")

    def __init__(self, codes: tuple[int, ...], types: tuple[int, ...]) -> None:
        self.positions = {
            code: number
            for number, (code, kind) in enumerate(zip(codes, types, strict=True))
            if code in _WANTED and kind in TYPE_BYTES
        }
        known = [code for code in GEOMETRY_TAGS if code in self.positions]
        picked = [4 * self.positions[code] + part for code in known for part in (2, 3)]
        self.geometry: Callable[[tuple[int, ...]], object] = itemgetter(*picked) if picked else tuple
        self.kinds = _find_kinds(tuple((code, types[self.positions[code]]) for code in known))
        strip = [self.positions.get(code, -1) for code in (STRIP_OFFSETS, STRIP_BYTE_COUNTS)]
        kinds = {types[number] for number in strip if number >= 0}
        is_plain = min(strip) >= 0 and TILE_OFFSETS not in self.positions and kinds in ({4}, {16})
        # Values of LONG fill the value field of a TIFF, those of LONG8 that of a BigTIFF: no shifting is needed.
        self.strip_kind = kinds.pop() if is_plain else 0
        self.strip = itemgetter(*(4 * number + part for part in (2, 3) for number in strip))


_CACHED_TAGS = 64  # directories as writers make them have fewer tags; larger ones are not worth the memory


@lru_cache(maxsize=512)
def _find_layout(codes: tuple[int, ...], types: tuple[int, ...]) -> IfdLayout:
    return IfdLayout(codes, types)


class Ifd(NamedTuple):
    """One image file directory. ``fields`` is code, type, count and raw value of each entry, one after another."""

    offset: int
    next_offset: int
    layout: IfdLayout
    fields: tuple[int, ...]
    entries_offset: int
    is_big: bool

    def tag(self, code: int) -> Tag | None:
        """Give one entry; None where it is absent, empty or of an unknown type."""
        number = self.layout.positions.get(code)
        if number is None:
            return None
        kind, values, raw = self.fields[4 * number + 1 : 4 * number + 4]
        if values == 0:
            return None
        # Bytes of an entry, where its value begins, and how many bytes of value fit into it (TIFF 6.0 p. 14,
        # BigTIFF).
        entry_bytes, value_at, inline_bytes = (20, 12, 8) if self.is_big else (12, 8, 4)
        is_inline = TYPE_BYTES[kind] * values <= inline_bytes
        return Tag(
            kind, values, self.entries_offset + number * entry_bytes + value_at if is_inline else raw, raw
        )

    def value_count(self, code: int) -> int:
        """Number of values of an entry, 0 where it is absent."""
        number = self.layout.positions.get(code)
        return 0 if number is None else self.fields[4 * number + 2]

    def single_strip(self) -> tuple[int, int] | None:
        """Offset and size of the page's only strip, None where it has several or stores them another way."""
        if self.layout.strip_kind != (16 if self.is_big else 4):
            return None
        offsets, sizes, offset, size = self.layout.strip(self.fields)
        return (offset, size) if offsets == 1 == sizes else None

    @property
    def has_inline_geometry(self) -> bool:
        """Whether every tag that decides the geometry holds its one value itself."""
        is_small = all(TYPE_BYTES[kind] <= (8 if self.is_big else 4) for _, kind in self.layout.kinds.types)
        return is_small and all(self.value_count(code) == 1 for code, _ in self.layout.kinds.types)

    @property
    def geometry_signature(self) -> tuple[object, object]:
        """Equal for pages of one file whose geometry is equal (large values may hide it, then pages differ)."""
        return self.layout.kinds, self.layout.geometry(self.fields)


@dataclass(slots=True)
class IfdBudget:
    """What may still be read of one file; shared by its main chain and its SubIFDs."""

    ifds: int = MAX_IFDS
    tags: int = MAX_TAGS_PER_FILE
    seen_offsets: set[int] = field(default_factory=set)


# Byte order, then 42 (TIFF 6.0 p. 13) or 43 (BigTIFF).
_FLAVOURS = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}


def read_tiff_header(source: ByteSource) -> TiffHeader:
    """Read the first 8 or 16 bytes; UnsupportedStoreError names what the file is instead."""
    if source.size_bytes < 8:
        found = "it is empty" if source.size_bytes == 0 else f"it has only {source.size_bytes} bytes"
        raise UnsupportedStoreError(f"{source.name}: expected a TIFF, found that {found}.")
    start = source.read(0, min(16, source.size_bytes))
    order, is_big = _FLAVOURS.get(start[:4], ("", False))
    if order and not is_big:
        return TiffHeader(order, False, int.from_bytes(start[4:8], "little" if order == "<" else "big"))
    if order and len(start) == 16:
        offset_bytes, zero, first = struct.unpack(f"{order}HHQ", start[4:16])
        if offset_bytes == 8 and zero == 0:
            return TiffHeader(order, True, first)
    raise UnsupportedStoreError(f"{source.name}: expected a TIFF, found {_describe_start(source, start)}.")


def _describe_start(source: ByteSource, start: bytes) -> str:
    longer = source.read(0, min(64, source.size_bytes))
    return describe_start(longer.lstrip()) or f"a file that starts with {start[:8]!r}"


# How the number of entries and the offset of the next directory are written.
_COUNTS_AND_LINKS = {
    (order, is_big): (
        struct.Struct(order + ("Q" if is_big else "H")), struct.Struct(order + ("Q" if is_big else "I")),
    )
    for order in "<>"
    for is_big in (False, True)
}  # fmt: skip


@lru_cache(maxsize=256)
def _entries_struct(order: str, is_big: bool, count: int) -> struct.Struct:
    return struct.Struct(order + ("HHQQ" if is_big else "HHII") * count)


def read_ifd(source: ByteSource, header: TiffHeader, offset: int, budget: IfdBudget) -> Ifd:
    """Read one directory in one or two reads; CorruptStoreError where it is broken or the budget is spent."""
    order, is_big = header.order, header.is_big
    # Bytes of the number of entries, of an entry, and of the offset of the next directory.
    head_bytes, entry_bytes, link_bytes = (8, 20, 8) if is_big else (2, 12, 4)
    counts, links = _COUNTS_AND_LINKS[order, is_big]
    block, at = source.view(offset, head_bytes)
    count: int = counts.unpack_from(block, at)[0]
    if count == 0 or count > MAX_TAGS_PER_IFD or count > budget.tags or budget.ifds <= 0:
        raise CorruptStoreError(
            f"{source.name}: the directory at offset {offset} claims {count} tags; "
            f"1 to {MAX_TAGS_PER_IFD} per directory, {MAX_IFDS} directories and {MAX_TAGS_PER_FILE} tags per file are read."
        )
    budget.tags -= count
    budget.ifds -= 1
    start, size = offset + head_bytes, count * entry_bytes
    at += head_bytes
    link = 0
    if at + size + link_bytes <= len(block):
        link = links.unpack_from(block, at + size)[0]
    elif start + size + link_bytes <= source.size_bytes:
        block, at = source.view(start, size + link_bytes)
        link = links.unpack_from(block, at + size)[0]
    else:  # some writers leave out the link of the last directory at the very end of the file
        block, at = source.view(start, size)
    entries = _entries_struct if count <= _CACHED_TAGS else _entries_struct.__wrapped__
    fields = entries(order, is_big, count).unpack_from(block, at)
    find = _find_layout if count <= _CACHED_TAGS else IfdLayout
    return Ifd(offset, link, find(fields[0::4], fields[1::4]), fields, start, is_big)


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
