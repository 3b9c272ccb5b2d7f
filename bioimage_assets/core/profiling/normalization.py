"""Normalised well medians of a block of feature columns, by pycytominer's normalize and aggregate.

https://github.com/cytomining/pycytominer. Both treat each feature by itself, so a plate may be done block by block: the
numbers are those of one call on the whole plate, the memory is that of a block. Cells are scaled by the reference cells
and wells then take the median.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from pycytominer import aggregate, normalize

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.cell_rows import CellRows
from bioimage_assets.core.profiling.normalization_method import MethodOptions, has_no_spread, repeatable_draws
from bioimage_assets.core.profiling.reference import Scaling
from bioimage_assets.core.profiling.sources import read_columns
from bioimage_assets.core.profiling.sphered_wells import sphere_wells

# float64 bytes of one block; the library needs four to five times as much while it works.
BLOCK_BYTES = 128 * 1024 * 1024

WELL = "Metadata_Well"
AGGREGATION = "median"


@dataclass(frozen=True, slots=True)
class WellBlock:
    """Some features of all wells that hold passing cells.

    ``medians`` has ``Metadata_Well``, the strata and the features; ``unscaled`` names features without spread in the
    reference of some stratum (null there); ``nonfinite_count`` infinite measurements that were taken for missing;
    ``incomplete`` features that were left out because some well lacks them.
    """

    medians: pd.DataFrame
    unscaled: tuple[str, ...]
    nonfinite_count: int
    incomplete: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NormalizationPlan:
    """How a plate's cells are scaled; ``centered_wells`` are the wells whose median becomes zero, none by default."""

    options: MethodOptions
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
    frames = _read_blocks(cells, rows, features, block_bytes)
    if plan.options.is_of_wells:
        yield build_sphered_block(frames, plan)
        return
    for frame, keys in frames:
        yield build_well_block(frame, keys, plan)


def build_median_blocks(
    cells: ds.Dataset, rows: CellRows, features: Sequence[str], block_bytes: int = BLOCK_BYTES
) -> Iterator[WellBlock]:
    """The same without normalising: medians of the cells that passed QC, as they were measured."""
    for frame, keys in _read_blocks(cells, rows, features, block_bytes):
        yield _take_medians(frame, keys)


def build_sphered_block(
    frames: Iterable[tuple[pd.DataFrame, pd.DataFrame]], plan: NormalizationPlan
) -> WellBlock:
    """Standardise cells and take their medians, feature by feature; then whiten the wells, all features at once."""
    standard = replace(plan, options=MethodOptions("standardize"), centered_wells=())
    blocks, names = [], [WELL]
    for frame, keys in frames:
        blocks.append(build_well_block(frame, keys, standard))
        names = list(keys.columns)
    medians = pd.concat([block.medians.set_index(names) for block in blocks], axis="columns").reset_index()
    flat = tuple(name for block in blocks for name in block.unscaled)
    sphered, unscaled, incomplete = sphere_wells(medians, plan.scalings, names[1:], plan.options, flat)
    if plan.centered_wells:
        features = [str(name) for name in sphered.columns if name not in names]
        sphered = _center(sphered, features, plan.centered_wells)
    count = sum(block.nonfinite_count for block in blocks)
    return WellBlock(sphered, unscaled, count, incomplete)


def _take_medians(frame: pd.DataFrame, keys: pd.DataFrame) -> WellBlock:
    features = [str(name) for name in frame.columns]
    is_infinite = np.isinf(frame.to_numpy(dtype=np.float64))
    clean = pd.concat([keys, frame.mask(is_infinite)], axis="columns")
    medians = aggregate(clean, strata=list(keys.columns), features=features, operation=AGGREGATION)
    return WellBlock(pd.DataFrame(medians), (), int(is_infinite.sum()))


def _read_blocks(
    cells: ds.Dataset, rows: CellRows, features: Sequence[str], block_bytes: int
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Some features of the cells that passed QC, and their keys."""
    width = max(1, block_bytes // (8 * max(1, rows.wells.size)))
    passed = rows.passed
    keys = rows.keys()[passed].reset_index(drop=True)
    for start in range(0, len(features), width):
        names = list(features[start : start + width])
        frame = read_columns(cells, names).to_pandas().astype(np.float64)
        yield frame.loc[passed, names].reset_index(drop=True), keys


def build_well_block(frame: pd.DataFrame, keys: pd.DataFrame, plan: NormalizationPlan) -> WellBlock:
    """Normalise passing cells (rows of ``frame``, named by ``keys``) and take the median of each well and stratum."""
    features = [str(name) for name in frame.columns]
    values = frame.to_numpy(dtype=np.float64, copy=True)
    infinite = np.isinf(values)
    values[infinite] = np.nan
    unscaled: set[str] = set()
    parts = []
    for scaling in plan.scalings:
        is_flat = has_no_spread(values[scaling.reference], plan.options)
        unscaled |= {name for name, flat in zip(features, is_flat, strict=True) if flat}
        scaled = [name for name, flat in zip(features, is_flat, strict=True) if not flat]
        given = values if scaling.rows.all() else values[scaling.rows]
        clean = pd.DataFrame(given, columns=features).loc[:, scaled]
        named = keys[scaling.rows].reset_index(drop=True)
        medians = _call_library(clean, named, scaled, plan.options, scaling.samples)
        if plan.centered_wells:
            medians = _center(medians, scaled, plan.centered_wells)
        parts.append(_keep_stratum(medians, scaling, list(keys.columns[1:])))
    medians = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    medians = medians.reindex(columns=[*keys.columns, *features])
    return WellBlock(medians, tuple(name for name in features if name in unscaled), int(infinite.sum()))


def _call_library(
    frame: pd.DataFrame, keys: pd.DataFrame, features: list[str], options: MethodOptions, samples: str
) -> pd.DataFrame:
    names = list(keys.columns)
    if not features:
        return keys.drop_duplicates().sort_values(names, ignore_index=True)
    try:
        with repeatable_draws(options):
            normalized = normalize(
                pd.concat([keys, frame], axis="columns"),
                features=features,
                meta_features=names,
                samples=samples,
                **options.arguments(),
            )
        return pd.DataFrame(aggregate(normalized, strata=names, features=features, operation=AGGREGATION))
    except ValueError as error:
        raise ProfilingError(
            f"pycytominer could not normalise {count_words(len(frame), 'cell')} by {options.method}: {error}"
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
