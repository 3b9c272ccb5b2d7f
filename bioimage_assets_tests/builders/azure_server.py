"""A local Azure Blob server (Azurite, its own process) and containers in it, for tests of ``az://`` URIs.

Azurite is a program of Node.js: ``npm install azurite``. It is found on the PATH or named by ``BIOIMAGE_AZURITE``.
Source of truth of the signature: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import obstore
import pytest
from obstore.store import AzureStore

# The account that Azurite always has; both are published in its documentation.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
START_WAIT_S = 60.0


class AzuriteServer:
    """A running Azurite: makes containers, fills them from folders, counts what was asked of it."""

    def __init__(self, endpoint: str, log: Path) -> None:
        self.endpoint = endpoint
        self._log = log
        self._seen = 0

    def options(self, **extra: object) -> dict[str, object]:
        """Storage options that reach this server with its account's key."""
        return {"endpoint": self.endpoint, "account_name": ACCOUNT, "account_key": KEY, **extra}

    def create_container(self, *, is_public: bool = False) -> str:
        """Make a container that nobody else uses; say its name."""
        name = f"plates-{uuid4().hex[:12]}"
        headers = {
            "x-ms-date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "x-ms-version": "2021-12-02",
            "Content-Length": "0",
        }
        if is_public:
            headers["x-ms-blob-public-access"] = "container"
        canonical = "".join(f"{key}:{headers[key]}\n" for key in sorted(headers) if key.startswith("x-ms"))
        text = "PUT" + "\n" * 12 + f"{canonical}/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
        url = f"{self.endpoint}/{name}?restype=container"
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="PUT")) as answer:
            assert answer.status == 201
        return name

    def upload(self, container: str, folder: Path) -> None:
        """Put every file below a folder into a container, under its path in the folder."""
        store = AzureStore(container, config=self.options(), client_options={"allow_http": True})
        for path in folder.rglob("*"):
            if path.is_file():
                obstore.put(store, path.relative_to(folder).as_posix(), path.read_bytes())
        self.count_requests()

    def count_requests(self) -> Counter[str]:
        """Requests since the last call, by kind: get, head, list."""
        new = self._read_log()
        found: Counter[str] = Counter()
        for method, path in re.findall(r'"(GET|HEAD) ([^ ]+) HTTP', new):
            found["list" if "comp=list" in path else method.lower()] += 1
        found["get"] -= 1
        return +found

    def _read_log(self) -> str:
        """The log since the last call, up to a request of its own: the server writes a line after it has answered."""
        mark = f"/mark-{uuid4().hex}"
        try:
            urllib.request.urlopen(self.endpoint + mark).close()
        except urllib.error.HTTPError as refused:
            refused.close()
        stop_at = time.monotonic() + START_WAIT_S
        while mark not in (text := self._log.read_text()):
            if time.monotonic() > stop_at:
                raise RuntimeError("Azurite does not log what it is asked.")
            time.sleep(0.01)
        end = text.index("\n", text.index(mark)) + 1
        new, self._seen = text[self._seen : end], end
        return new


@contextmanager
def run_azurite(folder: Path) -> Iterator[AzuriteServer]:
    """Start a server of its own on a free port; skips the test where Azurite is not installed."""
    program = os.environ.get("BIOIMAGE_AZURITE") or shutil.which("azurite-blob") or shutil.which("azurite")
    if program is None:
        pytest.skip("Azurite is not installed (npm install azurite; or name it in BIOIMAGE_AZURITE)")
    log = folder / "azurite.log"
    command = [
        program,
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        "0",
        "--inMemoryPersistence",
        "--disableTelemetry",
    ]
    if not Path(program).name.startswith("azurite-blob"):
        command += ["--queuePort", "0", "--tablePort", "0"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--skipApiVersionCheck"],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=folder,
        )
    try:
        yield AzuriteServer(f"{_wait_for_address(process, log)}/{ACCOUNT}", log)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for_address(process: subprocess.Popen[bytes], log: Path) -> str:
    stop_at = time.monotonic() + START_WAIT_S
    while time.monotonic() < stop_at:
        found = re.search(r"Blob service successfully listens on (http://\S+)", log.read_text())
        if found:
            return found.group(1)
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"Azurite did not start: {log.read_text()[:1000]}")
