"""Tiny plates of cells with a known answer, for the tests of profiling and pictures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.sql import quote_identifier

EXAMPLE_HUMAN = Path(__file__).resolve().parents[3] / "../shared/data/examplehuman"

QC_FEATURES = ("Nuclei_AreaShape_Area", "Nuclei_AreaShape_FormFactor", "Nuclei_AreaShape_Eccentricity")
FEATURES = (
    *QC_FEATURES,
    *(
        f"{compartment}_Intensity_MeanIntensity_{channel}"
        for compartment in ("Cells", "Cytoplasm", "Nuclei")
        for channel in ("DNA", "ER", "Mito")
    ),
)
PLACES = ("Nuclei_Location_Center_X", "Nuclei_Location_Center_Y", "Cells_Number_Object_Number")
DOSES = (0.1, 1.0, 10.0)


@dataclass(frozen=True, slots=True)
class WellPlan:
    """What is done to a well: compound, dose in µM, and the shift of its treated features in deviations."""

    well: str
    compound: str = "DMSO"
    dose: float = 0.0
    shift: float = 0.0

    @property
    def is_control(self) -> bool:
        return self.compound == "DMSO"


def plan_plate(control_count: int = 6, replicates: int = 2) -> list[WellPlan]:
    """Controls, an active compound with three doses and an inert one, over the rows of a 96-well plate."""
    plans = [("DMSO", 0.0, 0.0)] * control_count
    for _ in range(replicates):
        plans += [("active", dose, 1.5 * (step + 1)) for step, dose in enumerate(DOSES)]
        plans += [("inert", dose, 0.0) for dose in DOSES]
    wells = [f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13)]
    return [WellPlan(well, *plan) for well, plan in zip(wells, plans, strict=False)]


def make_cells(
    plans: Sequence[WellPlan],
    *,
    plate: str = "P1",
    cells_per_well: int = 20,
    seed: int = 0,
    offset: float = 0.0,
) -> pa.Table:
    """Cells of a plate as ``joined_profiles`` holds them; ``offset`` is a gain that a whole plate has."""
    rng = np.random.default_rng(seed)
    wells = [plan.well for plan in plans for _ in range(cells_per_well)]
    count = len(wells)
    shifts = np.repeat([plan.shift for plan in plans], cells_per_well)
    columns: dict[str, object] = {
        "plate_key": [f"screen/{plate}"] * count,
        "dataset_id": ["screen"] * count,
        "Metadata_ObjectID": [f"screen/{plate}/{index}" for index in range(count)],
        "plate_id": [plate] * count,
        "well_id": wells,
        "image_id": [f"{plate}:{well}:0" for well in wells],
        "Metadata_Plate": [plate] * count,
        "Metadata_Well": wells,
        "Metadata_Site": ["0"] * count,
        "Metadata_ObjectNumber": np.arange(count),
    }
    for index, name in enumerate(FEATURES):
        moved = shifts if index >= 3 and index % 2 else 0.0
        columns[name] = 10.0 + index + offset + rng.normal(size=count) + moved
    for name in PLACES:
        columns[name] = rng.uniform(0, 500, size=count)
    return pa.table(columns)


def make_platemap(plans: Sequence[WellPlan]) -> PlateMap:
    """The platemap of the same plans."""
    table = pa.table(
        {
            "Metadata_Well": [plan.well for plan in plans],
            "Metadata_compound": [plan.compound for plan in plans],
            "Metadata_concentration_um": pa.array([plan.dose for plan in plans], pa.float64()),
            "Metadata_control_type": pa.array(
                ["negcon" if plan.is_control else None for plan in plans], pa.string()
            ),
        }
    )
    return PlateMap("layout", "layout.txt", table)


def replace_column(table: pa.Table, name: str, values: object) -> pa.Table:
    """The table with one column exchanged."""
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def read_example_human() -> pa.Table:
    """The 289 cells of the CellProfiler example, compartments joined by their parents; skips where absent."""
    if not EXAMPLE_HUMAN.exists():
        pytest.skip("the ExampleHuman measurements are not here")
    names = ("Cells", "Cytoplasm", "Nuclei")
    columns = [
        "'EH/EH' AS plate_key",
        "'EH' AS dataset_id",
        "'EH/1/' || Cytoplasm.ObjectNumber AS \"Metadata_ObjectID\"",
    ]
    columns.append("'D03' AS well_id")
    for name in names:
        with (EXAMPLE_HUMAN / f"{name}.csv").open(newline="") as handle:
            header = next(csv.reader(handle))
        columns += [
            f"{name}.{quote_identifier(column)} AS {quote_identifier(f'{name}_{column}')}"
            for column in header
            if column not in ("ImageNumber", "ObjectNumber") and not column.startswith("Parent_")
        ]
    with duckdb.connect() as connection:
        for name in names:
            connection.read_csv(str(EXAMPLE_HUMAN / f"{name}.csv")).create_view(name)
        return connection.sql(
            f"SELECT {', '.join(columns)} FROM Cytoplasm "
            "JOIN Cells ON Cells.ImageNumber = Cytoplasm.ImageNumber AND Cells.ObjectNumber = Cytoplasm.Parent_Cells "
            "JOIN Nuclei ON Nuclei.ImageNumber = Cytoplasm.ImageNumber "
            "AND Nuclei.ObjectNumber = Cytoplasm.Parent_Nuclei ORDER BY Cytoplasm.ObjectNumber"
        ).to_arrow_table()
