"""What the views of the page say is what is stored: plates, wells painted with a measurement, cells, why one failed."""

from __future__ import annotations

import re

import matplotlib
import pandas as pd
import pytest

from bioimage_assets.core.finding_codes.catalogue import find_code
from bioimage_assets_tests.browse.conftest import StoredTables
from bioimage_assets_tests.browse.pages import BrowsePage
from bioimage_assets_tests.builders.browser import BROWSER, Tab

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)"),
]

PLATE = "screen-a/SA-P1"
PLATES = ("screen-a/SA-P1", "screen-a/SA-P2", "screen-b/SB-P1", "screen-b/SB-P2")


def fields(stored: StoredTables, plate_key: str) -> pd.DataFrame:
    images = stored.read("image_assets", plate_key)
    return images[images.image_kind != "label"]


def test_the_first_view_counts_what_is_stored_of_every_plate(page: BrowsePage, stored: StoredTables) -> None:
    page.open("")
    assert page.tab.ask("document.title") == "Plates"
    assert page.texts("section h2") == ["screen-a", "screen-b"]
    names = page.texts("tbody th")
    assert names == [key.partition("/")[2] for key in PLATES]
    numbers = page.texts("tbody td.number")
    expected = []
    for key in PLATES:
        images = fields(stored, key)
        cells = stored.read("joined_profiles", key)
        expected += [str(images.well_id.nunique()), str(len(images)), str(len(cells))]
    assert numbers == expected


def test_a_finding_is_explained_behind_a_click(page: BrowsePage) -> None:
    page.open("plate", PLATE, until="Boolean(document.querySelector('.finding details'))")
    codes = page.texts(".finding p code")[: len(page.texts(".finding"))]
    explained = find_code(codes[0])
    assert explained is not None
    said = page.texts(".finding details p")[1]
    assert said == f"What to do. {explained.code.remedy}".replace("`", "")


def test_a_plate_opens_with_a_thumbnail_in_every_well_that_has_images(
    page: BrowsePage, stored: StoredTables
) -> None:
    page.open("")
    page.click_on("tbody a")
    wells = sorted(fields(stored, PLATE).well_id.unique())
    page.tab.wait(f"document.querySelectorAll('.well .thumb.there').length === {len(wells)}")
    assert (
        page.tab.ask("[...document.querySelectorAll('.well')].map((one) => one.dataset.well).sort()") == wells
    )
    assert page.tab.ask("document.title") == "Plate SA-P1"
    assert page.tab.ask("[...document.querySelectorAll('.well .thumb')].every((one) => one.width > 1)")
    page.tab.ask("history.back()")
    page.tab.wait("document.title === 'Plates' && document.querySelector('#view h1') !== null")


def test_thumbnails_are_fetched_when_they_come_into_view(page: BrowsePage) -> None:
    page.tab.size(400, 260)
    page.open("plate", PLATE, until="document.querySelectorAll('.well .thumb.there').length > 0")
    page.tab.ask("new Promise((done) => setTimeout(done, 300))")
    below = "[...document.querySelectorAll('.well .thumb')].filter((one) => one.getBoundingClientRect().top > innerHeight + 110)"
    assert page.tab.ask(f"{below}.length") > 0
    assert page.tab.ask(f"{below}.filter((one) => one.dataset.asked).length") == 0
    page.tab.ask("[...document.querySelectorAll('.well')].at(-1).scrollIntoView()")
    page.tab.wait("[...document.querySelectorAll('.well .thumb')].at(-1).classList.contains('there')")


@pytest.mark.parametrize("plate_key", ["screen-a/SA-P1", "screen-b/SB-P1"])
def test_wells_are_painted_with_the_numbers_of_the_stored_profiles(
    page: BrowsePage, stored: StoredTables, plate_key: str
) -> None:
    profiles = stored.read("pycytominer_profiles", plate_key).set_index("Metadata_Well")
    feature = next(name for name in profiles.columns if name.startswith("Cells_"))
    expected = profiles[feature].dropna()
    assert expected.nunique() > 3
    page.open("plate", plate_key)
    page.choose("#measurement", feature)
    page.tab.wait("document.querySelectorAll('.well.painted').length > 0")
    shown = page.tab.ask(
        "Object.fromEntries([...document.querySelectorAll('.well')].map((one) => [one.dataset.well, one.dataset.value]))"
    )
    assert {well: float(value) for well, value in shown.items() if value is not None} == expected.to_dict()
    scale = (expected - expected.min()) / (expected.max() - expected.min())
    for well, share in scale.items():
        colour = page.tab.ask(
            f"getComputedStyle(document.querySelector('[data-well={well}]')).backgroundColor"
        )
        seen = [int(part) for part in re.findall(r"\d+", colour)]
        known = [round(255 * part) for part in matplotlib.colormaps["viridis"](share)[:3]]
        assert max(abs(one - other) for one, other in zip(seen, known, strict=True)) <= 9, (well, seen, known)
    low, _, high = (float(text.replace(",", "")) for text in page.texts(".legend .ends span"))
    assert (low, high) == pytest.approx((expected.min(), expected.max()), rel=1e-3)


