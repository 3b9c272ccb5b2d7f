"""Pixels are rebuilt from chunk rows alone: places of the rows, decoded by tifffile, are what tifffile reads of the file."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tifffile

from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets_tests.builders.tiff_files import build_tiff_bytes, plain_tags, write_pages, write_ycbcr
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks, read_page_chunks

GREY = (np.arange(50 * 70) ** 2 % 1013).astype("uint16").reshape(50, 70)
COLOUR = np.stack([GREY, GREY // 3, GREY // 7], axis=-1).astype("uint8")

CASES = {
    "uncompressed": (GREY, {"rowsperstrip": 7}),
    "one-strip": (GREY, {}),
    "lzw": (GREY, {"compression": "lzw", "rowsperstrip": 7}),
    "lzw-predictor": (GREY, {"compression": "lzw", "predictor": True, "rowsperstrip": 7}),
    "deflate": (GREY, {"compression": "zlib", "rowsperstrip": 7}),
    "deflate-one-strip": (GREY, {"compression": "zlib", "rowsperstrip": 50}),
    "deflate-big-endian": (GREY, {"compression": "zlib", "rowsperstrip": 9, "byteorder": ">"}),
    "deflate-bigtiff": (GREY, {"compression": "zlib", "rowsperstrip": 9, "bigtiff": True}),
    "bigtiff-big-endian": (GREY, {"rowsperstrip": 9, "bigtiff": True, "byteorder": ">"}),
    "float-predictor": (GREY.astype("float32") / 7, {"compression": "zlib", "predictor": True, "rowsperstrip": 8}),
    "zstd": (GREY, {"compression": "zstd", "rowsperstrip": 7}),
    "zstd-tiles": (GREY, {"compression": "zstd", "tile": (16, 32)}),
    "packbits": (GREY, {"compression": "packbits", "rowsperstrip": 7}),
    "jpeg": (COLOUR, {"compression": "jpeg", "rowsperstrip": 16, "photometric": "rgb"}),
    "jpeg-subsampled": (COLOUR, {"compression": "jpeg", "rowsperstrip": 16, "photometric": "ycbcr", "subsampling": (2, 2)}),
    "jpeg-tiles": (COLOUR, {"compression": "jpeg", "tile": (16, 16), "photometric": "rgb"}),
    "rgb": (COLOUR, {"rowsperstrip": 7, "photometric": "rgb"}),
    "rgb-deflate": (COLOUR, {"rowsperstrip": 7, "photometric": "rgb", "compression": "zlib"}),
    "rgb-planar": (COLOUR.transpose(2, 0, 1), {"rowsperstrip": 7, "photometric": "rgb", "planarconfig": "separate"}),
    "rgb-planar-lzw": (
        COLOUR.transpose(2, 0, 1),
        {"rowsperstrip": 7, "photometric": "rgb", "planarconfig": "separate", "compression": "lzw"},
    ),
    "bits": (GREY > 500, {"rowsperstrip": 7, "photometric": "minisblack"}),
}  # fmt: skip


def plain_bytes(page: tifffile.TiffPage, strip: int) -> int:
    """Bytes of the uncompressed rows of a strip."""
    top = strip * page.rowsperstrip % (-(-page.imagelength // page.rowsperstrip) * page.rowsperstrip)
    samples = 1 if page.planarconfig == 2 else page.samplesperpixel
    rows = min(page.rowsperstrip, page.imagelength - top)
    return rows * -(-page.imagewidth * page.bitspersample * samples // 8)


def places_of(row: dict[str, object], page: tifffile.TiffPage) -> list[tuple[int, int, int]]:
    """Number inside the page, offset and size of every stored piece of a row."""
    coords = list(row["chunk_coords"])  # type: ignore[call-overload]
    sample, y, x = (
        (0, *coords[-2:]) if page.samplesperpixel == 1
        else tuple(coords[-3:]) if page.planarconfig == 2 else (0, *coords[-3:-1])
    )  # fmt: skip
    tall, wide = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    down, across = -(-page.imagelength // tall), -(-page.imagewidth // wide)
    first = (sample * down + y) * across + x
    start, count = int(str(row["stored_offset"])), int(str(row["strip_count"] or 1))
    sizes, offsets = row["strip_bytes"], row["strip_offsets"]
    if offsets is None or sizes is None:
        if count == 1:
            return [(first, start, int(str(row["stored_bytes"])))]
        sizes = [plain_bytes(page, first + number) for number in range(count)]
        offsets = list(accumulate(sizes[:-1], initial=start))
    return [(first + number, *place) for number, place in enumerate(zip(offsets, sizes, strict=True))]  # type: ignore[call-overload, misc]


def rebuild(path: Path, rows: pa.Table) -> np.ndarray:
    """Pages of a file from rows of ``chunk_index``: only the decoders are tifffile's."""
    raw = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        pages = [np.zeros((*page.shape,), page.dtype) for page in tiff.pages]
        for row in rows.to_pylist():
            number = int(row["chunk_key"].rpartition("#")[2].partition(":")[0])
            page = tiff.pages[number].aspage()
            options = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
            for index, offset, size in places_of(row, page):
                pixels, (sample, _, y, x, _), shape = page.decode(
                    raw[offset : offset + size], index, **options
                )
                tall, wide = shape[1:3]
                part = pages[number].reshape(page.shaped)[sample, 0, y : y + tall, x : x + wide]
                part[...] = pixels[0, : part.shape[0], : part.shape[1]]  # tiles reach beyond the edge
    return np.stack(pages)


