"""Hostile and broken TIFFs: always a row that says what is wrong or one of our errors, in bounded time and memory."""

from __future__ import annotations

import os
import struct
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bioimage_assets.core.errors import (
    CorruptStoreError,
    LimitExceededError,
    StoreError,
    StoreNotFoundError,
    UnsupportedStoreError,
)
from bioimage_assets.core.formats.ome_tiff import tiff_file
from bioimage_assets.core.formats.ome_tiff.chunks import build_tiff_chunks
from bioimage_assets.core.formats.ome_tiff.ome_xml import parse_ome_xml
from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets_tests.builders.tiff_files import (
    build_block,
    build_ome_image,
    build_ome_xml,
    build_tiff_bytes,
    plain_tags,
    write_ome_tiff,
    write_pages,
)
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

PLANE = np.zeros((16, 24), np.uint16)


def scan_bytes(tmp_path: Path, payload: bytes, name: str = "x.tif") -> StoreScan:
    path = tmp_path / name
    path.write_bytes(payload)
    return scan_tiff(str(path))


def codes(scan: StoreScan) -> set[str]:
    return {finding.code for finding in scan.findings}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "empty"),
        (b"II*", "3 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "git-lfs pointer"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ", "AppleDouble"),
        (b"\x89PNG\r\n\x1a\n0000000000", "PNG"),
        (b"just some text, no image", "starts with"),
    ],
)
def test_what_is_no_tiff_is_named(tmp_path: Path, payload: bytes, words: str):
    with pytest.raises(UnsupportedStoreError, match=words):
        scan_bytes(tmp_path, payload)


def test_nothing_at_the_uri_is_not_found(tmp_path: Path):
    with pytest.raises(StoreError):
        scan_tiff(str(tmp_path / "absent.tif"))
    with pytest.raises(StoreNotFoundError):
        scan_plate_folder(str(tmp_path / "absent"))


def test_a_pipe_named_tif_does_not_block(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.tif")
    caught: list[BaseException] = []

    def run() -> None:
        try:
            scan_tiff(str(tmp_path / "pipe.tif"))
        except StoreError as error:
            caught.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)  # it hangs for ever or answers at once
    assert not thread.is_alive()
    assert len(caught) == 1


def test_a_directory_beyond_the_end_is_corrupt(tmp_path: Path):
    with pytest.raises(CorruptStoreError, match="no readable image directory"):
        scan_bytes(tmp_path, b"II*\0" + struct.pack("<I", 10_000) + b"\0" * 64)


def test_cut_off_pixels_make_the_row_partial(tmp_path: Path):
    path = write_ome_tiff(tmp_path / "cut.ome.tif", np.zeros((3, 64, 64), np.uint16), "CYX")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    scan = scan_tiff(str(path))
    assert {image.scan_status for image in scan.images} == {"partial"}
    assert any(finding.severity == "error" for finding in scan.findings)


def test_pixels_beyond_the_end_are_not_present(tmp_path: Path):
    payload = build_tiff_bytes(plain_tags(100, 100, offset=200, count=10_000), tail=b"\0" * 500)
    scan = scan_bytes(tmp_path, payload)
    assert scan.images[0].scan_status == "partial"
    assert codes(scan) == {"data-cut-off"}
    (row,) = read_chunks(scan).to_pylist()
    assert (row["is_present"], row["stored_bytes"], row["stored_offset"]) == (False, None, None)


def test_missing_tiles_are_rows_that_are_not_present(tmp_path: Path):
    path = write_ome_tiff(tmp_path / "sparse.ome.tif", np.zeros((64, 64), np.uint16), "YX", tile=(32, 32))
    raw = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        for code in (324, 325):
            tag = tags[code]
            size = 4 if tag.dtype == 4 else (8 if tag.dtype == 16 else 2)
            raw[tag.valueoffset + size : tag.valueoffset + 2 * size] = b"\0" * size
    path.write_bytes(bytes(raw))
    scan = scan_tiff(str(path))
    assert [row["is_present"] for row in read_chunks(scan).to_pylist()] == [True, False, True, True]
    assert codes(scan) == {"chunks-missing"}
    assert scan.images[0].scan_status == "ok"


def test_a_directory_loop_gives_the_pages_before_it(tmp_path: Path):
    tags = plain_tags(10, 10, offset=200, count=100)
    scan = scan_bytes(tmp_path, build_tiff_bytes(tags, tail=b"\0" * 400, next_offset=8))
    assert codes(scan) == {"ifd-loop"}
    assert (scan.images[0].shape, scan.images[0].scan_status) == ((10, 10), "partial")


def test_a_broken_link_gives_the_pages_before_it(tmp_path: Path):
    tags = plain_tags(10, 10, offset=200, count=100)
    scan = scan_bytes(tmp_path, build_tiff_bytes(tags, tail=b"\0" * 400, next_offset=2**31))
    assert codes(scan) == {"ifd-chain-broken"}
    assert scan.images[0].scan_status == "partial"