def test_the_cells_of_a_well_are_those_of_the_table_and_failed_ones_alone_on_request(
    page: BrowsePage, stored: StoredTables
) -> None:
    qc = stored.read("cosmicqc_profiles", PLATE)
    flags = qc.set_index("Metadata_ObjectID").filter(regex="^Metadata_cqc_.*is_outlier$").any(axis=1)
    cells = stored.read("joined_profiles", PLATE).set_index("Metadata_ObjectID").well_id
    well = cells[flags[flags].index].mode()[0]
    in_well = set(cells[cells == well].index)
    failed = {name for name in in_well if flags[name]}
    assert 0 < len(failed) <= 25
    page.open("plate", PLATE, "well", well, until="document.querySelector('tr[data-cell]') !== null")
    seen = page.tab.ask("[...document.querySelectorAll('tr[data-cell]')].map((row) => row.dataset.cell)")
    assert set(seen) == in_well
    page.click_on("section input[type=checkbox]")
    page.tab.wait(f"document.querySelectorAll('tr[data-cell]').length === {len(failed)}")
    seen = page.tab.ask("[...document.querySelectorAll('tr[data-cell]')].map((row) => row.dataset.cell)")
    assert set(seen) == failed
    page.tab.wait("document.querySelector('tr[data-cell] canvas').dataset.box !== undefined")


def test_a_failed_cell_says_why_with_the_numbers_of_the_table(page: BrowsePage, stored: StoredTables) -> None:
    qc = stored.read("cosmicqc_profiles", PLATE).set_index("Metadata_ObjectID")
    cells = stored.read("joined_profiles", PLATE).set_index("Metadata_ObjectID")
    flags = qc.filter(regex="^Metadata_cqc_.*_is_outlier$")
    failed = flags[flags.any(axis=1)].index
    assert len(failed) > 2
    for object_id in (failed[0], failed[len(failed) // 2], failed[-1]):
        conditions = {
            name.removeprefix("Metadata_cqc_").removesuffix("_is_outlier")
            for name in flags
            if flags.loc[object_id, name]
        }
        page.open_field(PLATE, cells.loc[object_id, "image_id"], object_id)
        rows = page.tab.ask(
            "[...document.querySelectorAll('.why tbody tr')].map((row) => [row.dataset.condition, row.dataset.feature,"
            " ...['value', 'cutoff', 'zscore', 'limit'].map((name) => Number(row.querySelector(`[data-${name}]`).dataset[name]))])"
        )
        assert {row[0] for row in rows} == conditions
        for condition, feature, value, cutoff, zscore, limit in rows:
            assert value == pytest.approx(cells.loc[object_id, feature])
            column = f"Metadata_cqc_{condition}_{feature}_zscore"
            assert zscore == pytest.approx(qc.loc[object_id, column])
            side = -1 if limit < 0 else 1
            assert side * zscore > side * limit
            assert side * value > side * cutoff
            # The limit in units of the feature parts all cells of the plate as the limit of z-scores does.
            known = cells[feature].notna() & qc[column].reindex(cells.index).notna()
            beyond = side * qc.loc[cells.index[known], column] > side * limit
            assert (side * cells.loc[known, feature] > side * cutoff).equals(beyond)
        words = page.texts(".details .severity")[0]
        assert words.startswith("failed: ")
        assert set(words.removeprefix("failed: ").split(", ")) == conditions


def test_a_passed_cell_says_that_it_passed(page: BrowsePage, stored: StoredTables) -> None:
    qc = stored.read("cosmicqc_profiles", PLATE).set_index("Metadata_ObjectID")
    passed = qc.index[~qc.filter(regex="^Metadata_cqc_.*_is_outlier$").any(axis=1)][0]
    image = stored.read("joined_profiles", PLATE).set_index("Metadata_ObjectID").loc[passed, "image_id"]
    page.open_field(PLATE, image, passed)
    assert page.texts(".details .severity") == ["passed"]
    assert page.texts(".why tbody tr") == []


def test_links_lead_to_the_report_and_to_other_viewers(page: BrowsePage, stored: StoredTables) -> None:
    page.open_field(PLATE, fields(stored, PLATE).image_id.iloc[0])
    links = page.tab.ask(
        "Object.fromEntries([...document.querySelectorAll('.links a')].map((one) => [one.textContent, one.href]))"
    )
    assert {"vizarr ↗", "Avivator ↗", "Neuroglancer ↗"} <= set(links)
    zarr, napari = page.texts(".links code")
    assert zarr.startswith("http://127.0.0.1:")
    assert napari.startswith("napari --plugin ")
    assert zarr in napari
    token = page.url.rpartition("/t/")[2].strip("/")
    assert all(token not in link for name, link in links.items() if name.endswith("↗"))


def test_what_is_not_there_is_said_in_words(browser_tab: Tab, browse_url: str) -> None:
    page = BrowsePage(browser_tab, browse_url)
    for parts in (("plate", "screen-a/none"), ("plate", PLATE, "image", "none")):
        browser_tab.call("Page.navigate", url="about:blank")
        browser_tab.call(
            "Page.navigate", url=f"{browse_url}#/{'/'.join(part.replace('/', '%2F') for part in parts)}"
        )
        browser_tab.wait("document.getElementById('trouble')?.hidden === false")
        assert "none" in page.texts("#trouble")[0]
    browser_tab.ask("location.hash = '#/nothing/of/this'")
    browser_tab.wait("document.title === 'No such page'")


def test_a_server_that_has_ended_is_said_in_words(browser_tab: Tab, browse_url: str) -> None:
    page = BrowsePage(browser_tab, browse_url)
    page.open("")
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser_tab.call("Network.emulateNetworkConditions", offline=True, **network)
    try:
        page.click_on("tbody a")
        browser_tab.wait("document.getElementById('trouble').hidden === false")
        assert "bioimage-assets browse" in page.texts("#trouble")[0]
    finally:
        browser_tab.call("Network.emulateNetworkConditions", offline=False, **network)
