"""What planning opens: nothing of plain TIFFs, the shared tables of JPEGs, the documents of Zarr arrays."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tifffile

from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.stores.local import LocalStore
from bioimage_assets.core.virtual.plan import plan_virtual_plate
from bioimage_assets_tests.builders.tiff_files import write_jpeg_with_tables, write_pages, write_pyramid
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_named
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

COLOUR = (np.arange(64 * 64 * 3) % 251).astype("uint8").reshape(64, 64, 3)
COUNTED = (
    "get",
    "get_many",
    "list",
    "list_sizes",
    "list_level",
    "list_folders",
    "get_ranges",
    "open_file",
    "head",
    "tail",
)


def count_operations(monkeypatch: pytest.MonkeyPatch, scanned: Path) -> Counter[str]:
    """Calls of the real local store and of tifffile while the plate of scanned rows is planned."""
    images: pa.Table = scan_image_assets(str(scanned))
    chunks = scan_chunk_index(str(scanned)).read_all()
    found: Counter[str] = Counter()
    for owner, name in [*((LocalStore, name) for name in COUNTED), (tifffile.TiffFile, "__init__")]:
        original = getattr(owner, name)

        def counted(self, *args, _name=name, _original=original, **options):
            found[_name] += len(args[0]) if _name == "get_many" else 1
            return _original(self, *args, **options)

        monkeypatch.setattr(owner, name, counted)
    assert plan_virtual_plate(images, chunks.to_batches()).images
    return found


def test_a_plate_of_tiffs_is_planned_without_opening_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_named(tmp_path / "plate", imagexpress_name)
    assert count_operations(monkeypatch, tmp_path / "plate") == {}


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "packbits"])
def test_compressed_stacks_and_pyramids_are_planned_without_opening_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str | None
):
    write_pages(tmp_path / "plate" / "a.tif", [COLOUR[..., 0]] * 3, compression=compression, rowsperstrip=7)
    write_pyramid(tmp_path / "plate" / "b.ome.tif", COLOUR.transpose(2, 0, 1), "CYX")
    assert count_operations(monkeypatch, tmp_path / "plate") == {}


def test_the_tables_of_all_pages_of_a_jpeg_are_read_with_one_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_jpeg_with_tables(tmp_path / "a.tif", [COLOUR] * 5, photometric="ycbcr")
    assert count_operations(monkeypatch, path) == {"get_ranges": 1}


@pytest.mark.parametrize(("zarr_format", "documents"), [(3, 1), (2, 2)])
def test_of_a_zarr_plate_the_documents_of_its_arrays_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zarr_format: int, documents: int
):
    root = write_pixel_plate(tmp_path / "P1.zarr", zarr_format=zarr_format, levels=2)
    assert count_operations(monkeypatch, root) == {"get_many": 4 * 2 * documents}
