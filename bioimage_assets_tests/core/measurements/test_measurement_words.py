"""Metadata of measurements are text in every source: words stay, declared ones are missing; numbers keep their rules."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from bioimage_assets.core.measurements import csv_staging
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    image_rows,
    write_cellprofiler_folder,
    write_csv,
    write_npz,
    write_sqlite,
)
from bioimage_assets_tests.core.measurements.conftest import Reader

WORDS = ("Null", "NA", "None", "NaN", "null", "TRUE", "1e3", "007", "2024-01-31", "")
NUMBERS = ("1.5", "NaN", "nan", "NA", "None", "", "1e3", "007", "2", "3")


def write_flat(path: Path, *, is_broken: bool = False, numbers: tuple[str, ...] = NUMBERS) -> Path:
    """A flat table with a word and a number per cell; a broken one has a row of another width at its end."""
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(
            [
                "Metadata_Well",
                "ObjectNumber",
                "Metadata_genotype",
                "Image_Metadata_gene",
                "Cells_AreaShape_Area",
            ]
        )
        for number, (word, value) in enumerate(zip(WORDS, numbers, strict=True), start=1):
            writer.writerow(["A01", number, word, word, value])
        if is_broken:
            writer.writerow(["A01"])
    return path


def as_pandas(path: Path, name: str) -> list[str | None]:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, on_bad_lines="skip")
    return [value or None for value in frame[name].tolist()[: len(WORDS)]]


@pytest.mark.parametrize("route", ["arrow", "sql", "wide", "row by row"])
def test_words_of_a_csv_are_those_that_pandas_reads_as_text(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    if route in ("sql", "wide"):
        monkeypatch.setattr(csv_staging, "SMALL_FILE_BYTES", 0)
    if route == "wide":
        monkeypatch.setattr(csv_staging, "WIDE_COLUMNS", 0)
    numbers = ("1.5", "", "nan", "", "1e3", "007", "2", "3", "4", "5")
    path = write_flat(tmp_path / "cells.csv", is_broken=route == "row by row", numbers=numbers)
    table = read_plate(path).table
    for name in ("Metadata_genotype", "Image_Metadata_gene"):
        assert table[name].to_pylist() == as_pandas(path, name)
    values = table["Cells_AreaShape_Area"].to_pandas()
    assert values.tolist()[4:] == [1000.0, 7.0, 2.0, 3.0, 4.0, 5.0]
    assert values.isna().tolist()[:4] == [False, True, True, True]


def test_numbers_of_a_csv_keep_their_words_for_missing(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write_flat(tmp_path / "cells.csv"))
    values = plate.table["Cells_AreaShape_Area"].to_pandas()
    assert values.isna().tolist() == [value.lower() in ("nan", "na", "none", "") for value in NUMBERS]
    assert plate.table["Metadata_genotype"].to_pylist() == [word or None for word in WORDS]
    assert "not-a-number" not in plate.codes()


def test_declared_words_are_missing_in_metadata_and_keys_stay(tmp_path: Path, read_plate: Reader) -> None:
    settings = DatasetSettings(missing_words=("NA", "P1"))
    plate = read_plate(write_flat(tmp_path / "cells.csv"), settings=settings)
    expected = [None if word in ("NA", "") else word for word in WORDS]
    assert plate.table["Metadata_genotype"].to_pylist() == expected
    assert plate.table["Image_Metadata_gene"].to_pylist() == expected
    assert set(plate.table["Metadata_Plate"].to_pylist()) == {"P1"}


def _with_genotypes(folder: Path, spec: PlateSpec) -> list[str]:
    header, rows = image_rows(spec)
    words = list(WORDS[: len(rows)])
    write_csv(
        folder / "Image.csv",
        [*header, "Metadata_genotype"],
        [[*r, w] for r, w in zip(rows, words, strict=True)],
    )
    return words


@pytest.mark.parametrize("missing", [(), ("NA",)])
def test_words_of_the_image_table_reach_every_cell(
    tmp_path: Path, read_plate: Reader, missing: tuple[str, ...]
) -> None:
    spec = PlateSpec(cells={1: 2, 2: 2, 3: 1}, wells=("A01", "A02", "A03"))
    folder = write_cellprofiler_folder(tmp_path / "P1", spec)
    words = _with_genotypes(folder, spec)
    plate = read_plate(folder, settings=DatasetSettings(missing_words=missing))
    wanted = [None if word in missing else word for word in words]
    by_image = dict(zip(spec.cells, wanted, strict=True))
    rows = plate.table.select(["Metadata_ImageNumber", "Image_Metadata_genotype"]).to_pylist()
    assert [row["Image_Metadata_genotype"] for row in rows] == [
        by_image[row["Metadata_ImageNumber"]] for row in rows
    ]
    assert plate.result.image_table is not None
    assert plate.result.image_table["Image_Metadata_genotype"].to_pylist() == wanted


def test_words_of_sqlite_are_text_and_empty_ones_missing(tmp_path: Path, read_plate: Reader) -> None:
    spec = PlateSpec(cells={1: 3, 2: 2})
    path = write_sqlite(tmp_path / "P1.sqlite", {None: spec})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE Image ADD COLUMN Image_Metadata_genotype TEXT")
        database.execute(
            "UPDATE Image SET Image_Metadata_genotype = CASE ImageNumber WHEN 1 THEN 'Null' ELSE '' END"
        )
        database.execute("ALTER TABLE Cytoplasm ADD COLUMN Metadata_gene TEXT")
        database.execute("UPDATE Cytoplasm SET Metadata_gene = CASE ImageNumber WHEN 1 THEN 'NA' ELSE '' END")
        database.execute("UPDATE Nuclei SET Nuclei_AreaShape_Area = 'NA' WHERE ImageNumber = 2")
    plate = read_plate(path)
    frame = plate.table.to_pandas().sort_values(["Metadata_ImageNumber", "Metadata_ObjectNumber"])
    assert (
        frame["Image_Metadata_genotype"].where(frame["Image_Metadata_genotype"].notna(), None).tolist()
        == ["Null"] * 3 + [None] * 2
    )
    assert (
        frame["Metadata_gene"].where(frame["Metadata_gene"].notna(), None).tolist() == ["NA"] * 3 + [None] * 2
    )
    assert frame["Nuclei_AreaShape_Area"].isna().tolist() == [False] * 3 + [True] * 2
    assert "not-a-number" not in plate.codes()


def test_a_feature_of_sqlite_that_begins_with_missing_words_stays_a_number(
    tmp_path: Path, read_plate: Reader
) -> None:
    path = write_sqlite(tmp_path / "P1.sqlite", {None: PlateSpec(cells={1: 400, 2: 2})})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE Cells SET Cells_AreaShape_Area = 'None' WHERE ImageNumber = 1")
    table = read_plate(path).table
    assert str(table.schema.field("Cells_AreaShape_Area").type) == "double"
    assert table["Cells_AreaShape_Area"].null_count == 400


def test_words_of_deepprofiler_metadata_stay_and_its_empty_cells_are_missing(
    tmp_path: Path, read_plate: Reader
) -> None:
    common = {"Metadata_Plate": "P1", "Metadata_Site": "1"}
    for well, gene in (("A01", "Null"), ("A02", "NA"), ("A03", float("nan")), ("A04", None)):
        write_npz(
            tmp_path / f"{well}_1.npz", cells=1, metadata={**common, "Metadata_Well": well, "gene": gene}
        )
    table = read_plate(*sorted(tmp_path.glob("*.npz"))).table
    assert table["Metadata_gene"].to_pylist() == ["Null", "NA", None, None]
