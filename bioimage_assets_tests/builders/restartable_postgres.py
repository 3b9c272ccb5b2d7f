"""A private PostgreSQL server on a loopback port that can be killed and started again on the same data."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bioimage_assets_tests.builders.postgres_server import _initialise, _server_user, _wait, find_programs
from bioimage_assets_tests.builders.processes import find_free_port


class PostgresServer:
    """One server; ``kill`` is what a power cut is, ``start`` brings it back with what it had committed."""

    def __init__(self, programs: Path, folder: Path, user: str | None, address: str = "127.0.0.1") -> None:
        self.programs, self.folder, self.user, self.address = programs, folder, user, address
        self.process: subprocess.Popen[bytes] | None = None
        self.port = find_free_port(address)

    def start(self) -> None:
        """Start, and return once connections are taken."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self.programs / "postgres", "-D", self.folder / "db", "-k", self.folder, "-p", str(self.port),
                    "-c", f"listen_addresses={self.address}", "-c", "log_connections=on",
                ],
                user=self.user, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        # pg_isready finds a socket by port; the default one is looked for unless it is named.
        with client_port(self.port):
            _wait(self.programs, self.folder, self.process)

    def clients(self) -> set[str]:
        """Addresses from which connections came so far."""
        return set(re.findall(r"connection received: host=([0-9.]+) ", (self.folder / "log").read_text()))

    def kill(self) -> None:
        """Stop at once, without a checkpoint: all connections break, committed work is in the log only."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
            self.process = None

    def execute(self, statement: str) -> None:
        """Run one SQL statement as the owner."""
        subprocess.run(
            [self.programs / "psql", "-q", "-h", self.folder, "-p", str(self.port), "-U", "catalog", "postgres", "-c", statement],
            check=True, capture_output=True,
        )  # fmt: skip


@contextmanager
def client_port(port: int) -> Iterator[None]:
    """Let PostgreSQL's client programs look at a port."""
    before = os.environ.get("PGPORT")
    os.environ["PGPORT"] = str(port)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PGPORT"]
        else:
            os.environ["PGPORT"] = before


@contextmanager
def run_restartable_postgres(address: str = "127.0.0.1") -> Iterator[PostgresServer]:
    """Start a server with the databases ``dagster`` and ``iceberg``; RuntimeError says why it cannot start.

    Everybody who reaches the address is trusted: it has to be one of this machine's own.
    """
    programs = find_programs()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed (apt-get install postgresql)")
    user = _server_user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresServer(programs, folder, user, address)
    try:
        if user is not None:
            shutil.chown(folder, user)
        _initialise(programs, folder, user)
        with (folder / "db" / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {address}/24 trust\n")
        server.start()
        for name in ("dagster", "iceberg"):
            server.execute(f"CREATE DATABASE {name}")
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
