"""Every command line that the seed documents show runs as it is written there, and does what they say."""

from __future__ import annotations

import shlex

import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.catalog.browse import catalog_table_to_arrow
from bioimage_assets.core.warehouse.root import open_warehouse

NAMESPACE = "bioimage.cytotable"
REGISTER = f"register --catalog default --namespace {NAMESPACE} data/experiment.zarr"


@pytest.fixture
def line(run, stores):
    """Run one line of a seed document; it must succeed."""

    def call(text: str):
        outcome = run(*shlex.split(text))
        assert outcome.code == 0, outcome.err
        return outcome

    return call


def _catalog_rows(table: str) -> int:
    return catalog_table_to_arrow("default", NAMESPACE, table).num_rows


def test_scan_prints_the_images(line):
    assert "experiment" in line("scan data/experiment.zarr").out


def test_summarize_prints_the_axes(line):
    assert "cyx" in line("summarize data/experiment.zarr").out


def test_register_without_chunks_twice_leaves_one_row(line):
    result = line(REGISTER).json
    line(REGISTER)
    assert result["image_assets_rows_published"] == 1
    assert result["chunk_rows_published"] == 0
    assert _catalog_rows("image_assets") == 1


def test_register_with_chunks(line):
    result = line(
        f"register --catalog default --namespace {NAMESPACE} --publish-chunks data/experiment.zarr"
    ).json
    assert result["chunk_rows_published"] == _catalog_rows("chunk_index") == 6
    assert result["chunk_table_name"] == "chunk_index"


def test_publish_chunks(line):
    result = line(f"publish-chunks --catalog default --namespace {NAMESPACE} data/experiment.zarr").json
    assert result["rows_published"] == _catalog_rows("chunk_index") == 6


def test_ingest_two_stores(line):
    result = line(
        f"ingest --catalog default --namespace {NAMESPACE} data/experiment-a.zarr data/experiment-b.zarr"
    ).json
    assert result["dataset_count"] == 2
    assert result["image_assets_rows_published"] == _catalog_rows("image_assets") == 2
    assert result["chunk_rows_published"] == _catalog_rows("chunk_index") == 12


def test_catalog_free_first_run(line):
    result = line("export-cytomining --warehouse-root warehouse-root data/experiment.zarr").json
    assert result["row_counts"] == {"image_assets": 1, "chunk_index": 6}
    assert open_warehouse("warehouse-root").tables() == ("chunk_index", "image_assets")


def test_export_from_image_stores_with_profiles(line):
    result = line(
        "export-cytomining --warehouse-root warehouse-root --profiles data/profiles.parquet "
        "--profile-dataset-id experiment data/experiment.zarr"
    ).json
    assert result["row_counts"]["joined_profiles"] == 4
    joined = open_warehouse("warehouse-root").read("joined_profiles")
    assert set(joined["dataset_id"].to_pylist()) == {"experiment"}
    assert joined["join_rule"].null_count == 0


def test_example_human_workflow(line):
    line(REGISTER)
    line(
        "export-cytomining-catalog --catalog default --namespace bioimage.cytotable --warehouse-root warehouse-root "
        "--profiles data/examplehuman_profiles.parquet --profile-dataset-id ExampleHuman"
    )
    for table, source in (
        ("pycytominer_profiles", "data/pycytominer_output.parquet"),
        ("cosmicqc_profiles", "data/cosmicqc_output.parquet"),
    ):
        line(
            f"export-cytomining-profiles --warehouse-root warehouse-root --table-name {table} "
            f"--profile-dataset-id ExampleHuman {source}"
        )
    warehouse = open_warehouse("warehouse-root")
    assert set(warehouse.tables()) == {
        "image_assets",
        "joined_profiles",
        "pycytominer_profiles",
        "cosmicqc_profiles",
    }
    assert set(warehouse.read("pycytominer_profiles")["dataset_id"].to_pylist()) == {"ExampleHuman"}
    assert line("validate-warehouse warehouse-root").out.endswith(": valid\n")


def test_validate_contract(line):
    assert "is_valid: True" in line("validate-contract data/cells.parquet").out


def test_join_profiles_writes_parquet(line):
    result = line("join-profiles data/experiment.zarr data/cells.parquet --output joined.parquet").json
    joined = pq.read_table("joined.parquet")
    assert result["rows_written"] == joined.num_rows == 4
    assert joined.column_names == result["columns"]
    assert set(joined["image_id"].to_pylist()) == {"experiment"}
