"""Schemas of one table grow without loss, and what does not fit is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioimage_assets.core.errors import SchemaConflictError, UsageError
from bioimage_assets.core.warehouse.columns.casting import conform
from bioimage_assets.core.warehouse.columns.evolution import promote, stored_schema, union_schemas
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.core.warehouse.tables import cells

A, B, C = "screen/BR1", "screen/BR2", "screen/BR3"


@pytest.fixture
def warehouse(tmp_path):
    return open_warehouse(tmp_path / "root")


def through_every_door(warehouse, table="single_cells"):
    """Columns and rows as each plain reader of the folder sees them."""
    folder = Path(warehouse.root) / table
    relation = duckdb.sql(f"select * from read_parquet('{folder}/*.parquet', union_by_name = true)")
    frames = {
        "warehouse": warehouse.read(table).to_pandas(),
        "pyarrow": pq.read_table(folder).to_pandas(),
        "pandas": pd.read_parquet(folder),
        "polars": pl.read_parquet(folder / "*.parquet", missing_columns="insert").to_pandas(),
        "duckdb": relation.to_arrow_table().to_pandas(),
    }
    return {name: (sorted(f.columns), len(f), int(f.notna().sum().sum())) for name, f in frames.items()}


@pytest.mark.parametrize(
    ("known", "new", "expected"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.int64(), pa.int32(), pa.int64()),
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.null(), pa.float64(), pa.float64()),
        (pa.float64(), pa.null(), pa.float64()),
        (pa.string(), pa.large_string(), pa.string()),
        (pa.uint32(), pa.int32(), pa.int64()),
        (pa.uint64(), pa.int64(), None),
        (pa.string(), pa.float64(), None),
        (pa.bool_(), pa.int64(), None),
        (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("s", "UTC"), pa.timestamp("s"), None),
        (pa.list_(pa.null()), pa.list_(pa.int64()), pa.list_(pa.int64())),
        (pa.list_(pa.float32(), 3), pa.list_(pa.float32(), 4), None),
        (
            pa.struct({"a": pa.int32()}),
            pa.struct({"b": pa.string()}),
            pa.struct({"a": pa.int32(), "b": pa.string()}),
        ),
        (pa.struct({"a": pa.int32()}), pa.struct({"a": pa.string()}), None),
    ],
)
def test_two_types_are_held_by_one_or_refused(known, new, expected):
    assert promote(known, new) == expected


KINDS = st.recursive(
    st.sampled_from(
        [pa.null(), pa.int8(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.bool_()]
    ),
    lambda inner: st.one_of(
        inner.map(pa.list_),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3).map(pa.struct),
    ),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(KINDS, KINDS)
def test_promotion_is_idempotent_and_a_type_always_holds_itself(first, second):
    assert promote(first, first) == first
    joined = promote(first, second)
    if joined is not None:
        assert promote(joined, second) == joined
        assert promote(joined, first) == joined


@settings(max_examples=60, deadline=None)
@given(KINDS, KINDS)
def test_nulls_of_any_type_take_the_stored_type_of_the_union(first, second):
    joined = promote(first, second)
    if joined is None:
        return
    schema = stored_schema(union_schemas(pa.schema({"x": first}), pa.schema({"x": second}), "t"))
    for kind in (first, second):
        assert conform(pa.table({"x": pa.nulls(3, kind)}), schema, "t").column("x").null_count == 3


def test_nested_values_keep_their_content_when_their_type_grows():
    table = pa.table(
        {"x": pa.array([[{"a": 1}], None, [], [{"a": None}, None]], pa.list_(pa.struct({"a": pa.int32()})))}
    )
    wider = pa.schema({"x": pa.list_(pa.struct({"a": pa.int64(), "b": pa.string()}))})
    assert conform(table, wider, "t").column("x").to_pylist() == [
        [{"a": 1, "b": None}], None, [], [{"a": None, "b": None}, None],
    ]  # fmt: skip


def own_columns(warehouse, key, table="single_cells"):
    """Columns of the one file of a plate, and what the package reads of it through each of its doors."""
    (path,) = warehouse.files(table, [key])
    names = pq.read_schema(path).names
    assert warehouse.read(table, plate_keys=[key]).column_names == names
    assert warehouse.batches(table, plate_keys=[key]).schema.names == names
    assert warehouse.scanner(table, plate_keys=[key]).projected_schema.names == names
    assert warehouse.dataset(table, plate_keys=[key]).schema.names == names
    return names


def test_a_new_column_leaves_older_parts_alone_and_every_reader_of_the_folder_sees_it(warehouse):
    for key in (B, C):
        warehouse.replace_partitions("single_cells", cells(key), [key])
    older = {path: Path(path).stat() for path in warehouse.files("single_cells")}
    written = warehouse.replace_partitions("single_cells", cells(A, new=pa.array([1.5, None, 2.5])), [A])
    assert written.added_columns == ("new",)
    doors = through_every_door(warehouse)
    assert len(set(map(str, doors.values()))) == 1
    assert doors["pandas"] == (sorted([*cells(A).column_names, "new"]), 9, 47)
    for path, before in older.items():
        assert (Path(path).stat().st_mtime_ns, Path(path).stat().st_size) == (
            before.st_mtime_ns,
            before.st_size,
        )
    assert own_columns(warehouse, A) == [*cells(A).column_names, "new"]
    assert own_columns(warehouse, B) == cells(B).column_names
    assert validate_warehouse_manifest(warehouse.root).warnings == []


def test_a_part_that_lacks_a_known_column_is_stored_without_it_and_null_in_the_whole_table(warehouse):
    warehouse.replace_partitions("single_cells", cells(A, new=pa.array(["x", "y", "z"])), [A])
    warehouse.replace_partitions("single_cells", cells(B), [B])
    assert warehouse.read("single_cells", columns=["new"]).column("new").to_pylist() == [
        "x",
        "y",
        "z",
        None,
        None,
        None,
    ]
    assert len(set(map(str, through_every_door(warehouse).values()))) == 1
    assert own_columns(warehouse, B) == cells(B).column_names


def test_a_column_that_only_another_plate_has_is_null_where_it_is_asked_for(warehouse):
    warehouse.replace_partitions("single_cells", cells(A, new=pa.array([1, 2, 3])), [A])
    warehouse.replace_partitions("single_cells", cells(B), [B])
    asked = warehouse.read("single_cells", columns=["new", "image_id"], plate_keys=[B])
    assert asked.schema == pa.schema([("new", pa.int64()), ("image_id", pa.string())])
    assert asked.column("new").null_count == 3
    with pytest.raises(UsageError, match="no column"):
        warehouse.read("single_cells", columns=["elsewhere"], plate_keys=[B])


def test_two_plates_that_are_read_together_have_the_columns_of_both_and_no_others(warehouse):
    for key, name in ((A, "first"), (B, "second"), (C, "third")):
        warehouse.replace_partitions("single_cells", cells(key, **{name: pa.array([1, 2, 3])}), [key])
    both = warehouse.read("single_cells", plate_keys=[A, B])
    assert both.column_names == [*cells(A).column_names, "first", "second"]
    assert both.column("first").to_pylist() == [1, 2, 3, None, None, None]


def test_plates_that_are_written_at_once_keep_their_own_columns_and_order(warehouse):
    data = {
        A: cells(A, one=pa.array([1, 2, 3])),
        B: cells(B, two=pa.array([1, 2, 3])),
        C: cells(C).slice(0, 0),
    }
    warehouse.replace_partitions("single_cells", data, [A, B, C])
    for key, table in data.items():
        assert own_columns(warehouse, key) == table.column_names
        assert warehouse.read("single_cells", plate_keys=[key]).equals(table)
    assert warehouse.replace_partitions("single_cells", data, [A, B, C]).changed is False


def test_a_table_of_even_parts_has_no_file_but_its_parts(warehouse):
    folder = Path(warehouse.root) / "single_cells"
    for key in (A, B):
        warehouse.replace_partitions("single_cells", cells(key), [key])
    assert len(list(folder.iterdir())) == 2
    warehouse.replace_partitions("single_cells", cells(C, new=pa.array([1, 2, 3])), [C])
    columns = sorted(folder.iterdir())[0]
    assert (columns.name, pq.read_metadata(columns).num_rows) == ("0-columns.parquet", 0)
    warehouse.overwrite("single_cells", cells(A))
    assert [path.name for path in folder.iterdir()] == [Path(warehouse.files("single_cells")[0]).name]


def test_older_parts_that_take_a_wider_type_keep_lacking_a_new_column(warehouse):
    warehouse.replace_partitions("single_cells", cells(A, n=pa.array([1, 2, 3])), [A])
    wider = cells(B, n=pa.array([0.5, 1.0, 1.5]), new=pa.array([1, 2, 3]))
    warehouse.replace_partitions("single_cells", wider, [B])
    assert (Path(warehouse.root) / "single_cells" / "0-columns.parquet").exists()
    doors = through_every_door(warehouse)
    assert len(set(map(str, doors.values()))) == 1
    assert doors["pandas"] == (sorted(wider.column_names), 6, 39)
    assert own_columns(warehouse, A) == cells(A, n=pa.array([1, 2, 3])).column_names
    assert validate_warehouse_manifest(warehouse.root).warnings == []
    assert maintain_warehouse(warehouse.root).columns_files_written == 0


def test_columns_of_a_plate_that_is_gone_go_with_maintenance(warehouse):
    warehouse.replace_partitions("single_cells", cells(A), [A])
    warehouse.replace_partitions("single_cells", cells(B, new=pa.array([1, 2, 3])), [B])
    warehouse.remove_partitions("single_cells", [B])
    assert validate_warehouse_manifest(warehouse.root).errors == []
    maintain_warehouse(warehouse.root)
    assert warehouse.schema("single_cells").names == cells(A).column_names
    assert [path.name for path in (Path(warehouse.root) / "single_cells").iterdir()] == [
        Path(warehouse.files("single_cells")[0]).name
    ]
    assert validate_warehouse_manifest(warehouse.root).warnings == []


def test_a_lost_or_damaged_file_of_columns_is_said_and_made_again(warehouse):
    warehouse.replace_partitions("single_cells", cells(A), [A])
    warehouse.replace_partitions("single_cells", cells(B, new=pa.array([1, 2, 3])), [B])
    columns = Path(warehouse.root) / "single_cells" / "0-columns.parquet"
    columns.unlink()
    assert "Run `maintain`" in validate_warehouse_manifest(warehouse.root).warnings[0]
    assert warehouse.read("single_cells").num_rows == 6
    assert maintain_warehouse(warehouse.root).columns_files_written == 1
    columns.write_bytes(b"PAR1")
    assert "0-columns.parquet" in validate_warehouse_manifest(warehouse.root).errors[0]
    maintain_warehouse(warehouse.root)
    assert len(set(map(str, through_every_door(warehouse).values()))) == 1
    assert validate_warehouse_manifest(warehouse.root).warnings == []


def test_the_calls_that_made_a_partition_stand_in_the_manifest_once(warehouse):
    steps = [{"call": "pycytominer.normalize", "version": "1", "arguments": {"method": "standardize"}}]
    for key in (A, B):
        warehouse.replace_partitions("single_cells", cells(key), [key], steps=steps)
    warehouse.replace_partitions("single_cells", cells(C), [C], steps=[{"call": "other"}])
    entry = warehouse.manifest().entry("single_cells")
    assert [entry.steps[entry.partitions[key].steps] for key in (A, B, C)] == [
        steps,
        steps,
        [{"call": "other"}],
    ]
    assert len(entry.steps) == 2
    warehouse.remove_partitions("single_cells", [C])
    entry = warehouse.manifest().entry("single_cells")
    assert list(entry.steps.values()) == [steps]


def test_an_empty_column_takes_its_type_when_a_value_comes(warehouse):
    warehouse.replace_partitions("single_cells", cells(A, later=pa.nulls(3)), [A])
    assert pq.read_schema(warehouse.files("single_cells")[0]).field("later").type == pa.string()
    warehouse.replace_partitions("single_cells", cells(B, later=pa.array([1.5, 2.5, None])), [B])
    assert warehouse.schema("single_cells").field("later").type == pa.float64()
    assert {pq.read_schema(path).field("later").type for path in warehouse.files("single_cells")} == {
        pa.float64()
    }
    warehouse.replace_partitions("single_cells", cells(C, later=pa.nulls(3)), [C])
    assert warehouse.read("single_cells", columns=["later"]).column("later").null_count == 7
    assert len(set(map(str, through_every_door(warehouse).values()))) == 1


def test_whole_numbers_and_fractions_meet_in_one_column(warehouse):
    warehouse.replace_partitions("single_cells", cells(A, n=pa.array([1, 2, 3])), [A])
    warehouse.replace_partitions("single_cells", cells(B, n=pa.array([0.5, 1.0, 1.5])), [B])
    warehouse.replace_partitions("single_cells", cells(C, n=pa.array([7, 8, 9])), [C])
    assert pd.read_parquet(Path(warehouse.root) / "single_cells").n.tolist() == [
        1,
        2,
        3,
        0.5,
        1.0,
        1.5,
        7,
        8,
        9,
    ]


def test_a_number_that_a_double_cannot_hold_is_refused(warehouse):
    warehouse.replace_partitions("single_cells", cells(A, n=pa.array([0.5, 1.0, 1.5])), [A])
    with pytest.raises(SchemaConflictError, match="'n' does not fit double"):
        warehouse.replace_partitions("single_cells", cells(B, n=pa.array([2**53 + 1, 1, 1])), [B])
    assert warehouse.partitions("single_cells") == (A,)


def test_an_incompatible_column_is_refused_before_anything_is_written(warehouse):
    warehouse.replace_partitions("single_cells", cells(A), [A])
    manifest = (Path(warehouse.root) / "warehouse_manifest.json").read_bytes()
    text = cells(B).set_column(4, "Cells_AreaShape_Area", pa.array(["a", "b", "c"]))
    with pytest.raises(
        SchemaConflictError, match="'Cells_AreaShape_Area' is double, the new data have string"
    ):
        warehouse.replace_partitions("single_cells", text, [B])
    with pytest.raises(SchemaConflictError, match="Nothing was written"):
        warehouse.append("single_cells", text)
    assert (Path(warehouse.root) / "warehouse_manifest.json").read_bytes() == manifest
    assert warehouse.read("single_cells").equals(cells(A))


def test_metadata_may_be_words_on_one_plate_and_numbers_on_another(warehouse):
    doses = pa.array([0.5, None, 10.0])
    warehouse.replace_partitions("single_cells", cells(A, Metadata_dose=doses), [A])
    warehouse.replace_partitions("single_cells", cells(B, Metadata_dose=pa.array(["high", "low", None])), [B])
    assert warehouse.read("single_cells", plate_keys=[A]).equals(cells(A, Metadata_dose=doses))
    words = ["0.5", None, "10", "high", "low", None]
    assert warehouse.read("single_cells").column("Metadata_dose").to_pylist() == words
    folder = Path(warehouse.root) / "single_cells"
    assert pq.read_table(folder).column("Metadata_dose").to_pylist() == words
    relation = duckdb.sql(
        f"SELECT Metadata_dose FROM read_parquet('{folder}/*.parquet', union_by_name = true)"
    )
    assert {row[0] for row in relation.fetchall()} >= {"high", "low", "0.5"}
    assert validate_warehouse_manifest(warehouse.root).warnings == []
    maintain_warehouse(warehouse.root)
    assert warehouse.read("single_cells", plate_keys=[A]).equals(cells(A, Metadata_dose=doses))
    warehouse.replace_partitions("single_cells", cells(C, Metadata_dose=pa.array([1, 2, 3])), [C])
    assert warehouse.read("single_cells", plate_keys=[C]).column("Metadata_dose").to_pylist() == [1, 2, 3]


def test_two_columns_of_one_name_are_refused(warehouse):
    twice = pa.table([pa.array(["d"]), pa.array([1]), pa.array([2])], names=["dataset_id", "x", "x"])
    with pytest.raises(SchemaConflictError, match="given twice: x"):
        warehouse.append("single_cells", twice)


def test_parts_of_another_tool_with_other_types_are_brought_to_the_type_of_the_table(warehouse):
    warehouse.replace_partitions("single_cells", cells(B, n=pa.array([1, 2, 3])), [B])
    foreign = Path(warehouse.root) / "single_cells" / "foreign.parquet"
    pq.write_table(cells(A, n=pa.array([0.5, 1.5, 2.5])), foreign)
    assert maintain_warehouse(warehouse.root).files_aligned == 1
    assert len(set(map(str, through_every_door(warehouse).values()))) == 1
    assert validate_warehouse_manifest(warehouse.root).warnings == []


def test_payload_columns_pass_unchanged(warehouse):
    image = pa.struct(
        {
            "planes": pa.list_(pa.struct({"z": pa.int16(), "pixels": pa.list_(pa.uint16())})),
            "raw": pa.large_binary(),
        }
    )
    payload = pa.array(
        [{"planes": [{"z": 0, "pixels": [1, 2]}], "raw": b"\x00"}, None, {"planes": None, "raw": b""}], image
    )
    warehouse.replace_partitions("single_cells", cells(A, ome_arrow_image=payload), [A])
    back = warehouse.read("single_cells").column("ome_arrow_image").combine_chunks()
    assert back.type == image
    assert back.equals(payload)


def test_dictionary_columns_of_data_frames_are_stored_as_their_values(warehouse):
    frame = cells(A).to_pandas().assign(kind=pd.Categorical(["x", "y", "x"]))
    warehouse.replace_partitions("single_cells", pa.Table.from_pandas(frame, preserve_index=False), [A])
    warehouse.replace_partitions("single_cells", cells(B, kind=pa.array(["z", "z", "z"])), [B])
    assert pq.read_table(Path(warehouse.root) / "single_cells").column("kind").to_pylist() == [
        "x",
        "y",
        "x",
        "z",
        "z",
        "z",
    ]
