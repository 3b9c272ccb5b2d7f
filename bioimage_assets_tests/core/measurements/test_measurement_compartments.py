"""Compartments that the settings list are read from every kind of object tables, under their own names."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.feature_columns import select_feature_columns
from bioimage_assets_tests.builders.measurement_plates import PlateSpec, write_cellprofiler_folder, write_csv
from bioimage_assets_tests.core.measurements.conftest import Reader

LISTED = DatasetSettings(compartments=("Soma", "Nucleus"))


def write_somas(folder: Path) -> Path:
    """Two object tables under names of their own; soma ``n`` holds nucleus ``4 - n``."""
    somas = [[1, n, 10.0 * n, 4 - n] for n in (1, 2, 3)]
    write_csv(folder / "Soma.csv", ["ImageNumber", "ObjectNumber", "AreaShape_Area", "Parent_Nucleus"], somas)
    nuclei = [[1, n, float(n)] for n in (1, 2, 3)]
    write_csv(folder / "Nucleus.csv", ["ImageNumber", "ObjectNumber", "AreaShape_Area"], nuclei)
    write_csv(folder / "Image.csv", ["ImageNumber", "Metadata_Plate", "Metadata_Well"], [[1, "P1", "A01"]])
    return folder


def assert_somas(table: pa.Table) -> None:
    found = select_feature_columns(table.schema, LISTED)
    assert {"Soma_AreaShape_Area", "Nucleus_AreaShape_Area"} <= set(found.profiled)
    assert table["Soma_AreaShape_Area"].to_pylist() == [10.0, 20.0, 30.0]
    assert table["Nucleus_AreaShape_Area"].to_pylist() == [3.0, 2.0, 1.0]
    assert table.schema.field("Soma_AreaShape_Area").type == pa.float64()


def test_own_compartments_of_csv_folders_are_joined_by_their_parents(
    tmp_path: Path, read_plate: Reader
) -> None:
    plate = read_plate(write_somas(tmp_path / "P1"), settings=LISTED)
    assert_somas(plate.table)
    assert "no-parent-column" not in plate.codes()


@pytest.mark.parametrize("with_view", [False, True])
def test_own_compartments_of_a_database_are_joined_by_their_parents(
    tmp_path: Path, read_plate: Reader, with_view: bool
) -> None:
    folder = write_somas(tmp_path / "csv")
    with closing(sqlite3.connect(tmp_path / "P1.sqlite")) as database:
        for path in folder.glob("*.csv"):
            pd.read_csv(path).to_sql(f"Per_{path.stem}", database, index=False)
        if with_view:
            database.execute(
                "CREATE VIEW Per_Object AS SELECT ImageNumber, ObjectNumber, AreaShape_Area AS Soma_AreaShape_Area FROM Per_Soma"
            )
    assert_somas(read_plate(tmp_path / "P1.sqlite", settings=LISTED).table)


def test_own_compartments_that_cytotable_left_apart_are_joined(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_somas(tmp_path / "csv")
    (tmp_path / "P1").mkdir()
    for name in ("Soma", "Nucleus"):
        table = pd.read_csv(folder / f"{name}.csv")
        keys = {"ImageNumber": "Metadata_ImageNumber", "ObjectNumber": "Metadata_ObjectNumber"}
        keys["Parent_Nucleus"] = "Metadata_Soma_Parent_Nucleus"
        table.rename(columns=lambda n, name=name, keys=keys: keys.get(n, f"{name}_{n}")).to_parquet(
            tmp_path / "P1" / f"{name}.parquet"
        )
    plate = read_plate(tmp_path / "P1", settings=LISTED)
    assert plate.result.kind == "cytotable"
    assert_somas(plate.table)


def test_own_compartments_in_one_wide_table_keep_their_names(tmp_path: Path, read_plate: Reader) -> None:
    wide = pd.DataFrame(
        {
            "ImageNumber": [1, 1], "ObjectNumber": [1, 2], "Soma_AreaShape_Area": [1.5, 2.5], "Nucleus_AreaShape_Area": [3, 4],
            "Soma_Number_Object_Number": [1, 2], "Soma_Parent_Nucleus": [1, 2], "Nucleus_Number_Object_Number": [1, 2],
        }
    )  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "P1.sqlite")) as database:
        wide.to_sql("Per_Object", database, index=False)
    table = read_plate(tmp_path / "P1.sqlite", settings=LISTED).table
    found = select_feature_columns(table.schema, LISTED)
    assert found.profiled == ("Soma_AreaShape_Area", "Nucleus_AreaShape_Area")
    assert table["Nucleus_AreaShape_Area"].to_pylist() == [3.0, 4.0]


def test_a_table_that_names_its_cell_but_is_not_named_by_it_is_joined_through_that_name(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1", PlateSpec(cells={1: 3}))
    rows = [[1, n, float(n), n] for n in (1, 2, 3)]
    write_csv(folder / "Mito.csv", ["ImageNumber", "ObjectNumber", "AreaShape_Area", "Parent_Cells"], rows)
    hint = read_plate(folder).finding("compartment-not-joined").message
    assert 'compartments = ["Cytoplasm", "Cells", "Nuclei", "Mito"]' in hint
    settings = DatasetSettings(compartments=("Cytoplasm", "Cells", "Nuclei", "Mito"))
    plate = read_plate(folder, settings=settings)
    assert "no-parent-column" not in plate.codes()
    assert plate.table["Mito_AreaShape_Area"].to_pylist() == [1.0, 2.0, 3.0]


def test_tables_of_many_objects_per_cell_are_not_offered_as_compartments(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    rows = [[1, n, float(n)] for n in range(1, 21)]
    write_csv(folder / "Speckles.csv", ["ImageNumber", "ObjectNumber", "AreaShape_Area"], rows)
    assert "compartments =" not in read_plate(folder).finding("compartment-not-joined").message
