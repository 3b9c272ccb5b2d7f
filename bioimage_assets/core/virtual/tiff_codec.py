"""Decodes one tile or strip of a TIFF (or one PNG, or a TIFF of one page) into the pixels of one chunk.

Source of truth: TIFF 6.0 and what tifffile decodes. tifffile is shown a file that has no data but the tags of one chunk, so that
predictors, packed bits, fill order, colour spaces and shared JPEG tables are handled by the same code that reads whole files.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
import tifffile

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.extras import say_install
from bioimage_assets.core.formats.ome_tiff import ifds as tags
from bioimage_assets.core.formats.ome_tiff.page_codec import (
    WHOLE_TIFF,
    ByteOrder,
    PageCodec,
    compression_name,
    natural_bits,
)
from bioimage_assets.core.pixels.tiff_planes import Pixels
from bioimage_assets.core.stores.pixel_store import open_tiff_header

CODEC_NAME = "bioimage_assets.tiff"
MAX_CHUNK_BYTES = 2**32  # as written by no writer; a document may say anything
_EXTRA_SAMPLES = 338
_NATURAL_SAMPLES = {2: 3, 6: 3, 8: 3, 5: 4}  # of RGB, YCbCr, CIELab and CMYK; others have one
_RGB, _JPEGS = 2, frozenset({6, 7, 33007, 34892})
_JFIF_AT = 6  # where a JPEG has the word, after its first marker


@dataclass(frozen=True, slots=True)
class TiffDecoding:
    """What it takes to decode any chunk of an array.

    Parameters
    ----------
    compression, dtype, bits, byte_order, predictor, fill_order, photometric, sample_format, subsampling
        As in ``PageCodec``; of a ``WHOLE_TIFF`` the file says them all.
    chunk
        (height, width) of a whole chunk.
    edge
        (height, width) of the last ones, which may be stored shorter; equal to ``chunk`` where they are stored whole.
    samples
        Per pixel of what one chunk holds: one where each sample is stored by itself.
    is_tiled
        Whether the chunk is a tile or a picture, which has exactly its own size; strips may be stored with rows to spare.
    jpeg_tables
        Tables that the JPEGs share; empty where there are none.
    """

    compression: int
    dtype: str
    chunk: tuple[int, int]
    edge: tuple[int, int]
    bits: int
    samples: int = 1
    is_tiled: bool = False
    byte_order: ByteOrder = "little"
    predictor: int = 1
    fill_order: int = 1
    photometric: int = 1
    sample_format: int | None = None
    subsampling: tuple[int, int] = (1, 1)
    jpeg_tables: bytes = b""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(samples, height, width) of a decoded chunk."""
        return self.samples, *self.chunk


def build_decoding(page: PageCodec, jpeg_tables: bytes = b"") -> TiffDecoding:
    """Decoding of the chunks of a page, a chunk being a tile or a strip."""
    height, width = chunk = page.tile or (min(page.rows, page.height), page.width)
    edge = (page.height % height or height, page.width % width or width)
    return TiffDecoding(
        page.compression, page.dtype, chunk, edge, page.bits, 1 if page.is_planar else page.samples, page.tile is not None or page.is_picture,
        page.byte_order, page.predictor, page.fill_order, 1 if page.is_planar and page.photometric == _RGB else page.photometric,
        page.sample_format, page.subsampling, jpeg_tables,
    )  # fmt: skip


def write_configuration(decoding: TiffDecoding) -> dict[str, object]:
    """JSON configuration of the codec; what is usual is left out."""
    found: dict[str, object] = {
        "compression": decoding.compression, "dtype": decoding.dtype, "chunk": list(decoding.chunk),
    }  # fmt: skip
    usual = TiffDecoding(0, decoding.dtype, decoding.chunk, decoding.chunk, natural_bits(decoding.dtype))
    for name in (
        "bits",
        "samples",
        "is_tiled",
        "byte_order",
        "predictor",
        "fill_order",
        "photometric",
        "sample_format",
    ):
        if getattr(decoding, name) != getattr(usual, name):
            found[name] = getattr(decoding, name)
    for name in ("edge", "subsampling"):
        if getattr(decoding, name) != getattr(usual, name):
            found[name] = list(getattr(decoding, name))
    if decoding.jpeg_tables:
        found["jpeg_tables"] = base64.b64encode(decoding.jpeg_tables).decode("ascii")
    return found


