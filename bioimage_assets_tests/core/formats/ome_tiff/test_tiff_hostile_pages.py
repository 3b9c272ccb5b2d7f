"""Directories and pages that lead astray: levels that are other pages, absurd BigTIFF numbers, tiles never written."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets_tests.builders.tiff_files import (
    build_bigtiff_bytes,
    build_tiff_bytes,
    plain_tags,
    write_pages,
    write_pyramid,
)
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import (
    assert_chunks_agree,
    read_chunks,
    read_page_chunks,
)

ABSURD = [2**31, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
DATA = np.arange(3 * 64 * 96, dtype=np.uint16).reshape(3, 64, 96)


def page_tags(**changes: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    """Tags of a page of 10 x 10 bytes at offset 400, with some replaced or added."""
    tags = {tag[0]: tag for tag in plain_tags(10, 10, offset=400, count=100)}
    return list((tags | {tag[0]: tag for tag in changes.values()}).values())


@pytest.mark.parametrize("number", ABSURD)
@pytest.mark.parametrize("what", ["strips", "tags", "offset", "size", "levels", "level", "next", "text"])
def test_absurd_numbers_of_a_bigtiff_cost_a_page_or_a_fact_and_no_memory(
    tmp_path: Path, what: str, number: int
):
    tags = {
        "strips": page_tags(a=(273, 16, number, 400), b=(279, 16, number, 400), c=(278, 4, 1, 1)),
        "offset": page_tags(a=(273, 16, 1, number)),
        "size": page_tags(a=(279, 16, 1, number)),
        "levels": page_tags(a=(330, 18, number, 400)),
        "level": page_tags(a=(330, 18, 1, number)),
        "text": page_tags(a=(270, 2, number, 400)),
    }.get(what, page_tags())
    extra = {"next": {"next_offset": number}, "tags": {"tag_count": number}}.get(what, {})
    path = tmp_path / "b.btf"
    path.write_bytes(build_bigtiff_bytes(tags, tail=b"\1" * 600, **extra))
    tracemalloc.start()
    try:
        scan = scan_tiff(str(path))
    except CorruptStoreError:
        assert what in ("strips", "tags", "offset", "size")
        return
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5_000_000
    (image,) = scan.images
    code = {
        "next": "ifd-chain-broken",
        "text": "description-unreadable",
        "offset": "data-cut-off",
        "size": "data-cut-off",
    }
    assert [finding.code for finding in scan.findings] == [code.get(what, "missing-level")]
    assert (image.shape, len(image.levels)) == ((10, 10), 1)
    assert image.scan_status == ("ok" if what == "text" else "partial")
    assert [row["is_present"] for row in read_chunks(scan).to_pylist()] == [what not in ("offset", "size")]


@pytest.mark.parametrize(
    ("name", "kept"),
    [("self", ["0/1"]), ("next", ["0/1"]), ("twice", ["0/0"]), ("beyond", ["0/1"]), ("last", ["0/0"])],
)
def test_a_level_that_is_another_page_or_nothing_is_left_out_and_the_others_keep_their_numbers(
    tmp_path: Path, name: str, kept: list[str]
):
    path = write_pyramid(tmp_path / "p.ome.tif", DATA, "CYX")
    whole = {label: counts for label, _, counts in read_page_chunks(path)}
    raw = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        pages, tag = [page.offset for page in tiff.pages], tiff.pages[0].tags[330]
    first, second = tag.value
    levels = {
        "self": (pages[0], second), "next": (pages[1], second), "twice": (first, first), "beyond": (2**31, second),
        "last": (first, len(raw) - 1),
    }[name]  # fmt: skip
    struct.pack_into("<2I", raw, tag.valueoffset, *levels)
    path.write_bytes(raw)
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert [level.path for level in image.levels] == ["0", *kept]
    assert [(finding.code, finding.severity) for finding in scan.findings] == [("missing-level", "error")]
    assert image.scan_status == "partial"
    wanted = {"0", "1", "2", *kept, *(f"{page}/{kept[0][-1]}" for page in (1, 2))}
    rows = read_chunks(scan).to_pylist()
    stored = {label: [] for label in wanted}
    for row in rows:
        stored[row["chunk_key"].rpartition("#")[2].partition(":")[0]].append(row["stored_bytes"])
    assert stored == {label: whole[label] for label in wanted}
    lost = {"0/0", "0/1"} - set(kept)
    assert image.stored_bytes == sum(sum(counts) for label, counts in whole.items() if label not in lost)


def test_levels_that_grow_are_said(tmp_path: Path):
    path = tmp_path / "g.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(DATA[0], subifds=2, tile=(16, 16), metadata={"axes": "YX"})
        for step in (4, 2):
            writer.write(DATA[0, ::step, ::step], subfiletype=1, tile=(16, 16))
    scan = scan_tiff(str(path))
    assert [level.shape for level in scan.images[0].levels] == [(64, 96), (16, 24), (32, 48)]
    assert [finding.code for finding in scan.findings] == ["level-order"]
    assert_chunks_agree(scan, path)


def test_a_cut_off_level_makes_the_row_partial(tmp_path: Path):
    path = write_pyramid(tmp_path / "c.ome.tif", DATA[0], "YX", levels=2)
    raw = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        (level,) = tiff.pages[0].pages
        struct.pack_into("<I", raw, level.tags[324].valueoffset, len(raw) - 1)
    path.write_bytes(raw)
    scan = scan_tiff(str(path))
    assert [finding.code for finding in scan.findings] == ["data-cut-off"]
    assert scan.images[0].scan_status == "partial"
    assert [row["is_present"] for row in read_chunks(scan).to_pylist()].count(False) == 1


def test_sparse_jpeg_tiles_with_common_tables_are_rows_that_are_not_present(tmp_path: Path):
    """A slide scanner writes the JPEG tables once per page and no tile where the glass is empty."""
    tile = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    whole = imagecodecs.jpeg8_encode(tile, level=90)
    cut = whole.index(b"\xff\xc0")
    tables, start = whole[:cut] + b"\xff\xd9", whole[:2] + whole[cut:]
    path = tmp_path / "slide.tif"
    sizes = [len(start), 0, 0, len(start), 0, len(start)]
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            (start if size else b"" for size in sizes), shape=(64, 96, 3), dtype=np.uint8, tile=(32, 32),
            compression="jpeg", photometric="rgb", jpegtables=tables, metadata=None,
        )  # fmt: skip
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert (image.shape, image.chunk_shape, image.codec) == ((64, 96, 3), (32, 32, 3), "jpeg")
    assert image.stored_bytes == sum(sizes)
    rows = read_chunks(scan).to_pylist()
    assert [row["is_present"] for row in rows] == [size > 0 for size in sizes]
    assert [row["stored_bytes"] or 0 for row in rows] == sizes
    assert (image.scan_status, [finding.code for finding in scan.findings]) == ("ok", ["chunks-missing"])
    assert_chunks_agree(scan, path)


def test_tiles_beyond_the_end_of_the_file_are_not_present_and_the_others_are(tmp_path: Path):
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, DATA[0], tile=(32, 32), metadata=None)
    raw = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags[324]
    struct.pack_into("<2I", raw, tag.valueoffset + 4, len(raw), 2**32 - 1)
    path.write_bytes(raw)
    scan = scan_tiff(str(path))
    assert [row["is_present"] for row in read_chunks(scan).to_pylist()] == [
        True,
        False,
        False,
        True,
        True,
        True,
    ]
    assert [finding.code for finding in scan.findings] == ["data-cut-off"]
    assert scan.images[0].stored_bytes == 4 * 32 * 32 * 2


def test_a_chain_that_returns_to_its_middle_gives_every_page_once(tmp_path: Path):
    path = write_pages(tmp_path / "l.tif", list(DATA))
    raw = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        middle, last = tiff.pages[1].offset, tiff.pages[2]
        struct.pack_into("<I", raw, last.offset + 2 + 12 * len(last.tags), middle)
    path.write_bytes(raw)
    scan = scan_tiff(str(path))
    assert (scan.images[0].shape, scan.images[0].scan_status) == ((3, 64, 96), "partial")
    assert [finding.code for finding in scan.findings] == ["ifd-loop"]
    assert len(read_chunks(scan)) == 3


def test_a_page_whose_level_is_itself_has_none(tmp_path: Path):
    path = tmp_path / "s.tif"
    path.write_bytes(build_tiff_bytes(page_tags(a=(330, 4, 1, 8)), tail=b"\1" * 600))
    scan = scan_tiff(str(path))
    assert [level.path for level in scan.images[0].levels] == ["0"]
    assert scan.images[0].stored_bytes == 100
    assert [finding.code for finding in scan.findings] == ["missing-level"]
