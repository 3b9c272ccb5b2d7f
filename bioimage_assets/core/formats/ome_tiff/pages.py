"""Shape, dtype, tiling and codec of a TIFF page, and the extents of its data, from one image file directory.

Source of truth: TIFF 6.0 sections 3 (bilevel and grey), 15 (tiles), 19 (sample format), 21 (YCbCr). Pixel data are never read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.formats.ome_tiff import ifds as tiff
from bioimage_assets.core.formats.ome_tiff.byte_source import ByteSource
from bioimage_assets.core.formats.ome_tiff.ifds import TYPE_BYTES, Ifd, Tag, TiffHeader
from bioimage_assets.core.formats.ome_tiff.page_codec import (
    PICTURE_COMPRESSIONS,
    YCBCR,
    ByteOrder,
    PageCodec,
    compression_name,
    write_page_codec,
)
from bioimage_assets.core.formats.ome_tiff.tag_values import read_integer, read_integers

# A page may not unpack to more than this many times its file; deflate's limit is 1032, constant tiles compress more.
MAX_EXPANSION = 1_000_000
_MAX_EDGE = 2**31 - 1  # TIFF's ImageWidth is a 32-bit LONG; shapes beyond int32 break readers
_MAX_OFFSET = 2**62  # offset plus size stays below int64
# Ten times the tiles of the largest slide scans (10^6 x 10^6 pixels in tiles of 1,024).
MAX_CHUNKS_PER_PAGE = 10_000_000


@dataclass(frozen=True, slots=True)
class PageGeometry:
    """What all planes of one image share.

    ``chunk_height`` and ``chunk_width`` are the tile, or rows per strip and the full width.
    ``is_planar``: samples are stored as separate planes (PlanarConfiguration 2). ``chunk_count`` counts the
    chunks of one page, separate sample planes each; ``least_stored_bytes`` is what a page without compression
    takes at least: whole tiles, or the rows of its strips. ``subsampling``: pixels across and down that share one
    pair of chroma samples in YCbCr, whose codec then gives fewer bytes than the pixels have. ``encoding`` is the text of
    ``page_codec`` that says how all this is decoded.
    """

    width: int
    height: int
    samples: int
    dtype: str
    bits: int
    byte_order: ByteOrder | None
    is_planar: bool
    is_tiled: bool
    chunk_width: int
    chunk_height: int
    codec: str
    is_reduced: bool
    subsampling: tuple[int, int] = (1, 1)
    encoding: str = ""
    chunk_count: int = field(init=False)
    least_stored_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        count = self.chunks_down * self.chunks_across * (self.samples if self.is_planar else 1)
        least = count * self.chunk_nominal_bytes if self.is_tiled else self.nominal_bytes
        object.__setattr__(self, "chunk_count", count)
        object.__setattr__(self, "least_stored_bytes", least)

    @property
    def chunks_down(self) -> int:
        """Chunks from top to bottom."""
        return -(-self.height // self.chunk_height)

    @property
    def chunks_across(self) -> int:
        """Chunks from left to right; 1 for strips."""
        return -(-self.width // self.chunk_width)

    @property
    def nominal_bytes(self) -> int:
        """Uncompressed size of one page's pixels."""
        planes = self.samples if self.is_planar else 1
        return planes * self._count_bytes(self.width, self.height)

    @property
    def chunk_nominal_bytes(self) -> int:
        """Uncompressed size of one whole chunk."""
        return self._count_bytes(self.chunk_width, self.chunk_height)

    def strip_nominal_bytes(self, rows: np.ndarray) -> np.ndarray:
        """Uncompressed size of strips by their numbers of rows."""
        down = self.subsampling[1]
        if self.subsampling == (1, 1):
            return rows * self._count_bytes(self.width, 1)
        return -(-rows // down) * self._count_bytes(self.width, down)

    def _count_bytes(self, width: int, height: int) -> int:
        """Bytes of some pixels of one chunk: rows end at a byte, chroma samples stand beside the block they share."""
        across, down = self.subsampling
        if self.subsampling == (1, 1):
            return height * -(-width * self.bits * (1 if self.is_planar else self.samples) // 8)
        return -(-height // down) * -(-(-(-width // across) * (across * down + 2)) * self.bits // 8)


@dataclass(frozen=True, slots=True)
class PageExtents:
    """Where a page's chunks lie: file offsets and stored byte counts, 0/0 for chunks that were never written."""

    offsets: np.ndarray | tuple[int, ...]
    byte_counts: np.ndarray | tuple[int, ...]

    def present(self, file_bytes: int) -> np.ndarray:
        """Per chunk, whether it was written and all its bytes are inside the file."""
        offsets, counts = np.asarray(self.offsets), np.asarray(self.byte_counts)
        inside: np.ndarray = (offsets > 0) & (counts > 0) & (counts <= file_bytes - offsets)
        return inside

    def summarize(self, file_bytes: int) -> ExtentSummary:
        """Count bytes, chunks never written and chunks cut off by the end of the file."""
        if isinstance(self.offsets, tuple):
            (offset,), (count,) = self.offsets, self.byte_counts
            is_sparse = count == 0 or offset == 0
            is_cut = not is_sparse and offset + count > file_bytes
            return ExtentSummary(0 if is_sparse or is_cut else count, int(is_sparse), int(is_cut))
        offsets, counts = np.asarray(self.offsets), np.asarray(self.byte_counts)
        sparse = (offsets == 0) | (counts == 0)
        present = self.present(file_bytes)
        return ExtentSummary(int(counts[present].sum()), int(sparse.sum()), int((~present & ~sparse).sum()))


class ExtentSummary(NamedTuple):
    """Stored bytes inside the file, chunks that were never written, chunks beyond the end of the file."""

    stored_bytes: int
    sparse_count: int
    cut_count: int


_KNOWN_GEOMETRIES: dict[tuple[object, ...], PageGeometry] = {}
_MAX_KNOWN_GEOMETRIES = 1024  # pages of one instrument share a handful


def read_page_geometry(source: ByteSource, header: TiffHeader, ifd: Ifd) -> PageGeometry:
    """Read shape, sample type and tiling of a page; CorruptStoreError where they contradict the file.

    Files of one writer have equal tags: where the tags themselves hold all values, their geometry is remembered.
    """
    signature = (header.order, header.is_big, *ifd.geometry_signature)
    geometry = _KNOWN_GEOMETRIES.get(signature)
    if geometry is None:
        geometry = _build_geometry(source, header, ifd)
        if ifd.has_inline_geometry:
            if len(_KNOWN_GEOMETRIES) >= _MAX_KNOWN_GEOMETRIES:
                _KNOWN_GEOMETRIES.clear()
            _KNOWN_GEOMETRIES[signature] = geometry
    if geometry.nominal_bytes > max(source.size_bytes, 1) * MAX_EXPANSION:
        raise CorruptStoreError(
            f"{source.name}: a page of {geometry.width} x {geometry.height} pixels cannot come from a file of "
            f"{source.size_bytes} bytes."
        )
    return geometry


def _build_geometry(source: ByteSource, header: TiffHeader, ifd: Ifd) -> PageGeometry:
    depth = read_integer(source, header, ifd, tiff.IMAGE_DEPTH, 1)
    if depth > 1:
        raise UnsupportedStoreError(
            f"{source.name}: a page is a volume of {depth} planes (ImageDepth), expected one plane per page. Write it again "
            "with a page per plane, as OME-TIFF demands."
        )
    width = read_integer(source, header, ifd, tiff.IMAGE_WIDTH)
    height = read_integer(source, header, ifd, tiff.IMAGE_LENGTH)
    samples = read_integer(source, header, ifd, tiff.SAMPLES_PER_PIXEL, 1)
    # SamplesPerPixel is a SHORT.
    if not (0 < width <= _MAX_EDGE and 0 < height <= _MAX_EDGE and 0 < samples <= 65535):
        raise CorruptStoreError(
            f"{source.name}: a page of {width} x {height} pixels and {samples} samples is not possible."
        )
    bits, dtype = _read_sample_type(source, header, ifd)
    is_tiled = ifd.tag(tiff.TILE_WIDTH) is not None and ifd.tag(tiff.TILE_LENGTH) is not None
    if is_tiled:
        chunk_width = read_integer(source, header, ifd, tiff.TILE_WIDTH)
        chunk_height = read_integer(source, header, ifd, tiff.TILE_LENGTH)
    else:
        chunk_width = width
        chunk_height = min(read_integer(source, header, ifd, tiff.ROWS_PER_STRIP, height) or height, height)
    if not (0 < chunk_width <= _MAX_EDGE and 0 < chunk_height <= _MAX_EDGE):
        raise CorruptStoreError(
            f"{source.name}: tiles of {chunk_width} x {chunk_height} pixels are not possible."
        )
    is_planar = samples > 1 and read_integer(source, header, ifd, tiff.PLANAR_CONFIGURATION, 1) == 2
    compression = read_integer(source, header, ifd, tiff.COMPRESSION, 1)
    codec = compression_name(compression)
    is_whole = samples != 3 or is_planar or codec in PICTURE_COMPRESSIONS
    order: ByteOrder = "little" if header.order == "<" else "big"
    geometry = PageGeometry(
        width=width, height=height, samples=samples, dtype=dtype, bits=bits, byte_order=None if bits <= 8 else order,
        is_planar=is_planar, is_tiled=is_tiled, chunk_width=chunk_width, chunk_height=chunk_height, codec=codec,
        is_reduced=bool(read_integer(source, header, ifd, tiff.IFD_NEW_SUBFILE_TYPE) & 1),
        subsampling=(1, 1) if is_whole else _read_subsampling(source, header, ifd),
    )  # fmt: skip
    if geometry.chunk_nominal_bytes > _MAX_OFFSET or geometry.chunk_count > MAX_CHUNKS_PER_PAGE:
        raise CorruptStoreError(
            f"{source.name}: a page of {geometry.chunk_count:,} tiles or strips of {chunk_width} x {chunk_height} pixels is not "
            f"possible; at most {MAX_CHUNKS_PER_PAGE:,} are read."
        )
    return replace(geometry, encoding=_describe_encoding(source, header, ifd, geometry, compression))


def _describe_encoding(
    source: ByteSource, header: TiffHeader, ifd: Ifd, page: PageGeometry, compression: int
) -> str:
    """How the page's chunks are decoded; its byte order stands there where a sample has several bytes."""
    across, down = page.subsampling
    is_complex = page.dtype.startswith("complex")
    codec = PageCodec(
        compression, page.dtype, page.height, page.width,
        tile=(page.chunk_height, page.chunk_width) if page.is_tiled else None, rows=page.chunk_height, bits=page.bits,
        samples=page.samples, is_planar=page.is_planar, byte_order=page.byte_order or "little",
        predictor=_read_hint(source, header, ifd, tiff.PREDICTOR),
        fill_order=_read_hint(source, header, ifd, tiff.FILL_ORDER),
        photometric=_read_hint(source, header, ifd, tiff.PHOTOMETRIC),
        sample_format=_read_uniform(source, header, ifd, tiff.SAMPLE_FORMAT, 1) if is_complex else None,
        subsampling=(down, across),
    )  # fmt: skip
    return write_page_codec(codec)


def _read_hint(source: ByteSource, header: TiffHeader, ifd: Ifd, code: int) -> int:
    """Value of a tag that only decoding needs: 1 where absent, 0, which decodes nothing, where it is no integer."""
    try:
        return read_integer(source, header, ifd, code, 1)
    except CorruptStoreError:
        return 0


def _read_subsampling(source: ByteSource, header: TiffHeader, ifd: Ifd) -> tuple[int, int]:
    """Pixels across and down that share their chroma samples; 1 and 1 where the page is not YCbCr."""
    if read_integer(source, header, ifd, tiff.PHOTOMETRIC) != YCBCR:
        return 1, 1
    tag = ifd.tag(tiff.YCBCR_SUBSAMPLING)
    if tag is None:
        return 2, 2  # the default of section 21
    values = read_integers(source, header, tag._replace(value_count=min(tag.value_count, 2))).tolist()
    if len(values) != 2 or not {*values} <= {1, 2, 4}:
        raise CorruptStoreError(
            f"{source.name}: chroma samples for {values} pixels; expected 1, 2 or 4 across and down."
        )
    return values[0], values[1]


def _read_sample_type(source: ByteSource, header: TiffHeader, ifd: Ifd) -> tuple[int, str]:
    bits = _read_uniform(source, header, ifd, tiff.BITS_PER_SAMPLE, 1)
    sample_format = _read_uniform(source, header, ifd, tiff.SAMPLE_FORMAT, 1)
    if bits == 1 and sample_format in (1, 4):
        return 1, "bool"
    stored = next((size for size in (8, 16, 32, 64, 128) if bits <= size), 0)
    prefix = {1: "uint", 2: "int", 3: "float", 4: "uint", 5: "complex", 6: "complex"}.get(sample_format)
    possible = {"uint": (8, 16, 32, 64), "int": (8, 16, 32, 64), "float": (16, 32, 64), "complex": (64, 128)}
    if prefix is None or bits < 1 or stored not in possible[prefix]:
        raise CorruptStoreError(
            f"{source.name}: samples of {bits} bits with format {sample_format} have no pixel type."
        )
    return bits, f"{prefix}{stored}"


def _read_uniform(source: ByteSource, header: TiffHeader, ifd: Ifd, code: int, default: int) -> int:
    tag = ifd.tag(code)
    if tag is None or tag.value_count == 1:
        return read_integer(source, header, ifd, code, default)
    if tag.value_count > 65535:
        raise CorruptStoreError(
            f"{source.name}: tag {code} claims {tag.value_count} values, one per sample expected."
        )
    values = read_integers(source, header, tag)
    if values.size == 2 and values[0] != values[1] and tag.field_type == 3 and not header.is_big:
        # Zeiss LSM: two values would fit into the entry, which yet holds their offset.
        values = read_integers(source, header, tag._replace(offset=tag.raw))
    if not bool((values == values[0]).all()):
        raise CorruptStoreError(
            f"{source.name}: samples of one pixel have different types ({values[:4].tolist()})."
        )
    return int(values[0])


def read_page_extents(
    source: ByteSource, header: TiffHeader, ifd: Ifd, geometry: PageGeometry
) -> PageExtents:
    """Read where the page's chunks lie; CorruptStoreError where there are fewer than its geometry needs."""
    offset_code, count_code = tiff.STRIP_OFFSETS, tiff.STRIP_BYTE_COUNTS
    if (
        geometry.is_tiled and tiff.TILE_OFFSETS in ifd.layout.positions
    ):  # some writers keep the strip tags for tiles
        offset_code, count_code = tiff.TILE_OFFSETS, tiff.TILE_BYTE_COUNTS
    if geometry.chunk_count == 1 and ifd.value_count(offset_code) == 1 == ifd.value_count(count_code):
        offset = read_integer(source, header, ifd, offset_code)
        count = read_integer(source, header, ifd, count_code)
        if not (0 <= offset <= _MAX_OFFSET and 0 <= count <= _MAX_OFFSET):
            raise CorruptStoreError(
                f"{source.name}: a strip of {count} bytes at offset {offset} is not possible."
            )
        return PageExtents((offset,), (count,))
    return _read_many_extents(source, header, ifd, geometry, offset_code, count_code)


def _read_many_extents(
    source: ByteSource,
    header: TiffHeader,
    ifd: Ifd,
    geometry: PageGeometry,
    offset_code: int,
    count_code: int,
) -> PageExtents:
    expected = geometry.chunk_count
    offset_tag, count_tag = ifd.tag(offset_code), ifd.tag(count_code)
    listed = min((tag.value_count for tag in (offset_tag, count_tag) if tag is not None), default=0)
    if offset_tag is None or listed < expected:
        raise CorruptStoreError(
            f"{source.name}: a page of {geometry.width} x {geometry.height} pixels needs {expected} "
            f"tiles or strips, its tags list {listed}."
        )
    offsets = _read_first(source, header, offset_tag, expected)
    if count_tag is not None:
        counts = _read_first(source, header, count_tag, expected)
    elif expected == 1 and geometry.codec == "none":  # TIFF 5 files leave the counts out
        counts = np.array([geometry.nominal_bytes], np.int64)
    else:
        raise CorruptStoreError(f"{source.name}: a page has no byte counts of its strips.")
    if offsets.min() < 0 or counts.min() < 0 or offsets.max() > _MAX_OFFSET or counts.max() > _MAX_OFFSET:
        raise CorruptStoreError(f"{source.name}: offsets or sizes of strips are not possible.")
    return PageExtents(offsets, counts)


def _read_first(source: ByteSource, header: TiffHeader, tag: Tag, count: int) -> np.ndarray:
    """First values of a tag, all of which must lie in the file."""
    end = tag.offset + tag.value_count * TYPE_BYTES[tag.field_type]
    if end > source.size_bytes:
        raise CorruptStoreError(
            f"{source.name}: {tag.value_count} offsets or sizes of strips end at byte {end}, the file has {source.size_bytes}."
        )
    return read_integers(source, header, tag._replace(value_count=count))
