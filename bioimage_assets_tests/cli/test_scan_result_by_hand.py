"""A scan result put together by hand works wherever one of a real scan does."""

from __future__ import annotations

import json

import pytest

from bioimage_assets import (
    ImageAsset,
    ScanResult,
    export_scan_result_to_cytomining_warehouse,
    join_profiles_with_scan_result,
    publish_image_assets,
    scan_as_arrow_table,
    scan_result_as_arrow_table,
    summarize_scan_result,
)
from bioimage_assets.core.catalog.browse import catalog_table_to_arrow
from bioimage_assets.core.errors import UsageError


@pytest.fixture
def result() -> ScanResult:
    metadata = {"axes": "cyx", "storage_variant": "zarr-v2"}
    asset = ImageAsset("/screens/p1.zarr", [2, 8, 8], "uint16", "0", [1, 8, 8], metadata, "p1")
    return ScanResult("/screens/p1.zarr", "zarr", [asset])


def test_its_rows_are_typed(result):
    table = scan_result_as_arrow_table(result)
    assert table.select(["dataset_id", "image_id", "shape", "chunk_shape", "axes"]).to_pylist() == [
        {"dataset_id": "p1", "image_id": "p1", "shape": [2, 8, 8], "chunk_shape": [1, 8, 8], "axes": "cyx"}
    ]
    assert json.loads(table["shape_json"][0].as_py()) == [2, 8, 8]


def test_its_summary_counts_channels(result):
    assert summarize_scan_result(result).channel_counts == [2]


def test_it_is_joined_published_and_exported(result, project):
    profiles = [{"dataset_id": "p1", "image_id": "p1", "Cells_Area": 1.0}]
    assert join_profiles_with_scan_result(result, profiles)["uri"].to_pylist() == ["/screens/p1.zarr"]
    assert publish_image_assets("default", "bioimage", "image_assets", result) == 1
    assert catalog_table_to_arrow("default", "bioimage", "image_assets")["image_id"].to_pylist() == ["p1"]
    written = export_scan_result_to_cytomining_warehouse(
        result, "wr", include_chunks=False, profiles=profiles
    )
    assert written.row_counts == {"image_assets": 1, "joined_profiles": 1}


def test_assets_without_an_id_are_named_by_the_store_and_their_path():
    assets = [ImageAsset("s.zarr", [4, 4], "uint8", path) for path in ("0", "1")]
    table = scan_result_as_arrow_table(ScanResult("s.zarr", "zarr", assets))
    assert table["image_id"].to_pylist() == ["s:0", "s:1"]


@pytest.mark.parametrize(
    ("source", "assets", "missing"),
    [
        ("", [ImageAsset("u", [1], "uint8")], "source_uri is required"),
        ("u", [], "at least one asset"),
        ("u", [ImageAsset("u", [], "uint8")], "shape is required"),
    ],
)
def test_what_it_lacks_is_named(source, assets, missing):
    with pytest.raises(UsageError, match=missing):
        ScanResult(source, "zarr", assets)


def test_a_scanned_store_has_the_text_columns_of_the_seeds(stores):
    table = scan_as_arrow_table("data/experiment.zarr")
    assert table["chunk_shape_json"].to_pylist() == ["[1, 4, 8]"]
    assert json.loads(table["metadata_json"][0].as_py())["channel_count"] == 2
