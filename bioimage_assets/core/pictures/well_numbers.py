"""Numbers per well from well profiles; a well may have several rows (time points), nulls and infinite values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.result_columns import FAILED_COUNT, LOW_COUNT, NORMALIZED_TO, OBJECT_COUNT

# Numbers beyond are drawn as this: differences of two larger ones are infinite, which no axis can show.
LARGEST = 1e150
_NO_STRATA = frozenset({OBJECT_COUNT, FAILED_COUNT, LOW_COUNT, NORMALIZED_TO})


def read_numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Values as float64; NaN for nulls, and everywhere in a column that holds no numbers."""
    kind = column.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not (is_number or pa.types.is_decimal(kind)):
        return np.full(len(column), np.nan)
    # Bits have no way to floating point but through whole numbers.
    counted = column.cast(pa.uint8()) if pa.types.is_boolean(kind) else column
    return np.asarray(counted.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def read_column(table: pa.Table, name: str) -> np.ndarray:
    """Numbers of a column, all NaN where the table has none of that name."""
    return read_numbers(table[name]) if name in table.column_names else np.full(table.num_rows, np.nan)


def read_counts(join_report: pa.Table) -> list[int]:
    """Rows that each line of a join report counts; a line that does not say it counts none."""
    return [int(count) if np.isfinite(count) else 0 for count in read_column(join_report, "row_count")]


def clip_numbers(values: np.ndarray) -> np.ndarray:
    """Values with which one can calculate: differences and squares of them are finite; NaN stays."""
    return np.asarray(np.clip(values, -LARGEST, LARGEST))


def drop_infinite(values: np.ndarray) -> np.ndarray:
    """The same with NaN in place of infinite values: a place on an axis or a colour they do not have."""
    return np.where(np.isfinite(values), clip_numbers(values), np.nan)


def list_features(wells: pa.Table) -> list[str]:
    """Features of a table of well profiles."""
    return list_profile_features(wells.schema)


def read_well_names(wells: pa.Table) -> list[str]:
    """Name of the well of each row, empty where it has none."""
    for name in ("well_id", "Metadata_Well"):
        if name in wells.column_names:
            return ["" if well is None else str(well) for well in wells[name].to_pylist()]
    return [""] * wells.num_rows


def sum_cells(wells: pa.Table, column: str) -> int:
    """Cells of all wells; a well that says nothing counts as none."""
    values = read_column(wells, column)
    return int(values[np.isfinite(values)].sum())


def count_wells(wells: pa.Table) -> int:
    """Number of wells; rows without a well share one."""
    return len(set(read_well_names(wells)))


def sum_per_well(wells: pa.Table, column: str) -> dict[str, float | None]:
    """Sum of a count over the rows of each well, None where no row has one."""
    return {
        well: float(values.sum()) if values.size else None
        for well, values in _finite_per_well(wells, column).items()
    }


def median_per_well(wells: pa.Table, column: str) -> dict[str, float | None]:
    """Median of a feature over the rows of each well, None where no row has a finite value."""
    return {
        well: float(np.median(clip_numbers(values))) if values.size else None
        for well, values in _finite_per_well(wells, column).items()
    }


def fail_fractions(wells: pa.Table) -> dict[str, float | None]:
    """Fraction of the cells of each well that failed QC, None where the well has no cells."""
    passed, failed = sum_per_well(wells, OBJECT_COUNT), sum_per_well(wells, FAILED_COUNT)
    counts = {well: (good or 0.0, failed[well] or 0.0) for well, good in passed.items()}
    return {well: bad / (good + bad) if good + bad > 0 else None for well, (good, bad) in counts.items()}


def _finite_per_well(wells: pa.Table, column: str) -> dict[str, np.ndarray]:
    rows: dict[str, list[float]] = {}
    for well, value in zip(read_well_names(wells), read_column(wells, column), strict=True):
        found = rows.setdefault(well, [])
        if np.isfinite(value):
            found.append(float(value))
    return {well: np.asarray(values, np.float64) for well, values in rows.items()}


def find_strata(wells: pa.Table) -> list[str]:
    """Metadata columns that tell the profiles of one well apart, such as a time point; none where each well has one."""
    names = read_well_names(wells)
    if len(set(names)) == len(names):
        return []
    found = []
    for column in wells.column_names:
        if column.startswith("Metadata_") and column not in _NO_STRATA:
            pairs = set(zip(names, map(str, wells[column].to_pylist()), strict=True))
            if len(pairs) > len(set(names)):
                found.append(column)
    return found
