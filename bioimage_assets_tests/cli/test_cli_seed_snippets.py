"""Every Python snippet of the seed documents runs with this package's name in its imports."""

from __future__ import annotations

import pytest

QUICKSTART = """
from bioimage_assets import (
    export_store_to_cytomining_warehouse,
    ingest_stores_to_warehouse,
    join_profiles_with_store,
    register_store,
    summarize_store,
    validate_microscopy_profile_table,
)

registration = register_store(
    "data/experiment.zarr",
    "default",
    "bioimage.cytotable",
)
print(registration.to_dict())

summary = summarize_store("data/experiment.zarr")
print(summary.to_dict())

contract = validate_microscopy_profile_table("data/cells.parquet")
print(contract.is_valid)

joined = join_profiles_with_store("data/experiment.zarr", "data/cells.parquet")
print(joined.num_rows)

warehouse = ingest_stores_to_warehouse(
    ["data/experiment-a.zarr", "data/experiment-b.zarr"],
    "default",
    "bioimage.cytotable",
)
print(warehouse.to_dict())

cytomining_export = export_store_to_cytomining_warehouse(
    "data/experiment-a.zarr",
    "warehouse-root",
    profiles="data/cells.parquet",
    profile_dataset_id="experiment-a",
)
print(cytomining_export.to_dict())
"""

DUCKDB_HELPERS = """
import pyarrow as pa

from bioimage_assets import join_image_assets_with_profiles, query_metadata_table

image_assets = pa.table(
    {
        "dataset_id": ["ds-1"],
        "image_id": ["img-1"],
        "array_path": ["0"],
        "uri": ["data/example.zarr"],
    }
)
profiles = pa.table(
    {
        "dataset_id": ["ds-1"],
        "image_id": ["img-1"],
        "cell_count": [42],
    }
)

joined = join_image_assets_with_profiles(image_assets, profiles)
filtered = query_metadata_table(
    joined,
    filters=[("cell_count", ">", 10)],
)
"""

STORE_EXPORT = """
from bioimage_assets import export_store_to_cytomining_warehouse

result = export_store_to_cytomining_warehouse(
    "data/experiment.zarr",
    "warehouse-root",
    profiles="data/profiles.parquet",
    profile_dataset_id="experiment",
)
print(result.to_dict())
"""

CATALOG_EXPORT = """
from bioimage_assets import export_catalog_to_cytomining_warehouse

result = export_catalog_to_cytomining_warehouse(
    "default",
    "bioimage.cytotable",
    "warehouse-root",
    profiles="data/profiles.parquet",
    profile_dataset_id="experiment",
)
print(result.to_dict())
"""

GENERIC_TABLE = """
import pyarrow as pa

from bioimage_assets import export_table_to_cytomining_warehouse

result = export_table_to_cytomining_warehouse(
    pa.table(
        {
            "dataset_id": ["ExampleHuman"],
            "image_id": ["ExampleHuman:0"],
            "embedding_0": [0.1],
            "embedding_1": [0.2],
        }
    ),
    "warehouse-root",
    table_name="embeddings",
    role="embeddings",
    join_keys=["dataset_id", "image_id"],
    source_type="custom",
    source_ref="my-embedding-pipeline",
)
print(result.to_dict())
"""

CUSTOM_ALIASES = """
from bioimage_assets import (
    export_profiles_to_cytomining_warehouse,
    load_profile_column_aliases,
)

aliases = load_profile_column_aliases("aliases.toml")
result = export_profiles_to_cytomining_warehouse(
    "data/custom_profiles.parquet",
    "warehouse-root",
    table_name="custom_profiles",
    alias_map=aliases,
)
"""

CATALOG_JOIN = """
import pyarrow as pa

from bioimage_assets import join_catalog_image_assets_with_profiles

profiles = pa.table(
    {
        "dataset_id": ["ds-1"],
        "image_id": ["img-1"],
        "cell_count": [42],
    }
)

joined = join_catalog_image_assets_with_profiles(
    "default",
    "bioimage.cytotable",
    profiles,
    chunk_index_table="chunk_index",
)
"""


@pytest.fixture
def snippet(stores, capsys):
    """Run a snippet as a script; give its variables."""

    def call(code: str) -> dict[str, object]:
        names: dict[str, object] = {}
        exec(compile(code, "snippet", "exec"), names)
        return names

    return call


def test_quickstart(snippet):
    names = snippet(QUICKSTART)
    assert names["registration"].to_dict()["image_assets_rows_published"] == 1
    assert names["registration"].to_dict()["chunk_rows_published"] == 6
    assert names["summary"].to_dict()["image_asset_count"] == 1
    assert names["contract"].is_valid
    assert names["joined"].num_rows == 4
    assert names["warehouse"].to_dict()["dataset_count"] == 2
    # The cells are of another dataset: they are kept, without an image, and that is said.
    assert names["cytomining_export"].to_dict()["row_counts"]["joined_profiles"] == 4


def test_duckdb_helpers(snippet):
    names = snippet(DUCKDB_HELPERS)
    assert names["filtered"].num_rows == 1
    assert names["filtered"]["uri"].to_pylist() == ["data/example.zarr"]
    assert names["filtered"]["cell_count"].to_pylist() == [42]


def test_export_from_a_store(snippet):
    assert snippet(STORE_EXPORT)["result"].to_dict()["row_counts"] == {
        "image_assets": 1,
        "chunk_index": 6,
        "joined_profiles": 4,
    }


def test_export_from_a_catalog(snippet, run):
    run("register", "--catalog", "default", "--publish-chunks", "data/experiment.zarr")
    assert snippet(CATALOG_EXPORT)["result"].to_dict()["row_counts"] == {
        "image_assets": 1,
        "chunk_index": 6,
        "joined_profiles": 4,
    }


def test_generic_table_export(snippet):
    result = snippet(GENERIC_TABLE)["result"].to_dict()
    assert result["tables_written"] == ["embeddings"]
    assert result["row_counts"] == {"embeddings": 1}


def test_custom_aliases(snippet):
    names = snippet(CUSTOM_ALIASES)
    from bioimage_assets import open_warehouse

    table = open_warehouse("warehouse-root").read("custom_profiles")
    assert table["dataset_id"].to_pylist() == ["experiment", "experiment"]
    assert table["well_id"].to_pylist() == ["A01", "B02"]
    assert names["result"].row_counts == {"custom_profiles": 2}


def test_join_with_a_catalog(snippet, run):
    run("ingest", "--catalog", "default", "data/experiment.zarr")
    joined = snippet(CATALOG_JOIN)["joined"]
    assert joined.num_rows == 1  # no image of that name: the row stays, without one
    assert joined["image_id"].to_pylist() == [None]
    assert joined["profile_image_id"].to_pylist() == ["img-1"]


@pytest.mark.slow
def test_ome_arrow_helpers(stores, tmp_path):
    pytest.importorskip("ome_arrow", reason="the extra ome-arrow is not installed")
    from bioimage_assets import create_ome_arrow, scan_ome_arrow
    from bioimage_assets_tests.core.catalog.stores import write_tiff

    image = create_ome_arrow(str(write_tiff(tmp_path / "image.ome.tiff")))
    image.export(how="parquet", out=str(tmp_path / "image.ome.parquet"))
    assert scan_ome_arrow(str(tmp_path / "image.ome.parquet")) is not None
