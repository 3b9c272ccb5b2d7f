"""Reads fields within a budget, and makes maps of them in which a cell's place can be looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special
from zarr.abc.store import Store as ZarrStore

from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.pixels.location import ImageGeometry, PixelLocation
from bioimage_assets.core.pixels.witness_plan import MAX_Z_PLANES, ReadPlan
from bioimage_assets.core.pixels.witness_verdict import ReadCost, WitnessOptions
from bioimage_assets.core.stores.pixel_store import ReadCount, open_pixel_store

Values = npt.NDArray[np.float32]

QUANTILES = 2048
# Half the side of a place's surroundings: a cell and its neighbours.
AROUND_RADII = 4


class FieldReader:
    """Reads fields of stores that it keeps open, and counts; a context manager that closes them."""

    def __init__(self, options: WitnessOptions, storage_options: Mapping[str, object] | None) -> None:
        self._options = options
        self._storage_options = storage_options
        self._stores: dict[str, ZarrStore] = {}
        self._count = ReadCount()
        self._opened = 0

    def __enter__(self) -> FieldReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for store in self._stores.values():
            store.close()

    @property
    def cost(self) -> ReadCost:
        """What was read so far."""
        options = self._options
        requests = self._count.pieces + self._opened
        return ReadCost(requests, self._count.stored_bytes, options.max_requests, options.max_bytes)

    @property
    def is_spent(self) -> bool:
        """Whether the budget is used up: what is stored may be more than its metadata say."""
        cost = self.cost
        return cost.requests >= cost.max_requests or cost.bytes_read >= cost.max_bytes

    def read(self, geometry: ImageGeometry, plan: ReadPlan, plane: CropChoice) -> Values:
        """The planned part of a field, (channel, y, x), averaged to the wanted size."""
        z = plane.z if plane.z is not None else _middle_plane(geometry)
        choice = CropChoice(channels=plan.channels, level=plan.level, z=z, t=plane.t)
        location = build_location(geometry, plan.box, choice)
        self._opened += 1
        with foreign_file(geometry.uri):
            crop = read_crop(
                location,
                store=None if geometry.is_in_files else self._store(geometry.uri),
                count=self._count,
                storage_options=self._storage_options,
            )
        return _average(_as_planes(np.asarray(crop), location), plan.bin_px)

    def _store(self, uri: str) -> ZarrStore:
        if uri not in self._stores:
            self._stores[uri] = open_pixel_store(uri, self._storage_options)
        return self._stores[uri]


def _middle_plane(geometry: ImageGeometry) -> int | None:
    """None for a stack so thin that all of it is read: its brightest pixels are taken then."""
    position = geometry.axis("z")
    if position is None or geometry.levels[0].shape[position] <= MAX_Z_PLANES:
        return None
    return geometry.levels[0].shape[position] // 2


def _as_planes(crop: npt.NDArray[np.generic], location: PixelLocation) -> Values:
    """(c, y, x): the brightest of a stack, the first time point, the mean of colours."""
    axes = list(location.axes)
    pixels = crop.astype(np.float32)
    if pixels.ndim > len(axes):
        axes.append("s")
    for axis in [name for name in axes if name not in ("c", "y", "x")]:
        position = axes.index(axis)
        pixels = pixels.mean(position) if axis == "s" else pixels.max(position)
        axes.pop(position)
    if "c" not in axes:
        pixels, axes = pixels[None], ["c", *axes]
    return np.ascontiguousarray(pixels.transpose([axes.index(axis) for axis in ("c", "y", "x")]))


def _average(planes: Values, bin_px: int) -> Values:
    if bin_px <= 1:
        return planes
    channels, height, width = (planes.shape[0], planes.shape[1] // bin_px, planes.shape[2] // bin_px)
    cut = planes[:, : height * bin_px, : width * bin_px]
    averaged: Values = cut.reshape(channels, height, bin_px, width, bin_px).mean((2, 4))
    return averaged


@dataclass(frozen=True, slots=True)
class FieldMaps:
    """What is looked up at a cell's place.

    ``contrast`` says how much brighter than its surroundings a place is, as normal score of its rank in the field (zero
    on average, whatever the scale and the vignetting); ``mean`` is the mean intensity in a cell's size there. Both
    are (channel, y, x). ``spots`` is the height of the brightest places over the field's own noise, per channel.
    """

    contrast: Values
    mean: Values
    field_means: Values
    spots: Values


def build_maps(planes: Values, radius: float, cell_count: int) -> FieldMaps:
    """Maps of one field; ``radius`` of a cell in pixels of ``planes``."""
    sigma = (0, max(radius / 2, 0.6), max(radius / 2, 0.6))
    mean = ndimage.gaussian_filter(planes, sigma, mode="nearest")
    side = 2 * round(AROUND_RADII * radius) + 1
    around = ndimage.uniform_filter(planes, (0, side, side), mode="nearest")
    difference = mean - around
    contrast = np.stack([_normal_scores(plane) for plane in difference])
    spots = np.array([_spot_height(plane, radius, cell_count) for plane in difference], np.float32)
    return FieldMaps(contrast, mean, planes.mean((1, 2)), spots)


def _normal_scores(plane: Values) -> Values:
    """Each pixel's rank in the plane as normal score, by a table of quantiles; equal pixels share theirs."""
    ordered = np.sort(plane, axis=None)
    places = np.linspace(0, ordered.size - 1, min(ordered.size, QUANTILES)).astype(np.intp)
    knots, group = np.unique(ordered[places], return_inverse=True)
    ranks = np.bincount(group, places + 0.5) / np.bincount(group) / ordered.size
    scores: Values = np.interp(plane, knots, special.ndtri(ranks).clip(-3, 3)).astype(np.float32)
    return scores


def _spot_height(plane: Values, radius: float, cell_count: int) -> float:
    """Median height of the ``cell_count`` highest tops, in deviations of the noise around zero."""
    size = 2 * max(1, round(radius)) + 1
    tops = np.sort(plane[plane == ndimage.maximum_filter(plane, size=size)])[-max(1, cell_count) :]
    noise = 1.4826 * float(np.median(np.abs(plane - np.median(plane))))
    return float(np.median(tops)) / noise if noise > 0 else 0.0


@dataclass(frozen=True, slots=True)
class MapGrid:
    """Where full-resolution places are in the maps of a plan; ``image_shape`` is the whole image's."""

    box: PixelBox
    scale: float
    shape: tuple[int, int]
    image_shape: tuple[int, int]

    def look_up(
        self, y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        """Rows and columns of places, and which of them are in the maps; others are moved to the border."""
        # Far outside is outside, and fits an integer.
        row = np.floor((y + 0.5 - self.box.y_start) / self.scale).clip(-1, self.shape[0]).astype(np.intp)
        column = np.floor((x + 0.5 - self.box.x_start) / self.scale).clip(-1, self.shape[1]).astype(np.intp)
        inside = (row >= 0) & (row < self.shape[0]) & (column >= 0) & (column < self.shape[1])
        return row.clip(0, self.shape[0] - 1), column.clip(0, self.shape[1] - 1), inside


@dataclass(slots=True)
class CellSet:
    """Sampled cells of one field, in full-resolution pixels; ``values`` has a row per measured channel (NaN: unknown)."""

    y: npt.NDArray[np.float64]
    x: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    image_means: npt.NDArray[np.float64]
    plane: CropChoice = field(default_factory=CropChoice)

    @property
    def count(self) -> int:
        """How many cells."""
        return len(self.y)
