"""Everything without a catalog: make a small store and profiles, check, join, export, and ask in SQL.

python examples/synthetic_workflow.py [folder]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

from bioimage_assets import (
    export_store_to_cytomining_warehouse,
    join_profiles_with_store,
    open_warehouse,
    query_metadata_table,
    scan_store,
    validate_microscopy_profile_table,
    validate_warehouse_manifest,
)


def write_store(path: Path) -> Path:
    """A two-channel OME-Zarr image of 64 × 64 pixels."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    array = group.create_array("0", shape=(2, 64, 64), chunks=(1, 32, 32), dtype="uint16")
    array[...] = np.random.default_rng(7).integers(0, 4096, (2, 64, 64), dtype="uint16")
    space = {"type": "space", "unit": "micrometer"}
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": "c", "type": "channel"}, {"name": "y", **space}, {"name": "x", **space}],
            "datasets": [
                {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.65, 0.65]}]}
            ],
        }
    ]
    return path


def write_profiles(path: Path) -> Path:
    """Four cells of that image, with the column names that pycytominer tables have."""
    cells = {
        "Metadata_dataset_id": ["synthetic"] * 4,
        "Metadata_ImageID": ["synthetic"] * 4,
        "Metadata_ObjectID": [f"synthetic/{number}" for number in range(4)],
        "Cells_AreaShape_Area": [120.0, 180.5, 96.0, 210.0],
    }
    pq.write_table(pa.table(cells), path)
    return path


def run(folder: Path) -> None:
    """Go through the steps in one folder."""
    store = write_store(folder / "synthetic.ome.zarr")
    profiles = write_profiles(folder / "cells.parquet")

    image = scan_store(str(store)).image_assets[0]
    print(f"image {image.image_id}: shape {image.shape}, chunks {image.chunk_shape}")
    print("contract fulfilled:", validate_microscopy_profile_table(profiles).is_valid)

    joined = join_profiles_with_store(str(store), profiles)
    large = query_metadata_table(joined, filters=[("Cells_AreaShape_Area", ">", 150.0)])
    print(f"{joined.num_rows} cells joined, {large.num_rows} of them larger than 150 pixels")

    root = folder / "warehouse-root"
    result = export_store_to_cytomining_warehouse(str(store), root, profiles=profiles)
    print("rows written:", result.row_counts)
    print("warehouse valid:", validate_warehouse_manifest(root).is_valid)
    print("tables:", ", ".join(open_warehouse(root).tables()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        target = Path(sys.argv[1])
        target.mkdir(parents=True, exist_ok=True)
        run(target)
    else:
        with tempfile.TemporaryDirectory() as name:
            run(Path(name))
