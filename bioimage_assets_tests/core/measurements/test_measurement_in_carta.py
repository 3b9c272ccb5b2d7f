"""IN Carta CSVs: headings in words become keys and features; objects are unique within well, field, plane and time."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from bioimage_assets_tests.builders.measurement_plates import write_csv
from bioimage_assets_tests.core.measurements.conftest import Reader

HEADER = [
    "Plate ID", "WELL LABEL", "Row", "Column", "FOV", "Z", "T", "OBJECT ID", "Nuclei Area wv1", "Cells Intensity wv2",
]  # fmt: skip


def rows(time_points: int = 1) -> list[list[object]]:
    return [
        ["2023-01-06 DAY0 Phall", well, "C", 3, fov, 1, t, number, 10.0 * number, 0.5]
        for t in range(1, time_points + 1)
        for well in ("C - 3", "C - 4")
        for fov in (1, 2)
        for number in (1, 2)
    ]


def test_headings_become_keys_and_features(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write_csv(tmp_path / "P1.csv", HEADER, rows()))
    assert plate.result.kind == "in-carta"
    assert plate.table.num_rows == 8
    row = plate.table.to_pylist()[0]
    assert (row["Metadata_Plate"], row["Metadata_Well"], row["Metadata_Site"]) == (
        "2023-01-06 DAY0 Phall",
        "C - 3",
        "1",
    )
    assert (row["Nuclei_Area_wv1"], row["Cells_Intensity_wv2"]) == (10.0, 0.5)
    assert row["Metadata_ObjectNumber"] == 1
    assert plate.table.schema.field("Nuclei_Area_wv1").type == pa.float64()
    assert plate.codes("error") == set()


def test_object_numbers_that_repeat_in_time_still_give_unique_ids(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write_csv(tmp_path / "P1.csv", HEADER, rows(time_points=3)))
    assert plate.table.num_rows == 24
    assert len(set(plate.table["Metadata_ObjectID"].to_pylist())) == 24
    assert "duplicate-objects" not in plate.codes()


def test_several_files_of_a_plate_are_one_table(tmp_path: Path, read_plate: Reader) -> None:
    everything = rows()
    write_csv(tmp_path / "P1" / "a.csv", HEADER, everything[:4])
    write_csv(tmp_path / "P1" / "b.csv", HEADER, everything[4:])
    plate = read_plate(tmp_path / "P1")
    assert plate.table["Metadata_Well"].to_pylist() == ["C - 3"] * 4 + ["C - 4"] * 4


# Headings and a row as IN Carta exports them (from CytoTable's test data): empty class columns, a stain without an
# object in the cell, words in the last columns, and a plate that is called otherwise than the file.
EXPORTED = """\
"OBJECT ID","Row","Column","FOV","WELL LABEL","Z","T","Class Name","Class Color","Ancestry Path",\
"Primary Target Max left border wv1","Primary Target Max top border wv1","Primary Target Max width wv1",\
"Primary Target Max height wv1","Primary Target Area wv1","Primary Target Intensity/Global Bckg wv1",\
"Primary Target Spacing (SOI) wv1","F Actin Area wv2","F Actin Distance to Nuc wv2","Slice Algorithm",\
"Slice Indicator","Acquisition Time Stamp","Plate ID"
1,"C",3,1,"C - 3",1,1,,,,1166,0,18,46,68.56349472,3.9376775894504314,64.64132891825243,0.31259951999999996,\
64.5969858626177,"CurrentSlice","Yes",0,"2023-05-06 DAY3 iSMR IMR90 Phall Mito Dapi"
1,"C",3,3,"C - 3",1,1,,,,491,0,17,15,17.609772959999997,3.8150896662215947,54.176840693430705,,,"CurrentSlice",\
"Yes",25.449999809265137,"2023-05-06 DAY3 iSMR IMR90 Phall Mito Dapi"
"""


def test_a_real_export_keeps_every_value(tmp_path: Path, read_plate: Reader) -> None:
    (tmp_path / "Test 0 Day3.csv").write_text(EXPORTED)
    plate = read_plate(tmp_path / "Test 0 Day3.csv")
    first, second = plate.table.to_pylist()
    assert plate.result.kind == "in-carta"
    assert (first["Metadata_Well"], second["Metadata_Site"], second["Metadata_Row"]) == ("C - 3", "3", "C")
    assert first["Primary_Target_Intensity/Global_Bckg_wv1"] == 3.9376775894504314
    assert first["Primary_Target_Spacing_(SOI)_wv1"] == 64.64132891825243
    assert (second["F_Actin_Area_wv2"], second["F_Actin_Distance_to_Nuc_wv2"]) == (None, None)
    assert (first["Slice_Algorithm"], first["Slice_Indicator"], first["Class_Name"]) == (
        "CurrentSlice",
        "Yes",
        None,
    )
    assert first["Metadata_ObjectID"] != second["Metadata_ObjectID"]
    assert plate.codes("error") == set()
