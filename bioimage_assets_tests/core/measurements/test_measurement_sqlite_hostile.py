"""SQLite files made to hurt, or damaged: none runs without end, and what a table cannot hold is counted."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.limits import DEFAULT_LIMITS, MeasurementLimits
from bioimage_assets.core.measurements.sqlite_database import open_database
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import PlateSpec, write_sqlite
from bioimage_assets_tests.core.measurements.conftest import Reader

ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i AS ImageNumber, i AS ObjectNumber, 1.0 AS AreaShape_Area FROM n"
)
SILENT = f"{ENDLESS} WHERE i < 0"  # works for ever without giving a row


def change(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)
    return path


def plate_file(path: Path, *statements: str) -> Path:
    return change(write_sqlite(path, {None: PlateSpec(cells={1: 3, 2: 2})}), *statements)


@pytest.mark.parametrize("query", [ENDLESS, SILENT])
@pytest.mark.parametrize("name", ["Cells", "Image", "Per_Object", "Anything"])
def test_a_view_without_an_end_beside_the_tables_is_not_read(
    tmp_path: Path, read_plate: Reader, query: str, name: str
) -> None:
    path = write_sqlite(tmp_path / "P1.sqlite", {None: PlateSpec(cells={1: 3, 2: 2})}, table_prefix="Per_")
    change(path, f"CREATE VIEW {name} AS {query}")
    plate = read_plate(path)
    assert plate.table.num_rows == 5
    assert plate.codes("error") == set()


@pytest.mark.parametrize("query", [ENDLESS, SILENT])
def test_a_view_that_is_asked_for_by_name_is_read_for_a_time(
    tmp_path: Path, read_plate: Reader, query: str
) -> None:
    path = change(tmp_path / "P1.sqlite", f"CREATE VIEW Per_Soma AS {query}")
    with pytest.raises(
        MeasurementError, match=r'named: dataset\.toml, \[measurements\] compartments = \["Soma"\]'
    ):
        read_plate(path)
    with pytest.raises(MeasurementError, match=r"without an end \(a view is stopped after 0\.3 s\)"):
        read_plate(
            path, settings=DatasetSettings(compartments=("Soma",)), limits=MeasurementLimits(max_query_s=0.3)
        )


def test_a_view_that_ends_is_read_where_it_is_asked_for(tmp_path: Path, read_plate: Reader) -> None:
    path = change(tmp_path / "P1.sqlite", f"CREATE VIEW Per_Soma AS {ENDLESS} LIMIT 4")
    plate = read_plate(path, settings=DatasetSettings(compartments=("Soma",)))
    assert plate.table["Soma_AreaShape_Area"].to_pylist() == [1.0] * 4


def test_whole_numbers_that_no_column_holds_are_null_and_counted(tmp_path: Path, read_plate: Reader) -> None:
    path = plate_file(
        tmp_path / "P1.sqlite",
        "CREATE TABLE Soma (ImageNumber, ObjectNumber, AreaShape_Area)",
        "INSERT INTO Soma VALUES (1, '99999999999999999999', 1.0), (1, 1e300, '1e308'), (1, 9e999, 9e999), (1, 7, 2), "
        "(1, '9007199254740993', 3), (1, 18446744073709551615, 4)",
    )
    plate = read_plate(path, settings=DatasetSettings(compartments=("Soma",)))
    assert plate.table["Metadata_ObjectNumber"].to_pylist() == [
        7,
        2**53 + 1,
    ]  # no object without a number is a cell
    assert plate.table["Soma_AreaShape_Area"].to_pylist() == [2.0, 3.0]
    assert plate.codes("error") == {"not-a-number", "rows-without-key"}
    assert "4 value(s)" in plate.finding("not-a-number").message


def test_generated_columns_move_no_value_of_the_image_table(tmp_path: Path, read_plate: Reader) -> None:
    path = plate_file(
        tmp_path / "P1.sqlite",
        "CREATE TABLE New (Twice AS (ImageNumber * 2), ImageNumber INTEGER, Loud TEXT AS ('z' || ImageNumber) STORED, "
        "Image_Metadata_Plate TEXT, Image_Metadata_Well TEXT, Image_Metadata_Site TEXT)",
        "INSERT INTO New SELECT ImageNumber, 'P1', 'C07', ImageNumber FROM Image",
        "DROP TABLE Image",
        "ALTER TABLE New RENAME TO Image",
    )
    plate = read_plate(path)
    assert set(plate.table["Metadata_Well"].to_pylist()) == {"C07"}
    assert plate.table["Metadata_Site"].to_pylist() == ["1", "1", "1", "2", "2"]
    assert plate.table.num_rows == 5


def test_triggers_and_virtual_tables_are_left_alone(tmp_path: Path, read_plate: Reader) -> None:
    path = plate_file(
        tmp_path / "P1.sqlite",
        "CREATE TABLE seen (n)",
        "CREATE TRIGGER t AFTER INSERT ON Cells BEGIN INSERT INTO seen VALUES (1); END",
        "CREATE VIRTUAL TABLE Words USING fts4(ImageNumber, ObjectNumber)",
    )
    before = path.read_bytes()
    plate = read_plate(path)
    assert plate.table.num_rows == 5
    assert path.read_bytes() == before


def point_pages_at_one(path: Path) -> Path:
    """Let every pointer of a table's root page lead to one leaf: a small file that gives rows again and again."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA page_size = 512")
        database.execute("CREATE TABLE Cells (ImageNumber, ObjectNumber, AreaShape_Area)")
        database.executemany("INSERT INTO Cells VALUES (1, ?, 1)", [(i,) for i in range(40_000)])
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'Cells'").fetchone()
    raw = bytearray(path.read_bytes())
    tables = [at for at in range(0, len(raw), 512) if raw[at] == 5 or (at == 0 and raw[100] == 5)]
    inner = [at for at in tables if at // 512 + 1 != root]
    assert inner, "the table is not deep enough"
    for at in inner:  # all inner pages lead to the first leaf of their own
        count = int.from_bytes(raw[at + 3 : at + 5], "big")
        cells = [int.from_bytes(raw[at + 12 + 2 * i : at + 14 + 2 * i], "big") for i in range(count)]
        first = raw[at + cells[0] : at + cells[0] + 4]
        for cell in cells:
            raw[at + cell : at + cell + 4] = first
    at = (root - 1) * 512
    count = int.from_bytes(raw[at + 3 : at + 5], "big")
    for i in range(count):
        cell = at + int.from_bytes(raw[at + 12 + 2 * i : at + 14 + 2 * i], "big")
        raw[cell : cell + 4] = (inner[0] // 512 + 1).to_bytes(4, "big")
    path.write_bytes(raw)
    return path


def test_a_table_that_gives_more_rows_than_its_file_has_room_for_is_stopped(tmp_path: Path) -> None:
    path = point_pages_at_one(tmp_path / "P1.sqlite")
    with open_database(str(path), DEFAULT_LIMITS) as database:
        database._size = 30_000  # as if its pages led in a circle: the file would be this small
        with pytest.raises(
            MeasurementError, match="gives more rows than the 30000 bytes of its file have room for"
        ):
            list(database.read_rows("Cells", ["ImageNumber"], 256))


def test_a_statement_over_a_table_is_stopped_by_the_steps_that_its_file_can_need(tmp_path: Path) -> None:
    path = point_pages_at_one(tmp_path / "P1.sqlite")
    with (
        pytest.raises(MeasurementError, match="still working without an end"),
        open_database(str(path), DEFAULT_LIMITS) as database,
    ):
        database._execute(f"SELECT count(*) FROM ({ENDLESS})").fetchall()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    for at in range(4_096, len(raw), 4_096):
        raw[at : at + 64] = os.urandom(64)
    path.write_bytes(raw)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(b"SQLite format 3\0" + b"x" * 5_000),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": _cut,
    "random bytes at the begin of each page": _flip,
    "a schema that is no SQL": lambda path: change(
        path, "PRAGMA writable_schema=ON", "UPDATE sqlite_master SET sql = 'CREATE TABLE (' WHERE name = 'Cells'"
    ),
    "a value of twenty megabytes": lambda path: change(path, "UPDATE Cells SET Cells_AreaShape_Area = zeroblob(20000000)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_database_is_an_error_that_names_it(tmp_path: Path, read_plate: Reader, kind: str) -> None:
    path = plate_file(tmp_path / "P1.sqlite")
    DAMAGES[kind](path)
    with pytest.raises(MeasurementError, match=str(path)):
        read_plate(path)


def test_a_database_that_still_has_its_log_is_read_with_it(tmp_path: Path, read_plate: Reader) -> None:
    path = plate_file(tmp_path / "P1.sqlite")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("INSERT INTO Image SELECT * FROM Image WHERE 0")
        database.execute("CREATE TABLE Extra (ImageNumber, ObjectNumber)")
        database.executemany("INSERT INTO Extra VALUES (1, ?)", [(n,) for n in range(20_000)])
        database.commit()
        plate = read_plate(path)
    assert plate.table.num_rows == 5
