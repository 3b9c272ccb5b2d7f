"""The sampled rows of measurements as cells of each field: places, measured intensities, size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.pixels.locate import CropChoice, with_planes
from bioimage_assets.core.pixels.location import ImageGeometry
from bioimage_assets.core.pixels.witness_columns import WitnessColumns
from bioimage_assets.core.pixels.witness_fields import CellSet
from bioimage_assets.core.pixels.witness_plan import ReadPlan
from bioimage_assets.core.pixels.witness_sample import spread
from bioimage_assets.core.pixels.witness_verdict import WitnessOptions

# A nucleus of 16 µm at 20x (0.65 µm), where neither area nor box is known.
DEFAULT_RADIUS_PX = 12.0
MIN_RADIUS_PX = 2.0
# Of a field's shorter side: what is larger is no cell, but an area in other units.
MAX_RADIUS_SHARE = 0.1

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CellTable:
    """Rows of the sampled fields, with the columns that bear witness."""

    rows: pa.Table
    columns: WitnessColumns

    @property
    def value_names(self) -> tuple[str, ...]:
        """Measured channels."""
        return tuple(column.channel for column in self.columns.intensities)

    @property
    def mean_names(self) -> tuple[str, ...]:
        """Channels whose mean over the whole image was measured."""
        return tuple(column.channel for column in self.columns.image_means)

    @property
    def count(self) -> int:
        """Rows that have a place."""
        y, x = self.read_places()
        return int((np.isfinite(y) & np.isfinite(x)).sum())

    def first_row(self) -> dict[str, object]:
        """One row, to learn names of its image files from."""
        return next(iter(self.rows.slice(0, 1).to_pylist()), {})

    def read_places(self) -> tuple[Numbers, Numbers]:
        """Centres (y, x) in full-resolution pixels; NaN where unknown."""
        if self.columns.place is None:
            return np.full(self.rows.num_rows, np.nan), np.full(self.rows.num_rows, np.nan)
        numbers = [self.read(name) for name in self.columns.place.names]
        if self.columns.place.is_center:
            return numbers[0], numbers[1]
        # Maxima are exclusive, whole numbers the middle of a pixel.
        y_min, x_min, y_max, x_max = numbers
        return (y_min + y_max - 1) / 2, (x_min + x_max - 1) / 2

    def read_values(self) -> Numbers:
        """Measured intensities (channel, row)."""
        found = []
        for column in self.columns.intensities:
            value = self.read(column.name)
            found.append(value / self.read_positive(column.area) if column.area else value)
        return np.array(found).reshape(len(found), self.rows.num_rows)

    def read_positive(self, name: str) -> Numbers:
        """A column of sizes; NaN where there is none."""
        numbers = self.read(name)
        return np.where(numbers > 0, numbers, np.nan)

    def read(self, name: str) -> Numbers:
        """A column as numbers; NaN for null, infinite and whatever is no number."""
        column = self.rows[name]
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            return np.full(self.rows.num_rows, np.nan)
        numbers: Numbers = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
        return np.where(np.isfinite(numbers), numbers, np.nan)


def find_radius(table: CellTable, geometry: ImageGeometry) -> float:
    """Half the diameter of a typical cell in full-resolution pixels: from areas, else boxes, else the usual one."""
    largest = MAX_RADIUS_SHARE * min(geometry.levels[0].shape[geometry.axes.index(axis)] for axis in "yx")
    place = table.columns.place
    found = np.array([])
    if table.columns.area is not None:
        found = np.sqrt(table.read_positive(table.columns.area) / np.pi)
    elif place is not None and not place.is_center:
        y_min, x_min, y_max, x_max = (table.read(name) for name in place.names)
        found = (y_max - y_min + x_max - x_min) / 4
    found = found[np.isfinite(found) & (found >= MIN_RADIUS_PX) & (found <= largest)]
    return float(np.median(found)) if len(found) else max(min(DEFAULT_RADIUS_PX, largest), MIN_RADIUS_PX)


def build_cell_sets(
    table: CellTable, geometries: Mapping[str, ImageGeometry], plan: ReadPlan, options: WitnessOptions
) -> dict[str, CellSet]:
    """Cells of each image inside the planned box, evenly taken from its rows; of a stack those of one plane."""
    y, x = table.read_places()
    values = table.read_values()
    means = [table.read(column.name) for column in table.columns.image_means]
    ids = np.array(table.rows["image_id"].to_pylist(), object)
    box = plan.box
    usable = np.isfinite(y) & np.isfinite(x)
    # Centres outside of a whole field are kept: that they are outside is found out later.
    height, width = _image_shape(geometries)
    if box.y_stop - box.y_start < height or box.x_stop - box.x_start < width:
        usable &= (y >= box.y_start) & (y < box.y_stop) & (x >= box.x_start) & (x < box.x_stop)
    sets = {}
    for image_id, geometry in geometries.items():
        mine = np.flatnonzero(ids == image_id)
        # Each row repeats what was measured of its image.
        own_means = np.array([mean[mine[0]] if len(mine) else np.nan for mean in means])
        rows = mine[usable[mine]]
        rows, plane = _of_one_plane(table, rows, geometry)
        rows = rows[spread(len(rows), options.cells_per_field)]
        sets[image_id] = CellSet(y[rows], x[rows], values[:, rows], own_means, plane)
    return sets


def _image_shape(geometries: Mapping[str, ImageGeometry]) -> tuple[int, int]:
    one = next(iter(geometries.values()))
    return one.levels[0].shape[one.axes.index("y")], one.levels[0].shape[one.axes.index("x")]


def _of_one_plane(
    table: CellTable, rows: npt.NDArray[np.intp], geometry: ImageGeometry
) -> tuple[npt.NDArray[np.intp], CropChoice]:
    """Rows measured on the plane of the first one; all of them where the image has one plane only."""
    shape = geometry.levels[0].shape
    is_flat = all((at := geometry.axis(axis)) is None or shape[at] == 1 for axis in "zt")
    if is_flat or not len(rows):
        return rows, CropChoice()
    names = list(table.columns.planes)
    records = table.rows.select(names).take(pa.array(rows)).to_pylist()
    try:
        planes = [with_planes(CropChoice(), record, geometry) for record in records]
    except UsageError:
        return rows[:0], CropChoice()
    return rows[[number for number, plane in enumerate(planes) if plane == planes[0]]], planes[0]
