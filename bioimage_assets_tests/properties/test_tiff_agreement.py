"""Any TIFF that tifffile writes is scanned as tifffile reads it: shape, axes, type, tiling and every stored byte."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import (
    assert_chunks_agree,
    read_chunks,
    read_series,
)

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "complex64")


@st.composite
def stored_images(draw: st.DrawFn) -> tuple[np.ndarray, str, dict[str, object]]:
    """An array, its axes and the options it is written with."""
    leading = "".join(draw(st.permutations("TCZ")))[: draw(st.integers(0, 3))]
    sides = (draw(st.integers(1, 70)), draw(st.integers(1, 70)))
    shape = (*(draw(st.integers(1, 4)) for _ in leading), *sides)
    options: dict[str, object] = {
        "photometric": "minisblack",
        "bigtiff": draw(st.booleans()),
        "byteorder": draw(st.sampled_from("<>")),
    }
    layout = draw(st.sampled_from(["strips", "tiles", "default"]))
    if layout == "strips":
        options["rowsperstrip"] = draw(st.integers(1, 40))
    elif layout == "tiles":
        options["tile"] = (16 * draw(st.integers(1, 3)), 16 * draw(st.integers(1, 3)))
    if draw(st.booleans()):
        options["compression"] = "zlib"
    data = np.arange(int(np.prod(shape))).reshape(shape).astype(draw(st.sampled_from(DTYPES)))
    return data, leading + "YX", options


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(stored=stored_images(), as_ome=st.booleans())
def test_a_written_tiff_is_scanned_as_it_is_read(
    stored: tuple[np.ndarray, str, dict[str, object]], as_ome: bool
):
    data, axes, options = stored
    with TemporaryDirectory() as folder:
        path = Path(folder) / ("x.ome.tif" if as_ome else "x.tif")
        tifffile.imwrite(path, data, ome=as_ome, metadata={"axes": axes} if as_ome else None, **options)
        scan = scan_tiff(str(path))
        (image,) = scan.images
        ((shape, series_axes, dtype),) = read_series(path)
        assert image.dtype == dtype
        assert image.scan_status == "ok"
        if as_ome:
            assert (image.shape, image.axes) == (shape, series_axes)
        else:
            assert int(np.prod(image.shape)) == int(np.prod(shape))
            assert image.shape[-2:] == shape[-2:]
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            unit = page.tile if page.is_tiled else (min(page.rowsperstrip, page.imagelength), page.imagewidth)
        assert image.chunk_shape is not None
        assert image.chunk_shape[-2:] == tuple(unit)
        assert_chunks_agree(scan, path)


@settings(max_examples=60, deadline=None)
@given(stored=stored_images())
def test_uncompressed_chunks_hold_the_pixels_of_their_coordinates(
    stored: tuple[np.ndarray, str, dict[str, object]],
):
    data, axes, options = stored
    options.pop("compression", None)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.ome.tif"
        tifffile.imwrite(path, data, ome=True, metadata={"axes": axes}, **options)
        scan = scan_tiff(str(path))
        (image,) = scan.images
        pixels = tifffile.imread(path).reshape(image.shape)
        raw = path.read_bytes()
        for row in read_chunks(scan).to_pylist():
            *lead, y, x = row["chunk_coords"]
            plane = pixels[tuple(lead)]
            assert image.chunk_shape is not None
            down, across = image.chunk_shape[-2:]
            corner = plane[y * down, x * across]
            stored_type = np.dtype(image.dtype).newbyteorder("<" if image.byte_order != "big" else ">")
            first = np.frombuffer(raw, stored_type, count=1, offset=row["stored_offset"])[0]
            assert first == corner
