"""The documented table of what words become is true, word by word, for platemaps and measurements."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.profiling.platemap import read_platemap
from bioimage_assets.core.settings.dataset import DatasetSettings

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "dataset-toml.md"
SETTINGS = DatasetSettings(missing_words=("declared",))
_CODE = re.compile(r"`([^`]+)`")


def read_table() -> list[tuple[str, str, str, str]]:
    """(word, as text, as quantity, as measurement) of every word in the documented table."""
    section = DOCUMENT.read_text(encoding="utf-8").split("### What words become")[1].split("\n##")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    found = []
    for cells in rows[2:]:
        written, text, quantity, measured = (cell.strip() for cell in cells)
        words = _CODE.findall(written)
        if written.startswith("empty"):
            words = [""]
        if "`missing`" in written and len(words) == 1:
            words, measured = ["declared"], "counted as no number"
        found += [(word, text, quantity, measured) for word in words]
    return found


ROWS = read_table()


def test_the_table_names_every_word_that_surprises() -> None:
    words = {word for word, *_ in ROWS}
    assert {"NA", "None", "null", "NaN", "TRUE", "1e3", "007", "2024-01-31", "Null", "declared", ""} <= words


@pytest.mark.parametrize(("word", "text", "quantity"), [row[:3] for row in ROWS])
def test_a_word_of_a_platemap_becomes_what_the_table_says(
    tmp_path: Path, word: str, text: str, quantity: str
) -> None:
    path = tmp_path / "platemaps" / "map.txt"
    path.parent.mkdir()
    path.write_text(f"well\tgene\tdose_um\nA01\t{word}\t{word}\nA02\tx\t5\n")
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    row = platemap.table.to_pylist()[0]
    as_pandas = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False).loc[0, "gene"]
    assert row["Metadata_gene"] == (None if text == "missing" else as_pandas)
    beside = row.get("Metadata_dose_um_as_written")
    if quantity in ("missing", "a word among numbers"):
        assert row["Metadata_dose_um"] is None
        assert beside == (None if quantity == "missing" else word)
    else:
        assert row["Metadata_dose_um"] == float(quantity.split(",")[0])
        assert beside is None


@pytest.mark.parametrize(("word", "text", "measured"), [(row[0], row[1], row[3]) for row in ROWS])
def test_a_word_of_measurements_becomes_what_the_table_says(
    tmp_path: Path, word: str, text: str, measured: str
) -> None:
    has_comma = "," in word
    path = tmp_path / "cells.csv"
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter=";" if has_comma else ",")
        writer.writerow(["Metadata_Well", "ObjectNumber", "Metadata_gene", "Cells_AreaShape_Area"])
        writer.writerow(["A01", 1, word, word])
        writer.writerow(["A01", 2, "x", "2,5" if has_comma else "2.5"])
    result = read_measurements(
        [str(path)], plate_key="s/P1", dataset_id="s", plate_name="P1", settings=SETTINGS
    )
    row = result.reader.read_all().to_pylist()[0]
    assert row["Metadata_gene"] == (None if text == "missing" else word)
    value = row["Cells_AreaShape_Area"]
    codes = {finding.code for finding in result.findings}
    assert ("not-a-number" in codes) == (measured == "counted as no number")
    match measured.split(";")[0].split(" ")[0]:
        case "missing" | "counted":
            assert value is None
        case "NaN":
            assert value is not None
            assert math.isnan(value)
        case "infinite":
            assert value == math.inf
        case "as":
            assert value == 1.0
        case number:
            assert value == float(number)
