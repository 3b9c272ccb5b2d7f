"""The seeds' join functions: their quickstart works, and their known mistakes do not."""

from __future__ import annotations

import json
import logging

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.catalog.browse import CatalogScanOptions
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.errors import ContractError, UsageError
from bioimage_assets.core.joins.chunk_fan_out import FAN_OUT_KEY
from bioimage_assets.core.joins.query import create_duckdb_connection, query_metadata_table
from bioimage_assets.core.model.scan_result import build_scan_result
from bioimage_assets.core.public_api.join import (
    REPORT_KEY,
    join_catalog_image_assets_with_profiles,
    join_image_assets_with_profiles,
    join_profiles_with_scan_result,
    join_profiles_with_store,
)
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.core.joins.join_builders import plate_images, write_small_plate

IMAGES = pa.table(
    {"dataset_id": ["ds-1"], "image_id": ["img-1"], "array_path": ["0"], "uri": ["data/example.zarr"]}
)
PROFILES = pa.table({"dataset_id": ["ds-1"], "image_id": ["img-1"], "cell_count": [42]})
CHUNKS = pa.table(
    {
        "dataset_id": ["ds-1"] * 3, "image_id": ["img-1"] * 3, "array_path": ["0", "0", "1"],
        "chunk_key": ["0/0", "0/1", "0/0"], "chunk_coords_json": ["[0,0]", "[0,1]", "[0,0]"], "byte_length": [4, 4, 1],
    }
)  # fmt: skip


def test_the_quickstart_of_the_seeds_gives_its_result() -> None:
    joined = join_image_assets_with_profiles(IMAGES, PROFILES)
    filtered = query_metadata_table(joined, filters=[("cell_count", ">", 10)])
    (row,) = filtered.to_pylist()
    expected = {
        "dataset_id": "ds-1",
        "image_id": "img-1",
        "array_path": "0",
        "uri": "data/example.zarr",
        "cell_count": 42,
    }
    assert {key: row[key] for key in expected} == expected
    assert row["join_rule"] == "image_id"


@pytest.mark.parametrize(
    "convert", [pl.from_arrow, pa.Table.to_pandas, pa.Table.to_pylist, lambda table: table]
)
def test_both_sides_may_be_of_any_kind(convert) -> None:
    assert join_image_assets_with_profiles(convert(IMAGES), convert(PROFILES))["uri"].to_pylist() == [
        "data/example.zarr"
    ]


def test_unlinked_rows_stay_are_logged_and_counted_in_the_metadata(caplog) -> None:
    profiles = pa.concat_tables(
        [PROFILES, pa.table({"dataset_id": ["ds-1"], "image_id": ["gone"], "cell_count": [1]})]
    )
    with caplog.at_level(logging.WARNING):
        joined = join_image_assets_with_profiles(IMAGES, profiles)
    assert joined.num_rows == 2
    assert "1 of 2 profile rows have no image" in caplog.text
    report = json.loads(joined.schema.metadata[REPORT_KEY])
    assert (report["matched_rows"], report["profile_rows"]) == (1, 2)
    assert join_image_assets_with_profiles(IMAGES, profiles, how="inner").num_rows == 1


def test_profile_dataset_id_stands_in_for_a_missing_column_and_overrides_the_laboratory() -> None:
    profiles = pa.table({"Metadata_Source": ["source_4"], "Metadata_ImageID": ["img-1"]})
    joined = join_image_assets_with_profiles(IMAGES, profiles, profile_dataset_id="ds-1")
    assert joined.select(["dataset_id", "uri"]).to_pylist() == [
        {"dataset_id": "ds-1", "uri": "data/example.zarr"}
    ]


def test_integer_image_ids_link() -> None:
    images = IMAGES.set_column(1, "image_id", pa.array(["7"]))
    profiles = pa.table({"dataset_id": ["ds-1"], "Metadata_ImageID": [7]})
    assert join_image_assets_with_profiles(images, profiles)["join_rule"].to_pylist() == ["image_id"]


def test_custom_aliases_work_in_joins() -> None:
    profiles = pa.table({"ProjectID": ["ds-1"], "ImageKey": ["img-1"]})
    with pytest.raises(ContractError, match="join contract: dataset_id, image_id"):
        join_image_assets_with_profiles(IMAGES, profiles)
    aliases = {"dataset_id": ["ProjectID"], "image_id": ["ImageKey"]}
    assert join_image_assets_with_profiles(IMAGES, profiles, alias_map=aliases)["image_id"].to_pylist() == [
        "img-1"
    ]


