"""Tables grow with their data; what cannot fit is refused before anything is written."""

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.schema_plan import plan_evolution
from bioimage_assets.core.errors import SchemaConflictError
from bioimage_assets_tests.core.catalog.plates import ROWS, TABLE, build_plate, row_counts

A, B = "screen/P1", "screen/P2"


def test_a_new_column_appears_and_older_plates_have_nulls(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    wider = build_plate(B).append_column("AreaShape_Area", pa.array([1.0] * 10))
    result = replace_partitions(catalog, TABLE, wider, [B])
    assert result.schema_changes == ("added column AreaShape_Area double",)
    table = read_table(catalog, TABLE)
    assert table.filter(pa.compute.field("plate_key") == A)["AreaShape_Area"].null_count == 10
    assert read_table(catalog, TABLE, plate_keys=[B])["AreaShape_Area"].to_pylist() == [1.0] * 10


def test_a_plate_without_a_feature_does_not_take_it_from_the_others(catalog: Catalog) -> None:
    wider = build_plate(A).append_column("AreaShape_Area", pa.array([1.0] * 10))
    replace_partitions(catalog, TABLE, wider, [A])
    replace_partitions(catalog, TABLE, build_plate(B), [B])
    assert read_table(catalog, TABLE, plate_keys=[A])["AreaShape_Area"].to_pylist() == [1.0] * 10
    assert row_counts(read_table(catalog, TABLE)) == {A: 10, B: 10}


def test_an_incompatible_column_is_refused_with_both_types_and_nothing_is_written(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    text = build_plate(B).drop_columns(["value"]).append_column("value", pa.array(["x"] * 10))
    with pytest.raises(SchemaConflictError, match="value: stored as double, new data have string"):
        replace_partitions(catalog, TABLE, text.append_column("more", pa.array([1] * 10)), [B])
    assert "more" not in read_table(catalog, TABLE).column_names
    assert len(list_snapshots(catalog, TABLE)) == 1


def test_whole_numbers_may_arrive_where_floats_are_stored(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    whole = build_plate(B).drop_columns(["value"]).append_column("value", pa.array(range(10), pa.int64()))
    replace_partitions(catalog, TABLE, whole, [B])
    assert read_table(catalog, TABLE, plate_keys=[B])["value"].to_pylist() == [float(i) for i in range(10)]


def test_a_fraction_is_not_rounded_into_a_whole_number_column(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    fractions = build_plate(B).drop_columns(["row"]).append_column("row", pa.array([0.5] * 10))
    with pytest.raises(SchemaConflictError, match="row"):
        replace_partitions(catalog, TABLE, fractions, [B])
    assert row_counts(read_table(catalog, TABLE)) == {A: 10}


def test_integers_widen(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    wide = build_plate(B).drop_columns(["row"]).append_column("row", pa.array([2**40] * 10, pa.int64()))
    result = replace_partitions(catalog, TABLE, wide, [B])
    assert result.schema_changes == ("column row went from int32 to int64",)
    assert read_table(catalog, TABLE, plate_keys=[A])["row"].to_pylist() == list(range(10))
    assert read_table(catalog, TABLE)["row"].type == pa.int64()


def test_a_declared_schema_that_became_nullable_relaxes_the_table(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A], schema=ROWS)
    relaxed = pa.schema([field.with_nullable(field.name != "plate_key") for field in ROWS])
    rows = pa.table({"plate_key": [B], "generation": pa.nulls(1, pa.int64())})
    result = replace_partitions(catalog, TABLE, rows, [B], schema=relaxed)
    assert result.schema_changes == ("column generation became optional",)
    assert read_table(catalog, TABLE, plate_keys=[B])["generation"].to_pylist() == [None]


def test_struct_fields_grow_too(catalog: Catalog) -> None:
    first = pa.table({"plate_key": [A], "s": [[{"a": 1}]]})
    second = pa.table({"plate_key": [B], "s": [[{"a": 2, "b": "x"}]]})
    replace_partitions(catalog, TABLE, first, [A])
    replace_partitions(catalog, TABLE, second, [B])
    assert sorted(read_table(catalog, TABLE)["s"].to_pylist(), key=str) == [
        [{"a": 1, "b": None}],
        [{"a": 2, "b": "x"}],
    ]


def test_reading_an_earlier_snapshot_gives_its_columns(catalog: Catalog) -> None:
    first = replace_partitions(catalog, TABLE, build_plate(A), [A])
    replace_partitions(catalog, TABLE, build_plate(A).append_column("more", pa.array([1] * 10)), [A])
    assert read_table(catalog, TABLE, as_of=first.snapshot_id).equals(build_plate(A))


def test_all_conflicts_are_named_at_once() -> None:
    stored = pa.schema([pa.field("a", pa.string(), nullable=False), ("b", pa.int32()), ("c", pa.date32())])
    with pytest.raises(SchemaConflictError, match=r"b: stored.*c: stored.*a: required by the table"):
        plan_evolution("t", stored, pa.schema([("b", pa.string()), ("c", pa.int32())]))


@pytest.mark.slow
def test_a_table_of_thousands_of_features_is_created_and_read(catalog: Catalog) -> None:
    features = {f"Cells_Feature_{i}": [float(i)] for i in range(1500)}
    replace_partitions(catalog, TABLE, pa.table({"plate_key": [A], **features}), [A])
    assert read_table(catalog, TABLE, columns=["Cells_Feature_1499"]).to_pydict() == {
        "Cells_Feature_1499": [1499.0]
    }
    manifest = catalog.load_table(TABLE).current_snapshot().manifests(catalog.load_table(TABLE).io)[0]
    assert manifest.manifest_length < 200_000


def test_other_readers_of_the_library_see_the_same_rows(catalog: Catalog) -> None:
    nested = build_plate(A).append_column("levels", pa.array([[{"path": "0", "shape": [1, 2]}]] * 10))
    replace_partitions(catalog, TABLE, nested, [A])
    rows = catalog.load_table(TABLE).scan().to_arrow()
    assert rows.to_pydict() == nested.to_pydict()


def test_rows_written_by_the_library_itself_are_read(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    catalog.load_table(TABLE).append(build_plate(B, 3))
    assert row_counts(read_table(catalog, TABLE)) == {A: 10, B: 10}
