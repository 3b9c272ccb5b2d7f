"""The measured cells of one well: where each is, whether it passed quality control, and why not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.browse.picked_rows import Wanted, read_columns_of, read_picked
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.browse.qc_columns import StoredCondition, list_conditions
from bioimage_assets.core.errors import ContractError
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.pixels.boxes import BoxColumns, find_box_columns, read_box
from bioimage_assets.core.profiling.result_columns import FAILED, OBJECT_ID
from bioimage_assets.core.profiling.wells import build_well_column

CELLS, QC = "joined_profiles", "cosmicqc_profiles"
MAX_VALUES = 12
# Shown where they were measured, behind the features of the conditions.
_COMMON = (
    "Cells_AreaShape_Area",
    "Nuclei_AreaShape_Area",
    "Cells_AreaShape_FormFactor",
    "Nuclei_AreaShape_FormFactor",
    "Cells_AreaShape_Eccentricity",
)
_MEAN = "_Intensity_MeanIntensity_"
_KEYS = (OBJECT_ID, "image_id", "site_id", "well_id", "Metadata_Well", "Metadata_Site")


@dataclass(frozen=True, slots=True)
class Cell:
    """One measured cell; ``box`` in full-resolution pixels (y0, y1, x0, x1), half-open. ``passed`` is None without QC."""

    object_id: str
    image_id: str | None
    site_id: str | None
    box: tuple[int, int, int, int] | None
    passed: bool | None
    reasons: tuple[str, ...]
    values: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class CellPage:
    """Some of the cells that were asked for, and how many there are."""

    total: int
    rows: tuple[Cell, ...]
    value_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CellColumns:
    """What is read of the cells of a plate."""

    read: tuple[str, ...]
    box: BoxColumns | None
    values: tuple[str, ...]
    conditions: tuple[StoredCondition, ...]


def list_cells(
    project: BrowsedProject,
    plate_key: str,
    well_id: str,
    *,
    image_id: str | None = None,
    only_failed: bool = False,
    offset: int = 0,
    limit: int = 100,
) -> CellPage:
    """Cells of a well in stored order, or of one of its images; none where nothing was measured there."""
    columns = choose_columns(project, plate_key)
    cells, qc = read_well(project, plate_key, well_id)
    if cells is None:
        return CellPage(0, (), columns.values)
    chosen = _choose(cells, qc, image_id, only_failed)
    page = chosen.slice(offset, limit)
    return CellPage(chosen.num_rows, build_cells(page, qc, columns), columns.values)


def choose_columns(project: BrowsedProject, plate_key: str) -> CellColumns:
    """Keys, box and a few telling features: those that quality control looks at first."""
    known = read_columns_of(project, CELLS, plate_key)
    conditions = list_conditions(read_columns_of(project, QC, plate_key))
    wanted = [feature for condition in conditions for feature in condition.scores]
    means = [name for name in known if _MEAN in name]
    values = [name for name in dict.fromkeys((*wanted, *_COMMON, *means)) if name in known][:MAX_VALUES]
    box = _find_box(known)
    read = [name for name in (*_KEYS, *(box.names if box else ()), *values, *wanted) if name in known]
    return CellColumns(tuple(dict.fromkeys(read)), box, tuple(values), conditions)


def build_cells(
    cells: pa.Table, qc: Mapping[str, dict[str, object]], columns: CellColumns
) -> tuple[Cell, ...]:
    """Rows as they are answered; ``qc`` holds the flags of each object."""
    return tuple(_build_cell(row, qc.get(str(row.get(OBJECT_ID))), columns) for row in cells.to_pylist())


def read_flags(
    project: BrowsedProject, plate_key: str, object_ids: Sequence[str], columns: CellColumns
) -> dict[str, dict[str, object]]:
    """Flags and z-scores of some cells by their object ids; none for cells that were not judged."""
    scores = [column for condition in columns.conditions for column in condition.scores.values()]
    flags = [condition.flag for condition in columns.conditions]
    rows = read_picked(project, QC, plate_key, [OBJECT_ID, FAILED, *flags, *scores], {OBJECT_ID: object_ids})
    return {} if rows is None else {str(row[OBJECT_ID]): row for row in rows.to_pylist()}


def read_well(
    project: BrowsedProject, plate_key: str, well_id: str
) -> tuple[pa.Table | None, dict[str, dict[str, object]]]:
    """Cells of a well and their flags by object id, kept for the next page of the same well."""
    columns = choose_columns(project, plate_key)
    return project.keep(
        ("cells", plate_key, well_id), lambda: _read_well(project, plate_key, well_id, columns)
    )


def _read_well(
    project: BrowsedProject, plate_key: str, well_id: str, columns: CellColumns
) -> tuple[pa.Table | None, dict[str, dict[str, object]]]:
    cells = read_picked(project, CELLS, plate_key, columns.read, _name_well(well_id))
    if cells is None or not cells.num_rows or OBJECT_ID not in cells.column_names:
        return None, {}
    cells = cells.filter(pc.equal(build_well_column(cells), normalize_well(well_id) or well_id))
    ids = [str(name) for name in cells[OBJECT_ID].to_pylist() if name is not None]
    return cells, read_flags(project, plate_key, ids, columns)


def _name_well(well_id: str) -> Wanted:
    """A well as images name it, and as measurements may: cells without image have their own spelling alone."""
    well = normalize_well(well_id)
    if well is None:
        return {"well_id": [well_id], "Metadata_Well": [well_id]}
    row, number = well[:-2], int(well[-2:])
    spelled = [f"{letters}{joint}{digits}" for letters in (row, row.lower()) for joint in ("", "-", "_", " ", " - ")
               for digits in (f"{number:02d}", str(number))]  # fmt: skip
    return {"well_id": [well], "Metadata_Well": list(dict.fromkeys(spelled))}


def _choose(
    cells: pa.Table, qc: Mapping[str, dict[str, object]], image_id: str | None, only_failed: bool
) -> pa.Table:
    if image_id is not None:
        if "image_id" not in cells.column_names:
            return cells.slice(0, 0)
        cells = cells.filter(pc.equal(cells["image_id"], image_id))
    if only_failed:
        failed = [name for name, flags in qc.items() if flags.get(FAILED)]
        cells = cells.filter(pc.is_in(cells[OBJECT_ID].cast(pa.string()), pa.array(failed, pa.string())))
    return cells


def _find_box(known: Sequence[str]) -> BoxColumns | None:
    try:
        return find_box_columns(known)
    except ContractError:
        return None


def _build_cell(row: Mapping[str, object], flags: Mapping[str, object] | None, columns: CellColumns) -> Cell:
    failed = None if flags is None else flags.get(FAILED)
    reasons = [one.name for one in columns.conditions if flags is not None and flags.get(one.flag)]
    site = row.get("site_id") if row.get("site_id") is not None else row.get("Metadata_Site")
    image = row.get("image_id")
    return Cell(
        object_id=str(row[OBJECT_ID]),
        image_id=None if image is None else str(image),
        site_id=None if site is None else str(site),
        box=_read_box(row, columns.box),
        passed=None if failed is None else not failed,
        reasons=tuple(reasons),
        values={name: read_value(row.get(name)) for name in columns.values},
    )


def _read_box(row: Mapping[str, object], columns: BoxColumns | None) -> tuple[int, int, int, int] | None:
    if columns is None:
        return None
    try:
        box = read_box(row, columns)
    except ContractError:  # a cell without a place
        return None
    return (box.y_start, box.y_stop, box.x_start, box.x_stop)


def read_value(value: object) -> float | None:
    """A finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
