"""Report pages as a browser lays them out at the width of a phone: nothing runs out of the page, pictures open in full size."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.page_html import Link
from bioimage_assets.core.pictures.page_parts import PageFrame, ReportTable
from bioimage_assets.core.pictures.plate_report import build_plate_report
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.profiling.cosmicqc import build_cosmicqc_profiles
from bioimage_assets.core.profiling.pycytominer import build_well_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.page_index import write_index
from bioimage_assets.core.storage.pages import write_page
from bioimage_assets.core.storage.plate_table import Page, PageSummary
from bioimage_assets_tests.builders.browser import BROWSER, Tab, open_tab
from bioimage_assets_tests.core.profiling.plates import make_cells, make_platemap, plan_plate

LONG = "a/very/long/path/of/an/image/without/any/space/" * 4


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, plans = tmp_path_factory.mktemp("reports"), plan_plate(control_count=8)
    cells, settings = make_cells(plans), DatasetSettings()
    qc = build_cosmicqc_profiles(cells, settings)[0]
    wells = build_well_profiles(cells, qc, make_platemap(plans), settings)[0]
    findings = tuple(
        Finding("missing-level", "warning", f"{LONG}{n}", f"{LONG} lacks a level.") for n in range(9)
    )
    sources = ReportTable("Sources", ("plate", "kind", "where"), (("P1", "store", LONG),))
    frame = PageFrame(
        links=(Link("All pages", "../../index.html"),), pictures_path="P1_pictures", made_of=(sources,)
    )
    report = build_plate_report(PlateTables("s/P1", settings, cells, qc, wells, findings=findings), frame)
    pictures = {picture.name: picture.png for picture in report.pictures}
    page = Page(report.html, pictures, frozenset(pictures), PageSummary(errors=1, worst="x" * 200))
    write_page(folder, "s/P1", page, "abc", "run")
    write_index(folder)
    return folder


def ask(tab: Tab, expression: str) -> object:
    asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
    return tab.call("Runtime.evaluate", **asked)["result"].get("value")


def open_page(tab: Tab, page: Path) -> None:
    """Open a file at 400 pixels and wait until it is there with its pictures."""
    tab.call("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=True)
    tab.call("Page.navigate", url=page.as_uri())
    ask(
        tab,
        "new Promise(done => document.readyState == 'complete' ? done(1) : addEventListener('load', () => done(1)))",
    )


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)")
def test_pages_fit_a_phone_and_pictures_open_in_full_size(reports: Path, tmp_path: Path) -> None:
    with open_tab(tmp_path / "profile") as tab:
        for page in (reports / "index.html", reports / "plates" / "s" / "P1.html"):
            open_page(tab, page)
            assert ask(tab, "document.title")
            assert ask(tab, "document.documentElement.scrollWidth") == 400
        shown = ask(tab, "[...document.images].map(image => [image.width, image.naturalWidth])")
        assert isinstance(shown, list)
        assert len(shown) >= 5
        assert all(width <= 400 < full for width, full in shown)
        link = ask(tab, "document.querySelector('figure a').href")
        tab.call("Page.navigate", url=link)
        ask(tab, "new Promise(done => setTimeout(() => done(1), 500))")
        assert ask(tab, "document.images[0].naturalWidth") == shown[0][1]
