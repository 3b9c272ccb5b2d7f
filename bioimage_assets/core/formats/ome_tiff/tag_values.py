"""Values of TIFF tags: integers, rationals and text, read inside the file and under caps.

Source of truth: TIFF 6.0 section 2 (field types, values of four bytes or less stand in the entry itself).
"""

from __future__ import annotations

import struct

import numpy as np

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_tiff.byte_source import ByteSource
from bioimage_assets.core.formats.ome_tiff.ifds import SUB_IFDS, TYPE_BYTES, Ifd, Tag, TiffHeader

# TIFF 6.0 section 2, page 15; BigTIFF 16 to 18.
_NUMPY_TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}


def read_integers(source: ByteSource, header: TiffHeader, tag: Tag) -> np.ndarray:
    """Values of an integer tag as int64; CorruptStoreError where they do not fit the file or int64."""
    kind = _NUMPY_TYPES.get(tag.field_type)
    if kind is None:
        raise CorruptStoreError(
            f"{source.name}: a tag that must hold integers has field type {tag.field_type}."
        )
    raw = source.read(tag.offset, tag.value_count * TYPE_BYTES[tag.field_type])
    values = np.frombuffer(raw, dtype=header.order + kind)
    # numpy would turn larger ones into negative numbers without a word.
    if kind == "u8" and values.size and int(values.max()) > 2**63 - 1:
        raise CorruptStoreError(f"{source.name}: an offset or count of a tag is beyond 2^63.")
    return values.astype(np.int64)


_SIGNED = {6: 8, 8: 16, 9: 32, 17: 64}


def read_integer(source: ByteSource, header: TiffHeader, ifd: Ifd, code: int, default: int = 0) -> int:
    """First value of an integer tag, the default where the tag is absent."""
    number = ifd.layout.positions.get(code)
    if number is None:
        return default
    kind, values, raw = ifd.fields[4 * number + 1 : 4 * number + 4]
    if values == 0:
        return default
    if kind not in _NUMPY_TYPES:
        raise CorruptStoreError(f"{source.name}: tag {code} must hold integers, found field type {kind}.")
    size, space = TYPE_BYTES[kind], 8 if header.is_big else 4
    if size * values > space:
        raw = int.from_bytes(source.read(raw, size), "little" if header.order == "<" else "big")
    elif header.order == ">":
        # Values shorter than the field stand at its left, so in big-endian files in its high bytes.
        raw >>= 8 * (space - size)
    else:
        raw &= (1 << 8 * size) - 1
    bits = _SIGNED.get(kind)
    return raw - (1 << bits) if bits is not None and raw >> (bits - 1) else raw


def read_rational(source: ByteSource, header: TiffHeader, ifd: Ifd, code: int) -> float | None:
    """First value of a RATIONAL tag, None where absent, of another type or divided by zero."""
    tag = ifd.tag(code)
    # RATIONAL, of two LONGs.
    if tag is None or tag.field_type != 5:
        return None
    numerator, denominator = struct.unpack(header.order + "II", source.read(tag.offset, 8))
    return float(numerator) / float(denominator) if denominator else None


def read_float(source: ByteSource, header: TiffHeader, ifd: Ifd, code: int) -> float | None:
    """First value of a FLOAT tag, None where absent or of another type."""
    tag = ifd.tag(code)
    if tag is None or tag.field_type != 11:
        return None
    return float(struct.unpack(header.order + "f", source.read(tag.offset, 4))[0])


def read_text_bytes(source: ByteSource, ifd: Ifd, code: int) -> bytes:
    """Raw bytes of a text tag without its final NULs, empty where the tag is absent or no text."""
    tag = ifd.tag(code)
    # BYTE, ASCII, UNDEFINED: writers use all three for text.
    if tag is None or tag.field_type not in (1, 2, 7):
        return b""
    return source.read(tag.offset, tag.value_count).rstrip(b"\0")


def list_sub_ifd_offsets(source: ByteSource, header: TiffHeader, ifd: Ifd, most: int) -> list[int]:
    """Offsets of the first reduced copies of a page, empty where it has none."""
    tag = ifd.tag(SUB_IFDS)
    if tag is None:
        return []
    offsets: list[int] = read_integers(
        source, header, tag._replace(value_count=min(tag.value_count, most))
    ).tolist()
    return offsets
