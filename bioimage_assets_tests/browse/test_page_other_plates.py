"""Plates that are not as most are: names that look like markup, stacks of planes and times, colour images, floating-point samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import dagster as dg
import numpy as np
import pytest
import tifffile
import zarr

from bioimage_assets.core.model.identity import build_plate_key
from bioimage_assets.headless import materialize_plates
from bioimage_assets_tests.browse.pages import BrowsePage
from bioimage_assets_tests.builders.browse_server import run_browse
from bioimage_assets_tests.builders.browser import BROWSER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)"),
]

MARKUP = "<img src=x onerror=ran=1>'\"&amp;"
STACK_SHAPE = (2, 2, 3, 40, 60)  # t, c, z, y, x
STACK = np.random.default_rng(3).normal(0.4, 0.2, STACK_SHAPE).astype(np.float32)
# A smooth slope with steps, so that averages of neighbours are near what any way of shrinking gives.
SLOPE = (np.add.outer(np.arange(600) * 20, np.arange(1500) * 15) + 1000).astype(np.uint16)
STRIP_ROWS = 16
COLOUR = np.random.default_rng(4).integers(0, 255, (50, 70, 3), np.uint8)


def write_zarr(store: Path, pixels: np.ndarray, axes: str, channels: list[str]) -> None:
    """An OME-Zarr 0.5 plate with one well and one field."""
    plate = {"name": store.name.removesuffix(".ome.zarr"), "wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}], "rows": [{"name": "A"}], "columns": [{"name": "1"}]}  # fmt: skip
    root = zarr.open_group(
        store, mode="w", zarr_format=3, attributes={"ome": {"version": "0.5", "plate": plate}}
    )
    well = {"images": [{"path": "0"}]}
    root.create_group("A/1", attributes={"ome": {"version": "0.5", "well": well}})
    kinds = {"t": "time", "c": "channel"}
    scale = [{"type": "scale", "scale": [0.5 if axis in "yx" else 1.0 for axis in axes]}]
    image = {
        "version": "0.5",
        "multiscales": [{
            "axes": [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes],
            "datasets": [{"path": "0", "coordinateTransformations": scale}],
        }],
        "omero": {"channels": [{"label": name} for name in channels]},
    }  # fmt: skip
    field = root.create_group("A/1/0", attributes={"ome": image})
    field.create_array("0", data=pixels, dimension_names=list(axes))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = tmp_path_factory.mktemp("other") / "data"
    incoming = data / "incoming"
    (incoming / "odd").mkdir(parents=True)
    write_zarr(
        incoming / "odd" / f"{MARKUP}.ome.zarr",
        np.ones((2, 20, 30), np.uint16),
        "cyx",
        [MARKUP, "</script><script>ran=1</script>"],
    )
    write_zarr(incoming / "odd" / "stack.ome.zarr", STACK, "tczyx", ["DNA", "ER"])
    (incoming / "odd" / "colour").mkdir()
    tifffile.imwrite(incoming / "odd" / "colour" / "A01_s1_w1.tif", COLOUR, photometric="rgb")
    (incoming / "odd" / "strips").mkdir()
    tifffile.imwrite(
        incoming / "odd" / "strips" / "A01_s1_w1.tif", SLOPE, rowsperstrip=STRIP_ROWS, compression="lzw"
    )
    lost = incoming / "odd" / "lost" / "A01_s1_w1.tif"
    lost.parent.mkdir()
    tifffile.imwrite(lost, np.ones((20, 30), np.uint16))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOIMAGE_DATA_DIR", str(data))
        report = materialize_plates(
            dg.DagsterInstance.ephemeral(), select=["image_assets"], with_datasets=False
        )
    assert report.is_ok
    assert len(report.plates) == 5
    lost.unlink()
    with run_browse(data) as address:
        yield address


def open_first_field(page: BrowsePage, url: str, plate_key: str) -> BrowsePage:
    own = BrowsePage(page.tab, url)
    own.open(
        "plate", plate_key, "well", "A01", until="document.querySelector('.field .thumb.there') !== null"
    )
    own.click_on(".field")
    page.tab.wait("document.querySelector('.viewer canvas')?.dataset.state === 'complete'")
    return own


@pytest.fixture
def page(browser_tab, url: str) -> BrowsePage:
    browser_tab.size(700, 600)
    return BrowsePage(browser_tab, url)


def test_names_that_look_like_markup_are_shown_as_they_are(page: BrowsePage, url: str) -> None:
    page.open("")
    assert MARKUP in page.texts("tbody th")
    page.open(
        "plate", build_plate_key("odd", MARKUP), until="document.querySelector('.well .thumb.there') !== null"
    )
    assert page.texts("h1") == [f"Plate {MARKUP}"]
    assert page.tab.ask("document.title") == f"Plate {MARKUP}"
    open_first_field(page, url, build_plate_key("odd", MARKUP))
    assert page.texts("fieldset legend") == [MARKUP, "</script><script>ran=1</script>"]
    assert page.tab.ask("typeof window.ran") == "undefined"
    assert page.tab.ask("document.querySelectorAll('img[src=x], main script').length") == 0


def test_a_stack_begins_in_its_middle_and_each_plane_and_time_is_the_stored_one(
    page: BrowsePage, url: str
) -> None:
    open_first_field(page, url, "odd/stack")
    sliders = page.tab.ask(
        "[...document.querySelectorAll('.planes input')].map((one) => [one.value, one.max])"
    )
    assert sliders == [["1", "2"], ["0", "1"]]
    page.click_on("fieldset[data-channel='1'] input[type=checkbox]")
    seen = {}
    for z, t in ((1, 0), (2, 0), (2, 1)):
        set_slider(page, 1, z)
        set_slider(page, 2, t)
        page.click_on("button[title^='One pixel']")
        page.tab.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.tab.wait("document.querySelector('.viewer canvas').dataset.state === 'complete'")
        seen[z, t] = read_blue(page)
    low, high = (
        float(one)
        for one in page.tab.ask(
            "[...document.querySelectorAll('fieldset[data-channel=\"0\"] input[type=number]')].map((one) => one.value)"
        )
    )
    for (z, t), shown in seen.items():
        share = np.clip((STACK[t, 0, z].astype(float) - low) / (high - low), 0, 1)
        assert np.abs(shown - share * 255).max() <= 1.5  # the limits are shown with five digits


def set_slider(page: BrowsePage, number: int, value: int) -> None:
    page.tab.ask(
        f"(() => {{ const one = document.querySelectorAll('.planes input')[{number - 1}]; one.value = {value};"
        " one.dispatchEvent(new Event('input')); return 1; })()"
    )


def read_blue(page: BrowsePage) -> np.ndarray:
    """Blue of the first channel, whose colour has it in full, cut out of the black around it."""
    canvas = page.read_canvas(".viewer canvas")[..., 2].astype(float)
    height, width = STACK_SHAPE[-2:]
    rows, columns = np.nonzero(canvas.max(axis=1))[0], np.nonzero(canvas.max(axis=0))[0]
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (height, width)
    return canvas[rows[0] : rows[0] + height, columns[0] : columns[0] + width]


def test_a_colour_image_is_shown_in_its_own_colours(page: BrowsePage, url: str) -> None:
    open_first_field(page, url, "odd/colour")
    page.click_on("button[title^='One pixel']")
    page.tab.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    canvas = page.read_canvas(".viewer canvas")
    height, width = COLOUR.shape[:2]
    top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
    near = [
        canvas[y : y + height, x : x + width]
        for y in range(top - 1, top + 2)
        for x in range(left - 1, left + 2)
    ]
    assert any(np.array_equal(part, COLOUR) for part in near)


def test_a_large_field_is_fetched_in_whole_strips_each_of_them_once(page: BrowsePage, url: str) -> None:
    page.tab.events.clear()
    open_first_field(page, url, "odd/strips")
    page.tab.ask("1")
    asked = [
        event["params"]["request"]["url"]
        for event in page.tab.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    boxes = [parse_qs(one.partition("?")[2]) for one in asked if "/pixels?" in one]
    seen = np.zeros(SLOPE.shape, np.uint8)
    assert boxes
    for box in boxes:
        y0, y1, x0, x1 = (int(box[name][0]) for name in ("y0", "y1", "x0", "x1"))
        assert y0 % STRIP_ROWS == 0
        assert y1 % STRIP_ROWS == 0 or y1 == SLOPE.shape[0]
        seen[y0:y1, x0:x1] += 1
    assert (seen == 1).all()


def test_a_large_field_from_afar_shows_averages_of_its_pixels(page: BrowsePage, url: str) -> None:
    open_first_field(page, url, "odd/strips")
    page.choose("fieldset[data-channel='0'] .end:last-child input[type=number]", "40000")
    page.choose("fieldset[data-channel='0'] .end:nth-child(3) input[type=number]", "1000")
    page.choose("fieldset[data-channel='0'] input[type=color]", "#ffffff")
    page.tab.ask(
        "(() => { const one = document.querySelector('fieldset[data-channel=\"0\"] input[type=color]'); one.dispatchEvent(new Event('input')); })()"
    )
    page.tab.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    canvas = page.read_canvas(".viewer canvas")[..., 0].astype(float)
    height, width = SLOPE.shape
    scale = min(canvas.shape[0] / height, canvas.shape[1] / width)
    assert scale < 0.5  # blocks are averaged
    top, left = (canvas.shape[0] - height * scale) / 2, (canvas.shape[1] - width * scale) / 2
    for y, x in ((50, 60), (300, 750), (560, 1440), (599 - 8, 700)):
        shown = canvas[round(top + y * scale), round(left + x * scale)]
        assert shown == pytest.approx((SLOPE[y, x] - 1000) / 39000 * 255, abs=2)


def test_a_field_whose_file_is_gone_says_so_in_words(page: BrowsePage, url: str) -> None:
    page.open("plate", "odd/lost", until="document.querySelector('.well .thumb.broken') !== null")
    assert "A01_s1_w1.tif" in page.tab.ask("document.querySelector('.well .thumb').title")
    page.open("plate", "odd/lost", "well", "A01")
    page.click_on(".field")
    page.tab.wait("document.getElementById('trouble').hidden === false")
    assert "A01_s1_w1.tif" in page.texts("#trouble")[0]
    page.tab.press("Escape")
    page.tab.wait("document.title.startsWith('Well A01') && document.getElementById('trouble').hidden")
