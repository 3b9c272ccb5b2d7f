"""What the web interface costs with N plates: the queries that it sends for the page of an asset, and a picture of the page."""

from __future__ import annotations

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
from pathlib import Path

from _plates_grow import Room, plate_key
from _plates_parts import Numbers, open_instance

ASSETS = ("image_assets", "joined_profiles")
# The words of the interface's own queries: the list of assets, the partitions of one, one partition of it.
QUERIES = {
    "statistics of all assets": "{assetNodes{id assetKey{path} partitionStats{numMaterialized numMaterializing numPartitions numFailed}}}",
    "partitions of one asset": "query($k: AssetKeyInput!){assetNodeOrError(assetKey: $k){... on AssetNode{id"
    " partitionKeysByDimension{name type partitionKeys} assetPartitionStatuses{... on DefaultPartitionStatuses"
    "{materializedPartitions materializingPartitions unmaterializedPartitions failedPartitions}}}}}",
    "one partition": "query($k: AssetKeyInput!, $p: String!){assetNodeOrError(assetKey: $k){... on AssetNode{id"
    " latestMaterializationByPartition(partitions: [$p]){timestamp runId partition metadataEntries{label}}}}}",
}


def measure_ui(room: Room, count: int) -> Numbers:
    """Seconds of the clock of each query, the first and a later one, and of the page in a browser."""
    with open_instance(room, count, ASSETS):
        pass
    numbers: Numbers = {}
    with run_webserver(room) as (address, process_id):
        for name, query in QUERIES.items():
            for when in ("first", "again"):
                started = time.perf_counter()
                answer = ask(address, query, {"k": {"path": [ASSETS[0]]}, "p": plate_key(count // 2)})
                numbers[f"UI: {name}, {when}, s of the clock"] = time.perf_counter() - started
            numbers[f"UI: {name}, answer, kB"] = len(json.dumps(answer)) / 1e3
            check(name, answer, count)
        if picture := take_picture(room, f"{address}/assets/{ASSETS[0]}?view=partitions", count):
            numbers["UI: the page of partitions in a browser, s of the clock"] = picture
        numbers["UI: memory of the webserver, MB"] = read_peak_mb(process_id)
    return numbers


def check(name: str, answer: dict, count: int) -> None:
    """An answer that does not speak of all plates is no measurement."""
    if name == "partitions of one asset":
        assert len(answer["assetNodeOrError"]["assetPartitionStatuses"]["materializedPartitions"]) == count
    if name == "statistics of all assets":
        stats = {tuple(n["assetKey"]["path"]): n["partitionStats"] for n in answer["assetNodes"]}
        assert stats[(ASSETS[0],)]["numMaterialized"] == count, stats[(ASSETS[0],)]
    if name == "one partition":
        (found,) = answer["assetNodeOrError"]["latestMaterializationByPartition"]
        assert found["partition"] == plate_key(count // 2)


def ask(address: str, query: str, variables: dict) -> dict:
    """Answer of a GraphQL query."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    asked = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=300) as given:
        answer = json.load(given)
    assert not answer.get("errors"), answer["errors"]
    return answer["data"]


@contextmanager
def run_webserver(room: Room) -> Iterator[tuple[str, int]]:
    """The webserver on a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("dagster-webserver")
    words = [program, "-h", "127.0.0.1", "-p", str(port), "-m", "bioimage_assets.definitions"]
    with (room.folder / "webserver.log").open("wb") as log:
        server = subprocess.Popen(words, cwd=room.home, stdout=log, stderr=log, env=os.environ)
    try:
        address, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/server_info", timeout=5).read()
                break
            except OSError:
                assert server.poll() is None, "the webserver did not start: see webserver.log"
                assert time.monotonic() < end, "the webserver does not answer: see webserver.log"
                time.sleep(0.3)
        yield address, server.pid
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def read_peak_mb(process_id: int) -> float:
    """Highest resident memory of a process, as the kernel says."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def take_picture(room: Room, page: str, count: int) -> float | None:
    """Have Chromium draw a page; seconds of the clock until it is drawn, None where there is no Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        return None
    words = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", f"--user-data-dir={room.folder / 'browser'}",
        "--window-size=1600,900", "--virtual-time-budget=30000", f"--screenshot={room.folder / f'ui-{count}.png'}", page,
    ]  # fmt: skip
    started = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, timeout=240)
    return time.perf_counter() - started
