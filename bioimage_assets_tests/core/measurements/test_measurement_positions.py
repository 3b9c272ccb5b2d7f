"""Plate, well and site of measured images: columns first, then the dataset's pattern, file names and folders."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.measurements.positions import (
    parse_position,
    read_position,
    text_array,
    text_column,
)
from bioimage_assets.core.settings.dataset import DatasetSettings

KNOWN = [
    ("AS_09125_050116030001_D03f00d0.tif", None, ("AS_09125_050116030001", "D03", "0")),
    ("/images/P1_A01_s10_w1.tif", None, ("P1", "A01", "10")),
    ("r03c12f05p01-ch1sk1fk1fl1.tiff", None, (None, "C12", "5")),
    ("BR00121431-A01-7", None, ("BR00121431", "A01", "7")),
    ("C:\\data\\BR00121431-AF48-2", None, ("BR00121431", "AF48", "2")),
    ("lab-x7_well=B2_pos=M10.tif", r"(?P<plate>.+)_well=(?P<well>\w+)_pos=(?P<site>\w+)\.tif", ("lab-x7", "B02", "M10")),
    ("C6_01_1_1_DAPI_001_illumcorrect.tiff", None, (None, None, None)),
    ("", None, (None, None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pattern", "expected"), KNOWN)
def test_names_of_instruments_and_of_the_dataset_are_read(
    name: str, pattern: str | None, expected: tuple[str | None, ...]
) -> None:
    position = parse_position(name, pattern)
    assert (position["plate"], position["well"], position["site"]) == expected


@given(st.text(max_size=40))
def test_any_name_gives_three_texts_or_nothing(name: str) -> None:
    assert set(parse_position(name)) == {"plate", "well", "site"}


def test_whole_floats_are_text_without_decimals() -> None:
    assert text_array([1.0, 2, "007", None, float("nan"), 1.5]).to_pylist() == [
        "1",
        "2",
        "007",
        None,
        None,
        "1.5",
    ]


@pytest.mark.parametrize(
    "values",
    [
        [1, None, -3],
        ["007", None, ""],
        [1.0, None, 2.5],
        [True, None],
        pa.array(["a", None], pa.large_string()),
    ],
)
def test_a_column_becomes_the_text_of_its_values(values: object) -> None:
    array = values if isinstance(values, pa.Array) else pa.array(values)
    assert text_column(array).to_pylist() == text_array(array.to_pylist()).to_pylist()


@pytest.mark.parametrize(
    ("names", "pattern", "expected"),
    [
        (["t01.tif", "t02.tif", "t03.tif"], None, [None, None, None]),
        (["T01.tif", "T02.tif"], r"(?P<well>[A-Z]\d\d)\.tif", ["T01", "T02"]),
        (["C05_s1_w1.tif", "C06_s1_w1.tif"], None, ["C05", "C06"]),
    ],
)
def test_names_that_count_time_points_are_no_wells_unless_the_pattern_says_so(
    tmp_path: Path, names: list[str], pattern: str | None, expected: list[str | None]
) -> None:
    table = pa.table({"Image_FileName_DNA": names, "unit": [0] * len(names)})
    context = PlateContext("s/P1", "s", "P1", DatasetSettings(file_pattern=pattern), tmp_path, 1 << 30)
    assert read_position(table, [""], context)[1].to_pylist() == expected
