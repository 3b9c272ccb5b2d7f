"""Mouse and fingers on the image of a field: dragged, enlarged under the pointer, pinched; what is dragged is not clicked."""

from __future__ import annotations

import re

import pytest

from bioimage_assets_tests.browse.conftest import StoredTables
from bioimage_assets_tests.browse.pages import BrowsePage
from bioimage_assets_tests.builders.browser import BROWSER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)"),
]

PLATE = "screen-b/SB-P1"


@pytest.fixture
def field(page: BrowsePage, stored: StoredTables) -> BrowsePage:
    cell = stored.read("joined_profiles", PLATE).dropna(subset=["image_id"]).iloc[0]
    page.open_field(PLATE, cell.image_id)
    page.tab.wait("document.querySelectorAll('tr[data-cell]').length > 0")
    return page


def middle(page: BrowsePage) -> tuple[float, float]:
    return tuple(page.tab.ask(
        "(() => { const { x, y, width, height } = document.querySelector('.viewer').getBoundingClientRect(); return [x + width / 2, y + height / 2]; })()"
    ))  # fmt: skip


def read_point(page: BrowsePage, x: float, y: float) -> tuple[int, int]:
    """Row and column that the page says are under a place of the window."""
    page.tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    text = page.tab.wait("document.querySelector('.readout').textContent")
    found = re.match(r"row (\d+), column (\d+): ", text)
    assert found, text
    return int(found[1]), int(found[2])


def micrometres_per_pixel(page: BrowsePage) -> float:
    """By the scale bar."""
    length, width = page.tab.ask(
        "[document.querySelector('.scale-bar span').textContent, document.querySelector('.scale-bar i').getBoundingClientRect().width]"
    )
    number, unit = length.split()
    assert unit == "µm"
    return float(number) / width


def settle(page: BrowsePage) -> None:
    page.tab.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_the_mouse_drags_the_image_without_choosing_a_cell(field: BrowsePage) -> None:
    x, y = middle(field)
    row, column = read_point(field, x, y)
    scale = micrometres_per_pixel(field)
    field.tab.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
    for step in (20, 60, 100):
        field.tab.call(
            "Input.dispatchMouseEvent",
            type="mouseMoved",
            x=x + step,
            y=y + step / 2,
            button="left",
            buttons=1,
        )
    field.tab.call(
        "Input.dispatchMouseEvent", type="mouseReleased", x=x + 100, y=y + 50, button="left", clickCount=1
    )
    settle(field)
    moved = read_point(field, x + 100, y + 50)
    assert abs(moved[0] - row) <= 1
    assert abs(moved[1] - column) <= 1
    assert micrometres_per_pixel(field) == pytest.approx(scale)
    assert field.texts(".details") == []


def test_the_wheel_enlarges_what_is_under_the_pointer(field: BrowsePage) -> None:
    x, y = middle(field)
    x, y = x + 70, y - 40
    before, scale = read_point(field, x, y), micrometres_per_pixel(field)
    field.tab.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-300)
    settle(field)
    assert micrometres_per_pixel(field) == pytest.approx(scale / 2, rel=0.02)
    after = read_point(field, x, y)
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) <= 1


def test_two_fingers_enlarge_the_image(field: BrowsePage) -> None:
    x, y = middle(field)
    scale = micrometres_per_pixel(field)
    for kind, reach in (("touchStart", 40), ("touchMove", 60), ("touchMove", 80), ("touchEnd", 0)):
        points = [{"x": x - reach, "y": y, "id": 0}, {"x": x + reach, "y": y, "id": 1}]
        field.tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=points if reach else [])
    settle(field)
    assert micrometres_per_pixel(field) == pytest.approx(scale / 2, rel=0.05)
    assert field.texts(".details") == []


def test_the_values_under_the_pointer_are_the_stored_ones(field: BrowsePage, stored: StoredTables) -> None:
    x, y = middle(field)
    row, column = read_point(field, x, y)
    text = field.tab.ask("document.querySelector('.readout').textContent")
    crop = field.tab.ask(
        "(async () => { const id = decodeURIComponent(location.hash.split('/')[4]);"
        f" const where = new URLSearchParams({{ plate_key: {PLATE!r}, image_id: id, level: 0, c: 0, y0: {row}, y1: {row + 1}, x0: {column}, x1: {column + 1} }});"
        " return new Uint16Array(await (await fetch(`pixels?${where}`)).arrayBuffer())[0]; })()"
    )
    name = field.texts("fieldset legend")[0]
    assert f"{name} {crop:,}," in text
