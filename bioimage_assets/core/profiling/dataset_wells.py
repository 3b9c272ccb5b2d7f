"""The wells of a whole dataset, in memory or as they are stored, read by the columns that are needed.

A campaign's profiles are gigabytes. Its metadata fit into memory, its profiles some columns at a time, or once as numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from bioimage_assets.core.engines.open_source import project_source
from bioimage_assets.core.engines.table_source import TableSource
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.storage.tables import ProjectTables

WELLS = "pycytominer_profiles"
COLUMN_BLOCK_BYTES = 128 << 20  # of float64; what reduces a block holds it a few times


class StoredWells(Protocol):
    """Wells that are read by columns. Every read gives the same rows in the same order."""

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        ...

    @property
    def row_count(self) -> int:
        """Number of wells."""
        ...

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of all wells."""
        ...


WellData: TypeAlias = "pa.Table | StoredWells"
"""Wells in memory, or stored."""


@dataclass(frozen=True, slots=True)
class WellColumns:
    """Wells whose columns are read by a call: those of one stored partition, for one."""

    schema: pa.Schema
    row_count: int
    read_columns: Callable[[Sequence[str]], pa.Table]

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of all wells."""
        return self.read_columns(columns)


def as_stored(wells: WellData) -> StoredWells:
    """Wells of either kind, to be read by columns."""
    return (
        WellColumns(wells.schema, wells.num_rows, lambda columns: wells.select(list(columns)))
        if isinstance(wells, pa.Table)
        else wells
    )


def list_metadata(wells: StoredWells) -> list[str]:
    """Columns that are no features."""
    features = set(list_profile_features(wells.schema))
    return [name for name in wells.schema.names if name not in features]


def read_metadata(wells: StoredWells) -> pd.DataFrame:
    """What is known of every well besides its profile; equal words are kept in memory once."""
    return wells.read(list_metadata(wells)).to_pandas()


def block_columns(wells: StoredWells, columns: Sequence[str]) -> Iterator[list[str]]:
    """Columns of numbers in blocks of which the values of all wells fit into the block size."""
    width = max(1, COLUMN_BLOCK_BYTES // (8 * max(1, wells.row_count)))
    return (list(columns[start : start + width]) for start in range(0, len(columns), width))


def read_profiles(wells: StoredWells, features: Sequence[str], rows: np.ndarray | None = None) -> np.ndarray:
    """Values of features as float64, one row per well, or per well of ``rows``; NaN where there is none."""
    values = np.empty((wells.row_count if rows is None else rows.size, len(features)))
    place = 0
    for names in block_columns(wells, features):
        for column in wells.read(names).columns:
            numbers = column.to_numpy()
            values[:, place] = numbers if rows is None else numbers[rows]
            place += 1
    return values


def read_rows(wells: StoredWells, rows: np.ndarray) -> pa.Table:
    """All columns of some wells."""
    chosen = pa.array(rows)
    names = list_metadata(wells)
    columns = dict(zip(names, wells.read(names).take(chosen).columns, strict=True))
    for block in block_columns(wells, list_profile_features(wells.schema)):
        columns |= dict(zip(block, wells.read(block).take(chosen).columns, strict=True))
    return pa.table({name: columns[name] for name in wells.schema.names})


def list_filled(wells: StoredWells) -> list[str]:
    """Features that have a value in some well: a table that datasets share has columns of the others, too."""
    filled = []
    for names in block_columns(wells, list_profile_features(wells.schema)):
        block = wells.read(names)
        filled += [name for name in names if block[name].null_count < block.num_rows]
    return filled


def find_plates(tables: ProjectTables, sources: Sequence[PlateSource]) -> TableSource | None:
    """Stored wells of the plates of a dataset or campaign that have any, in the order of the plates; None where no plate has."""
    places = {source.plate_key: place for place, source in enumerate(sources)}
    try:
        found = project_source(tables, WELLS, list(places))
    except MissingTableError:
        return None
    filled = [part for part in found.parts if part.row_count]
    filled.sort(key=lambda part: places.get(part.partition or "", len(places)))
    return replace(found, parts=tuple(filled)) if filled else None
