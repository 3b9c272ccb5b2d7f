"""Gives each cell the verdict of ``image_quality`` on the field that it was measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bioimage_assets.core.model.identity import normalize_site, normalize_well

CONDITION = "image_flags"
COLUMNS = ("image_id", "well_id", "site_id", "is_flagged")

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CellVerdicts:
    """Per cell: whether its field is flagged in any channel, and whether the field was judged at all."""

    is_flagged: Flags
    is_judged: Flags


def judge_cells(cells: pa.Table, image_quality: pa.Table) -> CellVerdicts:
    """Look up each cell's field by its image, and where neither has one by well and site; one bad channel is enough.

    Parameters
    ----------
    cells
        ``image_id``, ``Metadata_Well`` and ``Metadata_Site``, as far as there are such columns.
    image_quality
        Its :data:`COLUMNS`.
    """
    fields: dict[tuple[str | None, ...], bool] = {}
    for row in image_quality.select(list(COLUMNS)).to_pylist():
        if row["is_flagged"] is not None:
            key = _key(row["image_id"], row["well_id"], row["site_id"])
            fields[key] = fields.get(key, False) or row["is_flagged"]
    names = [name for name in ("image_id", "Metadata_Well", "Metadata_Site") if name in cells.column_names]
    if not names:
        nothing = np.zeros(cells.num_rows, bool)
        return CellVerdicts(nothing, nothing.copy())
    numbered = cells.select(names).append_column("row", pa.array(np.arange(cells.num_rows)))
    flagged, judged = np.zeros(cells.num_rows, bool), np.zeros(cells.num_rows, bool)
    for group in numbered.group_by(names).aggregate([("row", "list")]).to_pylist():
        verdict = fields.get(
            _key(*(group.get(name) for name in ("image_id", "Metadata_Well", "Metadata_Site")))
        )
        if verdict is not None:
            judged[group["row_list"]] = True
            flagged[group["row_list"]] = verdict
    return CellVerdicts(flagged, judged)


def _key(image_id: object, well: object, site: object) -> tuple[str | None, ...]:
    if image_id is not None:
        return (str(image_id),)
    return (normalize_well(None if well is None else str(well)), normalize_site(site))
