"""The ``plate_layout`` table: what a plate promises, apart from what is there."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from bioimage_assets.core.model.scan import DeclaredPlate, DeclaredWell
from bioimage_assets.core.tables.schemas import PLATE_LAYOUT


def build_plate_layout(plates: Iterable[DeclaredPlate], *, plate_key: str, dataset_id: str) -> pa.Table:
    """One row per declared well of the plates of one partition."""
    rows = [
        {
            "plate_key": plate_key,
            "dataset_id": dataset_id,
            "plate_id": plate.plate_id,
            "well_id": well.well_id,
            "well_path": well.path,
            "sites": list(well.sites),
            "field_count": well.field_count,
            "acquisitions": list(plate.acquisitions),
            "channel_names": list(plate.channel_names),
            "source": plate.source,
        }
        for plate in plates
        for well in plate.wells
    ]
    return pa.Table.from_pylist(rows, schema=PLATE_LAYOUT)


def read_plate_layout(table: pa.Table) -> tuple[DeclaredPlate, ...]:
    """Declared plates of a ``plate_layout`` table, in the order of their first row."""
    wells: dict[str, list[DeclaredWell]] = {}
    first: dict[str, dict[str, object]] = {}
    for row in table.to_pylist():
        first.setdefault(row["plate_id"], row)
        wells.setdefault(row["plate_id"], []).append(
            DeclaredWell(
                row["well_id"], row["well_path"] or "", tuple(row["sites"] or ()), row["field_count"]
            )
        )
    return tuple(
        DeclaredPlate(
            plate_id=plate_id,
            wells=tuple(wells[plate_id]),
            acquisitions=tuple(row["acquisitions"] or ()),  # type: ignore[arg-type]
            channel_names=tuple(row["channel_names"] or ()),  # type: ignore[arg-type]
            source=str(row["source"] or ""),
        )
        for plate_id, row in first.items()
    )
