"""The text in which ``chunk_index`` says how the bytes of a TIFF page become pixels, written and read.

Words joined by ``+``: compression, sample type, page size, then what is not usual, for example ``none+uint16+1080x1080``,
``lzw+uint16+2160x2160+predictor=2+rows=8+big`` or ``jpeg+uint8+4096x4096+tile=256x256+samples=3+photometric=6+jpegtables=812:289``.
Source of truth of the numbers: TIFF 6.0, sections 8, 14 (predictor), 15 (tiles), 19, 21, 22; TIFF Technical Note 2 (JPEGTables).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

COMPRESSIONS = {
    1: "none", 2: "ccitt-rle", 3: "ccitt-t4", 4: "ccitt-t6", 5: "lzw", 7: "jpeg", 6: "jpeg", 8: "deflate",
    32773: "packbits", 32946: "deflate", 34712: "jpeg2000", 33003: "jpeg2000", 33004: "jpeg2000", 33005: "jpeg2000",
    33007: "jpeg", 34887: "lerc", 34892: "jpeg", 34925: "lzma", 34933: "png", 34934: "jpegxr", 50000: "zstd",
    50001: "webp", 50002: "jpegxl", 52546: "jpegxl", 22610: "jpegxr",
}  # fmt: skip
"""Names of compressions; the first number of a name is the one that the name alone means."""

_USUAL: dict[str, int] = {}
for _code, _name in COMPRESSIONS.items():
    _USUAL.setdefault(_name, _code)

WHOLE_TIFF = 0
"""In the place of a compression: the chunk is a file, whose first page says itself how it is stored."""

# These give whole pixels, however they keep chroma inside.
PICTURE_COMPRESSIONS = frozenset({"jpeg", "jpeg2000", "jpegxr", "jpegxl", "webp", "png", "lerc"})
PNG_COMPRESSION = 34933
YCBCR = 6  # PhotometricInterpretation
_COMPLEX_INTEGERS = 5  # SampleFormat
_SIZE = re.compile(r"([0-9]{1,10})x([0-9]{1,10})")

ByteOrder = Literal["little", "big"]


def compression_name(code: int) -> str:
    """Name of a compression, ``tiff-<code>`` where it has none."""
    return "tiff" if code == WHOLE_TIFF else COMPRESSIONS.get(code, f"tiff-{code}")


@dataclass(frozen=True, slots=True)
class PageCodec:
    """What it takes to decode any tile or strip of a page.

    Parameters
    ----------
    compression
        Value of the TIFF tag.
    dtype
        numpy name of a sample, without byte order.
    height, width
        Pixels of the page.
    tile
        (height, width) of its tiles, None for strips.
    rows
        Rows of a strip, the height where the page is one strip.
    bits
        Bits of a stored sample.
    samples
        Per pixel; ``is_planar`` where each is stored by itself.
    photometric
        Colours, of those pages where decoding depends on it.
    subsampling
        Pixels down and across that share chroma samples.
    jpeg_tables
        (offset, size) in the file of the tables that its JPEGs share.
    """

    compression: int
    dtype: str
    height: int
    width: int
    tile: tuple[int, int] | None
    rows: int
    bits: int
    samples: int = 1
    is_planar: bool = False
    byte_order: ByteOrder = "little"
    predictor: int = 1
    fill_order: int = 1
    photometric: int = 1
    sample_format: int | None = None
    subsampling: tuple[int, int] = (1, 1)
    jpeg_tables: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """Name of the compression."""
        return compression_name(self.compression)

    @property
    def is_picture(self) -> bool:
        """Whether the compression is a picture format, which knows its own size."""
        return self.name in PICTURE_COMPRESSIONS


def natural_bits(dtype: str) -> int:
    """Bits of a sample type as memory has it; one of ``bool``, as TIFF packs it.

    >>> natural_bits("uint16"), natural_bits("bool")
    (16, 1)
    """
    return 1 if dtype == "bool" else int(dtype.lstrip("abcdefghijklmnopqrstuvwxyz"))


def write_page_codec(codec: PageCodec) -> str:
    """Text of a page's decoding, without its JPEG tables, which differ from page to page."""
    name = codec.name
    words = [name, codec.dtype, f"{codec.height}x{codec.width}"]
    if codec.tile is not None:
        words.append("tile={}x{}".format(*codec.tile))
    elif codec.rows != codec.height:
        words.append(f"rows={codec.rows}")
    if _USUAL.get(name, codec.compression) != codec.compression:
        words.append(f"code={codec.compression}")
    if codec.bits != natural_bits(codec.dtype):
        words.append(f"bits={codec.bits}")
    if codec.samples != 1:
        words.append(f"samples={codec.samples}")
    if codec.is_planar:
        words.append("planar")
    if codec.predictor != 1:
        words.append(f"predictor={codec.predictor}")
    if codec.fill_order != 1:
        words.append(f"fillorder={codec.fill_order}")
    if codec.photometric > 1 and (codec.is_picture or codec.photometric == YCBCR):
        words.append(f"photometric={codec.photometric}")
    if codec.sample_format == _COMPLEX_INTEGERS:
        words.append(f"sampleformat={_COMPLEX_INTEGERS}")
    if codec.subsampling != (1, 1):
        words.append("chroma={}x{}".format(*codec.subsampling))
    if codec.byte_order == "big":
        words.append("big")
    return "+".join(words)


@lru_cache(maxsize=4096)
def read_page_codec(text: str) -> PageCodec | None:
    """Decoding of a page from its text, None where it is not one of a TIFF page."""
    name, _, rest = text.partition("+")
    words = rest.split("+")
    size = _SIZE.fullmatch(words[1]) if len(words) > 1 else None
    if size is None:
        return None
    facts = dict(word.partition("=")[::2] for word in words[2:])
    height, width = int(size[1]), int(size[2])
    try:
        code = int(facts.get("code") or _USUAL.get(name) or name.removeprefix("tiff-"))
        tile, chroma = _pair(facts.get("tile")), _pair(facts.get("chroma"))
        return PageCodec(
            compression=code, dtype=words[0], height=height, width=width, tile=tile, rows=int(facts.get("rows", height)),
            bits=int(facts.get("bits", natural_bits(words[0]))), samples=int(facts.get("samples", 1)), is_planar="planar" in facts,
            byte_order="big" if "big" in facts else "little", predictor=int(facts.get("predictor", 1)),
            fill_order=int(facts.get("fillorder", 1)), photometric=int(facts.get("photometric", 1)),
            sample_format=_COMPLEX_INTEGERS if "sampleformat" in facts else None, subsampling=chroma or (1, 1),
            jpeg_tables=_tables(facts.get("jpegtables")),
        )  # fmt: skip
    except ValueError:
        return None


def _pair(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, second = text.split("x")
    return int(first), int(second)


def _tables(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    offset, size = text.split(":")
    return int(offset), int(size)
