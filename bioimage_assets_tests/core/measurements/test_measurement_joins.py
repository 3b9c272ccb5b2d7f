"""Which parent columns join the tables of one cell, in whatever direction they point; pandas' merge is the witness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import PlateSpec, write_cellprofiler_folder
from bioimage_assets_tests.core.measurements.conftest import Reader

KEYS = ["ImageNumber", "ObjectNumber"]
CELLS_AND_MITO = DatasetSettings(compartments=("Cells", "Mito"))


def objects(count: int = 5, images: int = 2, **columns: object) -> pd.DataFrame:
    """Objects 1 … count of each image, with further columns per object."""
    parts = [
        pd.DataFrame({"ImageNumber": image, "ObjectNumber": range(1, count + 1), **columns})
        for image in range(1, images + 1)
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(
        AreaShape_Area=table["ImageNumber"] * 100.0 + table["ObjectNumber"] + len(columns) / 10
    )


def write(folder: Path, **tables: pd.DataFrame) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    images = sorted(set(next(iter(tables.values()))["ImageNumber"]))
    places = {"ImageNumber": images, "Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": images}
    pd.DataFrame(places).to_csv(folder / "Image.csv", index=False)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def by_parent(
    cells: pd.DataFrame, other: pd.DataFrame, name: str, parent: str = "Parent_Cells"
) -> list[float | None]:
    """Areas of the objects that name each of the cells as their parent, as pandas merges them."""
    right = other.rename(columns={"AreaShape_Area": name}).drop(columns="ObjectNumber")
    merged = cells.merge(right, how="left", left_on=KEYS, right_on=["ImageNumber", parent], validate="1:1")
    return [None if np.isnan(value) else value for value in merged.sort_values(KEYS)[name]]


def test_a_member_that_names_its_cell_is_joined_by_that_name(tmp_path: Path, read_plate: Reader) -> None:
    cells, mito = objects(), objects(Parent_Cells=[5, 4, 3, 2, 1])
    plate = read_plate(write(tmp_path / "P1", Cells=cells, Mito=mito), settings=CELLS_AND_MITO)
    assert plate.table["Mito_AreaShape_Area"].to_pylist() == by_parent(cells, mito, "mito")
    assert plate.codes() == set()


def test_cells_without_such_an_object_keep_their_row_and_are_counted(
    tmp_path: Path, read_plate: Reader
) -> None:
    cells, mito = objects(), objects(4, Parent_Cells=[5, 0, 9, 1])
    plate = read_plate(write(tmp_path / "P1", Cells=cells, Mito=mito), settings=CELLS_AND_MITO)
    assert plate.table.num_rows == 10
    assert plate.table["Mito_AreaShape_Area"].to_pylist() == by_parent(cells, mito, "mito")
    assert plate.finding("missing-parent").severity == "warning"
    assert plate.finding("missing-parent").message.startswith("6 of 10 Cells have no Mito")
    assert plate.finding("unjoined-objects").message.startswith("4 of 8 Mito belong to no Cells")


def test_several_objects_per_cell_are_not_joined_and_the_message_says_what_to_do(
    tmp_path: Path, read_plate: Reader
) -> None:
    cells, mito = objects(), objects(6, Parent_Cells=[1, 1, 1, 2, 2, 3])
    plate = read_plate(write(tmp_path / "P1", Cells=cells, Mito=mito), settings=CELLS_AND_MITO)
    assert plate.table.num_rows == 10
    assert not any(name.startswith("Mito_") for name in plate.table.schema.names)
    found = plate.finding("several-objects-per-cell")
    assert found.severity == "error"
    assert found.message.startswith(
        "4 of the Cells have more than one of the Mito (up to 3, by Parent_Cells)"
    )
    assert "RelateObjects" in found.message
    assert "[measurements] compartments" in found.message
    assert "no-parent-column" not in plate.codes()


def test_a_member_may_name_a_table_that_is_reached_by_parents(tmp_path: Path, read_plate: Reader) -> None:
    """Cells lead to their nuclei, the nucleoli name the nuclei: two steps, in two directions."""
    cells, nuclei = objects(Parent_Nuclei=[2, 3, 4, 5, 1]), objects(Parent_X=1)
    nucleoli = objects(Parent_Nuclei=[3, 1, 2, 5, 4])
    folder = write(tmp_path / "P1", Cells=cells, Nuclei=nuclei, Nucleoli=nucleoli)
    plate = read_plate(folder, settings=DatasetSettings(compartments=("Cells", "Nuclei", "Nucleoli")))
    named = nucleoli[["ImageNumber", "Parent_Nuclei", "AreaShape_Area"]]
    expected = cells.merge(named, on=["ImageNumber", "Parent_Nuclei"], suffixes=("", "_of")).sort_values(KEYS)
    assert plate.table["Nucleoli_AreaShape_Area"].to_pylist() == expected["AreaShape_Area_of"].tolist()
    assert plate.codes("error") == plate.codes("warning") == set()


def test_what_a_member_leads_to_is_joined_after_it(tmp_path: Path, read_plate: Reader) -> None:
    cells, mito = objects(), objects(Parent_Cells=[5, 4, 3, 2, 1], Parent_Golgi=[3, 1, 2, 5, 4])
    golgi = objects(Parent_Y=0)
    folder = write(tmp_path / "P1", Cells=cells, Mito=mito, Golgi=golgi)
    plate = read_plate(folder, settings=DatasetSettings(compartments=("Cells", "Golgi", "Mito")))
    step = cells.merge(mito, left_on=KEYS, right_on=["ImageNumber", "Parent_Cells"], suffixes=("", "_mito"))
    step = step.merge(golgi, left_on=["ImageNumber", "Parent_Golgi"], right_on=KEYS, suffixes=("", "_golgi"))
    step = step.sort_values(KEYS)
    assert plate.table["Mito_AreaShape_Area"].to_pylist() == step["AreaShape_Area_mito"].tolist()
    assert plate.table["Golgi_AreaShape_Area"].to_pylist() == step["AreaShape_Area_golgi"].tolist()
    assert "no-parent-column" not in plate.codes()


def test_filtered_objects_in_between_lead_on_without_columns_of_their_own(
    tmp_path: Path, read_plate: Reader
) -> None:
    cells = objects(Parent_FilteredNuclei=[4, 3, 2, 1, 5])
    filtered, nuclei = objects(Parent_Nuclei=[7, 6, 5, 4, 3]), objects(7)
    folder = write(tmp_path / "P1", Cells=cells, FilteredNuclei=filtered, Nuclei=nuclei)
    plate = read_plate(folder)
    step = cells.merge(
        filtered, left_on=["ImageNumber", "Parent_FilteredNuclei"], right_on=KEYS, suffixes=("", "_f")
    )
    step = step.merge(nuclei, left_on=["ImageNumber", "Parent_Nuclei"], right_on=KEYS, suffixes=("", "_n"))
    assert (
        plate.table["Nuclei_AreaShape_Area"].to_pylist()
        == step.sort_values(KEYS)["AreaShape_Area_n"].tolist()
    )
    assert not any(name.startswith("FilteredNuclei_") for name in plate.table.schema.names)
    assert "no-parent-column" not in plate.codes()
    assert plate.codes("error") == set()


def test_a_table_that_nothing_relates_is_joined_by_number_and_that_is_said(
    tmp_path: Path, read_plate: Reader
) -> None:
    cells, mito = objects(), objects(Parent_Z=1)
    plate = read_plate(write(tmp_path / "P1", Cells=cells, Mito=mito), settings=CELLS_AND_MITO)
    expected = cells.merge(mito, on=KEYS, suffixes=("", "_mito"))["AreaShape_Area_mito"]
    assert plate.table["Mito_AreaShape_Area"].to_pylist() == expected.tolist()
    found = plate.finding("no-parent-column")
    assert (found.severity, found.message) == (
        "warning", "No parent column leads to Mito; joined by equal object numbers.",
    )  # fmt: skip


def test_cells_that_count_a_table_without_parents_make_the_join_by_number_an_error(
    tmp_path: Path, read_plate: Reader
) -> None:
    cells, mito = objects(Children_Mito_Count=[2, 0, 1, 1, 1]), objects()
    plate = read_plate(write(tmp_path / "P1", Cells=cells, Mito=mito), settings=CELLS_AND_MITO)
    found = plate.finding("no-parent-column")
    assert found.severity == "error"
    assert "Cells_Children_Mito_Count counts them" in found.message


@pytest.mark.parametrize("rule", ["first", "last"])
def test_members_that_name_their_cell_are_of_the_analysis_that_is_kept(
    tmp_path: Path, read_plate: Reader, rule: str
) -> None:
    for seed in (0, 1):
        cells = objects()
        mito = objects(Parent_Cells=[5, 4, 3, 2, 1] if seed else [2, 1, 4, 3, 5])
        mito["AreaShape_Area"] += 1000 * seed
        write(tmp_path / "P1" / f"run-{seed}", Cells=cells, Mito=mito)
    settings = DatasetSettings(compartments=("Cells", "Mito"), duplicate_cells=rule)
    plate = read_plate(tmp_path / "P1", settings=settings)
    if rule == "first":
        mito = objects(Parent_Cells=[2, 1, 4, 3, 5])
    assert plate.table["Mito_AreaShape_Area"].to_pylist() == by_parent(objects(), mito, "mito")


def test_a_compartment_that_is_not_there_is_named_with_the_line_to_write(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1", PlateSpec())
    with pytest.raises(
        MeasurementError, match=r'names Vesicles.*\[measurements\] compartments = \["Cells"\]'
    ):
        read_plate(folder, settings=DatasetSettings(compartments=("Cells", "Vesicles")))
