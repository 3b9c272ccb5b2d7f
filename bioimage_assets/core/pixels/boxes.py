"""The box of an object in full-resolution pixels, from the columns that CellProfiler and its kin write.

Pixels count from zero; minima are inclusive, maxima exclusive (``AreaShape_BoundingBoxMaximum`` is, see
https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/measurement.html). Centres are pixel
coordinates, whole numbers lying in the middle of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bioimage_assets.core.errors import ContractError
from bioimage_assets.core.model.compartments import CELL_FIRST

DEFAULT_BOX_SIZE_PX = 64  # a cell of 40 µm at 20x (0.65 µm)

_BOX_FORMS = (
    "{0}_AreaShape_BoundingBox{1}imum_{2}",
    "{0}_BoundingBox{1}imum_{2}",
)
_CENTER_FORMS = ("{0}_Location_Center_{1}", "{0}_AreaShape_Center_{1}", "Metadata_{0}_Location_Center_{1}")
_CYTOTABLE_BOX = {"y_min": "Metadata_SourceBBoxYMin", "x_min": "Metadata_SourceBBoxXMin",
                  "y_max": "Metadata_SourceBBoxYMax", "x_max": "Metadata_SourceBBoxXMax"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BoxColumns:
    """Columns that hold a box: four bounds, or a centre (then ``is_center``), all names in y, x order."""

    names: tuple[str, ...]
    is_center: bool


@dataclass(frozen=True, slots=True)
class PixelBox:
    """Half-open box in pixels: rows ``y_start`` to ``y_stop``, columns ``x_start`` to ``x_stop``."""

    y_start: int
    y_stop: int
    x_start: int
    x_stop: int

    def scaled(self, y_sizes: tuple[int, int], x_sizes: tuple[int, int]) -> PixelBox:
        """Smallest box of another level that covers this one; sizes are (full resolution, level)."""
        return PixelBox(
            *_scale(self.y_start, self.y_stop, *y_sizes), *_scale(self.x_start, self.x_stop, *x_sizes)
        )

    def padded(self, pixels: int) -> PixelBox:
        """Box that is larger by so many pixels on each side."""
        return PixelBox(
            self.y_start - pixels, self.y_stop + pixels, self.x_start - pixels, self.x_stop + pixels
        )

    def clipped(self, height: int, width: int) -> PixelBox:
        """Part of the box inside the image; empty at the border where it is outside."""
        y = [min(max(value, 0), height) for value in (self.y_start, self.y_stop)]
        x = [min(max(value, 0), width) for value in (self.x_start, self.x_stop)]
        return PixelBox(y[0], y[1], x[0], x[1])


def _scale(start: int, stop: int, full: int, level: int) -> tuple[int, int]:
    """Pixels of a level that cover ``start`` to ``stop``, at least one."""
    step = find_level_step(full, level)
    numerator, denominator = (level, full) if step is None else (1, step)
    first = min(start * numerator // denominator, level - 1)
    return first, max(min(-(-stop * numerator // denominator), level), first + 1)


def find_level_step(full: int, level: int) -> int | None:
    """How many pixels each pixel of a level stands for, None where that is not a whole number.

    A level of 68 pixels was made of 1,080 by taking 16 together, not 15.88: the last one covers less. Powers of two
    are what pyramids are made with, so they are tried first.
    """
    ratio = full / level
    for step in (2 ** round(math.log2(ratio)), math.floor(ratio), math.ceil(ratio)):
        if step >= 1 and level in (full // step, -(-full // step)):
            return int(step)
    return None


def is_box_column(name: str) -> bool:
    """Tell whether a column may hold a bound or a centre of some compartment's box."""
    parts = ("BoundingBoxM", "Location_Center_", "AreaShape_Center_", "Metadata_SourceBBox")
    return any(part in name for part in parts)


def find_box_columns(columns: Iterable[str], compartment: str | None = None) -> BoxColumns:
    """Choose the columns of the box: bounds before centres, cells before cytoplasm before nuclei.

    ContractError when there are none.
    """
    present = set(columns)
    wanted = CELL_FIRST if compartment is None else (compartment,)
    bounds = [
        tuple(form.format(name, end, axis) for end in ("Min", "Max") for axis in "YX")
        for name in wanted
        for form in _BOX_FORMS
    ]
    if compartment is None:
        bounds.append(tuple(_CYTOTABLE_BOX[key] for key in ("y_min", "x_min", "y_max", "x_max")))
    for names in bounds:
        if present.issuperset(names):
            return BoxColumns(names, False)
    for name in wanted:
        for form in _CENTER_FORMS:
            centre = tuple(form.format(name, axis) for axis in "YX")
            if present.issuperset(centre):
                return BoxColumns(centre, True)
    raise ContractError(
        f"No bounding box or centre of {' or '.join(wanted)} in the profile row; expected columns such as "
        f"{bounds[0][0]} or {_CENTER_FORMS[0].format(wanted[0], 'X')}."
    )


def read_box(
    row: Mapping[str, object], columns: BoxColumns, box_size_px: int = DEFAULT_BOX_SIZE_PX
) -> PixelBox:
    """Box of one row; ContractError where a value is null or no number."""
    numbers = []
    for name in columns.names:
        value = row.get(name)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ContractError(f"Column {name!r} holds {value!r}; a box needs finite numbers.")
        numbers.append(float(value))
    if columns.is_center:
        y_start, x_start = (math.floor(centre + 0.5 - box_size_px / 2) for centre in numbers)
        return PixelBox(y_start, y_start + box_size_px, x_start, x_start + box_size_px)
    y_min, x_min, y_max, x_max = numbers
    return PixelBox(math.floor(y_min), math.ceil(y_max), math.floor(x_min), math.ceil(x_max))
