"""Real catalogs for the tests of this folder: SQLite files below a temporary folder, and a private PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog import Catalog
from sqlalchemy import create_engine, text

from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets_tests.builders.duckdb_iceberg import open_duckdb
from bioimage_assets_tests.builders.postgres_server import run_postgres
from bioimage_assets_tests.builders.processes import started_or_skipped


def sqlite_properties(folder: Path) -> dict[str, str]:
    """Properties of an embedded catalog below a folder."""
    return {
        "type": "sql",
        "uri": f"sqlite:///{folder / 'catalog.db'}",
        "warehouse": (folder / "tables").as_uri(),
    }


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return open_catalog("embedded", sqlite_properties(tmp_path / "catalog"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """SQLAlchemy URI of a server that runs as long as the tests do."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    with started_or_skipped(run_postgres()) as uri:
        yield uri


@pytest.fixture(scope="session")
def duck() -> duckdb.DuckDBPyConnection:
    """DuckDB that knows ``iceberg_scan``; loading the extension takes longer than most of its queries."""
    return open_duckdb()


@pytest.fixture
def postgres(postgres_server: str, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Properties of a catalog in a PostgreSQL database that no other test uses."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    engine = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return {
        "type": "sql",
        "uri": postgres_server.replace("/postgres?", f"/{name}?"),
        "warehouse": (tmp_path / "tables").as_uri(),
    }