@pytest.mark.parametrize("case", CASES)
def test_pixels_are_rebuilt_from_rows_alone(tmp_path: Path, case: str):
    data, options = CASES[case]
    path = write_pages(tmp_path / "a.tif", [data, data[::-1]], **options)  # type: ignore[arg-type]
    rows = read_chunks(scan_tiff(str(path)))
    assert (rebuild(path, rows) == tifffile.imread(path, series=0)).all()


@pytest.mark.parametrize("case", CASES)
def test_strips_are_listed_where_their_places_do_not_follow(tmp_path: Path, case: str):
    data, options = CASES[case]
    rows = read_chunks(scan_tiff(str(write_pages(tmp_path / "a.tif", [data], **options)))).to_pylist()  # type: ignore[arg-type]
    is_compressed = "compression" in options
    for row in rows:
        is_listed = is_compressed and (row["strip_count"] or 1) > 1
        assert (row["strip_offsets"] is not None) == (row["strip_bytes"] is not None) == is_listed
        if is_listed:
            assert len(row["strip_offsets"]) == len(row["strip_bytes"]) == row["strip_count"]
            assert (row["strip_offsets"][0], sum(row["strip_bytes"])) == (
                row["stored_offset"],
                row["stored_bytes"],
            )


def test_strips_that_are_padded_are_listed(tmp_path: Path):
    tags = plain_tags(4, 4, offset=0, count=0)
    tail = 8 + 2 + 12 * len(tags) + 4
    lists = [(273, 4, 2, tail), (278, 4, 1, 2), (279, 4, 2, tail + 8)]
    kept = [tag for tag in tags if tag[0] not in (273, 278, 279)]
    start = tail + 16
    values = np.array([start, start + 10, 10, 8], "<u4").tobytes()
    path = tmp_path / "padded.tif"
    path.write_bytes(build_tiff_bytes([*kept, *lists], tail=values + bytes(range(18))))
    rows = read_chunks(scan_tiff(str(path)))
    assert rows["strip_bytes"].to_pylist() == [[10, 8]]
    assert rows["strip_offsets"].to_pylist() == [[start, start + 10]]
    assert (rebuild(path, rows)[0] == tifffile.imread(path)).all()


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2), (4, 2), (4, 4)])
@pytest.mark.parametrize("shape", [(16, 24), (18, 26)])
def test_a_chroma_subsampled_page_has_the_bytes_that_its_blocks_have(
    tmp_path: Path, subsampling: tuple[int, int], shape: tuple[int, int]
):
    across, down = subsampling
    luma = (np.arange(shape[0] * shape[1]) % 251).astype("uint8").reshape(shape)
    chroma = luma[::down, ::across]
    path = write_ycbcr(tmp_path / "y.tif", [luma, chroma, chroma + 1], subsampling, 8)
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert (image.shape, image.axes, image.scan_status, image.findings) == ((*shape, 3), "yxs", "ok", ())
    (row,) = read_chunks(scan).to_pylist()
    assert row["strip_offsets"] is None
    ((_, _, counts),) = read_page_chunks(path)
    assert row["nominal_bytes"] == row["stored_bytes"] == sum(counts)
    raw = path.read_bytes()[row["stored_offset"] :][: row["stored_bytes"]]
    blocks = np.frombuffer(raw, "uint8").reshape(-1, across * down + 2)
    assert (blocks[:, -2].reshape(chroma.shape) == chroma).all()
    assert (blocks[:, 0].reshape(chroma.shape) == chroma).all()


def test_a_chroma_subsampled_page_that_lacks_bytes_is_said(tmp_path: Path):
    luma = np.zeros((16, 16), "uint8")
    path = write_ycbcr(tmp_path / "y.tif", [luma, luma[::2, ::2], luma[::2, ::2]], (2, 2), 16)
    raw = bytearray(path.read_bytes())
    at = raw.index((279).to_bytes(2, "little") + b"\4\0\1\0\0\0") + 8
    assert int.from_bytes(raw[at : at + 4], "little") == 16 * 16 + 2 * 8 * 8
    raw[at : at + 4] = (16 * 16 + 2 * 8 * 8 - 1).to_bytes(4, "little")
    path.write_bytes(raw)
    assert [finding.code for finding in scan_tiff(str(path)).findings] == ["data-short"]
