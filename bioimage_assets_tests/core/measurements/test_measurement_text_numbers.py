"""Numbers that a table stores as text, as decimals or in dictionaries are numbers afterwards, or are named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import write_csv
from bioimage_assets_tests.core.measurements.conftest import Reader

KEYS = {"Metadata_Well": ["A01", "A01", "A02", "A02"], "Metadata_ObjectNumber": [1, 2, 1, 2]}
AREA = "Cells_AreaShape_Area"


def write(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table({**KEYS, **columns}), path)
    return path


@pytest.mark.parametrize(
    "texts",
    [
        ["1", " 2.5 ", "-3e2", "0"],
        ["1", "NA", "", "nan"],
        ["1.5", "inf", "-inf", "N/A"],
        pa.array(["1", "2", None, "3"], pa.large_string()),
        pa.array(["1", "2", None, "3"]).dictionary_encode(),
        pa.array([b"1", b"2.5", None, b"3"], pa.binary()),
    ],
)
def test_text_that_is_numbers_becomes_what_pandas_makes_of_it(
    tmp_path: Path, read_plate: Reader, texts: object
) -> None:
    plate = read_plate(write(tmp_path / "P1.parquet", **{AREA: texts}))
    values = pa.array(texts).to_pylist() if isinstance(texts, list) else texts.to_pylist()
    plain = pd.Series([v.decode() if isinstance(v, bytes) else v for v in values])
    expected = plain.replace({"NA": None, "N/A": None, "": None}).astype(float)
    assert plate.table.schema.field(AREA).type == pa.float64()
    pd.testing.assert_series_equal(plate.table[AREA].to_pandas(), expected, check_names=False)
    assert plate.finding("text-numbers").location == AREA
    assert "text-features" not in plate.codes()


def test_decimal_commas_are_numbers_too(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write(tmp_path / "P1.parquet", **{AREA: ["1,5", "2", "-0,25", None]}))
    assert plate.table[AREA].to_pylist() == [1.5, 2.0, -0.25, None]


@pytest.mark.parametrize("order", [1, -1])
def test_a_column_with_decimal_points_and_commas_is_kept_and_named(
    tmp_path: Path, read_plate: Reader, order: int
) -> None:
    texts = [*["1.5"] * 10_000, *["2,5"] * 10_000][::order]
    pq.write_table(pa.table({"Metadata_ObjectNumber": range(20_000), AREA: texts}), tmp_path / "P1.parquet")
    plate = read_plate(tmp_path / "P1.parquet")
    assert plate.table[AREA].to_pylist() == texts
    assert repr(texts[-1]) in plate.finding("text-features").message


def test_words_are_kept_and_named_with_an_example(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write(tmp_path / "P1.parquet", **{AREA: ["1", "2", "bad focus", "4"]}))
    assert plate.table[AREA].to_pylist() == ["1", "2", "bad focus", "4"]
    finding = plate.finding("text-features")
    assert (finding.severity, finding.location) == ("warning", AREA)
    assert "'bad focus'" in finding.message


def test_a_word_behind_many_rows_is_found_before_the_first_row_is_given(
    tmp_path: Path, read_plate: Reader
) -> None:
    rows = 150_000
    table = pa.table({"Metadata_ObjectNumber": range(rows), AREA: [*["1.5"] * (rows - 1), "word"]})
    pq.write_table(table, tmp_path / "P1.parquet")
    plate = read_plate(tmp_path / "P1.parquet")
    assert plate.table[AREA].to_pylist()[-2:] == ["1.5", "word"]
    assert "'word'" in plate.finding("text-features").message


def test_a_feature_without_a_value_is_a_number_as_on_the_other_plates(
    tmp_path: Path, read_plate: Reader
) -> None:
    columns = {AREA: ["NA", "", None, "NA"], **{f"emb_{i}": pa.nulls(4) for i in range(3)}}
    plate = read_plate(write(tmp_path / "P1.parquet", **columns))
    assert {plate.table.schema.field(name).type for name in columns} == {pa.float64()}
    assert plate.table[AREA].null_count == 4
    assert "text-numbers" not in plate.codes()


def test_decimals_booleans_half_floats_and_dictionaries_are_numbers(
    tmp_path: Path, read_plate: Reader
) -> None:
    columns = {
        "Cells_Decimal": pa.array([Decimal("1.25"), None, Decimal("3.50"), Decimal("0.00")], pa.decimal128(12, 2)),
        "Cells_Flag": [True, False, None, True],
        "Cells_Coded": pa.array([1, 2, 1, 2], pa.int16()).dictionary_encode(),
        "half": pa.array([0.5, 1.5, 2.5, 3.5], pa.float32()).cast(pa.float16()),
        "price": pa.array([Decimal("1.25"), None, Decimal("3.50"), Decimal("0.00")], pa.decimal128(12, 2)),
    }  # fmt: skip
    table = read_plate(write(tmp_path / "P1.parquet", **columns)).table
    assert table["Cells_Decimal"].to_pylist() == table["price"].to_pylist() == [1.25, None, 3.5, 0.0]
    assert table["Cells_Flag"].to_pylist() == [1.0, 0.0, None, 1.0]
    assert table["Cells_Coded"].to_pylist() == [1.0, 2.0, 1.0, 2.0]
    assert table.schema.field("half").type == pa.float32()


def test_object_numbers_of_a_database_are_whole_numbers(tmp_path: Path, read_plate: Reader) -> None:
    numbers = pa.array([Decimal(n) for n in (1, 2, 1, 2)], pa.decimal128(10, 0))
    table = read_plate(
        write(tmp_path / "P1.parquet", Metadata_ObjectNumber=numbers, feature_0=[1.0] * 4)
    ).table
    assert table["Metadata_ObjectNumber"].to_pylist() == [1, 2, 1, 2]
    assert table.schema.field("Metadata_ObjectNumber").type == pa.int64()


def test_listed_compartments_and_embeddings_are_converted_like_the_usual_ones(
    tmp_path: Path, read_plate: Reader
) -> None:
    columns = {AREA: [1.0] * 4, "Mito_Own": ["1", "2", "3", "4"], **{f"cnn_{i}": ["1"] * 4 for i in range(3)}}
    path = write(tmp_path / "P1.parquet", **columns, barcode=["001"] * 4)
    table = read_plate(path, settings=DatasetSettings(compartments=("Cells", "Mito"))).table
    assert {str(table.schema.field(name).type) for name in columns} == {"double"}
    assert table["barcode"].to_pylist() == ["001"] * 4
    assert read_plate(path).table["Mito_Own"].to_pylist() == ["1", "2", "3", "4"]


def test_numbers_as_text_that_no_rule_makes_features_are_named_until_they_are_included(
    tmp_path: Path, read_plate: Reader
) -> None:
    path = write(
        tmp_path / "P1.parquet", area=["1", "2", "3", "4"], gene=["TP53", "1", "2", "3"], depth=[1.0] * 4
    )
    plate = read_plate(path)
    assert plate.table["area"].to_pylist() == ["1", "2", "3", "4"]
    assert "area" in plate.finding("text-numbers").message
    assert "gene" not in plate.finding("text-numbers").message
    included = read_plate(path, settings=DatasetSettings(feature_include=("area",)))
    assert included.table["area"].to_pylist() == [1.0, 2.0, 3.0, 4.0]


def test_files_of_one_plate_agree_on_what_is_a_number(tmp_path: Path, read_plate: Reader) -> None:
    (tmp_path / "P1").mkdir()
    write(tmp_path / "P1" / "a.parquet", **{AREA: ["1"] * 4})
    write(tmp_path / "P1" / "b.parquet", **{AREA: ["2", "x", "3", "4"]})
    plate = read_plate(tmp_path / "P1")
    assert plate.table[AREA].to_pylist() == [*["1"] * 4, "2", "x", "3", "4"]


def test_text_in_a_database_is_numbers_or_is_named(tmp_path: Path, read_plate: Reader) -> None:
    with closing(sqlite3.connect(tmp_path / "P1.sqlite")) as database:
        database.execute(
            "CREATE TABLE Per_Cells (ImageNumber, ObjectNumber, Cells_AreaShape_Area TEXT, Cells_Intensity_Mean TEXT, Cells_Class TEXT)"
        )
        rows = [(1, 1, "1.5", "NA", "round"), (1, 2, "2", "3", "long"), (1, 3, None, "null", "round")]
        database.executemany("INSERT INTO Per_Cells VALUES (?, ?, ?, ?, ?)", rows)
        database.commit()
    plate = read_plate(tmp_path / "P1.sqlite")
    assert plate.table[AREA].to_pylist() == [1.5, 2.0, None]
    assert plate.table["Cells_Intensity_Mean"].to_pylist() == [None, 3.0, None]
    assert "not-a-number" not in plate.codes()
    assert plate.table["Cells_Class"].to_pylist() == ["round", "long", "round"]
    assert "'round'" in plate.finding("text-features").message


def test_text_in_unjoined_compartments_is_numbers_or_is_named(tmp_path: Path, read_plate: Reader) -> None:
    (tmp_path / "P1").mkdir()
    columns = {
        "Metadata_ImageNumber": [1, 1], "Metadata_ObjectNumber": [1, 2], AREA: ["1.5", "NA"], "Cells_Class": ["x", "y"],
        "Cells_Decimal": pa.array([Decimal("1.5"), None], pa.decimal128(5, 1)), "Cells_Comma": ["1,5", "2"],
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "P1" / "Cells.parquet")
    plate = read_plate(tmp_path / "P1")
    assert plate.result.kind == "cytotable"
    assert plate.table[AREA].to_pylist() == plate.table["Cells_Decimal"].to_pylist() == [1.5, None]
    assert plate.table["Cells_Comma"].to_pylist() == [1.5, 2.0]
    assert plate.table["Cells_Class"].to_pylist() == ["x", "y"]
    assert "Cells_Class" in plate.finding("text-features").message


def test_numbers_that_nobody_will_profile_are_named_with_the_key_that_takes_them(
    tmp_path: Path, read_plate: Reader
) -> None:
    path = write(tmp_path / "P1.parquet", **{AREA: [1.0] * 4}, qc_score=[1.0] * 4)
    finding = read_plate(path).finding("numbers-not-features")
    assert (finding.severity, finding.location) == ("info", "qc_score")
    assert "[features] include" in finding.message
    named = read_plate(path, settings=DatasetSettings(feature_exclude=("qc_*",)))
    assert "numbers-not-features" not in named.codes()


def test_a_pattern_that_fits_no_column_is_named(tmp_path: Path, read_plate: Reader) -> None:
    settings = DatasetSettings(feature_include=("efficentnet_*",))
    plate = read_plate(write(tmp_path / "P1.parquet", **{AREA: [1.0] * 4}), settings=settings)
    assert "include = efficentnet_*" in plate.finding("feature-setting-unused").message


def test_words_of_a_compartment_of_ones_own_are_named_in_csv_folders_too(
    tmp_path: Path, read_plate: Reader
) -> None:
    write_csv(
        tmp_path / "P1" / "Soma.csv",
        ["ImageNumber", "ObjectNumber", "Texture_Kind", "AreaShape_Area"],
        [[1, 1, "rough", 2.0]],
    )
    write_csv(tmp_path / "P1" / "Image.csv", ["ImageNumber", "Metadata_Well"], [[1, "A01"]])
    plate = read_plate(tmp_path / "P1", settings=DatasetSettings(compartments=("Soma",)))
    assert "Texture_Kind" in plate.finding("text-features").message


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64(), 2)])
def test_an_embedding_in_one_column_of_lists_is_named(
    tmp_path: Path, read_plate: Reader, kind: pa.DataType
) -> None:
    lists = pa.array([[1.0, 2.0]] * 4, kind)
    plate = read_plate(write(tmp_path / "P1.parquet", dino=lists, thumbnail=[[1, 2]] * 4))
    assert plate.table["dino"].to_pylist() == lists.to_pylist()
    assert "dino_0, dino_1" in plate.finding("lists-not-features").message
    assert "thumbnail" not in plate.finding("lists-not-features").message
