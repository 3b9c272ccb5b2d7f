"""Tables of wells with everything that real ones have: nulls, NaN, ties, constants, unlike columns, keys of all types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bioimage_assets.core.engines.tidy import without_nan
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse

WELLS = "pycytominer_profiles"
LONG = "x" * 3000


def make_plate(plate: str, seed: int, rows: int = 60, features: int = 6) -> pa.Table:
    """Wells of one plate; the last feature has another name, or type, on every other plate."""
    random = np.random.default_rng(seed)
    treatment = random.choice(np.array(["DMSO", "a", "b µM", LONG, None], dtype=object), rows)
    dose = random.choice(np.array([0.1, 10.0, np.nan]), rows)
    columns: dict[str, pa.Array] = {
        "plate_key": pa.array([plate] * rows, pa.string()),
        "Metadata_Well": pa.array([f"{chr(65 + i // 24)}{i % 24 + 1:02d}" for i in range(rows)], pa.string()),
        "Metadata_treatment": pa.array(treatment, pa.string()),
        "Metadata_dose": pa.array(dose, pa.float64(), from_pandas=bool(seed % 2)),
        "Metadata_Object_Count": pa.array(random.integers(0, 9, rows), pa.int64()),
    }
    for number in range(features):
        values = random.normal(size=rows).round(1 if number % 2 else 12)
        values[random.random(rows) < 0.05 * (number % 3)] = np.nan
        kind = pa.float32() if number == 3 else pa.float64()
        columns[f"Cells_F{number}"] = pa.array(
            values.astype(kind.to_pandas_dtype()), kind, from_pandas=number != 2
        )
    whole = pa.array(random.integers(-5, 5, rows), pa.int64())
    columns["Cells_Whole"] = whole if seed % 2 else whole.cast(pa.float64())
    columns[f"Nuclei `{'odd' if seed % 2 else 'even'}`.[0]"] = pa.array(random.normal(size=rows))
    return pa.table(columns)


def make_root(folder: Path, plates: int = 4) -> Warehouse:
    """A warehouse root with a table of wells; one plate has no rows."""
    warehouse = open_warehouse(folder / "root [1] {x}")
    for number in range(plates):
        key = f"screen/P[{number}] %"
        warehouse.replace_partitions(WELLS, make_plate(key, number), [key])
    empty = "screen/none"
    warehouse.replace_partitions(WELLS, make_plate(empty, 1).slice(0, 0), [empty])
    return warehouse


def list_features(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if name.startswith(("Cells_", "Nuclei"))]


def as_frame(table: pa.Table) -> pd.DataFrame:
    """As pandas reads it, with NaN in keys where they are null."""
    return table.to_pandas()


def assert_same(table: pa.Table, expected: pd.DataFrame, tolerance: float = 1e-12) -> None:
    """Equal columns, order and values; numbers to a relative tolerance, none for texts and counts."""
    assert table.column_names == list(expected.columns)
    for name in table.column_names:
        found = table[name]
        if pa.types.is_floating(found.type):
            assert not without_nan(found).null_count - found.null_count, name
            values = found.to_numpy()
            np.testing.assert_allclose(
                values, expected[name].to_numpy(np.float64), rtol=tolerance, atol=tolerance, err_msg=name
            )
        else:
            texts = [None if pd.isna(value) else value for value in expected[name]]
            assert found.to_pylist() == texts, name
