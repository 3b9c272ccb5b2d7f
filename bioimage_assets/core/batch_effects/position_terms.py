"""Which effects of position the controls of a batch can tell: trends, a surface, the edge, single rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bioimage_assets.core.batch_effects.plate_positions import PlatePositions

Axis = Literal["row", "column"]
AXES: tuple[Axis, ...] = ("row", "column")
# Controls of a plate behind effects of its own: two for each of its three numbers and its mean.
_PLATE_CONTROLS = 8


@dataclass(frozen=True, slots=True)
class PositionTerm:
    """One number per feature: a ``trend`` along an axis (of ``power`` 1 or 2), a ``surface`` (a trend of rows times one of
    columns, of ``column_power``), the ``edge``, or a ``line`` of an axis.

    ``first`` and ``last`` are the lines of the plate that hold wells, zero-based, along the axis; of a line both are itself.
    Edge and surface are of the rows and, in ``columns``, of the columns.
    """

    kind: Literal["trend", "surface", "edge", "line"]
    axis: Axis = "row"
    first: int = 0
    last: int = 0
    power: int = 1
    columns: tuple[int, int] = (0, 0)
    column_power: int = 1

    def values(self, positions: PlatePositions) -> np.ndarray:
        """The term's value at each well: -1 to 1 along a trend; 1 or 0; 0 where a well has no place."""
        places = positions.along(self.axis)
        is_placed = places >= 0
        if self.kind == "line":
            return np.asarray(places == self.first, dtype=np.float64)
        if self.kind == "edge":
            outer = np.isin(positions.row, (self.first, self.last)) | np.isin(positions.column, self.columns)
            return np.asarray(outer & is_placed, dtype=np.float64)
        trend = _scale(places, self.first, self.last) ** self.power
        if self.kind == "surface":
            trend = trend * _scale(positions.column, *self.columns) ** self.column_power
        return np.where(is_placed, trend, 0.0)


@dataclass(frozen=True, slots=True)
class ChosenTerms:
    """Terms that can be fitted, and what is left out.

    ``left_out`` are axes that too few controls lie along: (axis, lines with enough, lines with wells). ``single`` are lines
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
    """Terms of axes where at least ``min_coverage`` of the lines with wells have controls in ``min_controls`` different wells.

    Of an axis with less nothing is corrected: shifting the columns that hold controls and no other would set controls apart
    from all that is compared with them. The same well of many plates counts once: what it differs by is as well that of its
    column as that of its row.
    """
    terms: list[PositionTerm] = []
    left_out, single = [], []
    ends = {}
    for axis in AXES:
        places = wells.along(axis)
        lines = np.unique(places[places >= 0])
        held = np.unique(np.stack([wells.row, wells.column, places], axis=1)[is_control], axis=0)[:, 2]
        known = [int(line) for line in lines if (held == line).sum() >= min_controls]
        if len(known) < 3 or len(known) < min_coverage * lines.size:
            left_out.append((axis, len(known), int(lines.size)))
            continue
        first, last = ends[axis] = int(lines[0]), int(lines[-1])
        terms += [PositionTerm("trend", axis, first, last, power) for power in (1, 2)]
        terms += [PositionTerm("line", axis, line, line) for line in known]
        single += [(axis, int(line)) for line in lines if int(line) not in known]
    if len(ends) == len(AXES):
        powers = [(row, column) for row in (1, 2) for column in (1, 2)]
        terms += [
            PositionTerm("surface", "row", *ends["row"], row, columns=ends["column"], column_power=column)
            for row, column in powers
        ]
        edge = PositionTerm("edge", "row", *ends["row"], columns=ends["column"])
        outer = edge.values(wells.take(is_control))
        if min_controls <= outer.sum() <= outer.size - min_controls:
            terms.append(edge)
    return ChosenTerms(tuple(terms), tuple(left_out), tuple(single))


def choose_plate_terms(terms: Sequence[PositionTerm], controls: PlatePositions) -> tuple[PositionTerm, ...]:
    """Of the terms of a batch, those that the controls of one plate can tell by themselves: straight trends and the edge.

    A trend is told by controls in at least three lines that lie on both sides of the middle and reach over half of the axis: one
    that only a few neighbouring lines show would be drawn out over the others.
    """
    chosen = []
    for term in terms:
        if term.kind == "trend" and term.power == 1:
            places = np.unique(term.values(controls))
            is_told = places.size >= 3 and places[0] <= -0.5 and places[-1] >= 0.5
        elif term.kind == "edge":
            outer = int(term.values(controls).sum())
            is_told = 2 <= outer <= controls.row.size - 2
        else:
            is_told = False
        chosen += [term] if is_told else []
    return tuple(chosen) if controls.row.size >= _PLATE_CONTROLS else ()


def _scale(places: np.ndarray, first: int, last: int) -> np.ndarray:
    """-1 at the first line, 1 at the last."""
    return np.asarray((2.0 * places - first - last) / max(last - first, 1))
