"""SQLite files of CellProfiler and cytominer-database: same cells as the CSVs, TableNumbers kept apart."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    feature_value,
    write_cellprofiler_folder,
    write_sqlite,
)
from bioimage_assets_tests.core.measurements.conftest import Reader


@pytest.mark.parametrize("prefix", ["", "Per_", "MyExpt_Per_"])
def test_sqlite_and_csv_of_one_plate_give_equal_tables(
    tmp_path: Path, read_plate: Reader, prefix: str
) -> None:
    spec = PlateSpec(cells={1: 3, 2: 5})
    csvs = read_plate(write_cellprofiler_folder(tmp_path / "P1", spec)).table
    sqlite = read_plate(write_sqlite(tmp_path / "P1.sqlite", {None: spec}, table_prefix=prefix))
    assert sqlite.result.kind == "cellprofiler-sqlite"
    assert sqlite.table.select(csvs.schema.names).equals(csvs)
    assert sqlite.codes() == set()


def test_table_numbers_keep_equal_image_numbers_apart(tmp_path: Path, read_plate: Reader) -> None:
    big = 2**62 + 11
    specs = {big: PlateSpec(cells={1: 3}, seed=0), 5: PlateSpec(cells={1: 2}, seed=1, wells=("H12",))}
    plate = read_plate(write_sqlite(tmp_path / "P1.sqlite", specs))
    assert plate.table.num_rows == 5
    assert len(set(plate.table["Metadata_ObjectID"].to_pylist())) == 5
    for row in plate.table.to_pylist():
        seed = 0 if row["Metadata_TableNumber"] == str(big) else 1
        count = 3 if seed == 0 else 2
        nucleus = count + 1 - row["Metadata_ObjectNumber"]
        assert row["Nuclei_AreaShape_Area"] == feature_value("Nuclei", 1, nucleus, 0, seed=seed)
        assert row["Metadata_Well"] == ("A01" if seed == 0 else "H12")
    assert "Nuclei_TableNumber" not in plate.table.schema.names
    assert plate.codes("error") == set()


def test_leading_zeros_and_text_sites_survive_sqlite(tmp_path: Path, read_plate: Reader) -> None:
    path = write_sqlite(tmp_path / "P1.sqlite", {None: PlateSpec(plate="001", wells=("C6",))})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE Image SET Image_Metadata_Site = 'M10'")
    plate = read_plate(path, plate="001")
    assert set(plate.table["Metadata_Plate"].to_pylist()) == {"001"}
    assert set(plate.table["Metadata_Well"].to_pylist()) == {"C6"}
    assert set(plate.table["Metadata_Site"].to_pylist()) == {"M10"}


def test_a_word_among_numbers_is_null_and_counted(tmp_path: Path, read_plate: Reader) -> None:
    path = write_sqlite(tmp_path / "P1.sqlite", {None: PlateSpec()})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "UPDATE Cells SET Cells_AreaShape_Area = 'oops' WHERE ImageNumber = 1 AND ObjectNumber = 2"
        )
        database.execute(
            "UPDATE Nuclei SET Nuclei_AreaShape_Area = 'nan' WHERE ImageNumber = 1 AND ObjectNumber = 2"
        )
    plate = read_plate(path)
    assert plate.table["Cells_AreaShape_Area"].null_count == 1
    assert "1 value(s)" in plate.finding("not-a-number").message
    values = plate.table["Nuclei_AreaShape_Area"].to_pylist()
    assert sum(value != value for value in values) == 1


def test_a_single_object_table_of_all_compartments_is_one_row_per_cell(
    tmp_path: Path, read_plate: Reader
) -> None:
    path = tmp_path / "P1.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            'CREATE TABLE MyExpt_Per_Object (ImageNumber, ObjectNumber, "Cells_AreaShape_Area", "Nuclei_AreaShape_Area", '
            '"Cells_Number_Object_Number", "Cells_Parent_Nuclei")'
        )
        database.executemany(
            "INSERT INTO MyExpt_Per_Object VALUES (?, ?, ?, ?, ?, ?)",
            [(1, 1, 10, 5, 1, 1), (1, 2, 11, 6, 2, 2)],
        )
    plate = read_plate(path)
    assert plate.table["Nuclei_AreaShape_Area"].to_pylist() == [5.0, 6.0]
    assert plate.table["Metadata_ObjectNumber"].to_pylist() == [1, 2]
    assert plate.table.schema.field("Cells_AreaShape_Area").type == pa.float64()


def test_promised_cells_are_checked_in_sqlite_too(tmp_path: Path, read_plate: Reader) -> None:
    path = write_sqlite(tmp_path / "P1.sqlite", {None: PlateSpec()})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM Cytoplasm WHERE ImageNumber = 2")
    plate = read_plate(path)
    assert plate.table.num_rows == 3
    assert {"cells-missing", "unjoined-objects"} <= plate.codes()


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path, read_plate: Reader) -> None:
    (tmp_path / "P1.sqlite").write_bytes(b"half a copy" * 1000)
    with pytest.raises(MeasurementError, match=r"P1\.sqlite"):
        read_plate(tmp_path / "P1.sqlite")
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    with pytest.raises(MeasurementError, match="ImageNumber"):
        read_plate(tmp_path / "empty.sqlite")


def test_reading_leaves_the_database_untouched(tmp_path: Path, read_plate: Reader) -> None:
    path = write_sqlite(tmp_path / "P #1?.sqlite", {None: PlateSpec()})
    before = path.read_bytes()
    read_plate(path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


def write_export_to_database(
    path: Path, mode: str, *, prefix: str = "MyExpt_", shuffled: bool = False
) -> Path:
    """The tables of CellProfiler's ExportToDatabase: ``separate``, ``view`` or ``combined`` object tables.

    As its source creates them: no ObjectNumber in separate tables, a view by equal numbers, relationship and well tables.
    """
    parents = {"Nuclei": (), "Cells": ("Nuclei",), "Cytoplasm": ("Cells", "Nuclei")}
    columns = {
        name: [f"{name}_AreaShape_Area", f"{name}_Number_Object_Number", *(f"{name}_Parent_{p}" for p in up)]
        for name, up in parents.items()
    }
    rows = {
        name: [
            (1, 100.0 * i + n, n, *((4 - n if shuffled and p == "Nuclei" else n) for p in up))
            for n in (1, 2, 3)
        ]
        for i, (name, up) in enumerate(parents.items())
    }
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            f"CREATE TABLE {prefix}Per_Image (ImageNumber INTEGER PRIMARY KEY, Image_Count_Cells FLOAT, "
            "Image_FileName_DNA TEXT, Image_Metadata_Plate TEXT, Image_Metadata_Well TEXT, Image_Metadata_Site INTEGER)"
        )
        database.execute(f"INSERT INTO {prefix}Per_Image VALUES (1, 3, 'a.tif', 'P1', 'A01', 2)")
        for name, listed in columns.items():
            if mode == "combined":
                continue
            kinds = ", ".join(f"{column} FLOAT" for column in listed)
            key = f"PRIMARY KEY (ImageNumber, {name}_Number_Object_Number)"
            database.execute(f"CREATE TABLE {prefix}Per_{name} (ImageNumber INTEGER, {kinds}, {key})")
            marks = ", ".join("?" * (len(listed) + 1))
            database.executemany(f"INSERT INTO {prefix}Per_{name} VALUES ({marks})", rows[name])
        everything = [column for listed in columns.values() for column in listed]
        if mode == "view":
            joins = " ".join(
                f"INNER JOIN {prefix}Per_{name} ON {prefix}Per_{name}.ImageNumber = {prefix}Per_Nuclei.ImageNumber"
                f" AND Nuclei_Number_Object_Number = {name}_Number_Object_Number"
                for name in ("Cells", "Cytoplasm")
            )
            database.execute(
                f"CREATE VIEW {prefix}Per_Object AS SELECT {prefix}Per_Nuclei.ImageNumber, "
                f"Nuclei_Number_Object_Number AS ObjectNumber, {', '.join(everything)} FROM {prefix}Per_Nuclei {joins}"
            )
        if mode == "combined":
            kinds = ", ".join(f"{column} FLOAT" for column in everything)
            database.execute(
                f"CREATE TABLE {prefix}Per_Object (ImageNumber INTEGER, ObjectNumber INTEGER, {kinds})"
            )
            for n in (1, 2, 3):
                values = [1, n, *(value for name in columns for value in rows[name][n - 1][1:])]
                database.execute(
                    f"INSERT INTO {prefix}Per_Object VALUES ({', '.join('?' * len(values))})", values
                )
        database.execute(f"CREATE TABLE {prefix}Per_Experiment (CellProfiler_Version TEXT)")
        database.execute(
            f"CREATE TABLE {prefix}Per_Relationships (image_number1 INTEGER, object_number1 INTEGER)"
        )
        database.execute(
            f"CREATE VIEW {prefix}Per_RelationshipsView AS SELECT * FROM {prefix}Per_Relationships"
        )
        database.execute(f"CREATE TABLE {prefix}Per_Well_avg (avg_Cells_AreaShape_Area, Image_Metadata_Well)")
    return path


@pytest.mark.parametrize("prefix", ["MyExpt_", "", "Screen_Per_2_"])
@pytest.mark.parametrize("mode", ["separate", "view", "combined"])
def test_every_object_table_of_export_to_database_gives_the_same_cells(
    tmp_path: Path, read_plate: Reader, mode: str, prefix: str
) -> None:
    plate = read_plate(write_export_to_database(tmp_path / "P1.db", mode, prefix=prefix))
    names = ["Metadata_ObjectNumber", *(f"{c}_AreaShape_Area" for c in ("Nuclei", "Cells", "Cytoplasm"))]
    rows = [tuple(row.values()) for row in plate.table.select(names).to_pylist()]
    assert rows == [(n, float(n), 100.0 + n, 200.0 + n) for n in (1, 2, 3)]
    assert plate.table["Metadata_Site"].to_pylist() == ["2"] * 3
    assert plate.codes() == set()


def test_cells_that_a_single_object_table_mixes_up_are_an_error(tmp_path: Path, read_plate: Reader) -> None:
    mixed = read_plate(write_export_to_database(tmp_path / "P1.db", "combined", shuffled=True))
    assert "2 of 3 row(s)" in mixed.finding("objects-side-by-side").message
    assert mixed.codes("error") == {"objects-side-by-side"}
    by_parent = read_plate(write_export_to_database(tmp_path / "P2.db", "view", shuffled=True))
    assert by_parent.table["Nuclei_AreaShape_Area"].to_pylist() == [3.0, 2.0, 1.0]
    assert by_parent.codes("error") == set()
