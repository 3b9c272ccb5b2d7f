"""SQLite files that the real cytominer-database makes of ExampleHuman: every value is that of the CSVs."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from bioimage_assets_tests.core.measurements.conftest import Reader

PROGRAM = os.environ.get("CYTOMINER_DATABASE", "")
TABLES = ("Cells", "Cytoplasm", "Nuclei", "Image")

needs_cytominer_database = pytest.mark.skipif(
    not Path(PROGRAM).is_file(),
    reason="CYTOMINER_DATABASE does not name a cytominer-database (it needs Python 3.8)",
)


def ingest(example_human: Path, folder: Path) -> Path:
    """Two sites that differ by one file name, ingested by the real program."""
    for site in ("site1", "site2"):
        (folder / "csv" / site).mkdir(parents=True)
        for name in TABLES:
            shutil.copy(example_human / f"{name}.csv", folder / "csv" / site)
    image = folder / "csv" / "site2" / "Image.csv"
    image.write_text(image.read_text().replace("D03f00", "D04f00"))
    target = folder / "P1.sqlite"
    command = [PROGRAM, "ingest", str(folder / "csv"), f"sqlite:///{target}", "--no-munge"]
    subprocess.run(command, check=True, capture_output=True)
    return target


@needs_cytominer_database
@pytest.mark.slow
def test_two_sites_of_a_real_cytominer_database_keep_every_value(
    tmp_path: Path, example_human: Path, read_plate: Reader
) -> None:
    target = ingest(example_human, tmp_path)
    plate = read_plate(target)
    csv = read_plate(example_human).table.sort_by("Metadata_ObjectNumber")
    assert plate.table.num_rows == 578
    assert len(set(plate.table["Metadata_TableNumber"].to_pylist())) == 2
    assert set(plate.table["Metadata_Well"].to_pylist()) == {"D03", "D04"}
    assert plate.codes("error") == set()
    with closing(sqlite3.connect(target)) as database:
        database.row_factory = sqlite3.Row
        stored = {
            (name, str(row["TableNumber"]), row["ObjectNumber"]): dict(row)
            for name in TABLES[:3]
            for row in database.execute(f"SELECT * FROM {name}")
        }
    compared = 0
    for row in plate.table.to_pylist():
        unit, number = row["Metadata_TableNumber"], row["Metadata_ObjectNumber"]
        cytoplasm = stored["Cytoplasm", unit, number]
        of = {"Cytoplasm": number, "Cells": cytoplasm["Cytoplasm_Parent_Cells"],
              "Nuclei": cytoplasm["Cytoplasm_Parent_Nuclei"]}  # fmt: skip
        for name, parent in of.items():
            for column, value in stored[name, unit, parent].items():
                if column in row:
                    assert row[column] == value, column
                    compared += 1
    assert compared == 2 * 87_567
    for unit in set(plate.table["Metadata_TableNumber"].to_pylist()):
        mine = [row for row in plate.table.to_pylist() if row["Metadata_TableNumber"] == unit]
        mine.sort(key=lambda row: row["Metadata_ObjectNumber"])
        for row, other in zip(mine, csv.to_pylist(), strict=True):
            for column in (name for name in csv.schema.names if name.startswith(TABLES[:3])):
                # The program's own CSV parser rounds in the last digits.
                a, b = row[column], other[column]
                assert a == b or math.isclose(a, b, rel_tol=1e-11) or (math.isnan(a) and math.isnan(b)), (
                    column
                )
