"""Pixels that the page shows are the stored ones: of a chosen cell, and of a field in the colours of its channels."""

from __future__ import annotations

import json
import urllib.request
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest

from bioimage_assets.api import locate, read_crop
from bioimage_assets.core.pictures.channel_colours import Crop, compose
from bioimage_assets_tests.browse.conftest import StoredTables
from bioimage_assets_tests.browse.pages import BrowsePage, mix
from bioimage_assets_tests.builders.browser import BROWSER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)"),
]

ZARR, TIFF = "screen-a/SA-P1", "screen-b/SB-P1"
SMALL = (700, 600)  # few pixels to read back


def ask_server(page: BrowsePage, name: str, **parameters: str) -> dict:
    with urllib.request.urlopen(f"{page.url}api/{name}?{urlencode(parameters)}", timeout=60) as answer:
        return json.load(answer)


def pick_cells(stored: StoredTables, plate_key: str, count: int) -> list[pd.Series]:
    """Cells from all over the plate."""
    cells = stored.read("joined_profiles", plate_key).dropna(subset=["image_id"])
    return [cells.iloc[row] for row in np.linspace(0, len(cells) - 1, count).astype(int)]


def cut(stored: StoredTables, plate_key: str, cell: pd.Series) -> np.ndarray:
    """Pixels of a cell: (channel, y, x)."""
    pixels = read_crop(locate(cell.to_dict(), image_assets=stored.arrow("image_assets", plate_key)))
    return pixels.reshape(-1, *pixels.shape[-2:])


@pytest.mark.parametrize("plate_key", [ZARR, TIFF])
def test_a_chosen_cell_shows_exactly_the_pixels_of_read_crop(
    page: BrowsePage, stored: StoredTables, plate_key: str
) -> None:
    for cell in pick_cells(stored, plate_key, 4):
        expected = cut(stored, plate_key, cell)
        page.open_field(plate_key, cell.image_id, cell.Metadata_ObjectID)
        assert np.array_equal(page.read_crop(), expected)
        channels = ask_server(page, "image", plate_key=plate_key, image_id=cell.image_id)["channels"]
        for number in range(len(channels)):
            shown = page.read_canvas(f".details figure:nth-child({number + 2}) canvas")
            assert np.array_equal(shown, mix(expected, channels, [number]))
        together = page.read_canvas(".details figure:first-child canvas")
        assert np.array_equal(together, mix(expected, channels, range(len(channels))))
        limits = [(channel["min"], channel["max"]) for channel in channels]
        pictures = np.round(compose(Crop(expected), limits) * 255)  # colours of pages are rounded to bytes
        assert np.abs(together - pictures).max() <= 1


def test_a_click_on_the_image_chooses_the_cell_that_is_there(page: BrowsePage, stored: StoredTables) -> None:
    cell = pick_cells(stored, TIFF, 3)[1]
    page.open_field(TIFF, cell.image_id)
    shown = ask_server(page, "cell", plate_key=TIFF, object_id=cell.Metadata_ObjectID)
    others = ask_server(page, "cells", plate_key=TIFF, well_id=shown["well_id"], image_id=cell.image_id)[
        "rows"
    ]
    y, x = find_lonely_place(shown, others)
    height, width, top, left = page.tab.ask(
        "(() => { const { height, width, top, left } = document.querySelector('.viewer').getBoundingClientRect();"
        " return [height, width, top, left]; })()"
    )
    image = ask_server(page, "image", plate_key=TIFF, image_id=cell.image_id)["levels"][0]
    scale = min(height / image["height"], width / image["width"])
    page.tab.click(
        left + width / 2 + (x - image["width"] / 2) * scale,
        top + height / 2 + (y - image["height"] / 2) * scale,
    )
    page.tab.wait("Boolean(document.querySelector('.details')?.crop)")
    assert np.array_equal(page.read_crop(), cut(stored, TIFF, cell))
    assert (
        page.tab.ask("new URLSearchParams(location.hash.split('?')[1]).get('cell')") == cell.Metadata_ObjectID
    )


