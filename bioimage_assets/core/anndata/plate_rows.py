"""The stored rows of one plate, cells or wells, as what an AnnData object is made of: columns for ``obs``, features for the matrices."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from bioimage_assets.core.anndata.feature_names import parse_feature_name
from bioimage_assets.core.anndata.obs_columns import flatten_column
from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.model.compartments import COMPARTMENT_PREFIXES
from bioimage_assets.core.profiling.features import list_profile_features, select_feature_columns
from bioimage_assets.core.profiling.result_columns import (
    FAILED_COUNT,
    LOW_COUNT,
    NORMALIZED_TO,
    OBJECT_COUNT,
    OBJECT_ID,
)
from bioimage_assets.core.profiling.sources import iterate_batches, read_columns, to_float64
from bioimage_assets.core.storage.tables import ProjectTables

Level = Literal["wells", "cells"]
CELLS, WELLS, QC, NORMALIZED = (
    "joined_profiles",
    "pycytominer_profiles",
    "cosmicqc_profiles",
    "normalized_cells",
)
# Of a well, and no description of it.
_OF_PROFILES = frozenset({OBJECT_COUNT, FAILED_COUNT, LOW_COUNT, NORMALIZED_TO})
_READ_BYTES = 16 << 20  # of float64 at work at a time, beside a row group


@dataclass(frozen=True, slots=True)
class PlateRows:
    """One plate: how many rows, which features, and a Parquet file with the columns of ``obs``.

    ``is_normalized`` says whether normalised values of these rows are stored; ``channels`` are the names that its images have.
    """

    plate_key: str
    row_count: int
    features: tuple[str, ...]
    obs: Path
    is_normalized: bool
    channels: tuple[str, ...]
    is_single: bool


def open_rows(tables: ProjectTables, name: str, plate_key: str) -> ds.Dataset | None:
    """A stored table of one plate for reading by columns and batches; None where nothing is stored."""
    if tables.is_in_catalog(name):
        rows = tables.find(name, plate_key)
        return None if rows is None else ds.InMemoryDataset(rows)
    if not tables.warehouse.find_partitions(name, [plate_key]):
        return None
    return tables.warehouse.dataset(name, plate_keys=[plate_key])


def read_wells(tables: ProjectTables, plate_key: str, obs: Path) -> PlateRows | None:
    """The well profiles of a plate; None where it has none."""
    wells = open_rows(tables, WELLS, plate_key)
    if wells is None:
        return None
    features = list_profile_features(wells.schema)
    table = read_columns(wells, [name for name in wells.schema.names if name not in set(features)])
    _write_obs(table, obs)
    channels = _read_channels(tables, plate_key)
    return PlateRows(plate_key, table.num_rows, tuple(features), obs, True, channels, False)


def read_cells(tables: ProjectTables, plate_key: str, obs: Path) -> PlateRows | None:
    """The cells of a plate, with what quality control says of them and what is in their wells; None where it has none.

    Features are those of the plate's well profiles, which were chosen by the settings of its dataset.

    Raises
    ------
    WarehouseError
        Normalised cells are stored that are not these.
    """
    cells = open_rows(tables, CELLS, plate_key)
    if cells is None:
        return None
    wells = open_rows(tables, WELLS, plate_key)
    if wells is None:
        features = select_feature_columns(cells.schema).profiled
    else:
        profiled = set(list_profile_features(wells.schema))
        features = tuple(name for name in cells.schema.names if name in profiled)
    table = read_columns(cells, [name for name in cells.schema.names if name not in set(features)])
    table = table.rename_columns(_name_places(table.column_names, features))
    table = _add_flags(table, open_rows(tables, QC, plate_key))
    if wells is not None:
        table = _add_treatments(table, wells)
    normalized = open_rows(tables, NORMALIZED, plate_key)
    if normalized is not None:
        _require_same_cells(table, normalized, plate_key)
    _write_obs(table, obs)
    is_single = all(cells.schema.field(name).type in (pa.float32(), pa.float16()) for name in features)
    return PlateRows(
        plate_key,
        table.num_rows,
        features,
        obs,
        normalized is not None,
        _read_channels(tables, plate_key),
        is_single and normalized is None,
    )


def iterate_values(rows: ds.Dataset, features: Sequence[str]) -> Iterator[np.ndarray]:
    """The features of some rows at a time, float64, in stored order; NaN where there is no value or no such feature."""
    known = set(rows.schema.names)
    names = [name for name in features if name in known]
    places = [place for place, name in enumerate(features) if name in known]
    for batch in iterate_batches(rows, max(256, _READ_BYTES // (8 * len(features))), names):
        values = np.full((batch.num_rows, len(features)), np.nan, order="F")
        for place, column in zip(places, batch.columns, strict=True):
            values[:, place] = to_float64(column)
        yield values


def _name_places(names: Sequence[str], features: Sequence[str]) -> list[str]:
    """Columns that are called like features and are none get the prefix of metadata, as CytoTable has it.

    pycytominer takes them for features otherwise (https://github.com/cytomining/pycytominer/issues/224).
    """
    found = {parse_feature_name(name).compartment for name in features} - {""}
    prefixes = (*COMPARTMENT_PREFIXES, *(f"{compartment}_" for compartment in sorted(found)))
    taken = set(names)
    return [
        f"Metadata_{name}" if name.startswith(prefixes) and f"Metadata_{name}" not in taken else name
        for name in names
    ]


def _add_flags(cells: pa.Table, stored: ds.Dataset | None) -> pa.Table:
    """With the columns of quality control, null for cells that it did not see."""
    if stored is None or OBJECT_ID not in cells.column_names:
        return cells
    flags = stored.to_table()
    places = pc.index_in(cells[OBJECT_ID], value_set=flags[OBJECT_ID].combine_chunks())
    for name in flags.column_names:
        if name.startswith("Metadata_cqc_") and name not in cells.column_names:
            cells = cells.append_column(name, flags[name].take(places))
    return cells


def _add_treatments(cells: pa.Table, wells: ds.Dataset) -> pa.Table:
    """With what the platemap says of each cell's well."""
    if "well_id" not in cells.column_names:
        return cells
    described = [
        name
        for name in wells.schema.names
        if name.startswith("Metadata_") and name not in _OF_PROFILES and name not in cells.column_names
    ]
    table = read_columns(wells, ["well_id", *described])
    places = pc.index_in(cells["well_id"], value_set=table["well_id"].combine_chunks())
    for name in described:
        cells = cells.append_column(name, table[name].take(places))
    return cells


def _require_same_cells(cells: pa.Table, normalized: ds.Dataset, plate_key: str) -> None:
    ids = read_columns(normalized, [OBJECT_ID])
    names = (OBJECT_ID, *ids.column_names)
    if len(names) < 2 or OBJECT_ID not in cells.column_names or not ids[OBJECT_ID].equals(cells[OBJECT_ID]):
        raise WarehouseError(
            f"{NORMALIZED} of {plate_key} are not the cells of {CELLS} ({normalized.count_rows()} and {cells.num_rows} rows); "
            f"materialize {NORMALIZED} again."
        )


def _read_channels(tables: ProjectTables, plate_key: str) -> tuple[str, ...]:
    """Names of channels of the plate's images."""
    if tables.is_in_catalog("image_assets") and not tables.is_catalog_there():
        return ()
    images = tables.find("image_assets", plate_key, ["channel_names"])
    if images is None or not images.num_rows:
        return ()
    found = pc.unique(images["channel_names"].combine_chunks().flatten()).to_pylist()
    return tuple(name for name in found if name)


def _write_obs(table: pa.Table, path: Path) -> None:
    flat = {name: flatten_column(table[name]) for name in table.column_names}
    pq.write_table(pa.table(flat), path)


def join_features(plates: Collection[PlateRows]) -> list[str]:
    """Features of all plates, in the order in which they are met."""
    return list(dict.fromkeys(name for plate in plates for name in plate.features))
