"""Stores on a web server, which cannot list: chunks are asked for one by one where a switch or a setting allows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.scan.scanner import scan_chunk_index
from bioimage_assets.core.settings.project import read_project_settings
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.builders.zarr_server import StandInS3
from bioimage_assets_tests.cli.conftest import Run

STORED = ["chunk_key", "stored_bytes", "is_present"]


@pytest.fixture
def web(project: Path) -> Iterator[StandInS3]:
    """A web server with a plate of 8 chunks, one of which was never written."""
    root = write_pixel_plate(project / "bucket/p.zarr", columns=1, fields=1, levels=1)
    next(path for path in (root / "A/1/0/0/c").rglob("*") if path.is_file()).unlink()
    with StandInS3(project / "bucket").running() as server:
        yield server


def read_chunk_rows() -> list[dict[str, object]]:
    """Rows of the catalog's chunk index."""
    catalog = open_catalog("default")
    return read_table(catalog, "bioimage.cytotable.chunk_index", columns=STORED).to_pylist()


@pytest.mark.slow
def test_chunks_of_a_web_server_are_asked_for_on_request(run: Run, web: StandInS3, project: Path) -> None:
    uri = f"{web.endpoint}/bucket/p.zarr"
    observed = scan_chunk_index(str(project / "bucket/p.zarr")).read_all().select(STORED).to_pylist()
    assert [row["is_present"] for row in observed].count(False) == 1
    unknown = [{**row, "stored_bytes": None, "is_present": None} for row in observed]
    web.counts.clear()
    for command, count, expected in (
        (("ingest",), 7, unknown),
        (("register", "--publish-chunks"), 8, observed),
    ):
        outcome = run(*command, "--catalog", "default", "--max-head-requests", str(count), uri)
        assert outcome.code == 0, outcome.err
        assert read_chunk_rows() == expected, command
    assert web.counts["head"] == 8
    assert run("export-cytomining", "--warehouse-root", "w", "--max-head-requests", "8", uri).code == 0
    assert pq.read_table(project / "w/chunk_index").select(STORED).to_pylist() == observed
    outcome = run("publish-chunks", "--max-head-requests", "-1", uri)
    assert (outcome.code, "x>=0" in outcome.err) == (2, True)


@pytest.mark.slow
def test_a_setting_of_the_project_asks_for_them_everywhere(
    run: Run, web: StandInS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOIMAGE_MAX_HEAD_REQUESTS", "8")
    uri = f"{web.endpoint}/bucket/p.zarr"
    assert run("publish-chunks", "--catalog", "default", uri).code == 0
    assert [row["is_present"] for row in read_chunk_rows()].count(True) == 7
    assert run("publish-chunks", "--catalog", "default", "--max-head-requests", "0", uri).code == 0
    assert {row["is_present"] for row in read_chunk_rows()} == {None}
    with pytest.raises(SettingsError, match="BIOIMAGE_MAX_HEAD_REQUESTS"):
        read_project_settings({"BIOIMAGE_MAX_HEAD_REQUESTS": "many"})
