"""A plate map in a few hundred bytes shows the right colour in the right place."""

import base64
import io
import re
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from PIL import Image

from bioimage_assets.core.model.identity import build_well_id
from bioimage_assets.core.pictures.geometry import PlateGeometry
from bioimage_assets.core.pictures.well_tile import build_well_tile
from bioimage_assets.metadata import MAX_IN_PLACE_CHARACTERS, build_plate_tile

SVG = "{http://www.w3.org/2000/svg}"


def _draw(tile: str) -> ElementTree.Element:
    """The SVG of a data URI, read by a parser of XML."""
    head, _, encoded = tile.partition(",")
    assert head == "data:image/svg+xml"
    assert not set(encoded) & set('<> ()"'), "a link of Markdown holds none of these"
    return ElementTree.fromstring(unquote(encoded))


def _pixels(tile: str) -> Image.Image:
    image = _draw(tile).find(f"{SVG}image")
    png = image.get("href").removeprefix("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")


def _labels(tile: str) -> tuple[dict[int, str], dict[int, str]]:
    """Row and column labels by the well, counted from zero, that each is nearest to."""
    svg = _draw(tile)
    image = {name: float(svg.find(f"{SVG}image").get(name)) for name in ("x", "y", "width", "height")}
    rows, columns = svg.findall(f"{SVG}text")
    size = _pixels(tile).size
    well = image["width"] / size[0]
    by_row: dict[int, str] = {}
    for y, letter in zip(rows.get("y").split(","), rows.text, strict=True):
        at = int((float(y) - 3 - image["y"]) / well)  # the base line of a letter is below its middle
        by_row[at] = by_row.get(at, "") + letter
    by_column: dict[int, str] = {}
    starts = [float(x) for x in columns.get("x").split(",")]
    for x, digit in zip(starts, columns.text, strict=True):
        is_second = x - 5 in starts
        at = int((x + (0 if is_second else 2.5) - image["x"]) / well)
        by_column[at] = by_column.get(at, "") + digit
    return by_row, by_column


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


@pytest.mark.parametrize(
    ("rows", "columns", "row_step", "column_step"),
    [(4, 6, 1, 1), (8, 12, 1, 1), (16, 24, 1, 2), (32, 48, 2, 2)],
)
def test_rows_have_letters_and_columns_numbers(rows, columns, row_step, column_step) -> None:
    geometry = PlateGeometry(rows, columns)
    by_row, by_column = _labels(build_well_tile(geometry, {"A01": 1.0}))
    assert by_row == {row: geometry.row_labels[row] for row in range(0, rows, row_step)}
    assert by_column == {column: geometry.column_labels[column] for column in range(0, columns, column_step)}


def _noise(rows: int, columns: int) -> dict[str, float]:
    return {
        build_well_id(row, column): float((row * 7919 + column * 104729) % 997)
        for row in range(rows)
        for column in range(columns)
    }


@pytest.mark.parametrize(("rows", "columns"), [(8, 12), (16, 24)])
def test_a_plate_of_noise_still_stands_in_place(rows: int, columns: int) -> None:
    text = build_plate_tile(_noise(rows, columns), "fraction of cells that fail").md_str
    assert "data:image/svg+xml" in text
    assert len(text) <= MAX_IN_PLACE_CHARACTERS


def test_a_large_plate_of_noise_has_its_map_in_all_colours_behind_a_link() -> None:
    text = build_plate_tile(_noise(32, 48), "profiled cells").md_str
    tile = re.search(r"\((data:[^)]+)\)", text)
    assert tile is not None
    assert _pixels(tile[1]).size == (48, 32)
    assert len(_pixels(tile[1]).getcolors()) == 15
    assert MAX_IN_PLACE_CHARACTERS < len(text) < 2500


def test_no_values_are_said_in_words() -> None:
    assert build_plate_tile({"A01": None}, "profiled cells").md_str == "profiled cells: none"
