"""Pixels of PNG plates are those that Pillow reads; without a decoder that is said in one sentence."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from bioimage_assets.core.errors import CorruptStoreError, StoreNotFoundError, UnsupportedStoreError
from bioimage_assets.core.joins.image_index import read_image_keys
from bioimage_assets.core.pictures.drawing import NotDrawn
from bioimage_assets.core.pictures.thumbnail_reader import StoreThumbnailReader
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, build_location, locate
from bioimage_assets.core.pixels.location import PixelLocation, read_geometry
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.stores.pixel_store import ReadCount
from bioimage_assets_tests.builders.png_files import write_png, write_png_plate

BOX = PixelBox(2, 9, 3, 15)


def first_location(folder: Path, choice: CropChoice | None = None) -> PixelLocation:
    row = scan_image_assets(str(folder)).to_pylist()[0]
    return build_location(read_geometry(row), BOX, choice or CropChoice())


def test_a_crop_holds_the_pixels_of_each_channel_s_own_file(tmp_path: Path):
    folder = write_png_plate(tmp_path / "P", wells=("A01",), sites=1)
    location, count = first_location(folder), ReadCount()
    crop = read_crop(location, count=count)
    assert (crop.shape, crop.dtype) == ((3, 7, 12), np.uint16)
    files = [folder / file.path for file in location.files]
    for channel, path in enumerate(files):
        assert (crop[channel] == np.asarray(Image.open(path))[2:9, 3:15]).all()
    assert count.stored_bytes == sum(path.stat().st_size for path in files)


def test_colours_are_samples_of_a_crop(tmp_path: Path):
    pixels = np.random.default_rng(1).integers(0, 255, (12, 16, 3)).astype(np.uint8)
    write_png(tmp_path / "P/P_A01_T0001F001L01A01Z01C01.png", pixels)
    crop = read_crop(first_location(tmp_path / "P"))
    assert (
        crop == np.asarray(Image.open(tmp_path / "P/P_A01_T0001F001L01A01Z01C01.png"))[None, 2:9, 3:15]
    ).all()


def test_pieces_that_a_box_touches_are_rows_of_the_chunk_index(tmp_path: Path):
    folder = write_png_plate(tmp_path / "P", wells=("A01",), sites=1)
    images, chunks = scan_image_assets(str(folder)), scan_chunk_index(str(folder)).read_all()
    row = {
        **images.to_pylist()[0], "Metadata_ObjectID": "x",
        **{f"Cells_AreaShape_BoundingBox{side}imum_{axis}": value for side, axis, value in (
            ("Min", "X", 3), ("Max", "X", 15), ("Min", "Y", 2), ("Max", "Y", 9))},
    }  # fmt: skip
    choice = CropChoice(channels=("C01", "C03"))
    located = [locate(row, image_assets=images, chunk_index=table, choice=choice) for table in (chunks, None)]
    by_table, by_files = ([(c.chunk_key, c.kind, c.chunk_coords) for c in item.chunks] for item in located)
    assert by_table == by_files
    assert [key[-7:-4] for key, *_ in by_table] == ["C01", "C03"]
    assert {c.stored_bytes for c in located[0].chunks} <= {p.stat().st_size for p in folder.iterdir()}


def test_files_of_a_png_plate_are_keys_of_a_join_by_path(tmp_path: Path):
    folder = write_png_plate(tmp_path / "P", wells=("A01",), sites=1)
    (key,) = read_image_keys(scan_image_assets(str(folder)))
    assert sorted(path.rpartition("/")[2] for path in key.file_paths) == sorted(
        p.name for p in folder.iterdir()
    )
    assert (key.array_paths, key.well_id, key.site_id) == ((), "A01", "1")


def test_thumbnails_of_wells_are_drawn_from_pngs(tmp_path: Path):
    rows = scan_image_assets(str(write_png_plate(tmp_path / "P", sites=1))).to_pylist()
    for crop in StoreThumbnailReader()(rows, size_px=8):
        assert not isinstance(crop, NotDrawn)
        assert crop.channel_names == ("C01", "C02", "C03")
        assert (np.diff(np.asarray(crop.pixels).mean((1, 2))) > 500).all(), (
            "each channel is brighter than the one before"
        )


@pytest.mark.parametrize("missing", [("imagecodecs",), ("imagecodecs", "PIL.Image")])
def test_pillow_reads_where_imagecodecs_is_not_and_else_a_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
):
    folder = write_png_plate(tmp_path / "P", wells=("A01",), sites=1)
    location = first_location(folder)
    expected = read_crop(location)
    load = importlib.import_module

    def load_what_is_there(name: str) -> ModuleType:
        if name in missing:
            raise ModuleNotFoundError(name)
        return load(name)

    monkeypatch.setattr("bioimage_assets.core.pixels.png_planes.importlib.import_module", load_what_is_there)
    if len(missing) == 1:
        assert (read_crop(location) == expected).all()
        return
    with pytest.raises(UnsupportedStoreError, match="Install imagecodecs"):
        read_crop(location)


def test_colours_of_16_bits_are_not_silently_made_8_by_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_png(tmp_path / "P/P_A01_T0001F001L01A01Z01C01.png", np.full((12, 16, 3), 700, np.uint16))
    location = first_location(tmp_path / "P")
    assert (read_crop(location) == 700).all()
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(UnsupportedStoreError, match="Install imagecodecs"):
        read_crop(location)


def test_a_file_that_was_replaced_or_removed_since_the_scan_is_named(tmp_path: Path):
    folder = write_png_plate(tmp_path / "P", wells=("A01",), sites=1)
    location = first_location(folder, CropChoice(channels=(0,)))
    path = folder / location.files[0].path
    write_png(path, np.zeros((50, 60), np.uint16))
    with pytest.raises(CorruptStoreError, match="Scan the plate again"):
        read_crop(location)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(CorruptStoreError):
        read_crop(location)
    path.unlink()
    with pytest.raises(StoreNotFoundError):
        read_crop(location)
