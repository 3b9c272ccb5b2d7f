"""A write that is refused leaves nothing behind, the corrected one succeeds, and two first writers both land."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import IntegerType, NestedField

from bioimage_assets.core.catalog.drafts import draft_table
from bioimage_assets.core.catalog.evolution import Wanted
from bioimage_assets.core.catalog.filters import partition_filter
from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.core.catalog.landing import Landing, land, write_files
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import remove_partitions, replace_partitions, replace_table
from bioimage_assets.core.catalog.session import open_catalog, table_exists
from bioimage_assets.core.catalog.unreferenced_files import list_files, referenced_paths
from bioimage_assets.core.errors import SchemaConflictError, UsageError
from bioimage_assets_tests.builders.at_once import run_at_once
from bioimage_assets_tests.core.catalog.conftest import sqlite_properties
from bioimage_assets_tests.core.catalog.plates import ROWS, TABLE, build_plate, row_counts, stream

A, B = "screen/P1", "screen/P2"
IDENTIFIER = tuple(TABLE.split("."))


def plate(key: object = A, **columns: pa.Array | list[object]) -> pa.Table:
    rows = len(next(iter(columns.values()))) if columns else 1
    return pa.table({"plate_key": [key] * rows, **columns})


REFUSED: dict[str, tuple[pa.Table, pa.Table, str]] = {
    "a plate key that is a number": (plate(17, v=[1]), plate(v=["x"]), "plate_key.*text.*int64"),
    "rows of another plate": (plate("screen/P9", v=[1]), plate(v=["x"]), "screen/P9"),
    "no plate key": (pa.table({"v": [1]}), plate(v=["x"]), "no column 'plate_key'"),
    "a column without a name": (pa.table({"plate_key": [A], "": [1]}), plate(v=["x"]), "Column ''"),
    "an integer above 2^63": (
        plate(v=pa.array([2**63 + 5], pa.uint64())), plate(v=[1.5]), f"{TABLE}, {A}.*'v'.*uint64.*int64.*float64",
    ),
    "nanoseconds": (
        plate(v=pa.array([1704067200123456789], pa.timestamp("ns"))), plate(v=["2024-01-01"]),
        f"{TABLE}, {A}.*'v'.*timestamp.ns.*microseconds",
    ),
}  # fmt: skip


def files_of(folder: Path) -> list[Path]:
    return [path for path in (folder / "catalog" / "tables").rglob("*") if path.is_file()]


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("is_stream", [False, True], ids=["table", "stream"])
def test_a_refused_first_write_leaves_nothing_and_the_corrected_one_succeeds(
    catalog: Catalog, tmp_path: Path, what: str, *, is_stream: bool
) -> None:
    wrong, corrected, words = REFUSED[what]
    with pytest.raises((SchemaConflictError, UsageError), match=words):
        replace_partitions(catalog, TABLE, stream(wrong) if is_stream else wrong, [A])
    assert not table_exists(catalog, IDENTIFIER)
    assert files_of(tmp_path) == []
    replace_partitions(catalog, TABLE, corrected, [A])
    assert read_table(catalog, TABLE).equals(corrected)
    assert len(list_snapshots(catalog, TABLE)) == 1


def test_a_refused_value_late_in_a_stream_leaves_nothing(catalog: Catalog, tmp_path: Path) -> None:
    small = pa.array([1] * 5, pa.uint64())
    late = pa.concat_tables([plate(v=small), plate(B, v=pa.array([2**63], pa.uint64()))])
    with pytest.raises(SchemaConflictError, match=f"{TABLE}, {B}: Column 'v'"):
        replace_partitions(catalog, TABLE, late, [A, B])
    assert files_of(tmp_path) == []


def test_a_write_that_is_refused_for_a_value_leaves_no_new_column(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, plate(n=[1]), [A])
    with pytest.raises(SchemaConflictError, match=f"{TABLE}, {B}: Column 'n'.*double.*int64.*1.5"):
        replace_partitions(catalog, TABLE, plate(B, n=[1.5], more=[1]), [B])
    assert catalog.load_table(TABLE).schema().column_names == ["plate_key", "n"]
    replace_partitions(catalog, TABLE, plate(B, n=[2], more=["text"]), [B])
    assert read_table(catalog, TABLE, plate_keys=[B]).equals(plate(B, n=[2], more=["text"]))


def test_whole_floats_and_missing_ones_go_into_a_column_of_integers_and_nan_is_refused(
    catalog: Catalog,
) -> None:
    replace_partitions(catalog, TABLE, plate(n=[1]), [A])
    replace_partitions(catalog, TABLE, plate(B, n=[2.0, None]), [B])
    assert read_table(catalog, TABLE, plate_keys=[B])["n"].to_pylist() == [2, None]
    with pytest.raises(SchemaConflictError, match=r"'n'.*nan.*tables drop"):
        replace_partitions(catalog, TABLE, plate(B, n=[float("nan")]), [B])


@pytest.mark.parametrize(
    ("narrow", "wide", "value"),
    [
        (pa.int32(), pa.int64(), 2**40),
        (pa.int8(), pa.uint32(), 2**32 - 1),
        (pa.float32(), pa.float64(), 0.1),
        (pa.float16(), pa.float64(), 0.1),
        (pa.decimal128(5, 2), pa.decimal128(12, 2), 1234567890),
    ],
)
def test_numbers_widen_and_no_digit_is_lost(
    catalog: Catalog, narrow: pa.DataType, wide: pa.DataType, value: float
) -> None:
    replace_partitions(catalog, TABLE, plate(v=pa.array([1], pa.int8()).cast(narrow)), [A])
    replace_partitions(catalog, TABLE, plate(B, v=pa.array([value], wide)), [B])
    assert read_table(catalog, TABLE, plate_keys=[B])["v"].to_pylist() == pa.array([value], wide).to_pylist()
    assert read_table(catalog, TABLE, plate_keys=[A])["v"].to_pylist() == [1]


def poison(catalog: Catalog) -> None:
    """What a first write that was refused left in earlier versions."""
    catalog.create_namespace_if_not_exists(IDENTIFIER[:-1])
    catalog.create_table(
        IDENTIFIER, Schema(NestedField(1, "plate_key", IntegerType()), NestedField(2, "v", IntegerType()))
    )


def test_a_table_that_never_had_a_row_does_not_refuse_the_corrected_write(catalog: Catalog) -> None:
    poison(catalog)
    replace_partitions(catalog, TABLE, plate(v=["x"]), [A])
    assert read_table(catalog, TABLE).equals(plate(v=["x"]))


def test_a_wrong_write_to_a_table_that_never_had_a_row_is_refused_by_its_declared_schema(
    catalog: Catalog,
) -> None:
    replace_partitions(catalog, TABLE, build_plate(A, rows=0), [A], schema=ROWS)
    wrong = build_plate(A).drop_columns(["value"]).append_column("value", pa.array(["x"] * 10))
    with pytest.raises(SchemaConflictError, match="value: stored as double, new data have string"):
        replace_partitions(catalog, TABLE, wrong, [A], schema=ROWS)
    assert catalog.load_table(TABLE).schema().find_type("value").root == "double"


def test_a_table_that_had_rows_refuses_and_names_the_command_that_drops_it(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, plate(v=[1]), [A])
    remove_partitions(catalog, TABLE, [A])
    with pytest.raises(SchemaConflictError, match="bioimage-assets tables drop rows"):
        replace_partitions(catalog, TABLE, plate(v=["x"]), [A])
    assert len(list_snapshots(catalog, TABLE)) == 2


def test_a_table_and_its_first_rows_are_one_metadata_file(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    table = catalog.load_table(TABLE)
    assert len(table.metadata.snapshots) == 1
    assert table.metadata.metadata_log == []
    replace_table(catalog, f"{TABLE}_empty", build_plate(A, rows=0))
    assert read_table(catalog, f"{TABLE}_empty").equals(build_plate(A, rows=0))


@pytest.mark.parametrize("is_stream", [False, True], ids=["table", "stream"])
def test_who_comes_second_with_a_first_write_lands_in_the_table_of_the_other(
    catalog: Catalog, tmp_path: Path, *, is_stream: bool
) -> None:
    second = plate(B, b=pa.array([1], pa.uint8()), a=["x"])
    wanted = Wanted(second.schema)
    draft = draft_table(catalog, IDENTIFIER, wanted, by_partition=True)
    written = write_files(draft.table, frozenset([B]), stream(second) if is_stream else second)
    first = plate(A, a=["y"], c=[0.5], b=pa.array([2], pa.uint16()))
    replace_partitions(catalog, TABLE, first, [A])
    result = land(
        Landing(catalog, IDENTIFIER, partition_filter("plate_key", [B]), {}), draft, wanted, written
    )
    assert result.partition_rows == {B: 1}
    assert read_table(catalog, TABLE, plate_keys=[A])["b"].to_pylist() == [2]
    assert (
        read_table(catalog, TABLE, plate_keys=[B]).select(["plate_key", "b", "a"]).to_pylist()
        == second.to_pylist()
    )
    table = catalog.load_table(TABLE)
    assert {file.path for file in list_files(table)} == referenced_paths(table)


def test_two_that_make_the_first_write_at_once_both_land(tmp_path: Path) -> None:
    catalogs = [open_catalog("embedded", sqlite_properties(tmp_path / "catalog")) for _ in range(4)]

    def write(number: int) -> None:
        rows = build_plate(f"screen/P{number}").append_column(f"own_{number}", pa.array([number] * 10))
        replace_partitions(catalogs[number], TABLE, rows, [f"screen/P{number}"])

    run_at_once(write, 4)
    rows = read_table(catalogs[0], TABLE)
    assert row_counts(rows) == {f"screen/P{number}": 10 for number in range(4)}
    for number in range(4):
        own = read_table(catalogs[0], TABLE, plate_keys=[f"screen/P{number}"])
        assert own[f"own_{number}"].to_pylist() == [number] * 10