def read_configuration(configuration: Mapping[str, object]) -> TiffDecoding:
    """Read what ``write_configuration`` wrote; UnsupportedStoreError where it is anything else."""
    try:
        given = dict(configuration)
        for name in ("chunk", "edge", "subsampling"):
            if name in given:
                given[name] = _read_pair(given[name])
        given["jpeg_tables"] = base64.b64decode(str(given.get("jpeg_tables", "")), validate=True)
        given.setdefault("edge", given["chunk"])
        given.setdefault("bits", natural_bits(str(given["dtype"])))
        decoding = TiffDecoding(**given)  # type: ignore[arg-type]
        size = prod(decoding.shape) * np.dtype(decoding.dtype).itemsize
    except (KeyError, TypeError, ValueError) as error:
        raise UnsupportedStoreError(
            f"Codec {CODEC_NAME!r}: its configuration {dict(configuration)!r:.200} is not one that is written here ({error})."
        ) from error
    if min(decoding.shape) < 1 or size > MAX_CHUNK_BYTES:
        raise UnsupportedStoreError(
            f"Codec {CODEC_NAME!r}: a chunk of {decoding.shape} pixels is not possible."
        )
    return decoding


def _read_pair(value: object) -> tuple[int, int]:
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(part, int) for part in value)):
        raise ValueError(f"{value!r:.40} is no height and width")
    return value[0], value[1]


def decode_tiff_chunk(raw: bytes, decoding: TiffDecoding) -> Pixels:
    """Pixels of one stored tile or strip.

    Returns
    -------
    Pixels
        (samples, height, width) in the machine's byte order, C-contiguous. Chunks at the edge that are stored shorter are padded
        with zeros.

    Raises
    ------
    CorruptStoreError
        The bytes are not what the configuration says.
    UnsupportedStoreError
        Nothing that decodes the compression is installed.
    """
    try:
        pixels = _decode_file(raw, decoding) if decoding.compression == WHOLE_TIFF else _decode(raw, decoding)
    except (ValueError, TypeError, RuntimeError, ImportError, tifffile.TiffFileError) as error:
        name = compression_name(decoding.compression)
        # imagecodecs raises RuntimeErrors of its own; where it is not there, an ImportError, or a ValueError that names it.
        if isinstance(error, ImportError) or "imagecodecs" in str(error):
            raise UnsupportedStoreError(f"Decoding {name} {say_install('virtual')} ({error}).") from error
        raise CorruptStoreError(
            f"A chunk of {len(raw):,} bytes cannot be decoded as {name} of {decoding.shape} {decoding.dtype}: {error}. The file is damaged."
        ) from error
    return _fit(pixels, decoding)


def _decode_file(raw: bytes, decoding: TiffDecoding) -> Pixels:
    """First page of a TIFF, (height, width, samples); ValueError, before anything is decoded, where it has another number of pixels."""
    page = open_tiff_header(raw)
    if prod(page.shape) != prod(decoding.shape):
        raise ValueError(f"its page is {page.shape}")
    pixels = np.asarray(page.asarray())
    if pixels.ndim == 2:
        return pixels[..., np.newaxis]
    return np.moveaxis(pixels, 0, -1) if page.planarconfig == 2 else pixels


def _decode(raw: bytes, decoding: TiffDecoding) -> Pixels:
    """Decode as a whole chunk, else as one of those at the edge; (height, width, samples)."""
    is_jpeg = decoding.compression in _JPEGS
    page = _open_page(decoding, is_jpeg and raw[_JFIF_AT : _JFIF_AT + 4] == b"JFIF")
    options = {"jpegtables": decoding.jpeg_tables} if is_jpeg and decoding.jpeg_tables else {}
    places = prod(page.chunked)
    for place in range(places):
        try:
            pixels = np.asarray(page.decode(raw, place, **options)[0])
        except tifffile.TiffFileError:
            if place == places - 1:
                raise
        else:
            return pixels[0]  # a page has one plane
    raise tifffile.TiffFileError("no chunk")


