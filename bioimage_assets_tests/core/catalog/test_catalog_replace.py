"""Replacing partitions: complete old or complete new, one snapshot, nothing twice."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pyiceberg.table
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import EqualTo
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import TableUpdate, update_table_metadata

from bioimage_assets.core.catalog import data_files
from bioimage_assets.core.catalog.commit import commit_files
from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.core.catalog.read import read_batches, read_table
from bioimage_assets.core.catalog.replace import (
    remove_partitions,
    replace_partitions,
    replace_table,
)
from bioimage_assets.core.catalog.session import table_exists
from bioimage_assets.core.errors import CatalogError, MissingTableError, SchemaConflictError, UsageError
from bioimage_assets.core.tables.schemas import ACQUISITION_PLANES, CHUNK_INDEX, IMAGE_ASSETS
from bioimage_assets_tests.core.catalog.plates import (
    ROWS,
    TABLE,
    build_plate,
    build_plates,
    row_counts,
    stream,
)

A, B, C = "screen-with-a-long-name/P1", "screen-with-a-long-name/P2", "screen-with-a-long-name/P3"


def test_a_partition_is_replaced_and_the_others_stay(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plates([A, B]), [A, B])
    result = replace_partitions(catalog, TABLE, build_plate(A, generation=1, rows=4), [A])
    assert result.partition_rows == {A: 4}
    assert row_counts(read_table(catalog, TABLE)) == {A: 4, B: 10}
    assert set(read_table(catalog, TABLE, plate_keys=[A])["generation"].to_pylist()) == {1}


def test_the_same_data_written_twice_change_no_row(catalog: Catalog) -> None:
    for _ in range(3):
        replace_partitions(catalog, TABLE, build_plates([A, B]), [A, B])
    table = read_table(catalog, TABLE).sort_by([("plate_key", "ascending"), ("row", "ascending")])
    assert table.equals(build_plates([A, B]).combine_chunks())


def test_one_replacement_is_one_snapshot_with_the_writers_properties(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plates([A, B, C]), [A, B, C])
    result = replace_partitions(
        catalog, TABLE, build_plates([A, B], 1), [A, B], snapshot_properties={"bioimage.run-id": "r1"}
    )
    snapshots = list_snapshots(catalog, TABLE)
    assert [(s.operation, s.row_count) for s in snapshots] == [("append", 30), ("overwrite", 30)]
    assert snapshots[-1].snapshot_id == result.snapshot_id
    assert snapshots[-1].properties["bioimage.run-id"] == "r1"


def test_a_partition_without_rows_is_emptied(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plates([A, B]), [A, B])
    result = replace_partitions(catalog, TABLE, build_plate(B, 1), [A, B])
    assert result.partition_rows == {A: 0, B: 10}
    assert row_counts(read_table(catalog, TABLE)) == {B: 10}


def test_an_empty_table_with_nothing_to_remove_makes_no_snapshot(catalog: Catalog) -> None:
    result = replace_partitions(catalog, TABLE, ROWS.empty_table(), [A])
    assert (result.snapshot_id, result.row_count) == (None, 0)
    assert read_table(catalog, TABLE).num_rows == 0
    assert list_snapshots(catalog, TABLE) == ()


def test_rows_of_a_foreign_partition_are_refused_and_nothing_is_written(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    with pytest.raises(UsageError, match="P2"):
        replace_partitions(catalog, TABLE, build_plates([A, B], 1), [A])
    assert set(read_table(catalog, TABLE)["generation"].to_pylist()) == {0}
    assert len(list_snapshots(catalog, TABLE)) == 1


def test_a_stream_is_written_in_several_files_but_one_snapshot(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_files, "MAX_FILE_BYTES", 2_000)
    rows = build_plates([A, B], rows=200)
    result = replace_partitions(catalog, TABLE, stream(rows, 20), [A, B])
    assert result.file_count > 4
    assert result.row_count == 400
    assert len(list_snapshots(catalog, TABLE)) == 1
    assert row_counts(read_table(catalog, TABLE)) == {A: 200, B: 200}


@pytest.mark.slow
def test_a_stream_that_fails_half_way_leaves_the_old_rows_and_no_files(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_files, "MAX_FILE_BYTES", 500)
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    files = set(tmp_path.rglob("*.parquet"))

    def broken():
        yield from build_plate(A, 1, 100).to_batches(max_chunksize=10)
        raise OSError(28, "No space left on device")

    with pytest.raises(CatalogError, match="disk is full"):
        replace_partitions(catalog, TABLE, pa.RecordBatchReader.from_batches(ROWS, broken()), [A])
    assert read_table(catalog, TABLE).equals(build_plate(A))
    assert set(tmp_path.rglob("*.parquet")) == files


def test_nulls_in_a_required_column_are_refused(catalog: Catalog) -> None:
    rows = build_plate(A).set_column(
        1, pa.field("generation", pa.int64()), [pa.array([None] * 10, pa.int64())]
    )
    with pytest.raises(SchemaConflictError, match="generation"):
        replace_partitions(catalog, TABLE, rows, [A], schema=ROWS)
    assert not table_exists(catalog, tuple(TABLE.split(".")))


def test_data_without_a_required_column_are_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="generation"):
        replace_partitions(catalog, TABLE, build_plate(A).drop_columns(["generation"]), [A], schema=ROWS)


@pytest.mark.parametrize(
    "schema",
    [IMAGE_ASSETS, CHUNK_INDEX, ACQUISITION_PLANES],
    ids=["image_assets", "chunk_index", "acquisition_planes"],
)
def test_the_declared_tables_come_back_with_their_types_and_docs(catalog: Catalog, schema: pa.Schema) -> None:
    replace_partitions(catalog, TABLE, schema.empty_table(), [A], schema=schema)
    assert read_table(catalog, TABLE).schema.equals(schema)
    stored = catalog.load_table(TABLE).schema()
    assert stored.find_field("plate_key").required
    assert not stored.find_field("plate_id").required
    assert all(field.doc for field in stored.fields)


def test_rows_can_be_removed_and_a_missing_table_is_said(catalog: Catalog) -> None:
    with pytest.raises(MissingTableError):
        remove_partitions(catalog, TABLE, [A])
    replace_partitions(catalog, TABLE, build_plates([A, B]), [A, B])
    remove_partitions(catalog, TABLE, [A])
    remove_partitions(catalog, TABLE, [A])
    assert row_counts(read_table(catalog, TABLE)) == {B: 10}


def test_replace_table_exchanges_everything(catalog: Catalog) -> None:
    plain = build_plate(A).drop_columns(["plate_key"])
    replace_table(catalog, "n.cytotable.profiles", plain)
    assert read_table(catalog, "n.cytotable.profiles").num_rows == 10
    replace_table(catalog, "n.cytotable.profiles", plain.slice(0, 3))
    assert read_table(catalog, "n.cytotable.profiles").equals(plain.slice(0, 3).combine_chunks())


def test_a_table_of_another_layout_is_not_half_replaced(catalog: Catalog) -> None:
    catalog.create_namespace(("bioimage", "cytotable"))
    catalog.create_table(("bioimage", "cytotable", "rows"), schema=ROWS).append(build_plates([A, B]))
    with pytest.raises(UsageError, match="not partitioned by 'plate_key'"):
        replace_partitions(catalog, TABLE, build_plate(A, 1), [A])
    with pytest.raises(UsageError, match="not partitioned by 'plate_key'"):
        remove_partitions(catalog, TABLE, [A])
    assert row_counts(read_table(catalog, TABLE)) == {A: 10, B: 10}


def test_a_commit_whose_answer_was_lost_is_not_repeated(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    from pyiceberg.exceptions import CommitFailedException

    from bioimage_assets.core.catalog import commit

    original = commit.replace_files
    attempts = []

    def lose_first_answer(*args):
        attempts.append(original(*args))
        if len(attempts) == 1:
            raise CommitFailedException("the answer got lost")
        return attempts[-1]

    monkeypatch.setattr(commit, "replace_files", lose_first_answer)
    result = replace_partitions(catalog, TABLE, build_plate(A, 1), [A])
    assert len(attempts) == 1
    assert result.snapshot_id == attempts[0]
    assert read_table(catalog, TABLE).equals(build_plate(A, 1))


def test_columns_partitions_filters_and_limits_are_pushed_down(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plates([A, B, C]), [A, B, C])
    chosen = read_table(catalog, TABLE, columns=["value", "row"], plate_keys=[A, C], where="row >= 8")
    assert chosen.column_names == ["value", "row"]
    assert sorted(chosen["row"].to_pylist()) == [8, 8, 9, 9]
    assert read_table(catalog, TABLE, limit=7).num_rows == 7
    assert read_table(catalog, TABLE, plate_keys=[]).num_rows == 0
    assert read_table(catalog, TABLE, plate_keys=["no/such"]).num_rows == 0
    assert read_batches(catalog, TABLE, plate_keys=[B]).read_all().equals(build_plate(B))
    with pytest.raises(UsageError, match="no column 'nope'"):
        read_table(catalog, TABLE, columns=["nope"])
    with pytest.raises(UsageError, match="cannot be read"):
        read_table(catalog, TABLE, where="row >>> 3")


def test_the_data_files_are_plain_parquet_for_any_reader(catalog: Catalog, tmp_path: Path) -> None:
    replace_partitions(catalog, TABLE, build_plates([A, B]), [A, B])
    files = sorted(str(path) for path in tmp_path.rglob("*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in files) == 20
    assert duckdb.sql(f"SELECT count(*), sum(value) FROM read_parquet({files})").fetchall() == [
        (20, pytest.approx(9.0))
    ]


@pytest.mark.slow
def test_manifests_do_not_pile_up(catalog: Catalog) -> None:
    for generation in range(25):
        replace_partitions(
            catalog, TABLE, build_plate(f"d/P{generation % 5}", generation), [f"d/P{generation % 5}"]
        )
    table = catalog.load_table(TABLE)
    assert len(table.current_snapshot().manifests(table.io)) < 20
    assert row_counts(read_table(catalog, TABLE)) == {f"d/P{i}": 10 for i in range(5)}
    assert set(read_table(catalog, TABLE)["generation"].to_pylist()) == {20, 21, 22, 23, 24}


def test_manifests_hold_bounds_of_keys_only(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plates([A, B]), [A, B])
    table = catalog.load_table(TABLE)
    key = table.schema().find_field("plate_key").field_id
    entries = [
        entry.data_file
        for manifest in table.current_snapshot().manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io)
    ]
    assert sorted(entry.lower_bounds[key].decode() for entry in entries) == [A, B]
    assert {field for entry in entries for field in entry.value_counts} == {key}


def test_a_commit_does_not_copy_the_metadata_at_every_look(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    copies: list[int] = []

    def update(base: TableMetadata, updates: tuple[TableUpdate, ...], **options: Any) -> TableMetadata:
        copies.append(len(updates))
        return update_table_metadata(base, updates, **options)

    monkeypatch.setattr(pyiceberg.table, "update_table_metadata", update)
    replace_partitions(catalog, TABLE, build_plate(A, generation=1), [A])
    # Before and after the snapshot is staged, and what the library copies for itself. Without care it is 18.
    assert 1 <= len(copies) <= 4


def test_committing_nothing_keeps_the_snapshot(catalog: Catalog) -> None:
    first = replace_partitions(catalog, TABLE, build_plate(A), [A])
    assert (
        commit_files(catalog, tuple(TABLE.split(".")), [], EqualTo("plate_key", "none"), {})
        == first.snapshot_id
    )


def test_columns_beyond_the_declared_ones_are_stored_too(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A], schema=ROWS)
    more = build_plate(A).append_column("further", pa.array([1.5] * 10))
    result = replace_partitions(catalog, TABLE, more, [A], schema=ROWS)
    assert read_table(catalog, TABLE)["further"].to_pylist() == [1.5] * 10
    assert len(result.schema_changes) == 1
