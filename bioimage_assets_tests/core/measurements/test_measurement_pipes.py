"""A pipe in place of a table is refused by its name: whoever opens one waits for a writer that never comes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets_tests.core.measurements.conftest import Reader
from bioimage_assets_tests.fuzz.seeds import build_seed

PLACES = {
    "cellprofiler-csv": ("P1", "P1/Cells.csv"),
    "cellprofiler-sqlite": ("P1.sqlite", "P1.sqlite"),
    "cytotable": ("", "P1.parquet"),
    "cytotable-warehouse": ("", "warehouse/profiles/joined_profiles/data/00000-0.parquet"),
    "csv-table": ("P1.csv", "P1.csv"),
    "deepprofiler": ("P1", "P1/A01_1.npz"),
    "in-carta": ("", "P1.csv"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"]
)
@pytest.mark.parametrize("kind", PLACES)
def test_a_table_that_is_no_file_is_refused_by_its_name(
    kind: str, make: Callable[[Path], None], read_plate: Reader, tmp_path: Path
) -> None:
    folder = build_seed(kind, tmp_path / "examples")
    source, name = PLACES[kind]
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(MeasurementError, match="expected a file, found") as caught:
        read_plate(folder / source)
    assert str(folder / name) in str(caught.value)
    shutil.rmtree(folder)
