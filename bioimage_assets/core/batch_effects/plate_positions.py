"""Row and column of every well by its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.model.identity import normalize_well, row_index, row_letters

_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class PlatePositions:
    """Zero-based row and column of every well, -1 where its name is none of a plate."""

    row: np.ndarray
    column: np.ndarray

    def take(self, rows: np.ndarray) -> PlatePositions:
        """Some wells, by number or by flag."""
        return PlatePositions(self.row[rows], self.column[rows])

    def along(self, axis: str) -> np.ndarray:
        """Rows or columns."""
        return self.row if axis == "row" else self.column


def find_positions(wells: Iterable[object]) -> PlatePositions:
    """Positions of wells by their names (``A01``)."""
    found = np.asarray([_place(name) for name in wells], dtype=np.int64).reshape(-1, 2)
    return PlatePositions(found[:, 0], found[:, 1])


def _place(name: object) -> tuple[int, int]:
    well = normalize_well(name)
    row = row_index(well[:-2]) if well is not None else None
    return (_NOWHERE, _NOWHERE) if well is None or row is None else (row, int(well[-2:]) - 1)


def name_line(axis: str, number: int) -> str:
    """A line as people write it: ``row C``, ``column 4``."""
    return f"row {row_letters(number)}" if axis == "row" else f"column {number + 1}"
