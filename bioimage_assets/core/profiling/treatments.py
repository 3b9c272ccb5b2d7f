"""The treatment of each well of a dataset: what counts as one perturbation and what as a negative control."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bioimage_assets.core.profiling.quantities import AS_WRITTEN
from bioimage_assets.core.settings.dataset import DatasetSettings


@dataclass(frozen=True, slots=True)
class Treatments:
    """Treatments row by row.

    Parameters
    ----------
    columns
        Treatment columns that the wells really have, with those of words that stand for a number.
    labels
        Text of the treatment, e.g. ``compound_a 0.3``, with its strata in brackets; empty where a well has none.
    compounds
        Text of the first treatment column, which doses of one compound share.
    is_control
        Rows that are negative controls.
    strata
        Text of what tells profiles of one treatment apart, such as a time point; empty where nothing does.
    """

    columns: tuple[str, ...]
    labels: np.ndarray
    compounds: np.ndarray
    is_control: np.ndarray
    strata: np.ndarray

    @property
    def is_treated(self) -> np.ndarray:
        """Rows with a treatment that is not a negative control."""
        is_treated: np.ndarray = (self.labels != "") & ~self.is_control
        return is_treated

    def groups(self) -> dict[str, np.ndarray]:
        """Row numbers of every treatment that is not a control, in order of first appearance."""
        found: dict[str, list[int]] = {}
        for row in np.flatnonzero(self.is_treated):
            found.setdefault(str(self.labels[row]), []).append(int(row))
        return {label: np.asarray(rows) for label, rows in found.items()}

    def controls_of(self, rows: np.ndarray) -> np.ndarray:
        """Control rows of the stratum that some rows of one treatment are of."""
        same = self.strata == self.strata[rows[0]] if rows.size else np.ones(len(self.strata), bool)
        return np.flatnonzero(self.is_control & same)


def build_treatments(
    wells: pd.DataFrame,
    settings: DatasetSettings,
    strata: Sequence[str] = (),
    *,
    treatment_columns: Sequence[str] | None = None,
) -> Treatments:
    """Name the treatment of each well from the platemap columns that the settings declare, or from some of them.

    ``strata`` are columns that split treatments further; a treatment column among them is not named twice.
    """
    declared = settings.treatment_columns if treatment_columns is None else treatment_columns
    named = [name for column in declared for name in (column, f"{column}{AS_WRITTEN}")]
    columns = tuple(name for name in named if name in wells.columns)
    labels = _label_rows(wells, columns)
    present = [name for name in strata if name in wells.columns]
    further = _label_rows(wells, [name for name in present if name not in columns])
    labels = [
        f"{label} [{part}]" if label and part else label for label, part in zip(labels, further, strict=True)
    ]
    kinds: Iterable[object] = (
        wells[settings.control_column] if settings.control_column in wells.columns else [None] * len(wells)
    )
    first = [name for name in columns if name.removesuffix(AS_WRITTEN) == columns[0]]
    return Treatments(
        columns,
        np.asarray(labels, dtype=object),
        np.asarray(_label_rows(wells, first) if columns else labels, dtype=object),
        find_controls(kinds, settings.control_values),
        np.asarray(_label_rows(wells, present), dtype=object),
    )


def find_controls(values: Iterable[object], wanted: Collection[str]) -> np.ndarray:
    """Tell which values are one of the words that mark controls; a number matches however it is written (0, 0.0)."""
    words = set(wanted)
    return np.asarray(
        [not pd.isna(value) and bool({str(value), _spell(value)} & words) for value in values], dtype=bool
    )


def _label_rows(wells: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    parts = zip(*(wells[name] for name in columns), strict=True) if columns else ((),) * len(wells)
    return [" ".join(_spell(value) for value in part if not pd.isna(value)) for part in parts]


def _spell(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
