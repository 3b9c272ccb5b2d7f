"""One cell by its object id, with the conditions of quality control that it fails, their limits and its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bioimage_assets.browse.answers import NotThereError
from bioimage_assets.browse.cells import (
    CELLS,
    Cell,
    CellColumns,
    build_cells,
    choose_columns,
    read_flags,
    read_value,
    read_well,
)
from bioimage_assets.browse.picked_rows import read_picked
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.browse.qc_limits import find_cutoff, read_limits
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.profiling.result_columns import OBJECT_ID


@dataclass(frozen=True, slots=True)
class Limit:
    """Limit of one feature: cells whose z-score is beyond ``zscore`` have it; ``cutoff`` is the same in the feature's units."""

    zscore: float | None
    cutoff: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one feature, and its z-score among the cells of the plate."""

    value: float | None
    zscore: float | None


@dataclass(frozen=True, slots=True)
class Reason:
    """A condition that the cell fails: by feature, its limits and the cell's own values."""

    condition: str
    thresholds: dict[str, Limit]
    values: dict[str, Measured]


@dataclass(frozen=True, slots=True)
class ExplainedCell:
    """A cell as in the list of its well, with its well and the reasons why it failed."""

    object_id: str
    image_id: str | None
    site_id: str | None
    well_id: str | None
    box: tuple[int, int, int, int] | None
    passed: bool | None
    reasons: tuple[str, ...]
    values: dict[str, float | None]
    why: tuple[Reason, ...]


class _Others:
    """The cells of the same well, whose values and z-scores tell what a limit is in units of its feature."""

    def __init__(self, project: BrowsedProject, plate_key: str, well_id: str | None) -> None:
        cells, flags = (None, {}) if well_id is None else read_well(project, plate_key, well_id)
        self._cells = [] if cells is None else cells.to_pylist()
        self._flags = flags

    def limit(self, feature: str, score: str, zscore: float | None) -> Limit:
        """Limit of one feature, whose z-scores stand in column ``score``."""
        if zscore is None:
            return Limit(None, None)
        pairs = (
            (read_value(cell.get(feature)), read_value(self._flags.get(str(cell[OBJECT_ID]), {}).get(score)))
            for cell in self._cells
        )
        return Limit(zscore, find_cutoff(pairs, zscore))


def explain_cell(project: BrowsedProject, plate_key: str, object_id: str) -> ExplainedCell:
    """Find a cell and say why it failed; NotThereError where the plate has no cell of that id."""
    columns = choose_columns(project, plate_key)
    rows = read_picked(project, CELLS, plate_key, columns.read, {OBJECT_ID: [object_id]})
    if rows is None or not rows.num_rows:
        raise NotThereError(f"Plate {plate_key} has no cell {object_id!r:.200}.")
    row: dict[str, object] = rows.slice(0, 1).to_pylist()[0]
    flags = read_flags(project, plate_key, [object_id], columns)
    cell = build_cells(rows.slice(0, 1), flags, columns)[0]
    well = normalize_well(row.get("well_id")) or normalize_well(row.get("Metadata_Well"))
    why = _explain(project, plate_key, well, row, flags.get(object_id), columns)
    return _build(cell, well, why)


def _build(cell: Cell, well_id: str | None, why: tuple[Reason, ...]) -> ExplainedCell:
    return ExplainedCell(
        cell.object_id, cell.image_id, cell.site_id, well_id, cell.box, cell.passed, cell.reasons, cell.values, why
    )  # fmt: skip


def _explain(
    project: BrowsedProject,
    plate_key: str,
    well_id: str | None,
    row: Mapping[str, object],
    flags: Mapping[str, object] | None,
    columns: CellColumns,
) -> tuple[Reason, ...]:
    failed = [one for one in columns.conditions if flags is not None and flags.get(one.flag)]
    if not failed or flags is None:
        return ()
    limits = read_limits(project, plate_key)
    others = _Others(project, plate_key, well_id)
    reasons = []
    for condition in failed:
        found = limits.get(condition.name, {})
        thresholds = {
            name: others.limit(name, column, found.get(name)) for name, column in condition.scores.items()
        }
        values = {
            name: Measured(read_value(row.get(name)), read_value(flags.get(column)))
            for name, column in condition.scores.items()
        }
        reasons.append(Reason(condition.name, thresholds, values))
    return tuple(reasons)
