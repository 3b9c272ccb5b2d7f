"""Writes small projects with tables in the catalog and in the warehouse, for releases and for what differs between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.settings.project import read_project_settings
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.warehouse.root import open_warehouse

LAYOUT = "bioimage.cytotable.plate_layout"
PLATES = ("screen/P1", "screen/P2", "screen/P3")
WELLS = ("A01", "A02", "B01", "B02")
CALL = {"call": "pycytominer.normalize", "version": "1.7.1", "arguments": {"method": "standardize"}}


def open_project(data_dir: Path, **variables: str) -> ProjectTables:
    """The door to the tables of a project below a folder, its catalog the embedded one."""
    settings = read_project_settings({"BIOIMAGE_DATA_DIR": str(data_dir), **variables})
    return ProjectTables(
        settings,
        open_warehouse(settings.warehouse_uri),
        lambda: open_catalog(settings.catalog_name, settings.catalog_properties),
    )


def write_project(data_dir: Path) -> ProjectTables:
    """Three plates: their wells in the catalog, cells and profiles in the warehouse; their dataset says how it was made."""
    tables = open_project(data_dir)
    for plate in PLATES:
        replace_partitions(tables.open_catalog(), LAYOUT, build_layout(plate), [plate])
    for number, plate in enumerate(PLATES):
        tables.warehouse.replace_partitions("single_cells", build_cells(plate, number), [plate])
        tables.warehouse.replace_partitions(
            "pycytominer_profiles", build_wells(plate, number), [plate], steps=[CALL], run_id="run-1"
        )
    dataset = data_dir / "incoming" / "screen"
    for plate in PLATES:
        _write_empty_plate(dataset / f"{plate.partition('/')[2]}.ome.zarr")
    (dataset / "dataset.toml").write_text("[checks]\nstrict = true\n")
    return tables


def _write_empty_plate(store: Path) -> None:
    store.mkdir(parents=True)
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    (store / ".zattrs").write_text('{"plate": {"version": "0.4", "rows": [], "columns": [], "wells": []}}')


def build_layout(plate_key: str) -> pa.Table:
    """One row for each well."""
    dataset, plate = plate_key.split("/")
    return pa.table(
        {
            "plate_key": [plate_key] * len(WELLS),
            "dataset_id": [dataset] * len(WELLS),
            "plate_id": [plate] * len(WELLS),
            "well_id": list(WELLS),
            "field_count": pa.array([9] * len(WELLS), pa.int32()),
            "channel_names": pa.array([["DNA", "ER"]] * len(WELLS), pa.list_(pa.string())),
        }
    )


def build_cells(plate_key: str, seed: int, per_well: int = 10, features: int = 6) -> pa.Table:
    """Cells with an id of their own."""
    dataset, plate = plate_key.split("/")
    wells = [well for well in WELLS for _ in range(per_well)]
    values = np.random.default_rng(seed).normal(10, 2, (features, len(wells)))
    columns: dict[str, object] = {
        "plate_key": [plate_key] * len(wells),
        "dataset_id": [dataset] * len(wells),
        "Metadata_Plate": [plate] * len(wells),
        "Metadata_Well": wells,
        "Metadata_ObjectID": [f"{plate_key}/{number}" for number in range(len(wells))],
        "Cells_Number_Object_Number": pa.array(range(len(wells)), pa.int64()),
    }
    return pa.table(columns | {f"Cells_Feature_{i}": values[i] for i in range(features)})


def build_wells(plate_key: str, seed: int) -> pa.Table:
    """Profiles of the wells."""
    dataset, plate = plate_key.split("/")
    values = np.random.default_rng(100 + seed).normal(0, 1, (3, len(WELLS)))
    columns: dict[str, object] = {
        "plate_key": [plate_key] * len(WELLS),
        "dataset_id": [dataset] * len(WELLS),
        "plate_id": [plate] * len(WELLS),
        "well_id": list(WELLS),
        "Metadata_treatment": ["DMSO", "DMSO", "taxol", "taxol"],
    }
    return pa.table(columns | {f"Cells_Feature_{i}": values[i] for i in range(3)})
