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
