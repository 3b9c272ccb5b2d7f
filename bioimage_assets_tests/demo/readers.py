"""Reads a demo plate back with independent libraries (zarr, tifffile, pandas): pixels, labels, tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import tifffile
import zarr

from bioimage_assets.demo.render import CHANNELS
from bioimage_assets.demo.screens import DemoPlate


@dataclass(frozen=True)
class StoredField:
    """Pixels (c, y, x) and label images (y, x) as they lie on disk."""

    pixels: np.ndarray
    cells: np.ndarray
    nuclei: np.ndarray


def read_stored_field(plate: DemoPlate, well: str, site: str) -> StoredField:
    """One field by well and the site id of the plate's measurements."""
    if plate.stamp.layout.startswith("ome-zarr"):
        group = zarr.open_group(plate.paths.store / f"{well[0]}/{int(well[1:])}/{site}", mode="r")
        return StoredField(group["0"][:], group["labels/cells/0"][:], group["labels/nuclei/0"][:])
    number = int(site) if plate.stamp.layout == "imagexpress" else int(site) + 1
    stem = f"{plate.plate}_{well}_s{number}"
    labels = [
        tifffile.imread(plate.paths.segmentation / f"{stem}_{name}.tif") for name in ("cells", "nuclei")
    ]
    if plate.stamp.layout == "imagexpress":
        planes = [tifffile.imread(plate.paths.store / f"{stem}_w{c + 1}.tif") for c in range(len(CHANNELS))]
        return StoredField(np.stack(planes), *labels)
    return StoredField(tifffile.imread(plate.paths.store / f"{stem}.ome.tif"), *labels)


def read_cells(plate: DemoPlate) -> pd.DataFrame:
    """Single-cell table of a plate with CytoTable's column names, whatever it is stored as."""
    if plate.paths.measurements.suffix == ".parquet":
        return pd.read_parquet(plate.paths.measurements)
    keys = ["ImageNumber", "ObjectNumber"]
    folder = plate.paths.measurements
    joined = pd.read_csv(folder / "Image.csv", dtype={"Metadata_Site": str})
    joined = joined[["ImageNumber", "Metadata_Plate", "Metadata_Well", "Metadata_Site"]]
    for compartment in ("Cells", "Cytoplasm", "Nuclei"):
        table = pd.read_csv(folder / f"{compartment}.csv")
        names = {
            name: f"{compartment}_{name}"
            for name in table
            if not name.startswith("Metadata_") and name not in keys
        }
        table = table.rename(columns=names)
        joined = joined.merge(table, on=keys if compartment != "Cells" else "ImageNumber")
    return joined.rename(columns={name: f"Metadata_{name}" for name in keys})
