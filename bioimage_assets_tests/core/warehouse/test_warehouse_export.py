"""The seeds' export functions: stores, catalogs, profiles and other tables become one warehouse root."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from bioimage_assets.core.catalog.publish import register_store
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.errors import ContractError, SchemaConflictError, StoreNotFoundError, UsageError
from bioimage_assets.core.joins.aliases import load_profile_column_aliases
from bioimage_assets.core.public_api.export import (
    export_catalog_to_cytomining_warehouse,
    export_scan_result_to_cytomining_warehouse,
    export_store_to_cytomining_warehouse,
)
from bioimage_assets.core.public_api.export_tables import (
    export_profiles_to_cytomining_warehouse,
    export_table_to_cytomining_warehouse,
)
from bioimage_assets.core.public_api.scan import scan_store
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets.core.tables.schemas import CHUNK_INDEX, IMAGE_ASSETS
from bioimage_assets.core.tables.text_columns import add_chunk_text_columns
from bioimage_assets.core.warehouse.root import load_warehouse_manifest, open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest

EMBEDDINGS = {
    "dataset_id": ["ExampleHuman"],
    "image_id": ["ExampleHuman:0"],
    "embedding_0": [0.1],
    "embedding_1": [0.2],
}


@pytest.fixture
def store(tmp_path) -> Path:
    """One OME-Zarr image of 3 x 32 x 32 pixels in 3 x 2 x 2 chunks."""
    path = tmp_path / "experiment.ome.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [dataset]}]
    array = group.create_array("0", shape=(3, 32, 32), chunks=(1, 16, 16), dtype="uint16")
    array[:] = np.arange(3 * 32 * 32).reshape(3, 32, 32) + 1
    return path


@pytest.fixture
def profiles(store, tmp_path) -> Path:
    image_id = scan_store_records(str(store)).images[0].image_id
    table = pa.table(
        {"Metadata_ImageID": [image_id] * 9 + ["elsewhere"], "Cells_Area": [float(i) for i in range(10)]}
    )
    pq.write_table(table, tmp_path / "profiles.parquet")
    return tmp_path / "profiles.parquet"


def assert_valid(root):
    result = validate_warehouse_manifest(root)
    assert (result.errors, result.warnings) == ([], [])


def test_a_store_becomes_a_root_with_its_profiles_joined_and_not_multiplied(store, profiles, tmp_path):
    result = export_store_to_cytomining_warehouse(
        str(store), tmp_path / "root", profiles=profiles, profile_dataset_id="experiment"
    )
    assert result.row_counts == {"image_assets": 1, "chunk_index": 12, "joined_profiles": 10}
    assert result.tables_written == ["image_assets", "chunk_index", "joined_profiles"]
    assert result.manifest_path == str(tmp_path / "root" / "warehouse_manifest.json")
    assert "1 of 10 profile rows have no image" in result.warnings[0]
    assert json.loads(result.to_json())["row_counts"]["joined_profiles"] == 10
    joined = pd.read_parquet(tmp_path / "root" / "joined_profiles")
    assert joined["Cells_Area"].tolist() == [float(i) for i in range(10)]
    assert joined["uri"].notna().sum() == 9
    assert_valid(tmp_path / "root")


def test_chunks_multiply_profiles_only_when_that_is_asked_for(store, profiles, tmp_path):
    result = export_store_to_cytomining_warehouse(
        str(store), tmp_path / "root", profiles=profiles, profile_dataset_id="experiment", join_chunks=True
    )
    assert result.row_counts["joined_profiles"] == 9 * 12 + 1


def test_a_second_export_changes_nothing_and_append_adds(store, tmp_path):
    root = tmp_path / "root"
    export_store_to_cytomining_warehouse(str(store), root)
    manifest = (root / "warehouse_manifest.json").read_bytes()
    export_store_to_cytomining_warehouse(str(store), root)
    assert (root / "warehouse_manifest.json").read_bytes() == manifest
    export_store_to_cytomining_warehouse(str(store), root, mode="append")
    entries = {entry.table_name: entry.row_count for entry in load_warehouse_manifest(root).tables}
    assert entries == {"image_assets": 2, "chunk_index": 24}
    assert_valid(root)


def test_the_export_has_typed_columns_and_the_text_columns_of_the_seeds(store, tmp_path):
    export_store_to_cytomining_warehouse(str(store), tmp_path / "root")
    images = pq.read_table(tmp_path / "root" / "image_assets")
    assert images.column_names[: len(IMAGE_ASSETS)] == IMAGE_ASSETS.names
    row = images.to_pylist()[0]
    assert json.loads(row["shape_json"]) == [3, 32, 32] == row["shape"]
    assert json.loads(row["chunk_shape_json"]) == [1, 16, 16]
    assert json.loads(row["metadata_json"]) == {
        "axes": row["axes"], "channel_count": 3, "ndim": 3, "storage_variant": "zarr-v2", "store_name": "experiment.ome.zarr",
    }  # fmt: skip
    chunks = pq.read_table(tmp_path / "root" / "chunk_index")
    assert chunks.column_names == [*CHUNK_INDEX.names, "chunk_coords_json", "byte_length"]
    assert {json.dumps(row["chunk_coords"]) == row["chunk_coords_json"] for row in chunks.to_pylist()} == {
        True
    }
    assert set(chunks.column("byte_length").to_pylist()) == {16 * 16 * 2}


def test_text_columns_spell_lists_as_json_dumps_does():
    rows = [[0, 1], None, [], [2, -3, 4], None, [5]]
    table = pa.table(
        {"chunk_coords": pa.array(rows, pa.list_(pa.int32())), "nominal_bytes": pa.array([1] * 6)}
    )
    expected = [None if row is None else json.dumps(row) for row in rows]
    assert add_chunk_text_columns(table).column("chunk_coords_json").to_pylist() == expected
    assert add_chunk_text_columns(table.slice(3)).column("chunk_coords_json").to_pylist() == expected[3:]
    streamed = add_chunk_text_columns(table.to_reader(max_chunksize=2)).read_all()
    assert streamed.column("chunk_coords_json").to_pylist() == expected


def test_both_kinds_of_scan_results_are_taken(store, tmp_path):
    for number, scan in enumerate((scan_store(str(store)), scan_store_records(str(store)))):
        result = export_scan_result_to_cytomining_warehouse(
            scan, tmp_path / f"root{number}", include_chunks=False
        )
        assert result.row_counts == {"image_assets": 1}


def test_profiles_that_cannot_be_linked_stop_the_export_before_anything_is_written(store, tmp_path):
    with pytest.raises(ContractError):
        export_store_to_cytomining_warehouse(
            str(store), tmp_path / "root", profiles=pa.table({"Cells_Area": [1.0]})
        )
    with pytest.raises(StoreNotFoundError):
        export_store_to_cytomining_warehouse(str(tmp_path / "none.zarr"), tmp_path / "root")
    with pytest.raises(UsageError, match="mode must be either 'overwrite' or 'append'"):
        export_store_to_cytomining_warehouse(str(store), tmp_path / "root", mode="replace")
    assert not (tmp_path / "root" / "warehouse_manifest.json").exists()


def test_dotted_names_make_a_new_root_a_namespaced_one(store, tmp_path):
    result = export_store_to_cytomining_warehouse(
        str(store), tmp_path / "root", image_assets_table_name="images.image_assets",
        chunk_index_table_name="images.chunk_index",
    )  # fmt: skip
    assert result.row_counts == {"images.image_assets": 1, "images.chunk_index": 12}
    assert validate_warehouse_manifest(tmp_path / "root", strict=True).errors == []


def test_a_catalog_becomes_a_root(store, profiles, tmp_path):
    catalog = open_catalog(
        "embedded",
        {
            "type": "sql",
            "uri": f"sqlite:///{tmp_path / 'catalog.db'}",
            "warehouse": (tmp_path / "tables").as_uri(),
        },
    )
    register_store(str(store), catalog, "bioimage.cytotable")
    root = tmp_path / "root"
    result = export_catalog_to_cytomining_warehouse(
        catalog, "bioimage.cytotable", root, profiles=profiles, profile_dataset_id="experiment"
    )
    assert result.row_counts == {"image_assets": 1, "chunk_index": 12, "joined_profiles": 10}
    entry = open_warehouse(root).manifest().entry("image_assets")
    assert entry.source_ref == "SqlCatalog:bioimage.cytotable.image_assets"
    assert (
        entry.snapshot_id
        == catalog.load_table("bioimage.cytotable.image_assets").current_snapshot().snapshot_id
    )
    assert pq.read_table(root / "image_assets").column("shape_json").to_pylist() == ["[3, 32, 32]"]
    assert_valid(root)


def test_a_catalog_without_chunks_is_exported_and_the_result_says_so(store, tmp_path):
    catalog = open_catalog(
        "embedded",
        {
            "type": "sql",
            "uri": f"sqlite:///{tmp_path / 'catalog.db'}",
            "warehouse": (tmp_path / "tables").as_uri(),
        },
    )
    register_store(str(store), catalog, "bioimage.cytotable", chunk_index_table=None)
    result = export_catalog_to_cytomining_warehouse(catalog, "bioimage.cytotable", tmp_path / "root")
    assert result.row_counts == {"image_assets": 1}
    assert "has no table bioimage.cytotable.chunk_index" in result.warnings[0]


def test_profiles_get_canonical_key_columns_beside_their_own(tmp_path):
    table = pa.table(
        {
            "Metadata_Plate": ["0042", "0042"], "Metadata_Well": ["a1", "B-2"], "Metadata_Site": [1.0, None],
            "Metadata_ImageID": ["x", "y"], "Cells_Area": [1.0, 2.0],
        }
    )  # fmt: skip
    result = export_profiles_to_cytomining_warehouse(
        table, tmp_path / "root", table_name="pycytominer_profiles", profile_dataset_id="ExampleHuman"
    )
    assert result.to_dict() == {
        "warehouse_root": str(tmp_path / "root"), "tables_written": ["pycytominer_profiles"],
        "row_counts": {"pycytominer_profiles": 2},
        "manifest_path": str(tmp_path / "root" / "warehouse_manifest.json"),
    }  # fmt: skip
    stored = pq.read_table(tmp_path / "root" / "pycytominer_profiles")
    assert stored.column_names == [
        *table.column_names,
        "dataset_id",
        "image_id",
        "plate_id",
        "well_id",
        "site_id",
    ]
    assert stored.select(table.column_names).equals(table)
    assert stored.select(["dataset_id", "plate_id", "well_id", "site_id"]).to_pylist() == [
        {"dataset_id": "ExampleHuman", "plate_id": "0042", "well_id": "A01", "site_id": "1"},
        {"dataset_id": "ExampleHuman", "plate_id": "0042", "well_id": "B02", "site_id": None},
    ]
    entry = load_warehouse_manifest(tmp_path / "root").entry("pycytominer_profiles")
    assert (entry.role, entry.source_type, entry.source_ref) == (
        "profiles",
        "profiles",
        "in-memory pyarrow.Table",
    )
    assert entry.join_keys == ["dataset_id", "image_id"]


def test_aliases_of_a_toml_file_are_used(tmp_path):
    (tmp_path / "aliases.toml").write_text(
        '[microscopy.aliases]\ndataset_id = ["ProjectID"]\nimage_id = ["ImageKey"]\n'
    )
    table = pa.table({"ProjectID": ["p"], "ImageKey": [7], "x": [1.0]})
    export_profiles_to_cytomining_warehouse(
        table, tmp_path / "root", alias_map=load_profile_column_aliases(tmp_path / "aliases.toml")
    )
    row = pq.read_table(tmp_path / "root" / "profiles").to_pylist()[0]
    assert (row["dataset_id"], row["image_id"]) == ("p", "7")


def test_appending_profiles_twice_doubles_them_and_the_manifest_knows(tmp_path):
    table = pd.DataFrame({"Metadata_Plate": ["P"], "Metadata_Well": ["A01"], "f": [0.5]})
    for _ in range(2):
        export_profiles_to_cytomining_warehouse(table, tmp_path / "root", profile_dataset_id="d")
    assert load_warehouse_manifest(tmp_path / "root").entry("profiles").row_count == 2
    export_profiles_to_cytomining_warehouse(
        table, tmp_path / "root", profile_dataset_id="d", mode="overwrite"
    )
    assert load_warehouse_manifest(tmp_path / "root").entry("profiles").row_count == 1
    assert_valid(tmp_path / "root")


def test_the_generic_export_keeps_its_name_role_and_provenance_through_later_exports(tmp_path):
    result = export_table_to_cytomining_warehouse(
        pa.table(EMBEDDINGS), tmp_path / "root", table_name="embeddings", role="embeddings",
        join_keys=["dataset_id", "image_id"], source_type="custom", source_ref="my-embedding-pipeline",
    )  # fmt: skip
    assert result.row_counts == {"embeddings": 1}
    export_table_to_cytomining_warehouse(
        [{"dataset_id": "d", "cells": 3}], tmp_path / "root", table_name="qc", role="reports"
    )
    entry = load_warehouse_manifest(tmp_path / "root").to_dict()["tables"][0]
    for key, value in {"table_name": "embeddings", "role": "embeddings", "source_ref": "my-embedding-pipeline",
                       "source_type": "custom", "join_keys": ["dataset_id", "image_id"], "row_count": 1}.items():  # fmt: skip
        assert entry[key] == value
    assert entry["columns"] == list(EMBEDDINGS)
    assert_valid(tmp_path / "root")


def test_an_append_that_does_not_fit_is_refused_and_an_image_column_of_any_type_is_taken(tmp_path):
    root = tmp_path / "root"
    export_table_to_cytomining_warehouse(
        pa.table(EMBEDDINGS), root, table_name="embeddings", role="embeddings"
    )
    with pytest.raises(SchemaConflictError, match="embedding_0"):
        export_table_to_cytomining_warehouse(
            pa.table({**EMBEDDINGS, "embedding_0": ["text"]}),
            root,
            table_name="embeddings",
            role="embeddings",
        )
    assert pq.read_table(root / "embeddings").num_rows == 1


def test_tiff_then_zarr_appended_to_one_root_stay_readable(store, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "plain.ome.tiff", np.zeros((8, 8), "uint8"), metadata={"axes": "YX"})
    root = tmp_path / "root"
    for uri in (tmp_path / "plain.ome.tiff", store, tmp_path / "plain.ome.tiff"):
        export_store_to_cytomining_warehouse(str(uri), root, mode="append")
    assert pq.read_table(root / "image_assets").num_rows == 3
    count = duckdb.sql(f"select count(*) from read_parquet('{root}/image_assets/*.parquet')").fetchall()
    assert count == [(3,)]
    assert pq.read_table(root / "chunk_index").column_names == [
        *CHUNK_INDEX.names,
        "chunk_coords_json",
        "byte_length",
    ]
    assert_valid(root)
