"""The dose of every well, and the wells of each compound with doses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bioimage_assets.core.profiling.treatments import build_treatments
from bioimage_assets.core.profiling.well_groups import find_well_groups
from bioimage_assets.core.settings.dataset import DatasetSettings


@dataclass(frozen=True, slots=True)
class DoseSeries:
    """``column`` holds doses: one per well, NaN where it is no number above zero; ``rows_of`` are the wells of each compound.

    A compound is named by all treatment columns but the dose, and by what tells its profiles further apart.
    """

    column: str
    doses: np.ndarray
    rows_of: Mapping[str, np.ndarray]


def find_dose_column(frame: pd.DataFrame, settings: DatasetSettings) -> str | None:
    """The last treatment column, but for the first, that holds numbers."""
    for name in reversed(settings.treatment_columns[1:]):
        if name in frame and np.isfinite(read_doses(frame[name])).any():
            return name
    return None


def read_doses(values: pd.Series) -> np.ndarray:
    """Numbers above zero; NaN for everything else."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(numbers) & (numbers > 0), numbers, np.nan)


def find_dose_series(frame: pd.DataFrame, settings: DatasetSettings) -> DoseSeries | None:
    """The wells of each compound that have a dose; None where no treatment column holds doses."""
    column = find_dose_column(frame, settings)
    if column is None:
        return None
    doses = read_doses(frame[column])
    others = [name for name in settings.treatment_columns if name != column]
    strata = find_well_groups(frame, settings).columns
    compounds = build_treatments(frame, settings, strata, treatment_columns=others).groups()
    kept = {label: rows[np.isfinite(doses[rows])] for label, rows in compounds.items()}
    return DoseSeries(column, doses, {label: rows for label, rows in kept.items() if rows.size})
