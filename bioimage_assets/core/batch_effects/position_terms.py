"""Which effects of position the controls of a batch can tell: trends, the edge, single rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bioimage_assets.core.batch_effects.plate_positions import PlatePositions

Axis = Literal["row", "column"]
AXES: tuple[Axis, ...] = ("row", "column")


@dataclass(frozen=True, slots=True)
class PositionTerm:
    """One number per feature: a ``trend`` along an axis (of ``power`` 1 or 2), the ``edge``, or a ``line`` of an axis.

    ``first`` and ``last`` are the lines of the plate that hold wells, zero-based, along the axis; of a line both are itself.
    The edge is of the rows and, in ``columns``, of the columns.
    """

    kind: Literal["trend", "edge", "line"]
    axis: Axis = "row"
    first: int = 0
    last: int = 0
    power: int = 1
    columns: tuple[int, int] = (0, 0)

    @property
    def is_line(self) -> bool:
        """Whether it is of a single row or column."""
        return self.kind == "line"

    def values(self, positions: PlatePositions) -> np.ndarray:
        """The term's value at each well: -1 to 1 along a trend; 1 or 0; 0 where a well has no place."""
        places = positions.along(self.axis)
        is_placed = places >= 0
        if self.kind == "line":
            return np.asarray(places == self.first, dtype=np.float64)
        if self.kind == "edge":
            outer = np.isin(positions.row, (self.first, self.last)) | np.isin(positions.column, self.columns)
            return np.asarray(outer & is_placed, dtype=np.float64)
        scaled = (2.0 * places - self.first - self.last) / max(self.last - self.first, 1)
        return np.where(is_placed, scaled**self.power, 0.0)


@dataclass(frozen=True, slots=True)
class ChosenTerms:
    """Terms that can be fitted, and what is left out.

    ``left_out`` are axes that too few controls lie along: (axis, lines with controls, lines with wells). ``single`` are lines
    that have too few controls for a deviation of their own and get the trend alone.
    """

    terms: tuple[PositionTerm, ...]
    left_out: tuple[tuple[Axis, int, int], ...] = ()
    single: tuple[tuple[Axis, int], ...] = ()


def build_terms(positions: PlatePositions, terms: Sequence[PositionTerm]) -> np.ndarray:
    """One row per well, one column per term."""
    if not terms:
        return np.zeros((positions.row.size, 0))
    return np.stack([term.values(positions) for term in terms], axis=1)


def choose_terms(
    wells: PlatePositions, is_control: np.ndarray, min_controls: int, min_coverage: float
) -> ChosenTerms:
    """Terms of axes where at least ``min_coverage`` of the lines with wells have ``min_controls`` controls.

    Of an axis with less nothing is corrected: shifting the columns that hold controls and no other would set controls apart
    from all that is compared with them.
    """
    terms: list[PositionTerm] = []
    left_out, single = [], []
    ends = {}
    for axis in AXES:
        places = wells.along(axis)
        lines = np.unique(places[places >= 0])
        controls = places[is_control]
        known = [int(line) for line in lines if (controls == line).sum() >= min_controls]
        if len(known) < 3 or len(known) < min_coverage * lines.size:
            left_out.append((axis, len(known), int(lines.size)))
            continue
        first, last = ends[axis] = int(lines[0]), int(lines[-1])
        terms += [PositionTerm("trend", axis, first, last, power) for power in (1, 2)]
        terms += [PositionTerm("line", axis, line, line) for line in known]
        single += [(axis, int(line)) for line in lines if int(line) not in known]
    if len(ends) == len(AXES):
        edge = PositionTerm("edge", "row", *ends["row"], columns=ends["column"])
        outer = edge.values(wells.take(is_control))
        if min_controls <= outer.sum() <= outer.size - min_controls:
            terms.append(edge)
    return ChosenTerms(tuple(terms), tuple(left_out), tuple(single))
