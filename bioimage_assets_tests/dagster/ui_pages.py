"""A webserver over one materialised plate, asked through GraphQL and looked at with a headless browser."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_START_S = 120


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

    def look(self, page: str, folder: Path) -> tuple[Path, str]:
        """Screenshot and text of a page as a browser shows it."""
        assert BROWSER is not None
        picture = folder / "page.png"
        common = [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={folder / 'profile'}", "--window-size=1500,1000", "--virtual-time-budget=20000",
        ]  # fmt: skip
        url = f"{self.address}{page}"
        subprocess.run(
            [*common, f"--screenshot={picture}", url], check=True, capture_output=True, timeout=180
        )
        shown = subprocess.run(
            [*common, "--dump-dom", url], check=True, capture_output=True, timeout=180, text=True
        )
        return picture, shown.stdout


@contextmanager
def run_webserver(home: Path, data_dir: Path, *options: str) -> Iterator[Webserver]:
    """Start the webserver of an instance on a free loopback port, and stop it as a user would."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [Path(sys.executable).with_name("dagster-webserver"), "-p", str(port), "-m", "bioimage_assets.definitions", *options],
        cwd=home, stdout=subprocess.DEVNULL, stderr=(home / "webserver.log").open("wb"),
        env={**os.environ, "DAGSTER_HOME": str(home), "BIOIMAGE_DATA_DIR": str(data_dir), "PYTHONPATH": str(REPOSITORY)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        _wait(f"http://127.0.0.1:{port}/server_info", server, home / "webserver.log")
        yield Webserver(f"http://127.0.0.1:{port}")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def _wait(address: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).read()
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"the webserver did not start: {log.read_text()[-500:]}")
