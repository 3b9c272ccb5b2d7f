"""A plate map in a few hundred bytes shows the right colour in the right place."""

import base64
import io
import re

import pytest
from PIL import Image

from bioimage_assets.core.model.identity import build_well_id
from bioimage_assets.core.pictures.geometry import PlateGeometry
from bioimage_assets.core.pictures.well_tile import build_well_tile
from bioimage_assets.metadata import MAX_IN_PLACE_CHARACTERS, build_plate_tile


def _pixels(tile: str) -> Image.Image:
    svg = base64.b64decode(tile.partition("base64,")[2]).decode()
    png = re.search(r"data:image/png;base64,([^\"]+)", svg)
    assert png is not None
    return Image.open(io.BytesIO(base64.b64decode(png[1]))).convert("RGB")


def test_every_well_has_its_pixel_from_dark_to_bright() -> None:
    values = {"A01": 0.0, "A12": 5.0, "H01": 10.0, "H12": None}
    picture = _pixels(build_well_tile(PlateGeometry(8, 12), values))
    assert picture.size == (12, 8)
    assert picture.getpixel((0, 0)) == (0x44, 0x01, 0x54)
    assert picture.getpixel((11, 0)) == (0x21, 0x91, 0x8C)
    assert picture.getpixel((0, 7)) == (0xFD, 0xE7, 0x25)
    assert picture.getpixel((11, 7)) == picture.getpixel((5, 5)) == (0xE5, 0xE7, 0xEB)


def test_an_odd_number_of_columns_is_not_shifted() -> None:
    picture = _pixels(build_well_tile(PlateGeometry(2, 3), {"A03": 0.0, "B03": 1.0}))
    assert picture.getpixel((2, 0)) == (0x44, 0x01, 0x54)
    assert picture.getpixel((2, 1)) == (0xFD, 0xE7, 0x25)


@pytest.mark.parametrize(("rows", "columns"), [(8, 12), (16, 24)])
def test_a_plate_of_noise_still_stands_in_place(rows: int, columns: int) -> None:
    values = {
        build_well_id(row, column): float((row * 7919 + column * 104729) % 997)
        for row in range(rows)
        for column in range(columns)
    }
    text = build_plate_tile(values, "profiled cells").md_str
    assert "data:image/svg+xml" in text
    assert len(text) <= MAX_IN_PLACE_CHARACTERS


def test_no_values_are_said_in_words() -> None:
    assert build_plate_tile({"A01": None}, "profiled cells").md_str == "profiled cells: none"
