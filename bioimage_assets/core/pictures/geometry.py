"""Where wells stand on the grid of a plate format that is sold (ANSI/SLAS 4-2004)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.identity import normalize_well, row_index, row_letters

# Rows and columns by number of wells. 16 stands for 4 x 4 arrays; chamber slides of 8 x 2 have to be declared.
FORMATS = {
    1: (1, 1),
    6: (2, 3),
    12: (3, 4),
    16: (4, 4),
    24: (4, 6),
    48: (6, 8),
    96: (8, 12),
    384: (16, 24),
    1536: (32, 48),
}


@dataclass(frozen=True, slots=True)
class PlateGeometry:
    """Rows and columns of a plate."""

    row_count: int
    column_count: int

    @property
    def row_labels(self) -> list[str]:
        """Letters of the rows from top to bottom."""
        return [row_letters(row) for row in range(self.row_count)]

    @property
    def column_labels(self) -> list[str]:
        """Numbers of the columns from left to right, one-based."""
        return [str(column + 1) for column in range(self.column_count)]

    def grid(self, values: Mapping[str, float | None]) -> np.ndarray:
        """Lay values out as rows by columns; NaN where a well has none. Wells outside the plate are an error."""
        laid = np.full((self.row_count, self.column_count), np.nan)
        for well, value in values.items():
            place = well_place(well)
            if place is None:
                continue
            if place[0] >= self.row_count or place[1] >= self.column_count:
                raise UsageError(
                    f"Well {well} lies outside a plate of {self.row_count} x {self.column_count} wells."
                )
            laid[place] = np.nan if value is None else float(value)
        return laid


def well_place(well: object) -> tuple[int, int] | None:
    """Zero-based row and column of a well id, None where it is none."""
    name = normalize_well(well)
    if name is None:
        return None
    row = row_index(name[:-2])
    return None if row is None else (row, int(name[-2:]) - 1)


def choose_geometry(
    wells: Iterable[object], *, row_count: int | None = None, column_count: int | None = None
) -> PlateGeometry:
    """Take the declared size, else the smallest common plate that holds all wells."""
    places = [place for place in map(well_place, wells) if place is not None]
    rows = max((row for row, _ in places), default=0) + 1
    columns = max((column for _, column in places), default=0) + 1
    if row_count and column_count:
        return PlateGeometry(max(rows, row_count), max(columns, column_count))
    for size in FORMATS.values():
        if rows <= size[0] and columns <= size[1]:
            return PlateGeometry(*size)
    return PlateGeometry(rows, columns)
