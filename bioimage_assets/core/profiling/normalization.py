"""A block of feature columns of one plate becomes normalised well medians, by pycytominer's normalize and aggregate.

https://github.com/cytomining/pycytominer. Both treat each feature by itself, so a plate may be done block by block: the
numbers are those of one call on the whole plate, the memory is that of a block. Cells are scaled by the reference cells
and wells then take the median.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from pycytominer import aggregate, normalize

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.cell_rows import CellRows
from bioimage_assets.core.profiling.sources import read_columns
from bioimage_assets.core.settings.dataset import NormalizationMethod

# float64 bytes of one block; the library needs four to five times as much while it works.
BLOCK_BYTES = 128 * 1024 * 1024

WELL = "Metadata_Well"
REFERENCE = "Metadata_Is_Reference"

# Relative spread below this is rounding noise of a constant feature.
_NOISE = 1e-12


@dataclass(frozen=True, slots=True)
class WellBlock:
    """Some features of all wells that hold passing cells.

    ``medians`` has column ``Metadata_Well`` and the features; ``unscaled`` names features without spread
    in the reference (null in every well); ``nonfinite_count`` infinite measurements that were taken for missing.
    """

    medians: pd.DataFrame
    unscaled: tuple[str, ...]
    nonfinite_count: int


def build_well_blocks(
    cells: ds.Dataset,
    rows: CellRows,
    reference: np.ndarray,
    features: Sequence[str],
    method: NormalizationMethod,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[WellBlock]:
    """Read, normalise and aggregate the features in blocks of about ``block_bytes``.

    ``reference`` marks the cells that define zero and unit; only cells that passed QC are used.
    """
    width = max(1, block_bytes // (8 * max(1, rows.wells.size)))
    passed = rows.passed
    for start in range(0, len(features), width):
        names = list(features[start : start + width])
        frame = read_columns(cells, names).to_pandas().astype(np.float64)
        frame = frame.loc[passed, names].reset_index(drop=True)
        yield build_well_block(frame, rows.wells[passed], reference[passed], method)


def build_well_block(
    frame: pd.DataFrame, wells: np.ndarray, reference: np.ndarray, method: NormalizationMethod
) -> WellBlock:
    """Normalise passing cells (rows of ``frame``) to the reference ones and take the median of each well."""
    features = [str(name) for name in frame.columns]
    values = frame.to_numpy(dtype=np.float64, copy=True)
    infinite = np.isinf(values)
    values[infinite] = np.nan
    unscaled = [
        name for name, flat in zip(features, _has_no_spread(values[reference], method), strict=True) if flat
    ]
    scaled = [name for name in features if name not in set(unscaled)]
    clean = pd.DataFrame(values, columns=features).loc[:, scaled]
    clean.insert(0, WELL, wells)
    clean.insert(1, REFERENCE, reference)
    medians = _call_library(clean, scaled, method)
    medians = medians.reindex(columns=[WELL, *features])
    return WellBlock(medians, tuple(unscaled), int(infinite.sum()))


def center_on_controls(block: WellBlock, control_wells: Collection[str]) -> WellBlock:
    """Move the median of the control wells to zero.

    The median cell of a skewed feature is not its mean cell, so that after ``standardize`` all control wells share an
    offset in which they look alike, whatever was done to them.
    """
    features = [name for name in block.medians.columns if name != WELL]
    is_control = block.medians[WELL].isin(list(control_wells))
    values = block.medians[features]
    centered = values - values[is_control].median()
    return replace(block, medians=pd.concat([block.medians[[WELL]], centered], axis=1))


def _call_library(frame: pd.DataFrame, features: list[str], method: NormalizationMethod) -> pd.DataFrame:
    if not features:
        return pd.DataFrame({WELL: sorted(set(frame[WELL]))})
    try:
        normalized = normalize(
            frame,
            features=features,
            meta_features=[WELL],
            samples=f"{REFERENCE} == True",
            method=method,
            mad_robustize_epsilon=0.0,  # features without spread are already out: the default of 1e-18 turns them into 1e18
        )
        return pd.DataFrame(aggregate(normalized, strata=[WELL], features=features, operation="median"))
    except ValueError as error:
        raise ProfilingError(
            f"pycytominer could not normalise {len(frame)} cells by {method}: {error}"
        ) from error


def _has_no_spread(reference: np.ndarray, method: NormalizationMethod) -> np.ndarray:
    """Tell per column whether the reference has no spread in the sense of the method (or no value at all)."""
    empty = ~np.isfinite(reference).any(axis=0)
    filled = np.where(empty, 0.0, reference)  # keeps numpy quiet about columns without values
    center = np.nanmedian(filled, axis=0)
    if method == "mad_robustize":
        spread = np.nanmedian(np.abs(filled - center), axis=0)
    elif method == "robustize":
        spread = np.nanquantile(filled, 0.75, axis=0) - np.nanquantile(filled, 0.25, axis=0)
    else:
        center, spread = np.nanmean(filled, axis=0), np.nanstd(filled, axis=0)
    return empty | (spread <= _NOISE * np.abs(center))
