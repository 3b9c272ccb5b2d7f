"""Runs the commands of a page as one reader types them: block after block, in one folder, with what was exported."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

# They serve a page until they are stopped: each is started, asked for its page, and stopped.
_SERVERS = re.compile(
    r"^(?:\S*/)?(?:bioimage-assets browse|make ui|make docs-serve|dagster dev|dagster-webserver)\b"
)
_LIMIT_S = 900
_UP_WITHIN_S = 180


class PageError(AssertionError):
    """A command of a page failed."""


class Shell:
    """A reader at a prompt: ``folder`` is where it starts, ``variables`` what the machine has set."""

    def __init__(self, folder: Path, variables: dict[str, str], state: Path) -> None:
        self._folder, self._variables, self._state = folder, variables, state
        state.write_text(f"cd {shlex.quote(str(folder))}\n")

    def type(self, text: str, where: str) -> str:
        """Run a block; gives what it printed, and raises PageError at the first command that fails."""
        return "".join(
            self._serve(part, where) if is_server else self._run(part, where)
            for part, is_server in split_servers(text)
        )

    def run_python(self, text: str, where: str) -> str:
        """Run a block of Python in a process of its own."""
        return self._finish(["bash", "-c", f"source {shlex.quote(str(self._state))}; python -"], text, where)

    def query(self, text: str, where: str) -> str:
        """Ask each statement of a block of SQL as `bioimage-assets query` is asked."""
        asked = (part.strip() for part in text.split(";"))
        return "".join(self._run(f"bioimage-assets query {shlex.quote(sql)}", where) for sql in asked if sql)

    def _run(self, text: str, where: str) -> str:
        state = shlex.quote(str(self._state))
        # What is exported and where the reader stands hold for the next block.
        script = f'source {state}\nset -eo pipefail\n{text}\n{{ export -p; echo cd "$(printf %q "$PWD")"; }} > {state}\n'
        return self._finish(["bash", "-c", script], "", where)

    def _finish(self, command: list[str], given: str, where: str) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._variables,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT_S,
        )
        if done.returncode:
            raise PageError(f"{where} ended with {done.returncode}:\n{done.stdout[-3000:]}")
        return done.stdout

    def _serve(self, line: str, where: str) -> str:
        port = _free_port()
        address = f"http://127.0.0.1:{port}"
        places = {"PORT": str(port), "BIOIMAGE_BROWSE_URL": address, "BROWSER": "true"}
        log = self._state.with_suffix(".log")
        with log.open("w") as out:
            server = subprocess.Popen(
                ["bash", "-c", f"source {shlex.quote(str(self._state))}; {line}"],
                cwd=self._folder,
                env=self._variables | places,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_for(address, server, f"{where} ({line.strip()})", log)
        finally:
            _stop(server)
        return log.read_text()


def split_servers(text: str) -> Iterator[tuple[str, bool]]:
    """The lines of a block, those that serve pages apart from the others."""
    waiting: list[str] = []
    for line in text.splitlines():
        if _SERVERS.match(line):
            if waiting:
                yield "\n".join(waiting), False
            waiting = []
            yield line, True
        else:
            waiting.append(line)
    if any(line.strip() for line in waiting):
        yield "\n".join(waiting), False


def _wait_for(address: str, server: subprocess.Popen[bytes], where: str, log: Path) -> None:
    until = time.monotonic() + _UP_WITHIN_S
    while True:
        try:
            # `browse` prints an address that nobody else can guess; Dagster has none of its own.
            printed = re.findall(rf"{re.escape(address)}\S*", log.read_text())
            with urllib.request.urlopen(printed[0] if printed else address, timeout=10) as answer:
                assert answer.status == 200
                assert b"<html" in answer.read().lower()
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            if server.poll() is not None or time.monotonic() > until:
                raise PageError(f"{where} serves no page:\n{log.read_text()[-3000:]}") from error
            time.sleep(0.3)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does; what has not ended half a minute later is killed."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sign)
            server.wait(15)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            pass
        break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)  # children that it left


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
