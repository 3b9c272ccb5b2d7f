"""Cells of one plate in, the median of each well as it was measured out: what lies behind a normalised profile."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from bioimage_assets.core.anndata.plate_rows import CELLS, QC, WELLS, open_rows
from bioimage_assets.core.profiling.cell_rows import NO_WELL, read_cell_rows
from bioimage_assets.core.profiling.normalization import build_median_blocks
from bioimage_assets.core.profiling.sources import read_columns
from bioimage_assets.core.profiling.strata import NO_STRATUM
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.tables import ProjectTables

_BLOCK_BYTES = 32 << 20


def build_raw_wells(
    tables: ProjectTables, plate_key: str, features: Sequence[str], settings: DatasetSettings
) -> ds.Dataset | None:
    """Medians of the cells that passed quality control, in the order of the plate's well profiles; None where they cannot be told.

    That is where the cells are not stored, or profiles are told apart by a column of the platemap.
    """
    cells = open_rows(tables, CELLS, plate_key)
    wells = open_rows(tables, WELLS, plate_key)
    if cells is None or wells is None:
        return None
    if any(name not in cells.schema.names for name in settings.profile_group_by or ()):
        return None
    rows = read_cell_rows(cells, open_rows(tables, QC, plate_key), settings)
    measured = [name for name in features if name in set(cells.schema.names)]
    keys = list(rows.keys().columns)
    table = read_columns(wells, keys).to_pandas()
    if rows.passed.any():
        blocks = build_median_blocks(cells, rows, measured, _BLOCK_BYTES)
        medians = pd.concat([block.medians.set_index(keys) for block in blocks], axis="columns")
        table = table.fillna({name: NO_WELL if name == "Metadata_Well" else NO_STRATUM for name in keys})
        table = table.join(medians, on=keys)
    columns = {
        name: pa.array(table[name], pa.float64(), from_pandas=True) for name in measured if name in table
    }
    return ds.InMemoryDataset(pa.table(columns)) if columns else None
