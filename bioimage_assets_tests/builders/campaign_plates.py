"""Well profiles of plates of several datasets with a known answer, stored without building a plate."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa

from bioimage_assets.core.storage.plate_table import Page, PlateTable
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.storage.write import record_tables, replace_tables

FEATURES = tuple(f"Cells_Intensity_Mean_{number}" for number in range(6))
COMPOUNDS = ("alpha", "beta", "gamma", "delta")
CONTROLS = 4


def write_campaign(incoming: Path, plates: Sequence[str], text: str) -> None:
    """Plates of measurements alone (``dataset/plate``), which a look at the root finds, and ``campaign.toml``."""
    for key in plates:
        dataset, plate = key.split("/")
        folder = incoming / dataset / "measurements"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{plate}.csv").write_text("Metadata_Well,Cells_AreaShape_Area\nA01,1\n")
    (incoming / "campaign.toml").write_text(text)


def make_wells(
    key: str, seed: int, *, features: Sequence[str] = FEATURES, effect: float = 3.0, shift: float = 0.0
) -> pa.Table:
    """Wells of one plate: controls in column 1, two wells of each compound; each compound moves the features its own way.

    ``shift`` moves everything of the plate, as another batch does. The last feature is nearly the first one.
    """
    draw = np.random.default_rng(seed)
    answers = np.random.default_rng(1).normal(size=(len(COMPOUNDS), len(features)))
    compounds = ["DMSO"] * CONTROLS + [name for name in COMPOUNDS for _ in range(2)]
    wells = [f"{'ABCDEFGH'[i % 8]}{i // 8 + 1:02d}" for i in range(len(compounds))]
    values = draw.normal(size=(len(wells), len(features))) + shift
    for row, compound in enumerate(compounds):
        if compound in COMPOUNDS:
            values[row] += effect * answers[COMPOUNDS.index(compound)]
    values[:, -1] = values[:, 0] + draw.normal(scale=1e-3, size=len(wells))
    dataset, plate = key.split("/")
    columns: dict[str, object] = {
        "plate_key": [key] * len(wells),
        "dataset_id": [dataset] * len(wells),
        "plate_id": [plate] * len(wells),
        "well_id": wells,
        "Metadata_Plate": [plate] * len(wells),
        "Metadata_Well": wells,
        "Metadata_compound": compounds,
        "Metadata_control_type": ["negcon" if name == "DMSO" else None for name in compounds],
        "Metadata_Object_Count": draw.integers(5, 50, len(wells)),
        "Metadata_QC_Failed_Count": draw.integers(0, 5, len(wells)),
        "Metadata_Normalized_To": ["controls"] * len(wells),
        **{name: values[:, i] for i, name in enumerate(features)},
    }
    return pa.table(columns)


def make_cells(wells: pa.Table, seed: int, *, cells_per_well: int = 5) -> tuple[pa.Table, pa.Table]:
    """Cells around the wells' profiles, and their quality control: one cell of each well failed, and is far off."""
    draw = np.random.default_rng(seed)
    repeated = wells.take(np.repeat(np.arange(wells.num_rows), cells_per_well))
    names = ["plate_key", "dataset_id", "plate_id", "well_id", "Metadata_Well"]
    failed = np.arange(repeated.num_rows) % cells_per_well == 0
    ids = [f"{key}/{number}" for number, key in enumerate(repeated["plate_key"].to_pylist())]
    features = {
        name: repeated[name].to_numpy() + draw.normal(size=repeated.num_rows) + 1000 * failed
        for name in wells.column_names
        if name in FEATURES
    }
    cells = pa.table({**{name: repeated[name] for name in names}, "Metadata_ObjectID": ids, **features})
    keys = {name: cells[name] for name in ("plate_key", "dataset_id", "Metadata_ObjectID")}
    return cells, pa.table({**keys, "Metadata_cqc_failed": failed})


def store_rows(
    tables: ProjectTables, name: str, partition: str, data: pa.Table | Page | None, fingerprint: str
) -> None:
    """Store a table of a partition as a run does, under a fingerprint."""
    built = {name: {partition: PlateTable(data, fingerprint=fingerprint)}}
    stored, failures = replace_tables(
        tables, name, built[name], run_id="run", watch=lambda key: nullcontext()
    )
    assert not failures
    record_tables(tables, built, {name: stored}, "run")
