"""The cells of every well of a campaign as one row, straight from the cells of all plates."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from bioimage_assets.core.engines.aggregates import QC_FAILED, aggregate_cells
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.open_source import project_source
from bioimage_assets.core.engines.table_source import TableSource
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.settings.campaign import CellAggregate
from bioimage_assets.core.storage.tables import ProjectTables

CELLS, QUALITY = "joined_profiles", "cosmicqc_profiles"
_KEYS = ("plate_key", "dataset_id", "plate_id", "well_id", "Metadata_Well")


def aggregate_campaign_cells(
    engine: Engine,
    tables: ProjectTables,
    plate_keys: Sequence[str],
    features: Sequence[str],
    operation: CellAggregate,
) -> pa.Table | None:
    """Median or mean of the cells of each well that passed quality control, as they were measured; None where there is no cell.

    Only the files of these plates, and of them only these columns, are read, some plates at a time. Cells without an image
    have no ``well_id`` and are a row of their own. On plates without quality control all cells count.

    Raises
    ------
    ProfilingError
        Quality control of a plate was made of other cells.
    """
    cells = _open(tables, CELLS, plate_keys)
    if cells is None:
        return None
    names = cells.schema.names
    keys = [name for name in _KEYS if name in names]
    there = [name for name in features if name in names]
    quality = _open(tables, QUALITY, plate_keys)
    judged = [] if quality is None or QC_FAILED not in quality.schema.names else list(quality.partitions)
    others = [key for key in cells.partitions if key not in set(judged)]
    made = []
    for chosen, qc in ((judged, quality), (others, None)):
        part = cells.prune(chosen)
        if part.row_count:
            made.append(
                aggregate_cells(
                    engine,
                    part,
                    keys,
                    there,
                    operation=operation,
                    qc=None if qc is None else qc.prune(chosen),
                )
            )
    return pa.concat_tables(made) if made else None


def _open(tables: ProjectTables, name: str, plate_keys: Sequence[str]) -> TableSource | None:
    try:
        found = project_source(tables, name, plate_keys)
    except MissingTableError:
        return None
    return found if found.row_count else None
