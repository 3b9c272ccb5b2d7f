"""Which cells of a plate are scaled by which others.

Where a plate has strata, such as time points, each is relative to the controls of the same value, as time series are
usually normalised: what all wells share at a time, controls included, is not an effect of a treatment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.profiling.cell_rows import CellRows
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.profiling.treatments import find_controls
from bioimage_assets.core.settings.dataset import DatasetSettings

ReferenceName = Literal["controls", "plate"]
# Fewer control cells give no mean and deviation worth dividing by.
MIN_CONTROL_CELLS = 10


@dataclass(frozen=True, slots=True)
class Scaling:
    """One call of the library: masks over the passing cells of a plate.

    ``rows`` are given to it, ``reference`` those of them that define zero and unit (``samples`` says so in pandas'
    words), ``kept`` those whose result is used. ``stratum`` is the value of each stratum of the kept rows; empty where
    there are no strata.
    """

    stratum: tuple[str, ...]
    rows: np.ndarray
    reference: np.ndarray
    kept: np.ndarray
    samples: str

    @property
    def is_own(self) -> bool:
        """Whether the rows are relative to cells of the same stratum."""
        return bool((self.rows == self.kept).all())


@dataclass(frozen=True, slots=True)
class Reference:
    """What the profiles of a plate are relative to; ``wells`` are the control wells with passing cells."""

    name: ReferenceName
    wells: frozenset[str]
    cell_count: int
    scalings: tuple[Scaling, ...]
    findings: tuple[Finding, ...]


def choose_reference(rows: CellRows, platemap: PlateMap | None, settings: DatasetSettings) -> Reference:
    """Take the passing cells of the control wells, or all passing cells where there are too few of them or the settings say so."""
    passed = rows.passed
    cell_wells = rows.wells[passed].astype(str)
    is_control = np.isin(cell_wells, list(_control_wells(platemap, settings)))
    wells = frozenset(str(well) for well in cell_wells[is_control])
    keys = rows.keys()[passed][list(rows.strata)]
    is_asked = settings.normalization_samples == "controls"
    if is_asked and _is_enough(cell_wells[is_control], settings):
        samples = f"Metadata_Well in {sorted(wells)}"
        scalings = _plan_scalings(keys, cell_wells, is_control, samples, settings)
        count, findings = int(is_control.sum()), _stratum_findings(scalings, keys, settings)
        return Reference("controls", wells, count, scalings, findings)
    everything = np.ones(cell_wells.size, bool)
    scalings = _plan_scalings(keys, cell_wells, everything, "all", settings)
    findings = (_plate_finding(platemap, settings, len(wells), int(is_control.sum())),) if is_asked else ()
    return Reference("plate", wells, int(passed.sum()), scalings, findings)


def _plan_scalings(
    keys: pd.DataFrame, wells: np.ndarray, reference: np.ndarray, samples: str, settings: DatasetSettings
) -> tuple[Scaling, ...]:
    """One scaling, or one per stratum: by its own reference cells, where there are enough, else by all of them."""
    everything = np.ones(len(keys), bool)
    if not keys.columns.size:
        return (Scaling((), everything, reference, everything, samples),)
    codes, values = pd.factorize(pd.MultiIndex.from_frame(keys))
    scalings = []
    for code, value in enumerate(values):
        rows = codes == code
        own = rows & reference
        is_enough = own.sum() >= MIN_CONTROL_CELLS if samples == "all" else _is_enough(wells[own], settings)
        given, base = (rows, own) if is_enough else (everything, reference)
        scalings.append(Scaling(tuple(value), given, base, rows, samples))
    return tuple(scalings)


def _is_enough(control_cells: np.ndarray, settings: DatasetSettings) -> bool:
    """Whether control cells, given by their wells, are enough to be a reference."""
    wells = len(set(control_cells))
    return wells >= max(settings.min_controls, 1) and control_cells.size >= MIN_CONTROL_CELLS


def _control_wells(platemap: PlateMap | None, settings: DatasetSettings) -> tuple[str, ...]:
    if platemap is None or settings.control_column not in platemap.table.column_names:
        return ()
    is_control = find_controls(platemap.table[settings.control_column].to_pylist(), settings.control_values)
    return tuple(well for well, control in zip(platemap.wells, is_control, strict=True) if control)


def _plate_finding(platemap: PlateMap | None, settings: DatasetSettings, wells: int, cells: int) -> Finding:
    if platemap is None:
        why = "the dataset has no platemap"
    else:
        why = (
            f"{wells} control wells with {cells} cells were found "
            f"({settings.control_column} in {list(settings.control_values)})"
        )
    message = (
        f"Normalised to the whole plate, because {why}; "
        f"expected at least {settings.min_controls} wells with {MIN_CONTROL_CELLS} cells."
    )
    return Finding("normalised-to-plate", "warning", settings.control_column, message)


def _stratum_findings(
    scalings: tuple[Scaling, ...], keys: pd.DataFrame, settings: DatasetSettings
) -> tuple[Finding, ...]:
    borrowed = [", ".join(scaling.stratum) for scaling in scalings if not scaling.is_own]
    if not borrowed:
        return ()
    names = ", ".join(keys.columns)
    message = (
        f"{len(borrowed)} of {len(scalings)} values of {names} have too few control wells of their own (expected "
        f"{settings.min_controls} wells with {MIN_CONTROL_CELLS} cells) and are relative to the controls of all values: "
        f"{'; '.join(borrowed[:6])}. What changes with {names} alone looks like an effect there."
    )
    return (Finding("stratum-without-controls", "warning", names, message),)
