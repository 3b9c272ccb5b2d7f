"""Partitions of a warehouse root are replaced, appended to and removed; the manifest always tells the truth."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import MissingTableError, SchemaConflictError, UsageError, WarehouseRoleError
from bioimage_assets.core.warehouse.changes import journal
from bioimage_assets.core.warehouse.files import swap_folders
from bioimage_assets.core.warehouse.manifest.layout import build_part_name
from bioimage_assets.core.warehouse.root import load_warehouse_manifest, open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.core.warehouse.tables import cells, generation

A, B, C = "screen/BR1", "screen/BR2", "screen/BR3"


@pytest.fixture
def warehouse(tmp_path):
    return open_warehouse(tmp_path / "root")


def folder_names(warehouse, table="single_cells"):
    return sorted(os.listdir(Path(warehouse.root) / table))


def assert_valid(warehouse):
    result = validate_warehouse_manifest(warehouse.root)
    assert (result.errors, result.warnings) == ([], [])


def test_opening_a_root_creates_nothing(tmp_path):
    warehouse = open_warehouse(tmp_path / "root")
    assert warehouse.tables() == ()
    assert warehouse.files("single_cells") == []
    with pytest.raises(MissingTableError, match="Missing table: 'single_cells'"):
        warehouse.read("single_cells")
    assert not (tmp_path / "root").exists()


def test_a_partition_is_one_file_with_a_fixed_name(warehouse):
    written = warehouse.replace_partitions("single_cells", cells(A), [A])
    assert folder_names(warehouse) == [build_part_name(A)]
    assert written.files == (build_part_name(A),)
    assert build_part_name(A).startswith("part-screen__BR1-")
    assert_valid(warehouse)


def test_keys_that_share_a_slug_have_different_files():
    assert build_part_name("a/b%20c") != build_part_name("a/b_20c")


def test_replacing_a_partition_leaves_the_others_alone(warehouse):
    warehouse.replace_partitions("single_cells", cells(A), [A])
    warehouse.replace_partitions("single_cells", cells(B, 4), [B])
    untouched = Path(warehouse.files("single_cells", [B])[0]).read_bytes()
    written = warehouse.replace_partitions("single_cells", cells(A, 7), [A])
    assert (written.row_count, written.total_rows) == (7, 11)
    assert Path(warehouse.files("single_cells", [B])[0]).read_bytes() == untouched
    assert warehouse.manifest().entry("single_cells").row_count == 11
    assert_valid(warehouse)


def test_the_same_data_again_touch_nothing(warehouse):
    warehouse.replace_partitions("single_cells", cells(A), [A], run_id="one", fingerprint="f")
    path = Path(warehouse.files("single_cells")[0])
    manifest = (Path(warehouse.root) / "warehouse_manifest.json").read_bytes()
    before = path.stat().st_mtime_ns
    written = warehouse.replace_partitions("single_cells", cells(A), [A], run_id="two", fingerprint="f")
    assert not written.changed
    assert (written.row_count, written.total_rows) == (3, 3)
    assert path.stat().st_mtime_ns == before
    assert (Path(warehouse.root) / "warehouse_manifest.json").read_bytes() == manifest


def test_many_partitions_in_one_call_change_together(warehouse):
    warehouse.replace_partitions("single_cells", pa.concat_tables([generation(k, 1) for k in (A, B)]), [A, B])
    warehouse.replace_partitions("single_cells", {A: generation(A, 2), B: generation(B, 2)}, [A, B])
    assert set(warehouse.read("single_cells").column("generation").to_pylist()) == {2}
    assert_valid(warehouse)


def test_interleaved_rows_land_in_their_partitions_in_order(warehouse):
    both = pa.concat_tables([cells(A, 20), cells(B, 20)])
    mixed = both.take(pa.array([i // 2 + (i % 2) * 20 for i in range(40)]))
    warehouse.replace_partitions("single_cells", mixed, [A, B])
    assert warehouse.read("single_cells", plate_keys=[B]).equals(cells(B, 20))
    warehouse.replace_partitions("single_cells", mixed.to_reader(max_chunksize=7), [A, B])
    assert warehouse.read("single_cells", plate_keys=[A]).equals(cells(A, 20))


def test_a_stream_of_many_row_groups_stays_in_bounded_memory(warehouse):
    wide = pa.table({"plate_key": [A] * 20_000} | {f"f{i}": pc.random(20_000) for i in range(50)})
    count = 40

    def batches():
        for _ in range(count):
            yield from wide.to_batches()

    reader = pa.RecordBatchReader.from_batches(wide.schema, batches())
    before = pa.total_allocated_bytes()
    peak = pa.default_memory_pool().max_memory()
    tracemalloc.start()
    warehouse.replace_partitions("profiles_wide", reader, [A], role="profiles")
    tracemalloc.stop()
    assert warehouse.row_count("profiles_wide") == 20_000 * count
    assert wide.nbytes * count > 300e6
    assert pa.default_memory_pool().max_memory() - max(before, 0) < max(peak, 0) + 260e6
    assert pq.ParquetFile(warehouse.files("profiles_wide")[0]).num_row_groups > 3


def test_rows_of_a_partition_that_was_not_named_are_refused_before_anything_changes(warehouse):
    warehouse.replace_partitions("single_cells", cells(A), [A])
    with pytest.raises(UsageError, match="only screen/BR1 may be replaced"):
        warehouse.replace_partitions("single_cells", cells(B), [A])
    assert warehouse.read("single_cells").equals(cells(A))
    assert_valid(warehouse)


def test_rows_without_a_key_are_refused(warehouse):
    table = cells(A).set_column(0, "plate_key", pa.array([A, None, A]))
    with pytest.raises(UsageError, match="have no 'plate_key'"):
        warehouse.replace_partitions("single_cells", table, [A])
    with pytest.raises(UsageError, match="need a column 'plate_key'"):
        warehouse.replace_partitions("single_cells", cells(A).drop_columns(["plate_key"]), [A, B])
    assert not warehouse.has_table("single_cells")


def test_data_without_the_partition_column_get_it_when_one_partition_is_written(warehouse):
    warehouse.replace_partitions("single_cells", cells(A).drop_columns(["plate_key"]), [A])
    assert warehouse.read("single_cells").column("plate_key").to_pylist() == [A] * 3


def test_an_error_in_the_stream_leaves_the_old_rows_and_no_leftovers(warehouse):
    warehouse.replace_partitions("single_cells", cells(A), [A])

    def batches():
        yield from cells(A, 9).to_batches()
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        warehouse.replace_partitions(
            "single_cells", pa.RecordBatchReader.from_batches(cells(A).schema, batches()), [A]
        )
    assert warehouse.read("single_cells").equals(cells(A))
    assert os.listdir(Path(warehouse.root) / "_warehouse/staging") == []


def test_zero_rows_keep_a_part_with_the_columns(warehouse):
    warehouse.replace_partitions("single_cells", cells(A), [A])
    warehouse.replace_partitions("single_cells", cells(A, 0), [A])
    assert pq.read_table(Path(warehouse.root) / "single_cells").schema.names == cells(A).schema.names
    assert warehouse.row_count("single_cells") == 0
    assert_valid(warehouse)


def test_a_table_without_columns_is_refused(warehouse):
    with pytest.raises(SchemaConflictError, match="no columns"):
        warehouse.append("reports", pa.table({}), role="reports")


def test_append_adds_rows_to_their_partitions_and_replace_takes_them_all(warehouse):
    warehouse.append("single_cells", cells(A))
    warehouse.append("single_cells", cells(A))
    warehouse.append("single_cells", pa.concat_tables([cells(A, 1), cells(B, 2)]))
    assert warehouse.manifest().entry("single_cells").row_count == 9
    assert warehouse.read("single_cells", plate_keys=[A]).num_rows == 7
    assert len(folder_names(warehouse)) == 4
    assert_valid(warehouse)
    warehouse.replace_partitions("single_cells", cells(A, 5), [A])
    assert warehouse.read("single_cells", plate_keys=[A]).num_rows == 5
    assert len(folder_names(warehouse)) == 2
    assert_valid(warehouse)


def test_overwrite_replaces_this_table_and_nothing_else(warehouse):
    warehouse.append("single_cells", cells(A))
    warehouse.append("single_cells", cells(B))
    warehouse.append("cosmicqc_profiles", cells(A))
    warehouse.overwrite("single_cells", pa.table({"dataset_id": ["d"], "other": ["text"]}))
    assert warehouse.read("single_cells").to_pylist() == [{"dataset_id": "d", "other": "text"}]
    assert warehouse.row_count("cosmicqc_profiles") == 3
    assert len(folder_names(warehouse)) == 1
    assert_valid(warehouse)


def test_overwriting_twice_with_the_same_data_changes_nothing(warehouse):
    assert warehouse.overwrite("single_cells", pa.concat_tables([cells(A), cells(B)])).changed
    assert not warehouse.overwrite("single_cells", pa.concat_tables([cells(A), cells(B)])).changed


def test_removing_partitions_keeps_the_table_readable(warehouse):
    for key in (A, B, C):
        warehouse.replace_partitions("single_cells", cells(key), [key])
    warehouse.remove_partitions("single_cells", [A])
    assert warehouse.partitions("single_cells") == (B, C)
    warehouse.remove_partitions("single_cells", [B, C])
    assert pq.read_table(Path(warehouse.root) / "single_cells").num_rows == 0
    assert_valid(warehouse)
    assert not warehouse.remove_partitions("single_cells", [A]).changed
    assert not warehouse.remove_partitions("never_there", [A]).changed
    warehouse.replace_partitions("single_cells", cells(A), [A])
    assert folder_names(warehouse) == [build_part_name(A)]
    assert_valid(warehouse)


def test_a_mixed_file_of_another_tool_loses_only_the_replaced_rows(warehouse):
    folder = Path(warehouse.root) / "single_cells"
    folder.mkdir(parents=True)
    pq.write_table(pa.concat_tables([cells(A), cells(B), cells(C)]), folder / "part-9e7f.parquet")
    assert warehouse.read("single_cells", plate_keys=[B]).equals(cells(B))
    warehouse.replace_partitions("single_cells", cells(B, 9), [B])
    assert warehouse.row_count("single_cells") == 15
    assert warehouse.read("single_cells", plate_keys=[A]).equals(cells(A))
    assert "part-9e7f.parquet" in folder_names(warehouse)
    assert_valid(warehouse)


def test_role_level_and_object_kind_do_not_change_by_append_or_replace(warehouse):
    warehouse.append("measured", cells(A), role="profiles", analysis_level="single_cell", object_type="cell")
    for change in ({"role": "embeddings"}, {"role": "profiles", "analysis_level": "well"},
                   {"role": "profiles", "object_type": "nucleus"}):  # fmt: skip
        with pytest.raises(WarehouseRoleError, match="this write says"):
            warehouse.append("measured", cells(B), **change)
        with pytest.raises(WarehouseRoleError, match="this write says"):
            warehouse.replace_partitions("measured", cells(B), [B], **change)
    assert warehouse.row_count("measured") == 3


def test_frames_with_the_arrow_stream_interface_are_taken(warehouse):
    warehouse.replace_partitions("single_cells", pl.from_arrow(cells(A)), [A])
    assert warehouse.read("single_cells").column("Metadata_ObjectID").to_pylist() == [
        f"{A}/{i}" for i in range(3)
    ]


def test_columns_and_partitions_are_selected_when_reading(warehouse):
    for key in (A, B):
        warehouse.replace_partitions("single_cells", cells(key), [key])
    table = warehouse.read("single_cells", columns=["Cells_AreaShape_Area"], plate_keys=[B])
    assert table.to_pydict() == {"Cells_AreaShape_Area": [0.0, 1.0, 2.0]}
    assert warehouse.batches("single_cells", plate_keys=["screen/none"]).read_all().num_rows == 0
    with pytest.raises(UsageError, match="no column\\(s\\) nothing"):
        warehouse.read("single_cells", columns=["nothing"])


def test_unknown_manifest_keys_of_other_tools_survive(warehouse):
    warehouse.replace_partitions("single_cells", cells(A), [A])
    path = Path(warehouse.root) / "warehouse_manifest.json"
    content = json.loads(path.read_text())
    content["made_by"] = {"tool": "other"}
    content["tables"][0]["licence"] = "CC0"
    path.write_text(json.dumps(content))
    warehouse.replace_partitions("single_cells", cells(B), [B])
    after = json.loads(path.read_text())
    assert after["made_by"] == {"tool": "other"}
    assert after["tables"][0]["licence"] == "CC0"
    assert after["tables"][0]["row_count"] == 6


def test_the_manifest_says_what_a_table_is(warehouse):
    warehouse.replace_partitions(
        "single_cells",
        cells(A),
        [A],
        source_type="dagster_asset",
        source_ref="single_cells",
        fingerprint="abc",
        run_id="r1",
    )
    entry = load_warehouse_manifest(warehouse.root).to_dict()["tables"][0]
    assert {k: entry[k] for k in ("table_name", "role", "format", "row_count", "analysis_level", "object_type")} == {
        "table_name": "single_cells", "role": "profiles", "format": "parquet", "row_count": 3,
        "analysis_level": "single_cell", "object_type": "cell",
    }  # fmt: skip
    assert entry["columns"] == cells(A).column_names
    assert entry["column_types"]["Cells_AreaShape_Area"] == "double"
    part = entry["partitions"][A]
    assert (part["files"], part["rows"], part["fingerprint"], part["run_id"]) == (
        [build_part_name(A)],
        3,
        "abc",
        "r1",
    )


def test_a_lost_manifest_is_made_again_from_the_footers(warehouse):
    warehouse.replace_partitions("single_cells", cells(A), [A], fingerprint="abc", source_ref="plate.zarr")
    warehouse.append("single_cells", cells(A, 2))
    before = warehouse.manifest().entry("single_cells")
    (Path(warehouse.root) / "warehouse_manifest.json").unlink()
    warehouse.replace_partitions("single_cells", cells(B), [B])
    after = warehouse.manifest().entry("single_cells")
    assert (after.role, after.join_keys, after.analysis_level) == (
        before.role,
        before.join_keys,
        before.analysis_level,
    )
    assert set(after.partitions[A].files) == set(before.partitions[A].files)
    assert after.row_count == 8
    assert_valid(warehouse)


def test_without_folder_exchange_a_change_of_many_files_still_lands(warehouse, monkeypatch):
    monkeypatch.setattr(journal, "exchange_paths", lambda first, second: False)
    warehouse.append("single_cells", pa.concat_tables([cells(A), cells(B)]))
    warehouse.append("single_cells", cells(A))
    warehouse.overwrite("single_cells", pa.concat_tables([cells(B, 1), cells(C, 1)]))
    assert warehouse.row_count("single_cells") == 2
    assert folder_names(warehouse) == sorted([build_part_name(B), build_part_name(C)])
    assert_valid(warehouse)


def test_folders_are_exchanged_in_one_step_on_this_system(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not swap_folders.exchange_paths(tmp_path / "one", tmp_path / "two"):
        pytest.skip("this file system cannot exchange folders")
    assert os.listdir(tmp_path / "one") == ["two"]


@pytest.mark.parametrize("name", ["", "a..b", "a/b", "../up", "_warehouse.x"])
def test_table_names_that_could_leave_the_root_are_refused(warehouse, name):
    with pytest.raises(UsageError, match="table_name"):
        warehouse.append(name, cells(A), role="profiles")
