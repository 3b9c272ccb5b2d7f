"""Tiny tables of the project's own shapes."""

from __future__ import annotations

import pyarrow as pa


def cells(plate_key: str, count: int = 3, **columns: pa.Array) -> pa.Table:
    """Rows of one plate with a generation number, so that a mixture of two writes is seen."""
    return pa.table(
        {
            "plate_key": pa.array([plate_key] * count, pa.string()),
            "dataset_id": pa.array([plate_key.split("/")[0]] * count, pa.string()),
            "image_id": pa.array([f"{plate_key}:A01:{i}" for i in range(count)], pa.string()),
            "Metadata_ObjectID": pa.array([f"{plate_key}/{i}" for i in range(count)], pa.string()),
            "Cells_AreaShape_Area": pa.array([float(i) for i in range(count)], pa.float64()),
            **columns,
        }
    )


def generation(plate_key: str, number: int, count: int = 50) -> pa.Table:
    """Rows that all carry one number."""
    return cells(plate_key, count, generation=pa.array([number] * count, pa.int64()))
