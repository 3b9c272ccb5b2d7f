"""Tables in a bucket: written, replaced, read, maintained and registered from there."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.core.catalog.maintain import MaintenanceOptions, maintain_table
from bioimage_assets.core.catalog.read import read_batches, read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.catalog.store_glob import find_stores
from bioimage_assets.core.errors import CatalogError, StoreNotFoundError
from bioimage_assets_tests.builders.s3_server import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    create_bucket,
    open_client,
    run_s3,
    storage_options,
)
from bioimage_assets_tests.core.catalog.plates import TABLE, build_plate, build_plates, row_counts

pytestmark = pytest.mark.slow

A, B = "screen/P1", "screen/P2"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with run_s3() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str) -> str:
    return create_bucket(endpoint)


@pytest.fixture
def catalog(endpoint: str, bucket: str, tmp_path: Path) -> Catalog:
    return open_catalog("embedded", s3_properties(endpoint, bucket, tmp_path))


def s3_properties(endpoint: str, bucket: str, folder: Path) -> dict[str, str]:
    return {
        "type": "sql",
        "uri": f"sqlite:///{folder / 'catalog.db'}",
        "warehouse": f"s3://{bucket}/tables",
        "s3.endpoint": endpoint,
        "s3.access-key-id": ACCESS_KEY,
        "s3.secret-access-key": SECRET_KEY,
        "s3.region": REGION,
    }


def object_keys(endpoint: str, bucket: str) -> set[str]:
    listed = open_client(endpoint).list_objects_v2(Bucket=bucket)
    return {entry["Key"] for entry in listed.get("Contents", [])}


def test_plates_are_replaced_and_read_in_a_bucket(catalog: Catalog) -> None:
    for _ in range(2):
        replace_partitions(catalog, TABLE, build_plates([A, B]), [A, B])
    replace_partitions(catalog, TABLE, build_plate(A, 1, 3), [A])
    assert row_counts(read_table(catalog, TABLE)) == {A: 3, B: 10}
    assert read_batches(catalog, TABLE, plate_keys=[A]).read_all().equals(build_plate(A, 1, 3))
    first = list_snapshots(catalog, TABLE)[0]
    assert row_counts(read_table(catalog, TABLE, as_of=first.snapshot_id)) == {A: 10, B: 10}


def test_unreferenced_objects_are_removed_and_the_rows_stay(
    catalog: Catalog, endpoint: str, bucket: str
) -> None:
    for generation in range(4):
        replace_partitions(catalog, TABLE, build_plates([A, B], generation), [A, B])
    stray = "tables/bioimage.cytotable/rows/data/stray.parquet"
    open_client(endpoint).put_object(Bucket=bucket, Key=stray, Body=b"x")
    time.sleep(1.1)
    options = MaintenanceOptions(keep_snapshots=1, snapshot_age_s=0, orphan_age_s=0)
    report = maintain_table(catalog, TABLE, options=options, dry_run=False)
    assert f"s3://{bucket}/{stray}" in report.orphan_files
    assert len([key for key in object_keys(endpoint, bucket) if key.endswith(".parquet")]) == 2
    assert set(read_table(catalog, TABLE)["generation"].to_pylist()) == {3}


def test_a_bucket_that_does_not_exist_is_a_clear_error(endpoint: str, tmp_path: Path) -> None:
    nowhere = open_catalog("embedded", s3_properties(endpoint, "no-such-bucket", tmp_path))
    with pytest.raises(CatalogError, match=r"(?i)bucket"):
        replace_partitions(nowhere, TABLE, build_plate(A), [A])


def test_stores_are_found_below_a_prefix(endpoint: str, bucket: str) -> None:
    client = open_client(endpoint)
    for key in (
        "in/screenA/P1.ome.zarr/.zgroup",
        "in/screenA/P1.ome.zarr/0/x.ome.zarr/.zgroup",
        "in/b.ome.zarr/.zattrs",
    ):
        client.put_object(Bucket=bucket, Key=key, Body=b"{}")
    options = storage_options(endpoint)
    base = f"s3://{bucket}/in"
    assert find_stores(base, "**/*.ome.zarr", options) == [
        (f"{base}/b.ome.zarr", "b.ome.zarr"),
        (f"{base}/screenA/P1.ome.zarr", "screenA/P1.ome.zarr"),
    ]
    assert find_stores(base, "**/*.tiff", options) == []
    with pytest.raises(StoreNotFoundError):
        find_stores(f"s3://{bucket}/none", "**/*.ome.zarr", options)
