"""The page without a mouse and on a phone: every view is reached and steered by keys, none is wider than 400 pixels."""

from __future__ import annotations

import pytest

from bioimage_assets_tests.browse.conftest import StoredTables
from bioimage_assets_tests.browse.pages import BrowsePage
from bioimage_assets_tests.builders.browser import BROWSER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)"),
]

PLATE = "screen-a/SA-P1"
AT = "document.activeElement"


def walk_to(page: BrowsePage, condition: str, *, most: int = 40) -> None:
    """Press Tab until the element with the focus is the wanted one."""
    for _ in range(most):
        page.tab.press("Tab")
        if page.tab.ask(f"((one) => {condition})({AT})"):
            return
    raise AssertionError(f"no element with {condition} among {most}")


def test_keys_alone_lead_from_the_list_of_plates_to_a_cell_and_back(page: BrowsePage) -> None:
    page.open("")
    walk_to(page, "one.textContent === 'SA-P1'")
    assert page.tab.ask(f"getComputedStyle({AT}).outlineStyle") == "solid"  # the focus is seen
    page.tab.press("Enter")
    page.tab.wait("document.querySelector('.well .thumb.there') !== null")
    walk_to(page, "one.classList.contains('well')")
    assert page.tab.ask(f"{AT}.dataset.well") == "A01"
    for key, well in {
        "ArrowRight": "A02",
        "ArrowDown": "B02",
        "End": "B04",
        "Home": "B01",
        "ArrowUp": "A01",
        "ArrowLeft": "A01",
    }.items():
        page.tab.press(key)
        assert page.tab.ask(f"{AT}.dataset.well") == well, key
    assert page.tab.ask("document.querySelectorAll('.well[tabindex=\"0\"]').length") == 1
    page.tab.press("ArrowRight")
    page.tab.press("Enter")
    page.tab.wait("document.title.startsWith('Well A02') && document.querySelector('tr[data-cell]') !== null")
    walk_to(page, "one.classList.contains('field')")
    page.tab.press("Enter")
    page.tab.wait("document.querySelector('.viewer canvas')?.dataset.state === 'complete'")
    page.tab.wait("document.querySelector('tr[data-cell] a') !== null")
    walk_to(page, "one.closest('tr[data-cell]') !== null", most=80)
    page.tab.press("Enter")
    page.tab.wait("Boolean(document.querySelector('.details')?.crop)")
    assert page.tab.ask("location.hash.includes('cell=')")
    page.tab.press("Escape")
    page.tab.wait("document.querySelector('.details') === null")
    assert not page.tab.ask("location.hash.includes('cell=')")
    for title in ("Well A02", "Plate SA-P1", "Plates"):
        page.tab.press("Escape")
        page.tab.wait(f"document.title.startsWith({title!r}) && document.querySelector('#view h1') !== null")
        if title.startswith("Plate S"):
            page.tab.wait(f"{AT}.dataset.well === 'A02'")


def test_keys_move_zoom_and_toggle_in_a_field(page: BrowsePage, stored: StoredTables) -> None:
    page.open_field(PLATE, stored.read("image_assets", PLATE).image_id.iloc[0])
    page.tab.ask("document.querySelector('.viewer canvas').focus()")

    def see() -> bytes:
        page.tab.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.tab.wait("document.querySelector('.viewer canvas').dataset.state === 'complete'")
        return page.read_canvas(".viewer canvas").tobytes()

    page.tab.size(700, 500)
    fitted = see()
    seen = [fitted]
    for key in ("+", "ArrowRight", "ArrowDown", "-", "1"):
        page.tab.press(key)
        seen.append(see())
        assert seen[-1] != seen[-2], key
    page.tab.press("1")
    page.tab.press("0")
    assert see() == fitted
    assert page.tab.ask("document.querySelector('fieldset[data-channel=\"0\"] input').checked")


def test_every_control_has_a_name(page: BrowsePage, stored: StoredTables) -> None:
    cell = stored.read("joined_profiles", PLATE).dropna(subset=["image_id"]).iloc[0]
    for parts in (
        (),
        ("plate", PLATE),
        ("plate", PLATE, "well", cell.well_id),
        ("plate", PLATE, "image", cell.image_id),
    ):
        page.open(*parts, cell=cell.Metadata_ObjectID if "image" in parts else None)
        page.tab.wait("document.getElementById('busy').textContent === ''")
        nodes = page.tab.call("Accessibility.getFullAXTree")["nodes"]
        controls = [node for node in nodes if node.get("role", {}).get("value") in (
            "button", "link", "checkbox", "slider", "spinbutton", "combobox", "ColorWell", "img", "grid", "image",
        )]  # fmt: skip
        assert controls or not parts
        assert [
            node["role"]["value"] for node in controls if not node.get("name", {}).get("value", "").strip()
        ] == []


def test_no_view_is_wider_than_a_phone(page: BrowsePage, stored: StoredTables) -> None:
    page.tab.size(400, 800)
    cell = stored.read("joined_profiles", PLATE).dropna(subset=["image_id"]).iloc[0]
    page.open("")
    assert_fits(page)
    page.open("plate", PLATE, until="document.querySelector('.well .thumb.there') !== null")
    page.tab.ask("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert_fits(page)
    page.choose("#measurement", "cells")
    page.tab.wait("document.querySelector('.well.painted') !== null")
    assert_fits(page)
    page.open("plate", PLATE, "well", cell.well_id, until="document.querySelector('tr[data-cell]') !== null")
    assert_fits(page)
    page.open_field(PLATE, cell.image_id, cell.Metadata_ObjectID)
    page.tab.wait("document.querySelector('tr[data-cell]') !== null")
    page.tab.ask("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert_fits(page)


def assert_fits(page: BrowsePage) -> None:
    assert page.tab.ask("innerWidth") == 400
    assert page.tab.ask("document.scrollingElement.scrollWidth") <= 400
