"""Both engines: polars in this process, and Spark Connect to a Sail server that this process starts (no JVM)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.polars_engine import PolarsEngine
from bioimage_assets.core.engines.spark_connect import connect_spark
from bioimage_assets.core.engines.spark_engine import SparkEngine

ENGINES = ("polars", "spark")


@contextmanager
def serve_sail() -> Iterator[str]:
    """A Sail server on a free port of this machine; its address for Spark Connect."""
    spark = pytest.importorskip("pysail.spark", reason="pysail is not installed")
    server = spark.SparkConnectServer(ip="127.0.0.1", port=0)
    server.start()
    address: tuple[str, int] = server.listening_address
    yield f"sc://127.0.0.1:{address[1]}"
    server.stop()


@pytest.fixture(scope="session")
def sail() -> Iterator[SparkEngine]:
    """Spark by a Sail server."""
    with serve_sail() as remote:
        yield connect_spark(remote)


@pytest.fixture(params=ENGINES)
def engine(request: Any) -> Engine:
    """One engine after the other."""
    return PolarsEngine() if request.param == "polars" else request.getfixturevalue("sail")
