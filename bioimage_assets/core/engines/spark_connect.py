"""Find a Spark Connect server and open sessions at it, or say within seconds why there is none."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

from grpc import RpcError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from bioimage_assets.core.engines.engine import DEFAULT_MEMORY_BYTES
from bioimage_assets.core.engines.spark_engine import SparkEngine
from bioimage_assets.core.errors import SettingsError

CONNECT_TIMEOUT_S = 5.0
_DEFAULT_PORT = 15002  # of Spark Connect


def connect_spark(remote: str, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> SparkEngine:
    """An engine at a Spark Connect server that answers.

    Raises
    ------
    SettingsError
        Nothing answers at the address within seconds, or what answers is no Spark Connect server.
    """
    try:
        session = open_session(remote)
        # The client connects with its first question.
        version = session.version
        session.stop()
    except (PySparkException, RpcError, OSError, ValueError) as error:
        raise SettingsError(f"{_refused(remote)}: {error}") from error
    return SparkEngine(partial(open_session, remote), remote, version, memory_bytes)


def open_session(remote: str) -> SparkSession:
    """A session at a server; its ``stop`` ends it.

    Raises
    ------
    SettingsError
        Nothing answers at the address within seconds.
    """
    _knock(remote)
    with _main_file():
        return SparkSession.builder.remote(remote).create()


@contextmanager
def _main_file() -> Iterator[None]:
    """pyspark takes a process whose main module has no file (``python -c``) for a test of its own, and ends it."""
    main = sys.modules["__main__"]
    if hasattr(main, "__file__"):
        yield
        return
    main.__file__ = ""
    try:
        yield
    finally:
        del main.__file__


def _knock(remote: str) -> None:
    """The client repeats an unanswered call for many minutes, so the port is tried first."""
    address = urlsplit(remote.split(";", 1)[0])
    try:
        host, port = address.hostname, address.port or _DEFAULT_PORT
    except ValueError as error:
        raise SettingsError(f"{_refused(remote)}: {error}") from error
    if address.scheme != "sc" or not host:
        raise SettingsError(f"{_refused(remote)}: expected sc://host:port, as sc://localhost:15002.")
    try:
        with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S):
            pass
    except OSError as error:
        raise SettingsError(
            f"{_refused(remote)}: {error}. Start the server, correct BIOIMAGE_SPARK_REMOTE, or set BIOIMAGE_ENGINE=polars."
        ) from error


def _refused(remote: str) -> str:
    # What follows the first semicolon may be a token.
    return f"No Spark Connect server answers at {remote.split(';', 1)[0]!r}"
