"""A file that is wrong in a way nobody foresaw costs itself: one finding, and the others keep their rows."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pytest
import tifffile

from bioimage_assets.core.errors import BioimageError, CorruptStoreError, LimitExceededError, StoreError
from bioimage_assets.core.formats.ome_tiff.tiff_file import open_tiff
from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_plate_source, scan_store_records
from bioimage_assets.core.stores.open import open_store
from bioimage_assets_tests.builders.tiff_files import build_tiff_bytes, plain_tags, write_pages
from bioimage_assets_tests.builders.zarr_documents import write_image


def write_with_copies(
    path: Path, page: np.ndarray, copies: list[tuple[np.ndarray, dict[str, object]]]
) -> Path:
    """Write a page whose SubIFDs are the given pictures."""
    with tifffile.TiffWriter(path) as writer:
        writer.write(page, subifds=len(copies), metadata=None, photometric="minisblack")
        for copy, options in copies:
            writer.write(copy, subfiletype=1, metadata=None, **options)  # type: ignore[arg-type]
    return path


GRAY = np.zeros((64, 64), np.uint8)
THUMBNAILS = {
    "rgb": (np.zeros((32, 32, 3), np.uint8), {"photometric": "rgb"}),
    "separate samples": (np.zeros((3, 32, 32), np.uint8), {"photometric": "rgb", "planarconfig": "separate"}),
    "another type": (np.zeros((32, 32), np.uint16), {"photometric": "minisblack"}),
}


@pytest.mark.parametrize("kind", THUMBNAILS)
def test_a_thumbnail_in_a_subifd_is_no_level_and_costs_no_row(tmp_path: Path, kind: str) -> None:
    level = (GRAY[::2, ::2], {"photometric": "minisblack"})
    write_with_copies(tmp_path / "a.tif", GRAY, [THUMBNAILS[kind], level])
    write_with_copies(tmp_path / "b.tif", GRAY, [])
    scan = scan_store_records(str(tmp_path))
    images = {image.uri.rpartition("/")[2]: image for image in scan.images}
    assert [(level.path, level.shape) for level in images["a.tif"].levels] == [
        ("0", (64, 64)),
        ("0/1", (32, 32)),
    ]
    assert [image.scan_status for image in scan.images] == ["ok", "ok"]
    assert [(f.code, f.severity, f.location) for f in scan.findings if f.code != "names-not-understood"] == [
        ("sub-image-not-a-level", "info", "a.tif")
    ]
    assert images["a.tif"].stored_bytes == 64 * 64 + 32 * 32
    rows = scan_chunk_index(str(tmp_path)).read_all()
    assert rows["chunk_key"].to_pylist() == ["a.tif#0", "a.tif#0/1", "b.tif#0"]


def test_a_level_or_a_later_page_that_is_a_volume_costs_itself_only(tmp_path: Path) -> None:
    path = write_with_copies(tmp_path / "x.tif", GRAY, [(GRAY[::2, ::2], {"photometric": "minisblack"})])
    raw = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        entry = tiff.pages[0].pages[0].tags[262].offset  # type: ignore[index, union-attr]
    struct.pack_into("<HHII", raw, entry, 32997, 4, 1, 5)  # ImageDepth in place of the photometric tag
    path.write_bytes(raw)
    (image,) = scan_store_records(str(path)).images
    assert (len(image.levels), image.scan_status) == (1, "partial")
    pages = write_pages(tmp_path / "y.tif", [GRAY, GRAY, GRAY])
    raw = bytearray(pages.read_bytes())
    with tifffile.TiffFile(pages) as tiff:
        entry = tiff.pages[1].tags[262].offset
    struct.pack_into("<HHII", raw, entry, 32997, 4, 1, 5)
    pages.write_bytes(raw)
    (image,) = scan_store_records(str(pages)).images
    assert (image.shape, image.scan_status) == ((3, 64, 64), "partial")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("zip() argument 2 is shorter"), KeyError("x"), IndexError("y"), OverflowError("z"), RecursionError("deep"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), struct.error("short"), zlib.error("bits"), BadZipFile("no"),
        ZeroDivisionError("0"), TypeError("kind"), EOFError("end"), OSError(5, "Input/output error"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_parsing_a_file_raises_is_an_error_with_its_name(tmp_path: Path, error: Exception) -> None:
    write_pages(tmp_path / "x.tif", [GRAY])
    store = open_store(str(tmp_path))
    with pytest.raises(CorruptStoreError, match=r"x\.tif") as caught, open_tiff(store, "x.tif"):
        raise error
    assert caught.value.__cause__ is error


def test_errors_of_this_project_pass_and_lack_of_memory_is_a_limit() -> None:
    with pytest.raises(BioimageError, match="mine"), foreign_file("x"):
        raise LimitExceededError("mine")
    with pytest.raises(LimitExceededError, match="memory"), foreign_file("x"):
        raise MemoryError
    with pytest.raises(KeyboardInterrupt), foreign_file("x"):
        raise KeyboardInterrupt


def test_a_folder_of_tiffs_that_fails_leaves_the_zarr_stores_beside_it(tmp_path: Path) -> None:
    write_image(tmp_path / "good.zarr")
    (tmp_path / "bad.tif").write_bytes(build_tiff_bytes(plain_tags(8, 8, offset=9_999, count=64))[:20])
    scan = scan_store_records(str(tmp_path))
    assert len(scan.images) == 1
    codes = {finding.code for finding in scan.findings if finding.severity != "error"}
    assert codes == {"names-not-understood"}


@pytest.mark.parametrize(
    "name", ["loop.tif", "loop.zarr", "loop.ome.zarr.zip", "loop.HTD", "loop.companion.ome"]
)
def test_a_link_that_leads_to_itself_costs_nothing_else(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "P1"
    write_pages(folder / "A01_s1_w1.tif", [GRAY])
    os.symlink(folder / name, folder / name)
    assert len(scan_store_records(str(folder)).images) == 1
    source = PlateSource("d/P1", "d", "P1", str(tmp_path), (str(folder / name), str(folder)))
    assert scan_plate_source(source).images.num_rows == 1
    with pytest.raises(StoreError):
        scan_store_records(str(folder / name))