def test_chunks_fan_out_only_on_request_and_the_fan_out_is_stated() -> None:
    assert join_image_assets_with_profiles(IMAGES, PROFILES).num_rows == 1
    joined = join_image_assets_with_profiles(IMAGES, PROFILES, chunk_index=CHUNKS)
    assert joined["chunk_key"].to_pylist() == ["0/0", "0/1"]
    assert joined["byte_length"].to_pylist() == [4, 4]
    assert joined.schema.metadata[FAN_OUT_KEY] == b"2 rows from 1 profile rows"


def test_rows_without_chunks_stay_once_in_a_fan_out() -> None:
    profiles = pa.table(
        {"dataset_id": ["ds-1"] * 2, "image_id": ["gone", "img-1"], "chunk_key": ["mine", "too"]}
    )
    joined = join_image_assets_with_profiles(IMAGES, profiles, chunk_index=CHUNKS)
    assert joined["chunk_key"].to_pylist() == ["mine", "too", "too"]
    assert joined["chunk_chunk_key"].to_pylist() == [None, "0/0", "0/1"]


@pytest.mark.parametrize("keys", [[], ()])
def test_empty_join_keys_are_refused(keys) -> None:
    with pytest.raises(UsageError, match="non-empty sequence"):
        join_image_assets_with_profiles(IMAGES, PROFILES, join_keys=keys)


def test_one_join_key_may_be_a_text() -> None:
    profiles = pa.table({"Metadata_ImageID": ["img-1"], "dataset_id": ["elsewhere"]})
    joined = join_image_assets_with_profiles(IMAGES, profiles, join_keys="image_id")
    assert joined["join_rule"].to_pylist() == ["join_keys"]


def test_a_connection_may_be_given_as_before() -> None:
    with create_duckdb_connection() as connection:
        assert join_image_assets_with_profiles(IMAGES, PROFILES, connection=connection).num_rows == 1
        assert connection.sql("SELECT 1").fetchall() == [(1,)]


def test_profiles_join_to_a_store_on_disk_by_well(tmp_path) -> None:
    import zarr

    group = zarr.create_group(tmp_path / "experiment.zarr")
    group.create_array("0", shape=(8, 8), chunks=(4, 4), dtype="u2")[...] = 1
    profiles = tmp_path / "cells.parquet"
    scan = scan_store_records(str(tmp_path / "experiment.zarr"))
    pq.write_table(pa.table({"Metadata_ImageID": [scan.images[0].image_id, "other"]}), profiles)
    joined = join_profiles_with_store(
        str(tmp_path / "experiment.zarr"), profiles, profile_dataset_id="experiment"
    )
    assert joined["join_rule"].to_pylist() == ["image_id", None]
    assert join_profiles_with_scan_result(build_scan_result(scan), profiles)["join_rule"].to_pylist() == [
        "image_id",
        None,
    ]
    seeds_form = [{"dataset_id": "experiment", "image_id": "experiment:0"}]
    assert join_profiles_with_scan_result(scan, seeds_form)["join_rule"].to_pylist() == ["image_id"]
    chunks = join_profiles_with_scan_result(scan, seeds_form, include_chunks=True)
    assert chunks.num_rows == 4
    assert join_profiles_with_store(
        str(tmp_path / "experiment.zarr"), pd.DataFrame(seeds_form), include_chunks=True
    ).num_rows == 4  # fmt: skip


def test_profiles_join_to_the_tables_of_a_catalog(tmp_path) -> None:
    properties = {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": tmp_path.as_uri()}
    catalog = open_catalog("joins", properties)
    images = plate_images()
    replace_partitions(catalog, ("bio", "cytotable", "image_assets"), images, ["ds/P1"])
    profiles = [{"Metadata_Well": "B2", "Metadata_Site": 1}]
    joined = join_catalog_image_assets_with_profiles(catalog, "bio", profiles, profile_dataset_id="ds")
    assert joined["image_id"].to_pylist() == ["P1:B02:1"]
    narrow = CatalogScanOptions(
        columns=["image_id", "dataset_id", "well_id", "site_id"], where="well_id = 'A01'"
    )
    profiles.append({"Metadata_Well": "A1", "Metadata_Site": 0})
    joined = join_catalog_image_assets_with_profiles(
        catalog, "bio", profiles, profile_dataset_id="ds", image_assets_scan_options=narrow
    )
    assert joined["image_id"].to_pylist() == [None, "P1:A01:0"]


def test_a_small_plate_on_disk_links_completely(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    joined = join_image_assets_with_profiles(plate.images, plate.cells)
    assert joined["join_rule"].to_pylist() == ["plate_well_site"] * 6
