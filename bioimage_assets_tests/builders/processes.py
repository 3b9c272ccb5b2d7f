"""What tests need to start programs of their own: a free port, a program that can be interrupted, a server or a skip."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

Server = TypeVar("Server")

# Below the ports that the kernel gives to outgoing connections: any process might be given such a one between the
# moment it is found free and the moment the server takes it, or while a server is down for a restart.
_PORTS = range(20_000, 32_000)


def find_free_port(address: str = "127.0.0.1") -> int:
    """A port nobody listens on. Another process may take it all the same: start again on another one then."""
    for port in random.SystemRandom().sample(_PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port at {address} among 200 that were tried")


@contextmanager
def started_or_skipped(server: AbstractContextManager[Server]) -> Iterator[Server]:
    """A server for a block; the tests that need it are skipped where it says that it cannot start here."""
    with ExitStack() as servers:
        try:
            running = servers.enter_context(server)
        except RuntimeError as error:
            pytest.skip(str(error))
        yield running


def interruptible(program: Path, *words: str) -> list[str]:
    """Command line of a program that ends on an interrupt, also below a shell that ignores interrupts.

    The signal is set by a process of its own: code between fork and exec may hang where the tests have threads.
    """
    code = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", code, str(program), *words]


def send(pid: int, how: signal.Signals) -> None:
    """Send a signal to a process that may be gone already."""
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return


def end_process(process: subprocess.Popen, how: signal.Signals) -> None:
    """End a process politely, or at once where it does not listen."""
    process.send_signal(how)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
