"""What a page of another site can read through the user's browser, asked in a real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bioimage_assets_tests.browse.server.conftest import ZARR_PLATE, Project
from bioimage_assets_tests.builders.browse_thread import Server
from bioimage_assets_tests.builders.browser import BROWSER, Tab, open_tab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)"),
]


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>elsewhere</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser that shows a page of another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        with open_tab(tmp_path_factory.mktemp("elsewhere") / "profile") as tab:
            tab.call("Page.enable")
            tab.call("Page.navigate", url=f"http://127.0.0.1:{site.server_port}/")
            tab.wait("document.title === 'elsewhere'")
            yield tab
        site.shutdown()


def fetch(tab: Tab, url: str, options: str = "{}") -> object:
    """Status and length of an answer that a page may read, or what the browser says of one that it may not."""
    return tab.ask(
        f"fetch({url!r}, {options}).then(async r => [r.status, (await r.arrayBuffer()).byteLength], e => e.name)"
    )


def test_a_viewer_on_another_site_reads_pixels_in_whole_and_in_part(
    elsewhere: Tab, server: Server, project: Project
) -> None:
    url = server.get("api/plate", plate_key=ZARR_PLATE).json()["links"]["zarr"]
    size = Path(project.zarr_store / "zarr.json").stat().st_size
    assert fetch(elsewhere, f"{url}/zarr.json") == [200, size]
    assert fetch(elsewhere, f"{url}/zarr.json", "{headers: {Range: 'bytes=0-9'}}") == [206, 10]
    assert fetch(elsewhere, f"{url}/A/1/0/0/c/9/9/9") == [404, len(b'{"error":"There is no such object."}')]


def test_a_page_of_another_site_reads_nothing_else(elsewhere: Tab, server: Server) -> None:
    for path in ("", "api/plates", f"api/plate?plate_key={ZARR_PLATE}", "reports/index.html"):
        assert fetch(elsewhere, f"{server.url}{path}") == "TypeError"
    assert fetch(elsewhere, f"http://127.0.0.1:{server.port}/go", "{credentials: 'include'}") == "TypeError"
    assert fetch(elsewhere, f"{server.url}api/plates", "{method: 'POST'}") == "TypeError"


def test_the_page_cannot_be_put_into_a_frame(elsewhere: Tab, server: Server) -> None:
    elsewhere.ask(
        f"document.body.append(Object.assign(document.createElement('iframe'), {{src: {server.url!r}, id: 'f', onload: () => document.title = 'loaded'}}))"
    )
    elsewhere.wait("document.title === 'loaded'")
    assert elsewhere.ask(
        "(() => { try { return document.getElementById('f').contentDocument === null } catch { return true } })()"
    )
    frames = elsewhere.call("Page.getFrameTree")["frameTree"]["childFrames"]
    assert frames[0]["frame"]["url"].startswith("chrome-error:")
