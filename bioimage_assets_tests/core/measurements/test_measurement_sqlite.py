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
