"""Normalised well medians of a block of feature columns, by pycytominer's normalize and aggregate.

https://github.com/cytomining/pycytominer. Both treat each feature by itself, so a plate may be done block by block: the
numbers are those of one call on the whole plate, the memory is that of a block. Cells are scaled by the reference cells
and wells then take the median.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from pycytominer import aggregate, normalize

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.cell_rows import CellRows
from bioimage_assets.core.profiling.reference import Scaling
from bioimage_assets.core.profiling.sources import read_columns
from bioimage_assets.core.settings.dataset import NormalizationMethod

# float64 bytes of one block; the library needs four to five times as much while it works.
BLOCK_BYTES = 128 * 1024 * 1024

WELL = "Metadata_Well"
# Features without spread are already out: the library's own 1e-18 turns them into 1e18.
MAD_EPSILON = 0.0
AGGREGATION = "median"

# Relative spread below this is rounding noise of a constant feature.
_NOISE = 1e-12


@dataclass(frozen=True, slots=True)
class WellBlock:
    """Some features of all wells that hold passing cells.

    ``medians`` has ``Metadata_Well``, the strata and the features; ``unscaled`` names features without spread in the
    reference of some stratum (null there); ``nonfinite_count`` infinite measurements that were taken for missing.
    """

    medians: pd.DataFrame
    unscaled: tuple[str, ...]
    nonfinite_count: int


@dataclass(frozen=True, slots=True)
class NormalizationPlan:
    """How a plate's cells are scaled; ``centered_wells`` are the wells whose median becomes zero, none by default."""

    method: NormalizationMethod
    scalings: tuple[Scaling, ...]
    centered_wells: Collection[str] = ()


def build_well_blocks(
    cells: ds.Dataset,
    rows: CellRows,
    features: Sequence[str],
    plan: NormalizationPlan,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[WellBlock]:
    """Read, normalise and aggregate the features in blocks of about ``block_bytes``; only cells that passed QC."""
    width = max(1, block_bytes // (8 * max(1, rows.wells.size)))
    passed = rows.passed
    keys = rows.keys()[passed].reset_index(drop=True)
    for start in range(0, len(features), width):
        names = list(features[start : start + width])
        frame = read_columns(cells, names).to_pandas().astype(np.float64)
        yield build_well_block(frame.loc[passed, names].reset_index(drop=True), keys, plan)


def build_well_block(frame: pd.DataFrame, keys: pd.DataFrame, plan: NormalizationPlan) -> WellBlock:
    """Normalise passing cells (rows of ``frame``, named by ``keys``) and take the median of each well and stratum."""
    features = [str(name) for name in frame.columns]
    values = frame.to_numpy(dtype=np.float64, copy=True)
    infinite = np.isinf(values)
    values[infinite] = np.nan
    unscaled: set[str] = set()
    parts = []
    for scaling in plan.scalings:
        is_flat = _has_no_spread(values[scaling.reference], plan.method)
        unscaled |= {name for name, flat in zip(features, is_flat, strict=True) if flat}
        scaled = [name for name, flat in zip(features, is_flat, strict=True) if not flat]
        given = values if scaling.rows.all() else values[scaling.rows]
        clean = pd.DataFrame(given, columns=features).loc[:, scaled]
        named = keys[scaling.rows].reset_index(drop=True)
        medians = _call_library(clean, named, scaled, plan.method, scaling.samples)
        if plan.centered_wells:
            medians = _center(medians, scaled, plan.centered_wells)
        parts.append(_keep_stratum(medians, scaling, list(keys.columns[1:])))
    medians = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    medians = medians.reindex(columns=[*keys.columns, *features])
    return WellBlock(medians, tuple(name for name in features if name in unscaled), int(infinite.sum()))


def _call_library(
    frame: pd.DataFrame, keys: pd.DataFrame, features: list[str], method: NormalizationMethod, samples: str
) -> pd.DataFrame:
    names = list(keys.columns)
    if not features:
        return keys.drop_duplicates().sort_values(names, ignore_index=True)
    try:
        normalized = normalize(
            pd.concat([keys, frame], axis="columns"),
            features=features,
            meta_features=names,
            samples=samples,
            method=method,
            mad_robustize_epsilon=MAD_EPSILON,
        )
        return pd.DataFrame(aggregate(normalized, strata=names, features=features, operation=AGGREGATION))
    except ValueError as error:
        raise ProfilingError(
            f"pycytominer could not normalise {len(frame)} cells by {method}: {error}"
        ) from error


def _center(medians: pd.DataFrame, features: list[str], wells: Collection[str]) -> pd.DataFrame:
    """Move the median of the control wells to zero.

    The median cell of a skewed feature is not its mean cell, so that after ``standardize`` all control wells share an
    offset in which they look alike, whatever was done to them.
    """
    is_control = medians[WELL].isin(list(wells))
    values = medians[features]
    kept = medians.drop(columns=features)
    return pd.concat([kept, values - values[is_control].median()], axis="columns")


def _keep_stratum(medians: pd.DataFrame, scaling: Scaling, strata: list[str]) -> pd.DataFrame:
    """Rows that a scaling is for; a stratum that borrows its reference was scaled along with all others."""
    if scaling.is_own:
        return medians
    is_kept = (medians[strata] == list(scaling.stratum)).all(axis="columns")
    return medians[is_kept]


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
    has_none: np.ndarray = empty | (spread <= _NOISE * np.abs(center))
    return has_none
