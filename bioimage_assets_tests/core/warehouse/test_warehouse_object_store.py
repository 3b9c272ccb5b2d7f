"""Warehouse roots in an object store: S3 (moto) and fsspec's memory file system."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.convert import convert_layout
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.builders.s3_server import create_bucket, run_s3, storage_options
from bioimage_assets_tests.core.warehouse.tables import cells, generation

A, B = "screen/BR1", "screen/BR2"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with run_s3() as address:
        yield address


@pytest.fixture(params=["s3", "memory"])
def place(request) -> tuple[str, dict[str, object]]:
    if request.param == "memory":
        return f"memory://{uuid4().hex}/root", {}
    endpoint = request.getfixturevalue("endpoint")
    return f"s3://{create_bucket(endpoint)}/deep/root", dict(storage_options(endpoint))


def open_place(place, **options) -> Warehouse:
    return open_warehouse(place[0], storage_options=place[1], **options)


def assert_valid(place):
    result = validate_warehouse_manifest(place[0], storage_options=place[1])
    assert (result.errors, result.warnings) == ([], [])


@pytest.mark.slow
def test_partitions_are_replaced_appended_removed_and_read(place):
    warehouse = open_place(place)
    assert warehouse.tables() == ()
    for key in (A, B):
        assert warehouse.replace_partitions("single_cells", cells(key), [key]).changed
    assert not warehouse.replace_partitions("single_cells", cells(A), [A]).changed
    warehouse.append("single_cells", cells(B, 2))
    assert warehouse.read("single_cells", plate_keys=[B]).num_rows == 5
    warehouse.replace_partitions("single_cells", cells(B, 1), [B])
    assert len(warehouse.files("single_cells")) == 2
    assert all(path.startswith(place[0]) for path in warehouse.files("single_cells"))
    warehouse.remove_partitions("single_cells", [A])
    assert warehouse.read("single_cells").equals(cells(B, 1))
    warehouse.overwrite("single_cells", pa.concat_tables([cells(A, 4), cells(B, 4)]))
    assert warehouse.row_count("single_cells") == 8
    assert_valid(place)


def test_new_columns_reach_older_objects(place):
    warehouse = open_place(place)
    warehouse.replace_partitions("single_cells", cells(A), [A])
    warehouse.replace_partitions("single_cells", cells(B, new=pa.array([1, 2, 3])), [B])
    assert warehouse.read("single_cells").column("new").to_pylist() == [None, None, None, 1, 2, 3]
    assert_valid(place)


def test_a_plain_reader_sees_the_rows_through_fsspec():
    place = (f"memory://{uuid4().hex}/root", {})
    open_place(place).replace_partitions("single_cells", cells(A), [A])
    system = fsspec.filesystem("memory")
    folder = place[0].removeprefix("memory:/") + "/single_cells"
    assert pq.read_table(folder, filesystem=system).num_rows == 3


def test_a_layout_converts_in_an_object_store(place):
    warehouse = open_place(place)
    warehouse.replace_partitions("single_cells", cells(A), [A])
    assert convert_layout(place[0], "namespaced", storage_options=place[1]) == {
        "single_cells": "profiles.single_cells"
    }
    again = open_place(place)
    assert again.layout == "namespaced"
    assert again.read("single_cells").equals(cells(A))
    assert not again.files_at.list_parts("single_cells")
    assert_valid(place)


def test_a_manifest_that_a_killed_writer_left_behind_is_put_right_by_maintain(place):
    warehouse = open_place(place)
    warehouse.replace_partitions("single_cells", cells(A), [A])
    old = warehouse.files_at.read("warehouse_manifest.json")[0]
    warehouse.replace_partitions("single_cells", cells(A, 9), [A])
    warehouse.files_at.write_text("warehouse_manifest.json", old.decode())
    assert not validate_warehouse_manifest(place[0], storage_options=place[1]).is_valid
    assert maintain_warehouse(place[0], storage_options=place[1]).tables_corrected == ("single_cells",)
    assert warehouse.row_count("single_cells") == 9
    assert_valid(place)


@pytest.mark.slow
def test_writers_at_the_same_time_all_land_in_the_manifest(place):
    def write(number: int) -> None:
        warehouse = open_place(place)
        for step in range(3):
            warehouse.replace_partitions("shared", generation(f"screen/BR{number}", step, 5), [f"screen/BR{number}"],
                                         role="profiles")  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    warehouse = open_place(place)
    assert warehouse.row_count("shared") == 20
    assert set(warehouse.read("shared").column("generation").to_pylist()) == {2}
    assert_valid(place)


def test_a_manifest_that_nobody_changed_is_neither_sent_nor_parsed_again(endpoint):
    place = f"s3://{create_bucket(endpoint)}/root", dict(storage_options(endpoint))
    warehouse, other = open_place(place), open_place(place)
    assert warehouse.files_at.read(MANIFEST_NAME) is None
    other.replace_partitions("single_cells", cells(A), [A])
    sent = warehouse.files_at.read(MANIFEST_NAME)
    assert warehouse.files_at.read(MANIFEST_NAME) is sent
    first = warehouse.manifest()
    assert warehouse.manifest() is first
    other.replace_partitions("single_cells", cells(B), [B])
    assert warehouse.files_at.read(MANIFEST_NAME)[0] != sent[0]
    assert warehouse.manifest().generation == first.generation + 1
    assert warehouse.partitions("single_cells") == (A, B)
    other.files_at.remove_file(MANIFEST_NAME)
    assert warehouse.files_at.read(MANIFEST_NAME) is None


def test_a_bucket_that_does_not_exist_is_a_clear_error(endpoint):
    options = {
        "endpoint": endpoint,
        "access_key_id": "t",
        "secret_access_key": "t",
        "region": "us-east-1",
        "allow_http": "true",
    }
    with pytest.raises(
        WarehouseError, match=r"Cannot (read|write) the warehouse at s3://no-such-bucket/root"
    ):
        open_warehouse("s3://no-such-bucket/root", storage_options=options).append("single_cells", cells(A))
