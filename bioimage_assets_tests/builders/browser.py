"""A headless Chromium with one page, told what to do over the DevTools protocol."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bioimage_assets_tests.builders.processes import end_process

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_START_S = 120
_ANSWERED_S = 120
_NAMED_KEYS = {
    name: {"key": name, "code": name, "windowsVirtualKeyCode": code}
    for name, code in {
        "Tab": 9, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
    }.items()
} | {"Enter": {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}}  # fmt: skip


class Tab:
    """A page of a browser, told what to do in the words of https://chromedevtools.github.io/devtools-protocol/."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._number = socket, 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Result of a command; what the page tells in between is added to ``events``."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=_ANSWERED_S))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def ask(self, expression: str) -> Any:
        """Value of an expression in the page, of a promise once it is kept."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Value of an expression once it is true; fails with what the page shows where the patience is over."""
        end = time.monotonic() + _ANSWERED_S
        while time.monotonic() < end:
            value = self.ask(expression)
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(
            f"never true: {expression}; the page shows: {self.ask('document.body.innerText')[:1000]}"
        )

    def press(self, key: str) -> None:
        """Press a key and let it go, as a person would."""
        named = _NAMED_KEYS.get(key)
        known = {"key": key, "text": key} if named is None else named
        self.call("Input.dispatchKeyEvent", type="keyDown", **known)
        self.call(
            "Input.dispatchKeyEvent",
            type="keyUp",
            **{name: value for name, value in known.items() if name != "text"},
        )

    def click(self, x: float, y: float) -> None:
        """Click at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def size(self, width: int, height: int) -> None:
        """Lay the page out for a window of this size, one pixel each."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def take_picture(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def open_tab(profile: Path) -> Iterator[Tab]:
    """Start a headless browser with one empty page, and end it."""
    from websockets.sync.client import connect  # comes with the webserver

    assert BROWSER is not None
    words = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", "--window-size=1500,1000", "--remote-debugging-port=0", "about:blank",
    ]  # fmt: skip
    profile.mkdir(parents=True)
    # It leaves folders where it keeps its sockets, whose paths have to be short: not below the profile.
    with ExitStack() as places:
        scratch = places.enter_context(TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True))
        log = places.enter_context((profile / "browser.log").open("wb"))
        browser = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | {"TMPDIR": scratch})
        places.callback(end_process, browser, signal.SIGTERM)
        port = _wait_for_port(browser, profile)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=60) as answer:
            (page,) = [entry for entry in json.load(answer) if entry["type"] == "page"]
        # Without pings: their thread draws from `random` while hypothesis draws an example of another test, which then
        # fails as one that uses `random` itself; and a busy browser would be taken for a dead one.
        address = page["webSocketDebuggerUrl"]
        with connect(address, max_size=None, open_timeout=60, ping_interval=None) as socket:
            yield Tab(socket)


def _wait_for_port(browser: subprocess.Popen, profile: Path) -> str:
    """The browser writes down on which port it listens."""
    end, told = time.monotonic() + _START_S, profile / "DevToolsActivePort"
    while time.monotonic() < end and browser.poll() is None:
        lines = told.read_text().splitlines() if told.exists() else []
        if len(lines) == 2:
            return lines[0]
        time.sleep(0.1)
    raise AssertionError(f"the browser did not start: {(profile / 'browser.log').read_text()[-500:]}")
