"""DuckDB with its Iceberg reader from the installed packages: nothing is fetched."""

from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest


def open_duckdb() -> duckdb.DuckDBPyConnection:
    """A connection that knows ``iceberg_scan``; skips the test where the extensions are not installed."""
    connection = duckdb.connect()
    for name in ("avro", "iceberg"):  # the second needs the first
        connection.execute(f"LOAD '{_find_extension(name)}'")
    return connection


def _find_extension(name: str) -> Path:
    package = find_spec(f"duckdb_extension_{name}")
    if package is None or package.origin is None:
        pytest.skip(f"duckdb-extension-{name} is not installed")
    found = sorted(Path(package.origin).parent.glob(f"extensions/v{duckdb.__version__}/*.duckdb_extension"))
    if not found:
        pytest.skip(f"duckdb-extension-{name} is not of DuckDB {duckdb.__version__}")
    return found[0]
