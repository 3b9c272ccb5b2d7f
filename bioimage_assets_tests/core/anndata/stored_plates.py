"""A project of two small plates, cells, flags and profiles stored as runs store them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bioimage_assets.core.profiling.cosmicqc import FAILED, build_cosmicqc_profiles
from bioimage_assets.core.profiling.pycytominer import build_well_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.open_tables import open_project_tables
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets_tests.builders.stored_project import settings_of
from bioimage_assets_tests.core.profiling.plates import FEATURES, make_cells, make_platemap, plan_plate

PLANS = plan_plate()
PLATES = ("screen/P1", "screen/P2")
ODD = "Metadata_path/of"


@dataclass(frozen=True, slots=True)
class StoredPlates:
    """The door to the stored tables, and all of them as frames."""

    tables: ProjectTables
    cells: pd.DataFrame
    flags: pd.DataFrame
    wells: pd.DataFrame


def store_plates(folder: Path, settings: DatasetSettings | None = None) -> StoredPlates:
    """Store both plates; the second lacks a feature, some values, and has a column of lists."""
    settings = settings or DatasetSettings()
    tables = open_project_tables(settings_of(folder))
    kept: dict[str, list[pa.Table]] = {
        "joined_profiles": [],
        "cosmicqc_profiles": [],
        "pycytominer_profiles": [],
    }
    for number, key in enumerate(PLATES, 1):
        cells = make_plate(number)
        flags, _ = build_cosmicqc_profiles(cells, settings)
        wells, report = build_well_profiles(cells, flags, make_platemap(PLANS), settings)
        parts = {"joined_profiles": cells, "cosmicqc_profiles": flags, "pycytominer_profiles": wells}
        steps = [call.to_dict() for call in report.calls]
        for name, table in parts.items():
            of_wells = steps if name == "pycytominer_profiles" else ()
            tables.warehouse.replace_partitions(
                name, table, [key], fingerprint=f"{name}-{number}", run_id=f"run-{number}", steps=of_wells
            )
            kept[name].append(table)
    frames = {
        name: pd.concat([part.to_pandas() for part in parts], ignore_index=True)
        for name, parts in kept.items()
    }
    return StoredPlates(tables, *frames.values())


def make_plate(number: int) -> pa.Table:
    """Cells of one of the plates."""
    cells = make_cells(PLANS, plate=f"P{number}", seed=number)
    if number == 1:
        return cells.append_column(ODD, pa.array(["here"] * cells.num_rows))
    values = cells[FEATURES[1]].to_numpy().copy()
    values[:3] = np.nan
    cells = cells.set_column(
        cells.column_names.index(FEATURES[1]), FEATURES[1], pa.array(values, from_pandas=True)
    )
    numbers = pa.array([None, *range(1, cells.num_rows)], pa.int64())
    names = pa.array([["DNA", "ER"]] * cells.num_rows)
    cells = cells.append_column("Metadata_Track", numbers).append_column("channel_names", names)
    return cells.drop_columns([FEATURES[-1]])


__all__ = ["FAILED", "FEATURES", "ODD", "PLANS", "PLATES", "StoredPlates", "make_plate", "store_plates"]
