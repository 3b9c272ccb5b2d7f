"""Writes a plate's single-cell table in Parquet, and the truth table beside it.

Column names follow CellProfiler joined by CytoTable: ``Metadata_*``, ``Image_*``, then features by compartment.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.demo.plan import MadeField, PlatePlan
from bioimage_assets.demo.render import CHANNELS


def build_cell_table(plan: PlatePlan, fields: Sequence[MadeField]) -> pa.Table:
    """One row per object of the plate, in field and label order."""
    columns = _key_columns(plan, fields)
    counts = [len(field.artefacts) for field in fields]
    for index, channel in enumerate(CHANNELS):
        columns[f"Image_FileName_{channel}"] = pa.array(
            np.repeat([field.files.names[index] for field in fields], counts)
        )
    if not plan.is_zarr:
        for index, channel in enumerate(CHANNELS):
            digests = [field.files.md5s[index] for field in fields]
            columns[f"Image_MD5Digest_{channel}"] = pa.array(np.repeat(digests, counts))
    columns["Metadata_truth_artefact"] = pa.array([name for field in fields for name in field.artefacts])
    values = np.concatenate([field.values for field in fields])
    columns |= {name: pa.array(values[:, index]) for index, name in enumerate(fields[0].feature_names)}
    return pa.table(columns)


def build_truth_table(plan: PlatePlan, fields: Sequence[MadeField]) -> pa.Table:
    """What was put into each object: treatment, artefact and position, keyed as the measurements are."""
    columns = _key_columns(plan, fields)
    wells = [plan.wells[field.well_index] for field in fields for _ in field.artefacts]
    names = fields[0].feature_names
    values = np.concatenate([field.values for field in fields])
    return pa.table(
        columns
        | {
            "Metadata_truth_artefact": pa.array([name for field in fields for name in field.artefacts]),
            "compound": pa.array([well.compound for well in wells]),
            "concentration_um": pa.array([well.concentration_um for well in wells]),
            "center_x_px": pa.array(values[:, names.index("Nuclei_Location_Center_X")]),
            "center_y_px": pa.array(values[:, names.index("Nuclei_Location_Center_Y")]),
        }
    )


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table so that equal tables give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")


def _key_columns(plan: PlatePlan, fields: Sequence[MadeField]) -> dict[str, pa.Array]:
    counts = [len(field.artefacts) for field in fields]
    wells = [plan.wells[field.well_index].well_id for field in fields]
    numbers = np.array([plan.image_number(field.well_index, field.site) for field in fields], dtype=np.int64)
    return {
        "Metadata_Plate": pa.array([plan.plate] * sum(counts)),
        "Metadata_Well": pa.array(np.repeat(wells, counts)),
        "Metadata_Site": pa.array(np.repeat([plan.site_id(field.site) for field in fields], counts)),
        "Metadata_ImageNumber": pa.array(np.repeat(numbers, counts)),
        "Metadata_ObjectNumber": pa.array(np.concatenate([np.arange(1, count + 1) for count in counts])),
    }
