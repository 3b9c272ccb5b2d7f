"""The scalers of every feature of a plate, fitted on its reference cells some columns at a time, and cells that are scaled by them.

They are those that ``pycytominer.normalize`` fits. Each looks at features one by one and scales rows one by one, so that neither all
columns nor all rows need to be in memory: the numbers are those of one call on the whole plate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.dataset as ds

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.cell_rows import CellRows
from bioimage_assets.core.profiling.normalization import NormalizationPlan
from bioimage_assets.core.profiling.normalization_method import (
    MethodOptions,
    Scaler,
    fit_scaler,
    has_no_spread,
)
from bioimage_assets.core.profiling.reference import Scaling
from bioimage_assets.core.profiling.sources import read_columns

# float64 bytes of all cells in one block of columns; Arrow and pandas hold them twice.
BLOCK_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class FittedColumns:
    """The scaler of some neighbouring features; ``names`` are those that it scales, the others have no spread."""

    features: tuple[str, ...]
    names: tuple[str, ...]
    scaler: Scaler | None


@dataclass(frozen=True, slots=True)
class CellScalers:
    """Scalers of all features for each scaling of a plate, in their order; ``scalings`` say which rows each is for."""

    features: tuple[str, ...]
    scalings: tuple[Scaling, ...]
    fitted: tuple[tuple[FittedColumns, ...], ...]

    @property
    def unscaled(self) -> tuple[str, ...]:
        """Features without spread in the reference of some scaling, in table order."""
        flat = {
            name
            for columns in self.fitted
            for block in columns
            for name in block.features
            if name not in set(block.names)
        }
        return tuple(name for name in self.features if name in flat)

    def scale(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Scale rows of float64, one column per feature; ``codes`` name the scaling of each row, -1 for none.

        Infinite values are missing. What has no scaler is NaN. The result has columns one after the other in memory.
        """
        clean = np.where(np.isinf(values), np.nan, values)
        scaled = np.full(values.shape, np.nan, order="F")
        for code, columns in enumerate(self.fitted):
            rows = codes == code
            if not rows.any():
                continue
            start = 0
            for block in columns:
                stop = start + len(block.features)
                if block.scaler is not None:
                    frame = pd.DataFrame(clean[rows, start:stop], columns=list(block.features))
                    places = [start + list(block.features).index(name) for name in block.names]
                    done = block.scaler.transform(frame.loc[:, list(block.names)])
                    scaled[np.ix_(rows, places)] = np.asarray(done)
                start = stop
        return scaled


def fit_cell_scalers(
    cells: ds.Dataset,
    rows: CellRows,
    features: Sequence[str],
    plan: NormalizationPlan,
    block_bytes: int = BLOCK_BYTES,
) -> CellScalers:
    """Read each column once and fit its scalers on the reference cells, which passed quality control.

    Raises
    ------
    ProfilingError
        The method needs all features of all reference cells at once.
    """
    if plan.options.is_of_wells:
        raise ProfilingError(_refuse_spherize(plan, len(features)))
    passed = rows.passed
    keys = rows.keys()[passed].reset_index(drop=True)
    fitted: list[list[FittedColumns]] = [[] for _ in plan.scalings]
    for frame in _read_blocks(cells, rows.wells.size, features, block_bytes):
        values = frame.to_numpy(dtype=np.float64)[passed]
        values[np.isinf(values)] = np.nan
        clean = pd.DataFrame(values, columns=frame.columns)
        for columns, scaling in zip(fitted, plan.scalings, strict=True):
            columns.append(_fit(clean, keys, scaling, plan.options))
    return CellScalers(tuple(features), plan.scalings, tuple(tuple(columns) for columns in fitted))


def _fit(frame: pd.DataFrame, keys: pd.DataFrame, scaling: Scaling, options: MethodOptions) -> FittedColumns:
    features = tuple(str(name) for name in frame.columns)
    is_flat = has_no_spread(frame.to_numpy()[scaling.reference], options)
    names = [name for name, flat in zip(features, is_flat, strict=True) if not flat]
    if not names:
        return FittedColumns(features, (), None)
    # In the library's own steps: the order of a sum, and its last digit, depends on how a frame lies in memory.
    given = pd.concat([keys, frame.loc[:, names]], axis="columns")[scaling.rows]
    reference = given if scaling.samples == "all" else given.query(scaling.samples)
    return FittedColumns(features, tuple(names), fit_scaler(reference.loc[:, names], options))


def _read_blocks(
    cells: ds.Dataset, row_count: int, features: Sequence[str], block_bytes: int
) -> Iterator[pd.DataFrame]:
    width = max(1, block_bytes // (8 * max(1, row_count)))
    for start in range(0, len(features), width):
        names = list(features[start : start + width])
        yield read_columns(cells, names).to_pandas().astype(np.float64)[names]


def _refuse_spherize(plan: NormalizationPlan, feature_count: int) -> str:
    """What whitening of cells would take: pycytominer decomposes the reference with a square matrix over its rows."""
    rows = max((int(scaling.reference.sum()) for scaling in plan.scalings), default=0)
    needed_gb = 8 * (rows**2 + feature_count**2 + 3 * rows * feature_count) / 1e9
    return (
        f"Cells are not sphered: whitening needs all {feature_count} features of the {rows} reference cells at once, about "
        f"{needed_gb:.1f} GB in pycytominer, and no cell may lack a value. Write another [profiles] normalization, or "
        "[normalized_cells] write = false; profiles of wells are sphered."
    )
