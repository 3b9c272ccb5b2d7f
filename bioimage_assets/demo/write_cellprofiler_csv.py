"""Writes measured fields as CellProfiler's ExportToSpreadsheet does: one CSV per object set.

``Image.csv`` has a row per field; ``Cells.csv``, ``Cytoplasm.csv`` and ``Nuclei.csv`` have a row per object, keyed by
ImageNumber and ObjectNumber, linked by ``Parent_*``, their features without the compartment's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from bioimage_assets.demo.measure import COMPARTMENTS
from bioimage_assets.demo.plan import MadeField, PlatePlan
from bioimage_assets.demo.render import CHANNELS

# Parent columns of each compartment; cells are grown from nuclei, the cytoplasm is cut out of both.
PARENTS = {"Cells": ("Nuclei",), "Cytoplasm": ("Cells", "Nuclei"), "Nuclei": ()}
# The table with one row per cell; CellProfiler writes no such column, but the truth has to travel with the cells.
TRUTH_COMPARTMENT = "Cytoplasm"


def write_cellprofiler_csv(plan: PlatePlan, fields: Sequence[MadeField], folder: Path) -> None:
    """Write the four tables below a folder that does not exist yet."""
    folder.mkdir(parents=True)
    csv.write_csv(build_image_table(plan, fields), folder / "Image.csv")
    for compartment in COMPARTMENTS:
        csv.write_csv(build_object_table(plan, fields, compartment), folder / f"{compartment}.csv")


def build_image_table(plan: PlatePlan, fields: Sequence[MadeField]) -> pa.Table:
    """Image table: counts, position, and file name, folder and MD5 of each channel's file.

    The folder is where the images lay when they were "analysed", not where they are now.
    """
    counts = [len(field.artefacts) for field in fields]
    columns: dict[str, object] = {
        "ImageNumber": [plan.image_number(field.well_index, field.site) for field in fields]
    }
    columns |= {f"Count_{compartment}": counts for compartment in COMPARTMENTS}
    for index, channel in enumerate(CHANNELS):
        columns[f"FileName_{channel}"] = [field.files.names[index] for field in fields]
        columns[f"PathName_{channel}"] = [f"/imaging/{plan.dataset_id}/{plan.store_name}"] * len(fields)
        columns[f"MD5Digest_{channel}"] = [field.files.md5s[index] for field in fields]
        columns[f"Height_{channel}"] = [plan.size.field_px] * len(fields)
        columns[f"Width_{channel}"] = [plan.size.field_px] * len(fields)
    columns["Metadata_Plate"] = [plan.plate] * len(fields)
    columns["Metadata_Well"] = [plan.wells[field.well_index].well_id for field in fields]
    columns["Metadata_Site"] = [plan.site_id(field.site) for field in fields]
    return pa.table(columns)


def build_object_table(plan: PlatePlan, fields: Sequence[MadeField], compartment: str) -> pa.Table:
    """Object table of one compartment; floats are written so that they read back exactly."""
    counts = [len(field.artefacts) for field in fields]
    numbers = np.concatenate([np.arange(1, count + 1) for count in counts])
    images = np.repeat([plan.image_number(field.well_index, field.site) for field in fields], counts)
    columns: dict[str, pa.Array] = {"ImageNumber": pa.array(images), "ObjectNumber": pa.array(numbers)}
    values = np.concatenate([field.values for field in fields])
    prefix = f"{compartment}_"
    for index, name in enumerate(fields[0].feature_names):
        if name.startswith(prefix):
            columns[name.removeprefix(prefix)] = pa.array(values[:, index])
    if compartment == TRUTH_COMPARTMENT:
        columns["Metadata_truth_artefact"] = pa.array([name for field in fields for name in field.artefacts])
    columns["Number_Object_Number"] = pa.array(numbers)
    columns |= {f"Parent_{parent}": pa.array(numbers) for parent in PARENTS[compartment]}
    return pa.table(columns)