def test_a_chain_of_very_many_directories_stops_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiff_file.IfdBudget, "__init__", _small_budget)
    path = write_pages(tmp_path / "many.tif", [PLANE] * 20)
    scan = scan_tiff(str(path))
    assert scan.images[0].shape == (5, 16, 24)
    assert "ifd-chain-broken" in codes(scan)


def _small_budget(self: object) -> None:
    for name, value in (("ifds", 5), ("tags", 10_000), ("seen_offsets", set())):
        object.__setattr__(self, name, value)


@pytest.mark.parametrize(
    "change",
    [
        {
            273: (273, 4, 2**31 - 1, 8),
            279: (279, 4, 2**31 - 1, 8),
            278: (278, 4, 1, 1),
        },  # strip offsets: two milliard values
        {258: (258, 3, 2**31 - 1, 8)},  # bits per sample
        {256: (256, 4, 1, 2**31 - 1), 257: (257, 4, 1, 2**31 - 1)},  # 2^31 x 2^31 pixels
        {256: (256, 4, 1, 0)},
        {257: (257, 4, 1, 2**32 - 1)},
        {258: (258, 3, 1, 7000)},
        {277: (277, 3, 1, 0)},
        {278: (278, 4, 1, 1), 257: (257, 4, 1, 2**31 - 1)},  # far fewer strips than rows
        {273: (273, 2, 1, 200)},  # offsets as text
    ],
)
def test_impossible_tags_are_corrupt_at_once(tmp_path: Path, change: dict[int, tuple[int, int, int, int]]):
    tags = {tag[0]: tag for tag in plain_tags(10, 10, offset=200, count=100)} | change
    tracemalloc.start()
    try:
        with pytest.raises(CorruptStoreError):
            scan_bytes(tmp_path, build_tiff_bytes(list(tags.values()), tail=b"\0" * 400))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + ']><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&j;</OME>'
)
EXTERNAL = '<!DOCTYPE OME [<!ENTITY x SYSTEM "file:///etc/hostname">]><OME><Image Name="&x;"/></OME>'


@pytest.mark.parametrize(
    "text",
    [BOMB, EXTERNAL, "<OME><Image ID='1'>", "<OME><Image/></OME", "<OME ", "<OME>" + "<a>" * 50_000],
    ids=["billion-laughs", "external-entity", "truncated", "no-end", "start-only", "deep"],
)
def test_refused_or_broken_xml_costs_its_facts_and_not_the_row(tmp_path: Path, text: str):
    path = write_pages(tmp_path / "b.ome.tif", [PLANE, PLANE], text)
    scan = scan_tiff(str(path))
    assert (scan.images[0].shape, scan.images[0].axes) == ((2, 16, 24), "iyx")
    assert codes(scan) == {"ome-xml-unreadable"}


@pytest.mark.parametrize("encoding", ["utf-16", "cp037"])
def test_a_doctype_cannot_hide_in_another_encoding(encoding: str):
    head = f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
    body = '<!DOCTYPE x [<!ENTITY a "b">]><OME>&a;</OME>'.encode(encoding)
    with pytest.raises(CorruptStoreError):
        parse_ome_xml(body if encoding == "utf-16" else head + body, "x")


def test_latin_1_micro_signs_are_repaired_and_said(tmp_path: Path):
    sizes = 'PhysicalSizeX="0.5" PhysicalSizeXUnit="\xb5m" PhysicalSizeY="0.5" PhysicalSizeYUnit="\xb5m"'
    xml = build_ome_xml([build_ome_image(0, x=24, y=16, pixel_attributes=sizes)])
    path = tmp_path / "l.ome.tif"
    write_pages(path, [PLANE], "<OME " + "x" * len(xml))
    path.write_bytes(path.read_bytes().replace(b"<OME " + b"x" * len(xml), xml.encode("latin-1") + b" " * 5))
    scan = scan_tiff(str(path))
    assert scan.images[0].pixel_size_x_um == 0.5
    assert codes(scan) == {"ome-xml-encoding"}


@pytest.mark.parametrize(
    "sizes",
    [
        {"x": 4000, "y": 3200, "c": 4, "z": 50, "t": 100},
        {"x": 24, "y": 16, "t": 10**9},
        {"x": 24, "y": 16, "z": 2**31 - 1},
    ],
)
def test_sizes_that_nothing_supports_are_not_believed(tmp_path: Path, sizes: dict[str, int]):
    path = write_pages(tmp_path / "lie.ome.tif", [PLANE, PLANE], build_ome_xml([build_ome_image(0, **sizes)]))
    tracemalloc.start()
    try:
        scan = scan_tiff(str(path))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    (image,) = scan.images
    assert (image.shape, image.axes, image.scan_status) == ((2, 16, 24), "iyx", "partial")
    assert "ome-xml-planes-implausible" in codes(scan)
    assert len(read_chunks(scan)) == 2


