"""Reads the header of a PNG file: size, bits and samples. Nothing else of the file is read.

Source of truth: PNG specification, third edition, sections 5.2 (signature) and 11.2.1 (IHDR), https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.model.file_kinds import describe_start

HEADER_BYTES = 33  # signature, then the chunk IHDR: length, type, 13 bytes, CRC
END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk of every PNG
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_SIDE = 2**31 - 1
_SAMPLES = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type: grey, RGB, grey and alpha, RGB and alpha
_PALETTE = 3
_MAX_DEFLATE = 1_040  # deflate packs 1,032 times at best


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What the pixels of a PNG are; ``samples`` per pixel."""

    width: int
    height: int
    bits: int
    samples: int

    @property
    def dtype(self) -> str:
        """Name of the type of one sample."""
        return f"uint{self.bits}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns, then the samples of a pixel where it has several."""
        return (self.height, self.width) if self.samples == 1 else (self.height, self.width, self.samples)

    @property
    def nominal_bytes(self) -> int:
        """Bytes of the decoded pixels."""
        return self.height * self.width * self.samples * self.bits // 8


def read_header(raw: bytes, where: str, file_bytes: int) -> PngHeader:
    """Read the first ``HEADER_BYTES`` of a file.

    Raises
    ------
    CorruptStoreError
        It is no PNG, its header is broken, or it promises more pixels than a file of ``file_bytes`` can hold.
    UnsupportedStoreError
        Its values are indexes of a palette, or have fewer than 8 bits: no intensities.
    """
    if not raw:
        raise CorruptStoreError(f"{where}: the file is empty.")
    if not raw.startswith(_SIGNATURE):
        found = describe_start(raw) or f"bytes {raw[:8].hex(' ')}"
        raise CorruptStoreError(f"{where}: not a PNG file, found {found}.")
    if len(raw) < HEADER_BYTES or raw[8:16] != b"\0\0\0\x0dIHDR":
        raise CorruptStoreError(f"{where}: the PNG ends before its header, or does not begin with one.")
    if zlib.crc32(raw[12:29]) != int.from_bytes(raw[29:33], "big"):
        raise CorruptStoreError(f"{where}: the header of the PNG does not fit its checksum.")
    width, height, bits, colour, packing, row_filter, interlace = struct.unpack(">IIBBBBB", raw[16:29])
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE) or packing or row_filter or interlace > 1:
        raise CorruptStoreError(f"{where}: the header of the PNG holds values that no PNG has.")
    if colour == _PALETTE or (colour == 0 and bits in (1, 2, 4)):
        kind = "indexes of a palette" if colour == _PALETTE else f"values of {bits} bits"
        raise UnsupportedStoreError(
            f"{where}: the PNG holds {kind}, no intensities. Write the image as grey or RGB of 8 or 16 bits."
        )
    if colour not in _SAMPLES or bits not in (8, 16):
        raise CorruptStoreError(
            f"{where}: the PNG has colour type {colour} with {bits} bits, which no PNG has."
        )
    header = PngHeader(width, height, bits, _SAMPLES[colour])
    if header.nominal_bytes > _MAX_DEFLATE * file_bytes:
        raise CorruptStoreError(
            f"{where}: the PNG promises {header.nominal_bytes:,} bytes of pixels, more than its {file_bytes:,} bytes can hold."
        )
    return header