def find_lonely_place(cell: dict, others: list[dict]) -> tuple[float, float]:
    """A place that is in the box of one cell and in no smaller or other one."""
    y0, y1, x0, x1 = cell["box"]
    boxes = [other["box"] for other in others if other["object_id"] != cell["object_id"]]
    for y in np.arange(y0 + 1.5, y1 - 1):
        for x in np.arange(x0 + 1.5, x1 - 1):
            if not any(top <= y < bottom and left <= x < right for top, bottom, left, right in boxes):
                return float(y), float(x)
    raise AssertionError("the whole box is covered by others")


@pytest.mark.parametrize("plate_key", [ZARR, TIFF])
def test_a_channel_that_is_hidden_takes_exactly_its_colour_out_of_the_image(
    page: BrowsePage, stored: StoredTables, plate_key: str
) -> None:
    channels, whole = open_one_to_one(page, stored, plate_key, 2)
    everything = list(range(len(channels)))
    assert_shows(page, mix(whole, channels, everything))
    page.tab.press("2")
    assert_shows(page, mix(whole, channels, [number for number in everything if number != 1]))
    page.click_on("fieldset[data-channel='0'] input[type=checkbox]")
    assert_shows(page, mix(whole, channels, everything[2:]))
    page.tab.press("2")
    page.tab.press("1")
    assert_shows(page, mix(whole, channels, everything))


def open_one_to_one(
    page: BrowsePage, stored: StoredTables, plate_key: str, number: int
) -> tuple[list[dict], np.ndarray]:
    """Open a field of view, one pixel to one, and give its channels and all its pixels (channel, y, x)."""
    images = stored.read("image_assets", plate_key)
    image = images[images.image_kind != "label"].iloc[number]
    page.tab.size(*SMALL)
    page.open_field(plate_key, image.image_id)
    page.click_on("button[title^='One pixel']")
    channels = ask_server(page, "image", plate_key=plate_key, image_id=image.image_id)["channels"]
    return channels, read_whole(stored, plate_key, image)


def read_whole(stored: StoredTables, plate_key: str, image: pd.Series) -> np.ndarray:
    """All pixels of a field of view: (channel, y, x)."""
    height, width = map(int, list(image["shape"])[-2:])
    row = {
        "image_id": image.image_id, "Cells_AreaShape_BoundingBoxMinimum_Y": 0, "Cells_AreaShape_BoundingBoxMinimum_X": 0,
        "Cells_AreaShape_BoundingBoxMaximum_Y": height, "Cells_AreaShape_BoundingBoxMaximum_X": width,
    }  # fmt: skip
    pixels = read_crop(locate(row, image_assets=stored.arrow("image_assets", plate_key)))
    return pixels.reshape(-1, height, width)


def assert_shows(page: BrowsePage, expected: np.ndarray) -> None:
    """The canvas shows a field in its middle, one pixel to one, on black."""
    page.tab.wait("document.querySelector('.viewer canvas').dataset.state === 'complete'")
    page.tab.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    seen = page.read_canvas(".viewer canvas")
    height, width = expected.shape[:2]
    near = [
        (top, left)
        for top in range((seen.shape[0] - height) // 2 - 1, (seen.shape[0] - height) // 2 + 3)
        for left in range((seen.shape[1] - width) // 2 - 1, (seen.shape[1] - width) // 2 + 3)
    ]
    assert sum(np.array_equal(seen[y : y + height, x : x + width], expected) for y, x in near) == 1
    assert int(seen.sum()) == int(expected.sum())  # nothing beside it


def test_contrast_follows_the_number_that_is_typed_and_what_is_seen(
    page: BrowsePage, stored: StoredTables
) -> None:
    channels, whole = open_one_to_one(page, stored, ZARR, 5)
    page.choose("fieldset[data-channel='1'] .end:last-child input[type=number]", "900")
    channels[1] = channels[1] | {"max": 900}
    assert_shows(page, mix(whole, channels, range(len(channels))))
    page.click_on("fieldset[data-channel='1'] button")
    lit = whole[1][whole[1] > 0]
    low, high = np.percentile(lit, [2.0, 99.8])
    channels[1] = channels[1] | {"min": low, "max": high}
    assert_shows(page, mix(whole, channels, range(len(channels))))
