"""A webserver over one materialised plate, asked through GraphQL and looked at with a headless browser."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from bioimage_assets_tests.builders.browser import open_tab
from bioimage_assets_tests.builders.processes import end_process, find_free_port, interruptible

REPOSITORY = Path(__file__).resolve().parents[2]
_START_S = 120
_SHOWN_S = 120
_PORTS_TRIED = 5


@dataclass
class Webserver:
    """A running webserver."""

    address: str

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        """Answer of a GraphQL query; fails with the errors that it names."""
        body = json.dumps({"query": text, "variables": variables}).encode()
        asked = urllib.request.Request(
            f"{self.address}/graphql", body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            given = json.load(answer)
        assert not given.get("errors"), given["errors"]
        return given["data"]

    def look(self, page: str, folder: Path, words: Sequence[str]) -> tuple[Path, str]:
        """Screenshot and text of a page once it shows all words, or as it is when the patience is over."""
        picture, text = folder / "page.png", ""
        with open_tab(folder / "profile") as tab:
            tab.call("Page.navigate", url=f"{self.address}{page}")
            end = time.monotonic() + _SHOWN_S
            while not all(word in text for word in words) and time.monotonic() < end:
                time.sleep(0.2)
                asked = {"expression": "document.documentElement.outerHTML", "returnByValue": True}
                text = tab.call("Runtime.evaluate", **asked)["result"].get("value", "")
            picture.write_bytes(base64.b64decode(tab.call("Page.captureScreenshot")["data"]))
        return picture, text


@contextmanager
def run_webserver(home: Path, data_dir: Path, *options: str) -> Iterator[Webserver]:
    """Start the webserver of an instance on a free loopback port, and stop it as a user would."""
    environment = {
        "DAGSTER_HOME": str(home),
        "BIOIMAGE_DATA_DIR": str(data_dir),
        "PYTHONPATH": str(REPOSITORY),
    }
    program, log = Path(sys.executable).with_name("dagster-webserver"), home / "webserver.log"
    for _ in range(_PORTS_TRIED):
        port = find_free_port()
        with log.open("wb") as written:
            server = subprocess.Popen(
                interruptible(program, "-p", str(port), "-m", "bioimage_assets.definitions", *options),
                cwd=home, stdout=subprocess.DEVNULL, stderr=written, env={**os.environ, **environment},
            )  # fmt: skip
        try:
            if not _answers(f"http://127.0.0.1:{port}/server_info", server, log):
                continue
            yield Webserver(f"http://127.0.0.1:{port}")
            return
        finally:
            end_process(server, signal.SIGINT)
    raise AssertionError(f"others were quicker at {_PORTS_TRIED} ports: {log.read_text()[-500:]}")


def _answers(address: str, server: subprocess.Popen, log: Path) -> bool:
    """Wait for the first answer; False where another process took the port first."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).read()
        except (OSError, HTTPException):
            time.sleep(0.3)
        else:
            return server.poll() is None
    if "address already in use" in log.read_text():
        return False
    raise AssertionError(f"the webserver did not start: {log.read_text()[-500:]}")
