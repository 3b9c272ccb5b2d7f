"""What the page cannot do: fetch what is no part of the project, run what a name says, or ask another host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bioimage_assets.browse
from bioimage_assets_tests.browse.conftest import StoredTables, find_complaints
from bioimage_assets_tests.browse.pages import BrowsePage
from bioimage_assets_tests.builders.browser import BROWSER, Tab

PAGE = Path(bioimage_assets.browse.__file__).parent / "page"
PLATE = "screen-a/SA-P1"


def test_no_module_of_the_page_makes_markup_or_code_of_text() -> None:
    risky = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|setHTML"
    )
    files = sorted(PAGE.glob("*.js"))
    assert len(files) > 10
    assert [path.name for path in files if risky.search(path.read_text())] == []


def test_the_page_names_no_other_host() -> None:
    texts = {
        path.name: path.read_text() for path in PAGE.iterdir() if path.suffix in (".js", ".css", ".html")
    }
    for name, text in texts.items():
        code = re.sub(r"/\*.*?\*/|^\s*//[^\n]*", "", text, flags=re.S | re.M)
        assert re.findall(r"https?://|url\(|@import", code) == [], name
    inline = re.findall(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", texts["index.html"])
    assert inline == []


FETCH = """(async (where) => {
  try { const answer = await fetch(where); return [answer.status, await answer.text()]; }
  catch (error) { return [0, String(error)]; }
})"""


@pytest.mark.parametrize(
    "where",
    [
        "../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/pyproject.toml", "reports/../warehouse/views.sql",
        "reports/..%2fwarehouse%2fviews.sql", "reports/%2e%2e/%2e%2e/outcomes", "page/../app.py", "..%5c..%5cetc", "main.js%00.py", "/etc/passwd",
        "zarr/screen-a/SA-P1.zarr/..%2f..%2fdataset.toml", "zarr/screen-a/..%2fSA-P1.zarr/.zattrs", "zarr/screen-a/SA-P1.zarr/%2e%2e/dataset.toml",
    ],
)  # fmt: skip
@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)")
def test_nothing_outside_of_the_stores_can_be_fetched_from_the_page(
    browser_tab: Tab, browse_url: str, where: str
) -> None:
    BrowsePage(browser_tab, browse_url).open("")
    status, text = browser_tab.ask(f"{FETCH}({where!r})")
    assert status in (400, 403, 404, 422)
    assert not any(word in text for word in ("root:", "CREATE", "[project]", "import ", "format"))


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)")
def test_the_page_cannot_reach_another_port_or_host(browser_tab: Tab, browse_url: str) -> None:
    page = BrowsePage(browser_tab, browse_url)
    page.open("")
    browser_tab.events.clear()
    for where in (
        "http://127.0.0.1:9/",
        "http://localhost:9/",
        "https://example.invalid/",
        browse_url.replace("127.0.0.1", "localhost"),
    ):
        status, text = browser_tab.ask(f"{FETCH}({where!r})")
        assert status == 0, text
    violations = [told for told in find_complaints(browser_tab) if "Content Security Policy" in str(told)]
    assert len(violations) >= 4
    assert (
        browser_tab.ask(
            "(() => { const one = document.createElement('script'); one.textContent = 'window.ran = 1'; document.head.append(one); return window.ran ?? 0; })()"
        )
        == 0
    )


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)")
def test_a_whole_visit_asks_for_nothing_from_another_host(page: BrowsePage, stored: StoredTables) -> None:
    cell = stored.read("joined_profiles", PLATE).dropna(subset=["image_id"]).iloc[0]
    page.open("")
    page.open("plate", PLATE, until="document.querySelector('.well .thumb.there') !== null")
    page.open("plate", PLATE, "well", cell.well_id)
    page.open_field(PLATE, cell.image_id, cell.Metadata_ObjectID)
    asked = [
        event["params"]["request"]["url"]
        for event in page.tab.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    kinds = {url.removeprefix(page.url).partition("?")[0] for url in asked if url.startswith(page.url)}
    assert {
        "",
        "main.js",
        "style.css",
        "api/plates",
        "api/plate",
        "api/cells",
        "api/image",
        "api/cell",
        "thumbs",
        "pixels",
    } <= kinds
