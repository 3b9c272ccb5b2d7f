"""Every chunk row of a TIFF says how its bytes become pixels, as tifffile reads it from the same tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tifffile

from bioimage_assets.core.formats.ome_tiff.page_codec import (
    COMPRESSIONS,
    PageCodec,
    read_page_codec,
    write_page_codec,
)
from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets_tests.builders.tiff_files import write_pages
from bioimage_assets_tests.core.formats.ome_tiff.test_tiff_pixels_from_rows import CASES
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

GREY = (np.arange(50 * 70) ** 2 % 1013).astype("uint16").reshape(50, 70)
MORE = {
    **CASES,
    "twelve-bits": (GREY, {"rowsperstrip": 7, "bitspersample": 12}),
    "jpeg2000": (GREY, {"tile": (16, 16), "compression": "jpeg2000"}),
    "lzma": (GREY, {"tile": (16, 16), "compression": "lzma"}),
    "png": (GREY, {"tile": (16, 16), "compression": "png"}),
}


def read_codec(page: tifffile.TiffPage) -> PageCodec:
    """The same facts by tifffile."""
    tables = page.tags.get(347)
    return PageCodec(
        compression=int(page.compression), dtype=str(page.dtype), height=page.imagelength, width=page.imagewidth,
        tile=(page.tilelength, page.tilewidth) if page.is_tiled else None,
        rows=page.imagelength if page.is_tiled else page.rowsperstrip, bits=page.bitspersample, samples=page.samplesperpixel,
        is_planar=page.samplesperpixel > 1 and page.planarconfig == 2,
        byte_order="big" if page.parent.byteorder == ">" and page.bitspersample > 8 else "little", predictor=int(page.predictor),
        fill_order=int(page.fillorder), photometric=int(page.photometric),
        subsampling=(1, 1), jpeg_tables=None if tables is None else (tables.valueoffset, tables.count),
    )  # fmt: skip


def without_colours(codec: PageCodec) -> PageCodec:
    """The text says colours only where decoding depends on them."""
    keeps = codec.is_picture or codec.photometric == 6
    return PageCodec(
        **{
            **{n: getattr(codec, n) for n in codec.__slots__},
            "photometric": max(codec.photometric, 1) if keeps else 1,
        }
    )


@pytest.mark.parametrize("case", MORE)
def test_a_row_says_how_its_bytes_become_pixels(tmp_path: Path, case: str):
    data, options = MORE[case]
    path = write_pages(tmp_path / "a.tif", [data, data[::-1]], **options)  # type: ignore[arg-type]
    rows: pa.Table = read_chunks(scan_tiff(str(path)))
    pages = rows["chunk_key"].to_pylist()
    with tifffile.TiffFile(path) as tiff:
        for key, text in zip(pages, rows["codec"].to_pylist(), strict=True):
            page = tiff.pages[int(key.rpartition("#")[2].partition(":")[0])].aspage()
            assert read_page_codec(text) == without_colours(read_codec(page))


@pytest.mark.parametrize("compression", [*COMPRESSIONS, 50013])
def test_the_text_of_every_compression_is_read_back(compression: int):
    codec = PageCodec(
        compression, "uint16", 30, 40, (16, 16), 30, 12, 3, is_planar=True, byte_order="big", predictor=2,
        fill_order=2, photometric=6, subsampling=(2, 1),
    )  # fmt: skip
    assert read_page_codec(write_page_codec(codec)) == codec


def test_a_usual_page_has_a_short_text():
    codec = PageCodec(1, "uint16", 30, 40, None, 30, 16)
    assert write_page_codec(codec) == "none+uint16+30x40"


@pytest.mark.parametrize(
    "text", ["", "none", "blosc/lz4", "none+uint16", "none+uint16+30x40+rows=x", "what+u+1x1"]
)
def test_other_texts_are_no_page(text: str):
    assert read_page_codec(text) is None
