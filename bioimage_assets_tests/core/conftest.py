"""A real S3 server for catalogs and warehouse roots."""

from collections.abc import Iterator

import pytest

from bioimage_assets_tests.builders.processes import started_or_skipped
from bioimage_assets_tests.builders.seaweed_server import SeaweedServer, run_seaweed


@pytest.fixture(scope="module")
def seaweed() -> Iterator[SeaweedServer]:
    """An S3 server and a REST catalog that run as long as the tests of a file do."""
    with started_or_skipped(run_seaweed()) as server:
        yield server
