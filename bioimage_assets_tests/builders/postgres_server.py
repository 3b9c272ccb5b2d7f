"""A private PostgreSQL server in a temporary folder, reachable through a unix socket only."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Debian keeps the server's programs out of the search path, one folder per version.
_DEBIAN = Path("/usr/lib/postgresql")
_START_S = 30


def find_programs() -> Path | None:
    """Folder that holds ``initdb`` and ``postgres``, None where the server is not installed."""
    for folder in sorted(_DEBIAN.glob("*/bin"), reverse=True):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@contextmanager
def run_postgres() -> Iterator[str]:
    """Start a server and give the SQLAlchemy URI of its database; RuntimeError says why it cannot start."""
    programs = find_programs()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed (apt-get install postgresql)")
    user = _server_user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = None
    try:
        if user is not None:
            shutil.chown(folder, user)
        _initialise(programs, folder, user)
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", folder / "db", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
                user=user, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        _wait(programs, folder, server)
        yield f"postgresql+psycopg2://catalog@/postgres?host={folder}"
    finally:
        if server is not None:
            # SIGINT: disconnect the clients and stop; on SIGTERM the server would wait for them.
            server.send_signal(signal.SIGINT)
            server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _server_user() -> str | None:
    """The server refuses to run as root: give another account's name then, None for the present one."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is no other account to run it")


def _initialise(programs: Path, folder: Path, user: str | None) -> None:
    done = subprocess.run(
        [programs / "initdb", "-D", folder / "db", "-A", "trust", "-U", "catalog", "--no-sync"],
        user=user, cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"PostgreSQL cannot create a database: {done.stderr.strip()[-300:]}")


def _wait(programs: Path, folder: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        ready = subprocess.run([programs / "pg_isready", "-q", "-h", folder], check=False)
        if ready.returncode == 0:
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-300:]}")
