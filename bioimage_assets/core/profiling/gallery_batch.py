"""Well profiles of a plate in a gallery, with the batch that its folder says: ``Metadata_Batch``, as JUMP and the profiling recipe call it."""

from __future__ import annotations

import pyarrow as pa

BATCH = "Metadata_Batch"


def add_batch(wells: pa.Table, batch: str) -> pa.Table:
    """Put the batch behind the well, unless the platemap or the measurements say one."""
    if BATCH in wells.column_names:
        return wells
    place = wells.column_names.index("Metadata_Well") + 1
    return wells.add_column(
        place, pa.field(BATCH, pa.string()), pa.array([batch] * wells.num_rows, pa.string())
    )