@pytest.mark.parametrize("value", ["-1", "1e3", "99999999999999999999", "abc", ""])
def test_sizes_that_are_no_numbers_cost_the_xml_only(tmp_path: Path, value: str):
    xml = build_ome_xml([build_ome_image(0, x=24, y=16)]).replace('SizeT="1"', f'SizeT="{value}"')
    scan = scan_tiff(str(write_pages(tmp_path / "n.ome.tif", [PLANE], xml)))
    assert scan.images[0].shape == (16, 24)
    assert codes(scan) == {"ome-xml-unreadable"}


def test_the_pages_are_right_where_the_xml_declares_another_size(tmp_path: Path):
    xml = build_ome_xml([build_ome_image(0, x=999, y=16)])
    scan = scan_tiff(str(write_pages(tmp_path / "s.ome.tif", [PLANE], xml)))
    assert scan.images[0].shape == (16, 24)
    assert codes(scan) == {"ome-xml-size-differs"}


def test_very_many_overlapping_blocks_take_bounded_work(tmp_path: Path):
    blocks = build_block(0, count=1000) * 20_000
    xml = build_ome_xml([build_ome_image(0, x=24, y=16, t=1000, blocks=blocks)])
    scan = scan_tiff(str(write_pages(tmp_path / "m.ome.tif", [PLANE] * 30, xml)))
    assert scan.images[0].scan_status == "partial"


def test_one_bad_image_never_costs_the_others(tmp_path: Path):
    images = [build_ome_image(n, x=24, y=16, blocks=build_block(n)) for n in (0, 1)]
    images.insert(1, build_ome_image(7, x=24, y=16, blocks=build_block(500)))
    scan = scan_tiff(str(write_pages(tmp_path / "o.ome.tif", [PLANE] * 2, build_ome_xml(images))))
    assert len(scan.images) == 2
    assert "image-unreadable" in codes(scan)


def test_a_link_out_of_the_folder_is_refused_unless_asked_for(tmp_path: Path):
    target = write_pages(tmp_path / "outside" / "t.tif", [PLANE])
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.tif").symlink_to(target)
    with pytest.raises(StoreError, match="link"):
        scan_tiff(str(inside / "link.tif"))
    scan = scan_tiff(str(inside / "link.tif"), ScanOptions(follow_symlinks=True))
    assert scan.images[0].shape == (16, 24)


def test_a_chunk_index_beyond_the_limit_is_refused_before_it_is_built(tmp_path: Path):
    path = write_ome_tiff(tmp_path / "t.ome.tif", np.zeros((64, 64), np.uint16), "YX", tile=(16, 16))
    scan = scan_tiff(str(path))
    path.unlink()
    with pytest.raises(LimitExceededError, match="16"):
        build_tiff_chunks(scan, ScanOptions(max_chunk_rows=15))


def test_a_file_that_vanishes_after_the_scan_gives_no_chunk_rows(tmp_path: Path):
    path = write_ome_tiff(tmp_path / "v.ome.tif", np.zeros((64, 64), np.uint16), "YX")
    scan = scan_tiff(str(path))
    path.unlink()
    assert len(read_chunks(scan)) == 0


def test_a_bad_file_in_a_folder_is_a_finding_and_the_others_are_rows(tmp_path: Path):
    write_ome_tiff(tmp_path / "p/P_A01_s1.ome.tif", np.zeros((2, 16, 24), np.uint16), "CYX")
    (tmp_path / "p/P_A02_s1.ome.tif").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    os.mkfifo(tmp_path / "p/P_A03_s1.ome.tif")
    scan = scan_plate_folder(str(tmp_path / "p"))
    assert [image.image_id for image in scan.images] == ["P:A01:1"]
    assert [finding.location for finding in scan.findings if finding.code == "file-unreadable"] == [
        "P_A02_s1.ome.tif"
    ]


def test_fewer_bytes_than_uncompressed_pixels_are_said(tmp_path: Path):
    scan = scan_bytes(tmp_path, build_tiff_bytes(plain_tags(10, 10, offset=200, count=60), tail=b"\0" * 400))
    assert codes(scan) == {"data-short"}
    assert scan.images[0].scan_status == "partial"


@pytest.mark.parametrize("tile", [None, (4, 16, 16)])
def test_a_page_that_is_a_whole_volume_is_refused_and_not_taken_for_a_plane(
    tmp_path: Path, tile: tuple[int, ...] | None
):
    tifffile.imwrite(
        tmp_path / "v.tif", np.zeros((8, 64, 64), np.uint16), volumetric=True, tile=tile, metadata=None
    )
    with pytest.raises(UnsupportedStoreError, match="volume of 8 planes"):
        scan_tiff(str(tmp_path / "v.tif"))