def _fit(pixels: Pixels, decoding: TiffDecoding) -> Pixels:
    moved = np.moveaxis(pixels, -1, 0)
    if moved.shape == decoding.shape and moved.dtype == decoding.dtype:
        return np.ascontiguousarray(moved)
    samples, height, width = moved.shape
    if samples != decoding.samples or height > decoding.chunk[0] or width > decoding.chunk[1]:
        raise CorruptStoreError(f"A chunk decodes to {moved.shape} pixels, expected {decoding.shape}.")
    whole = np.zeros(decoding.shape, decoding.dtype)
    whole[:, :height, :width] = moved
    return whole


@lru_cache(maxsize=256)
def _open_page(decoding: TiffDecoding, is_jfif: bool) -> tifffile.TiffPage:
    return open_tiff_header(_build_header(decoding, is_jfif))


def _build_header(decoding: TiffDecoding, is_jfif: bool) -> bytes:
    """A TIFF of one page without data: one whole chunk, and beside and below it those of the edges where they are shorter."""
    height, width = decoding.chunk
    across, down = 1 + (decoding.edge[1] != width), 1 + (decoding.edge[0] != height)
    samples = decoding.samples
    extra = samples - _NATURAL_SAMPLES.get(decoding.photometric, 1) if samples > 1 else 0
    start = 8  # where the word JFIF is looked for, relative to the first chunk
    entries: dict[int, tuple[str, list[int]]] = {
        tags.IMAGE_WIDTH: ("I", [width + (across - 1) * decoding.edge[1]]),
        tags.IMAGE_LENGTH: ("I", [height + (down - 1) * decoding.edge[0]]),
        tags.BITS_PER_SAMPLE: ("H", [decoding.bits] * samples),
        tags.COMPRESSION: ("H", [decoding.compression]),
        tags.PHOTOMETRIC: ("H", [decoding.photometric]),
        tags.FILL_ORDER: ("H", [decoding.fill_order]),
        tags.SAMPLES_PER_PIXEL: ("H", [samples]),
        tags.PLANAR_CONFIGURATION: ("H", [1]),
        tags.PREDICTOR: ("H", [decoding.predictor]),
        tags.SAMPLE_FORMAT: ("H", [_sample_format(decoding)] * samples),
        **({_EXTRA_SAMPLES: ("H", [0] * extra)} if extra > 0 else {}),
    }
    chunks = [start] * (across * down), [16] * (across * down)
    if decoding.is_tiled:
        entries |= {tags.TILE_WIDTH: ("I", [width]), tags.TILE_LENGTH: ("I", [height])}
        entries |= {tags.TILE_OFFSETS: ("I", chunks[0]), tags.TILE_BYTE_COUNTS: ("I", chunks[1])}
    else:
        entries |= {tags.ROWS_PER_STRIP: ("I", [height])}
        entries |= {tags.STRIP_OFFSETS: ("I", chunks[0]), tags.STRIP_BYTE_COUNTS: ("I", chunks[1])}
    if decoding.subsampling != (1, 1):
        entries[tags.YCBCR_SUBSAMPLING] = ("H", list(decoding.subsampling[::-1]))
    return _write_directory(entries, ">" if decoding.byte_order == "big" else "<", is_jfif)


def _write_directory(entries: Mapping[int, tuple[str, list[int]]], order: str, is_jfif: bool) -> bytes:
    """Bytes of a classic TIFF with one directory; values that do not fit an entry follow it."""
    data = b"\0" * _JFIF_AT + (b"JFIF" if is_jfif else b"\0" * 4) + b"\0" * 6
    first = 8 + len(data)
    after = first + 2 + 12 * len(entries) + 4
    rows, tail = b"", b""
    for code, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(packed) > 4:
            packed, tail = struct.pack(f"{order}I", after + len(tail)), tail + packed
        rows += struct.pack(f"{order}HHI", code, 3 if kind == "H" else 4, len(values)) + packed.ljust(
            4, b"\0"
        )
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}I", first)
    return head + data + struct.pack(f"{order}H", len(entries)) + rows + b"\0" * 4 + tail


def _sample_format(decoding: TiffDecoding) -> int:
    """SampleFormat of TIFF 6.0 section 19: 1 unsigned, 2 signed, 3 floating point, 5 and 6 complex."""
    kind = np.dtype(decoding.dtype).kind
    return decoding.sample_format or {"i": 2, "f": 3, "c": 6}.get(kind, 1)
