"""The store sensor over a real bucket: what arrives, changes, goes or cannot be read, and what a look costs in requests."""

import logging
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.core.discovery.cursor import read_cursor
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors.store_events import read_held, read_taken_versions
from bioimage_assets_tests.builders.s3_server import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    create_bucket,
    open_client,
    run_s3,
)
from bioimage_assets_tests.dagster.store_ticks import Ticker, write_plate

pytestmark = pytest.mark.slow


@dataclass
class Requests(logging.Handler):
    """What the server was asked for, as its log says: lists, reads and sizes of objects."""

    kinds: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        asked = re.search(r'"(GET|HEAD|PUT|POST|DELETE) (\S+)', record.getMessage())
        if asked:
            self.kinds["LIST" if "list-type=2" in asked[2] else asked[1]] += 1

    __hash__ = object.__hash__


@dataclass
class Bucket:
    """A bucket of plates, filled from a folder."""

    endpoint: str
    name: str
    scratch: Path

    def put(self, key: str, **options) -> None:
        """Upload a plate; the parts that are there are replaced."""
        store = write_plate(self.scratch / key.replace("/", "-"), **options)
        for path in sorted(store.rglob("*")):
            if path.is_file():
                self.write(f"{key}.zarr/{path.relative_to(store).as_posix()}", path.read_bytes())
        shutil.rmtree(store)

    def write(self, key: str, data: bytes = b"") -> None:
        open_client(self.endpoint).put_object(Bucket=self.name, Key=f"incoming/{key}", Body=data)

    def remove(self, prefix: str) -> None:
        client = open_client(self.endpoint)
        found = client.list_objects_v2(Bucket=self.name, Prefix=f"incoming/{prefix}").get("Contents", [])
        for entry in found:
            client.delete_object(Bucket=self.name, Key=entry["Key"])


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with run_s3() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    name = create_bucket(endpoint)
    for variable, value in {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "BIOIMAGE_DATA_DIR": str(tmp_path / "data"),
        "BIOIMAGE_INCOMING": f"s3://{name}/incoming",
    }.items():
        monkeypatch.setenv(variable, value)
    return Bucket(endpoint, name, tmp_path / "scratch")


@pytest.fixture
def ticker(bucket: Bucket) -> Ticker:
    return Ticker(ProjectResource(), dg.DagsterInstance.ephemeral())


def _settle(ticker: Ticker) -> dg.SensorResult:
    ticker.tick()
    return ticker.tick(11)


def _why_not(result: dg.SensorResult) -> str:
    assert result.skip_reason is not None
    return result.skip_reason.skip_message or ""


def test_plates_of_a_bucket_are_taken_once_and_again_when_they_change_go_or_come_back(bucket, ticker):
    bucket.put("screen/P1", wells=("A/1", "B/2"))
    bucket.put("screen/P2")
    assert "settling" in _why_not(ticker.tick())
    ticker.tick(11)
    assert ticker.requested() == ["screen/P1", "screen/P2"]
    assert _settle(ticker).run_requests == []

    bucket.write("screen/P1.zarr/B/2/0/0/0.0", b"\1" * 128)
    _settle(ticker)
    assert ticker.requested() == ["screen/P1"]
    bucket.write("screen/measurements/P2.csv", b"a\n1\n")
    _settle(ticker)
    assert ticker.requested() == ["screen/P2"]

    bucket.remove("screen/P1.zarr/")
    (request,) = _settle(ticker).run_requests or ()
    assert request.job_name == "presence_check"
    assert read_taken_versions(ticker.instance)["screen/P1"] == "absent"
    bucket.put("screen/P1", wells=("A/1", "B/2"))
    _settle(ticker)
    assert ticker.requested() == ["screen/P1"]
    assert len(ticker.cursor or "") < 100


def test_a_slow_upload_is_held_until_the_last_field_is_there(bucket, ticker):
    bucket.put("screen/P1", wells=("A/1", "A/2"))
    bucket.remove("screen/P1.zarr/A/2/")
    message = _why_not(_settle(ticker))
    assert "incomplete" in message
    assert "A/2" in read_held(ticker.instance, ["screen/P1"])["screen/P1"]
    bucket.put("screen/P1", wells=("A/1", "A/2"))
    assert ticker.tick(1).run_requests == []
    ticker.tick(11)
    assert ticker.requested() == ["screen/P1"]


def test_a_completion_marker_in_the_bucket_spares_the_quiet_period(bucket, ticker, monkeypatch):
    monkeypatch.setenv("BIOIMAGE_COMPLETION_MARKER", "copied.txt")
    bucket.put("screen/P1")
    bucket.put("screen/P2")
    bucket.write("screen/P1.zarr/copied.txt", b"done")
    ticker.tick()
    assert ticker.requested() == ["screen/P1"]


@pytest.mark.parametrize("missing", ["bucket", "root"])
def test_a_bucket_that_cannot_be_listed_is_a_reason_in_the_tick_and_no_plate_is_gone(
    bucket, ticker, monkeypatch, missing
):
    bucket.put("screen/P1")
    _settle(ticker)
    name = "no-such-bucket" if missing == "bucket" else bucket.name
    monkeypatch.setenv("BIOIMAGE_INCOMING", f"s3://{name}/elsewhere")
    message = _why_not(_settle(ticker))
    assert f"s3://{name}/elsewhere" in message
    assert {"bucket": "Check the address and credentials", "root": "is it mounted"}[missing] in message
    assert SECRET_KEY + SECRET_KEY not in message
    assert read_taken_versions(ticker.instance)["screen/P1"] != "absent"


def test_missing_credentials_are_said_in_the_tick_and_no_plate_is_gone(bucket, ticker, monkeypatch):
    bucket.put("screen/P1")
    _settle(ticker)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", bucket.endpoint + "/nothing")
    message = _why_not(_settle(ticker))
    assert "unreadable-root" in message
    assert "credentials" in message
    assert read_taken_versions(ticker.instance)["screen/P1"] != "absent"


def test_a_look_at_settled_plates_costs_a_few_requests_per_plate_and_a_cursor_of_a_line(bucket, ticker):
    plates = 24
    for number in range(plates):
        bucket.put(f"screen/P{number:02}")
    ticker.is_warm = True
    _settle(ticker)
    assert ticker.cursor
    assert read_cursor(ticker.cursor) == {}
    ticker.tick(11)
    log, requests = logging.getLogger("werkzeug"), Requests()
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(requests)
    try:
        assert ticker.tick(11).run_requests == []
    finally:
        log.removeHandler(requests)
        log.setLevel(level)
    # Two lists find the root and its dataset; a plate is compared with two (the store, its row) and listed whole with one.
    assert requests.kinds == {"LIST": 2 + 3 * plates}
    assert len(ticker.cursor or "") < 100
