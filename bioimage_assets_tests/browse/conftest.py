"""The demo's plates, served and open in a headless browser, once for all tests of a process."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pytest

from bioimage_assets_tests.browse.pages import BrowsePage
from bioimage_assets_tests.builders.browse_server import run_browse
from bioimage_assets_tests.builders.browser import Tab, open_tab
from bioimage_assets_tests.dagster.conftest import BuiltProject, built, screens_root

__all__ = ["built", "screens_root"]  # fixtures

WIDTH_PX, HEIGHT_PX = 1280, 800


@dataclass
class StoredTables:
    """Tables of a built project as an analyst reads them."""

    project: BuiltProject

    def read(self, name: str, plate_key: str) -> pd.DataFrame:
        """Rows of one plate."""
        return self.arrow(name, plate_key).to_pandas()

    def arrow(self, name: str, plate_key: str) -> pa.Table:
        """The same as Arrow table."""
        return self.project.project.tables().read(name, plate_key)


@pytest.fixture(scope="session")
def stored(built: BuiltProject) -> StoredTables:
    """What is stored of the plates that the page shows."""
    return StoredTables(built)


@pytest.fixture(scope="session")
def browse_url(built: BuiltProject) -> Iterator[str]:
    """Address of the page over the demo's plates."""
    with run_browse(built.data_dir) as url:
        yield url


@pytest.fixture(scope="session")
def browser_tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser that tells what the page logs and asks for."""
    with open_tab(tmp_path_factory.mktemp("browser") / "profile") as tab:
        for domain in ("Runtime", "Log", "Network", "Page"):
            tab.call(f"{domain}.enable")
        yield tab


@pytest.fixture
def page(browser_tab: Tab, browse_url: str) -> Iterator[BrowsePage]:
    """The page in a window of 1280 x 800; no test leaves an error in the console, or lets a request go elsewhere."""
    browser_tab.call("Page.navigate", url="about:blank")
    # What the page before was still waiting for is told by then.
    browser_tab.wait("location.href === 'about:blank'")
    browser_tab.events.clear()
    browser_tab.size(WIDTH_PX, HEIGHT_PX)
    yield BrowsePage(browser_tab, browse_url)
    browser_tab.ask("1")  # what was told until now
    assert find_complaints(browser_tab) == []
    origin = browse_url.partition("/t/")[0] + "/"
    asked = [
        event["params"]["request"]["url"]
        for event in browser_tab.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith((origin, f"blob:{origin}", "data:", "about:"))] == []


def find_complaints(tab: Tab) -> list[object]:
    """Errors and warnings of the console, and exceptions."""
    told = []
    for event in tab.events:
        kind, values = event["method"], event["params"]
        if kind == "Runtime.exceptionThrown":
            told.append(values["exceptionDetails"])
        elif kind == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            told.append(values["args"])
        elif kind == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            told.append(values["entry"])
    return told
