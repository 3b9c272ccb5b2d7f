"""Flat tables: Parquet and CSV of any tool, single cells or wells, keep their rows, columns, types and payloads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import write_cellprofiler_folder
from bioimage_assets_tests.core.measurements.conftest import Reader

CELLS = {
    "Metadata_Plate": ["P1"] * 4,
    "Metadata_Well": ["A01", "A01", "B02", "B02"],
    "Metadata_Site": [1, 1, 2, 2],
    "Metadata_ImageNumber": [1, 1, 2, 2],
    "Metadata_ObjectNumber": [1, 2, 1, 2],
    "Cells_AreaShape_Area": [10, 11, 12, 13],
    "Nuclei_Intensity_Mean_DNA": [0.5, None, 1.5, 2.5],
}


def write(path: Path, columns: dict[str, object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_a_parquet_table_keeps_rows_order_and_values(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write(tmp_path / "P1.parquet", CELLS))
    assert plate.table["Metadata_ObjectID"].to_pylist() == [
        f"screen/P1/{i}/{o}" for i in (1, 2) for o in (1, 2)
    ]
    assert plate.table["Cells_AreaShape_Area"].to_pylist() == [10.0, 11.0, 12.0, 13.0]
    assert plate.table["Nuclei_Intensity_Mean_DNA"].to_pylist() == CELLS["Nuclei_Intensity_Mean_DNA"]
    assert plate.table["Metadata_Site"].to_pylist() == ["1", "1", "2", "2"]
    assert plate.result.findings == ()


def test_a_csv_of_the_same_table_gives_the_same_rows(tmp_path: Path, read_plate: Reader) -> None:
    parquet = read_plate(write(tmp_path / "P1.parquet", CELLS)).table
    pa_csv.write_csv(pa.table(CELLS), tmp_path / "P1.csv")
    assert read_plate(tmp_path / "P1.csv").table.equals(parquet)


def test_types_of_features_do_not_depend_on_the_plate(tmp_path: Path, read_plate: Reader) -> None:
    as_ints = {**CELLS, "Cells_Children_Count": pa.array([1, 2, 3, 4], pa.int16())}
    as_nulls = {**CELLS, "Cells_Children_Count": pa.nulls(4)}
    as_floats = {**CELLS, "Cells_Children_Count": pa.array([1, None, 3, 4], pa.float32())}
    schemas = [
        read_plate(write(tmp_path / f"{i}.parquet", columns)).table.schema
        for i, columns in enumerate((as_ints, as_nulls, as_floats))
    ]
    assert schemas[0].equals(schemas[1])
    assert schemas[0].equals(schemas[2])
    assert schemas[0].field("Cells_Children_Count").type == pa.float64()


def test_integers_that_are_no_features_stay_integers(tmp_path: Path, read_plate: Reader) -> None:
    columns = {**CELLS, "Metadata_Batch": [2**60] * 4, "replicate": pa.array([1] * 4, pa.int8())}
    schema = read_plate(write(tmp_path / "P1.parquet", columns)).table.schema
    assert schema.field("Metadata_Batch").type == pa.int64()
    assert schema.field("replicate").type == pa.int8()


def test_payload_columns_pass_through_unchanged(tmp_path: Path, read_plate: Reader) -> None:
    payload = pa.array(
        [{"type": "ome.arrow", "planes": [{"z": 0, "pixels": [1, 2]}]}, None, {"type": "x", "planes": []}, None],
        pa.struct([("type", pa.string()), ("planes", pa.list_(pa.struct([("z", pa.uint16()), ("pixels", pa.list_(pa.uint16()))])))]),
    )  # fmt: skip
    blob = pa.array([b"\x00\xff", None, b"", b"x"], pa.large_binary())
    columns = {**CELLS, "ome_arrow_image": payload, "blob": blob}
    table = read_plate(write(tmp_path / "P1.parquet", columns)).table
    assert table["ome_arrow_image"].combine_chunks().equals(payload)
    assert table["blob"].combine_chunks().equals(blob)


def test_dictionary_and_all_null_text_columns_get_plain_types(tmp_path: Path, read_plate: Reader) -> None:
    columns = {
        **CELLS,
        "Metadata_Compound": pa.array(["a", "b", "a", None]).dictionary_encode(),
        "Metadata_Empty": pa.nulls(4),
    }
    table = read_plate(write(tmp_path / "P1.parquet", columns)).table
    assert table.schema.field("Metadata_Compound").type == pa.string()
    assert table["Metadata_Compound"].to_pylist() == ["a", "b", "a", None]
    assert table.schema.field("Metadata_Empty").type == pa.string()


def test_aliases_of_the_dataset_name_plate_well_and_site(tmp_path: Path, read_plate: Reader) -> None:
    columns = {
        "Barcode": ["P1"] * 2,
        "WellName": ["C - 3", "C - 4"],
        "Position": [1.0, 2.0],
        "Cells_A": [1.0, 2.0],
    }
    settings = DatasetSettings(
        aliases={"plate_id": ("Barcode",), "well_id": ("WellName",), "site_id": ("Position",)}
    )
    table = read_plate(write(tmp_path / "P1.parquet", columns), settings=settings).table
    assert table["Metadata_Well"].to_pylist() == ["C - 3", "C - 4"]
    assert table["Metadata_Site"].to_pylist() == ["1", "2"]
    assert table["Barcode"].to_pylist() == ["P1", "P1"]


def test_positions_are_read_from_file_names_where_no_column_has_them(
    tmp_path: Path, read_plate: Reader
) -> None:
    columns = {
        "Metadata_ImageNumber": [1, 2],
        "Metadata_ObjectNumber": [1, 1],
        "Image_FileName_DNA": ["r01c02f03p01-ch1sk1fk1fl1.tiff", None],
        "Cells_A": [1.0, 2.0],
    }
    table = read_plate(write(tmp_path / "P1.parquet", columns)).table
    assert table["Metadata_Well"].to_pylist() == ["A02", None]
    assert table["Metadata_Site"].to_pylist() == ["3", None]
    assert table["Metadata_Plate"].to_pylist() == ["P1", "P1"]


def test_reading_our_own_table_again_changes_nothing(tmp_path: Path, read_plate: Reader) -> None:
    first = read_plate(write_cellprofiler_folder(tmp_path / "P1")).table
    pq.write_table(first, tmp_path / "P1.parquet")
    assert read_plate(tmp_path / "P1.parquet").table.equals(first)


def test_ids_and_keys_of_a_foreign_table_are_kept_beside_ours(tmp_path: Path, read_plate: Reader) -> None:
    columns = {
        **CELLS,
        "dataset_id": ["other"] * 4,
        "Metadata_ObjectID": ["obj-1", "obj-2", "obj-3", "obj-4"],
    }
    table = read_plate(write(tmp_path / "P1.parquet", columns)).table
    assert table["profile_dataset_id"].to_pylist() == ["other"] * 4
    assert table["dataset_id"].to_pylist() == ["screen"] * 4
    assert table["Metadata_SourceObjectID"].to_pylist() == columns["Metadata_ObjectID"]
    assert table["Metadata_ObjectID"].to_pylist()[0] == "screen/P1/1/1"


def test_objects_that_occur_twice_are_kept_told_apart_and_reported(
    tmp_path: Path, read_plate: Reader
) -> None:
    """Two runs that no well and site tell to be of one field, or of two."""
    doubled = {name: [*values, *values] for name, values in CELLS.items() if name != "Metadata_Well"}
    doubled["Cells_AreaShape_Area"] = list(range(8))
    plate = read_plate(write(tmp_path / "P1.parquet", doubled))
    assert plate.table.num_rows == 8
    assert len(set(plate.table["Metadata_ObjectID"].to_pylist())) == 8
    assert plate.finding("duplicate-objects").severity == "error"
    assert "duplicates" in plate.finding("duplicate-objects").message


def test_rows_without_numbers_are_named_by_their_row(tmp_path: Path, read_plate: Reader) -> None:
    columns = {**CELLS, "Metadata_ObjectNumber": pa.array([1, None, 1, None], pa.int64())}
    plate = read_plate(write(tmp_path / "P1.parquet", columns))
    assert plate.table["Metadata_ObjectID"].to_pylist() == [
        "screen/P1/1/1", "screen/P1/r1", "screen/P1/2/1", "screen/P1/r3",
    ]  # fmt: skip
    assert "2 row(s)" in plate.finding("rows-without-key").message


def test_several_plates_in_one_table_are_an_error_finding(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write(tmp_path / "P1.parquet", {**CELLS, "Metadata_Plate": ["P1", "P1", "P2", "P3"]}))
    assert plate.finding("several-plates").severity == "error"
    assert "P1, P2, P3" in plate.finding("several-plates").message


def test_well_profiles_are_one_row_per_well(tmp_path: Path, read_plate: Reader) -> None:
    columns = {"Metadata_Plate": ["P1"] * 2, "Metadata_Well": ["A01", "A02"], "Cells_A": [1.0, 2.0]}
    plate = read_plate(write(tmp_path / "P1.parquet", columns))
    assert plate.result.grain == "well"
    assert plate.table["Metadata_ObjectID"].to_pylist() == ["screen/P1/A01", "screen/P1/A02"]


def test_files_of_one_plate_with_other_columns_are_matched_by_name(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = tmp_path / "P1"
    folder.mkdir()
    write(folder / "a.parquet", {name: values[:2] for name, values in CELLS.items()})
    more = {name: values[2:] for name, values in reversed(CELLS.items())}
    write(folder / "b.parquet", {**more, "Cells_New": [7.0, 8.0]})
    plate = read_plate(folder)
    assert plate.table["Cells_AreaShape_Area"].to_pylist() == [10.0, 11.0, 12.0, 13.0]
    assert plate.table["Cells_New"].to_pylist() == [None, None, 7.0, 8.0]
    assert "different-columns" in plate.codes("warning")


def test_csv_files_of_one_plate_with_other_columns_are_matched_by_name(
    tmp_path: Path, read_plate: Reader
) -> None:
    (tmp_path / "P1").mkdir()
    (tmp_path / "P1" / "a.csv").write_text("Metadata_Well,Metadata_ObjectNumber,Cells_A,Cells_B\nA01,1,1,2\n")
    (tmp_path / "P1" / "b.csv").write_text("Cells_C,Cells_B,Metadata_ObjectNumber,Metadata_Well\n9,3,2,A02\n")
    table = read_plate(tmp_path / "P1").table
    columns = ("Metadata_Well", "Metadata_ObjectNumber", "Cells_A", "Cells_B", "Cells_C")
    rows = [tuple(row[name] for name in columns) for row in table.to_pylist()]
    assert rows == [("A01", 1, 1.0, 2.0, None), ("A02", 2, None, 3.0, 9.0)]


def test_names_that_differ_only_in_case_are_numbered(tmp_path: Path, read_plate: Reader) -> None:
    table = read_plate(write(tmp_path / "P1.parquet", {**CELLS, "cells_areashape_area": [1, 2, 3, 4]})).table
    assert table["cells_areashape_area_2"].to_pylist() == [1, 2, 3, 4]


def test_two_kinds_for_one_plate_are_refused(tmp_path: Path, read_plate: Reader) -> None:
    write(tmp_path / "P1.parquet", CELLS)
    write_cellprofiler_folder(tmp_path / "P1")
    with pytest.raises(MeasurementError, match="several kinds"):
        read_plate(tmp_path / "P1.parquet", tmp_path / "P1")


def test_a_file_that_is_not_there_or_no_parquet_is_named(tmp_path: Path, read_plate: Reader) -> None:
    with pytest.raises(MeasurementError, match=r"nothing\.parquet"):
        read_plate(tmp_path / "nothing.parquet")
    (tmp_path / "half.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(MeasurementError, match=r"half\.parquet"):
        read_plate(tmp_path / "half.parquet")
    with pytest.raises(MeasurementError, match="no measurement files"):
        read_plate()


def test_a_big_table_comes_in_bounded_batches(tmp_path: Path, read_plate: Reader) -> None:
    rows = 120_000
    columns = {f"Cells_F{i}": np.arange(rows, dtype=np.float64) for i in range(3)}
    columns["Metadata_ImageNumber"] = np.repeat(np.arange(rows // 100), 100)
    columns["Metadata_ObjectNumber"] = np.tile(np.arange(100), rows // 100)
    plate = read_plate(write(tmp_path / "P1.parquet", columns))
    assert plate.table.num_rows == rows
    assert max(len(chunk) for chunk in plate.table["Cells_F0"].chunks) <= 50_000
