"""The treatment of each well of a dataset: what counts as one perturbation and what as a negative control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bioimage_assets.core.settings.dataset import DatasetSettings


@dataclass(frozen=True, slots=True)
class Treatments:
    """Treatments row by row.

    Parameters
    ----------
    columns
        Treatment columns that the wells really have.
    labels
        Text of the treatment, e.g. ``compound_a 0.3``; empty where a well has none.
    compounds
        Text of the first treatment column, which doses of one compound share.
    is_control
        Rows that are negative controls.
    """

    columns: tuple[str, ...]
    labels: np.ndarray
    compounds: np.ndarray
    is_control: np.ndarray

    @property
    def is_treated(self) -> np.ndarray:
        """Rows with a treatment that is no negative control."""
        return (self.labels != "") & ~self.is_control

    def groups(self) -> dict[str, np.ndarray]:
        """Row numbers of every treatment that is no control, in order of first appearance."""
        found: dict[str, list[int]] = {}
        for row in np.flatnonzero(self.is_treated):
            found.setdefault(str(self.labels[row]), []).append(int(row))
        return {label: np.asarray(rows) for label, rows in found.items()}


def build_treatments(wells: pd.DataFrame, settings: DatasetSettings) -> Treatments:
    """Name the treatment of each well from the platemap columns that the settings declare."""
    columns = tuple(name for name in settings.treatment_columns if name in wells.columns)
    parts = zip(*(wells[name] for name in columns), strict=True) if columns else ((),) * len(wells)
    labels = [_label(part) for part in parts]
    if settings.control_column in wells.columns:
        control = wells[settings.control_column].astype("string").isin(list(settings.control_values))
        is_control = control.fillna(False).to_numpy(dtype=bool)
    else:
        is_control = np.zeros(len(wells), bool)
    compounds = [_label((value,)) for value in wells[columns[0]]] if columns else labels
    return Treatments(
        columns, np.asarray(labels, dtype=object), np.asarray(compounds, dtype=object), is_control
    )


def _label(values: Sequence[object]) -> str:
    parts = [
        f"{value:g}" if isinstance(value, float) else str(value) for value in values if not pd.isna(value)
    ]
    return " ".join(parts)
