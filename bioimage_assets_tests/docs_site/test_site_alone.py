"""The built documentation needs nobody else: no file of another host, and a search without a server."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bioimage_assets_tests.browse.conftest import find_complaints
from bioimage_assets_tests.builders.browser import BROWSER, Tab, open_tab

pytestmark = pytest.mark.slow
# What a browser fetches by itself when it shows a page.
_FETCHED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "link": "href",
}
_NOT_FETCHED = {"canonical", "next", "prev", "alternate"}


class _Fetched(HTMLParser):
    """Addresses in a page that a browser asks for without being told to."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address of a tag that fetches."""
        values = {name: value or "" for name, value in attrs}
        if tag in _FETCHED and values.get("rel") not in _NOT_FETCHED:
            self.urls.append(values.get(_FETCHED[tag], ""))


def test_no_page_names_a_file_of_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    found = {}
    for page in pages:
        parser = _Fetched()
        parser.feed(page.read_text("utf-8"))
        assert parser.urls
        found[page.name] = [url for url in parser.urls if "//" in url]
    assert {name: urls for name, urls in found.items() if urls} == {}


def test_no_style_names_a_file_of_another_host(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert styles
    asked = [
        url for style in styles for url in re.findall(r"url\(['\"]?([^'\")]+)", style.read_text("utf-8"))
    ]
    assert [url for url in asked if "//" in url and not url.startswith("data:")] == []


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser that tells what the pages log and ask for."""
    with open_tab(tmp_path_factory.mktemp("browser") / "profile") as opened:
        for domain in ("Runtime", "Log", "Network", "Page"):
            opened.call(f"{domain}.enable")
        yield opened


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)")
@pytest.mark.parametrize(
    ("word", "page"),
    [
        ("joined_profiles", "tables.html#joined_profiles"),
        ("missing-level", "finding-codes.html#missing-level"),
    ],
)
def test_the_search_of_a_folder_of_pages_finds_tables_and_findings(
    site: Path, tab: Tab, word: str, page: str
) -> None:
    tab.events.clear()
    tab.call("Page.navigate", url=(site / "index.html").as_uri())
    tab.wait("document.readyState === 'complete' && document.querySelector('.md-search__input') !== null")
    tab.ask("document.querySelector('.md-search__input').focus()")
    tab.call("Input.insertText", text=word)
    links = "[...document.querySelectorAll('.md-search-result__link')].map((link) => link.href.replace(/[?]h=[^#]*/, ''))"
    tab.wait(f"{links}.some((link) => link.endsWith('/{page}'))")
    asked = [
        event["params"]["request"]["url"]
        for event in tab.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert [url for url in asked if not url.startswith((site.as_uri(), "data:", "about:"))] == []
    assert find_complaints(tab) == []
