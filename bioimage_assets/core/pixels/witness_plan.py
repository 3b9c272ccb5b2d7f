"""Plans what is read of each field: the coarsest level that still shows a cell, and as much of it as the budget allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bioimage_assets.core.pixels.boxes import PixelBox, find_level_step
from bioimage_assets.core.pixels.location import ImageGeometry
from bioimage_assets.core.pixels.witness_verdict import WitnessOptions

# Diameter of a cell, in pixels of the level that is read: enough to tell it from its surroundings.
MIN_CELL_PX = 6
# Finer levels are averaged down to about this diameter, so that maps stay small.
WANTED_CELL_PX = 10
# A part of a field must hold this many cells, or its centres say little.
MIN_CELLS_IN_PART = 5
MAX_Z_PLANES = 5


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What is read of every field: ``box`` in full-resolution pixels, averaged over ``bin_px`` squared pixels of the level."""

    level: int
    step: float
    bin_px: int
    box: PixelBox
    channels: tuple[int, ...]
    field_count: int


def plan_reads(
    geometry: ImageGeometry,
    radius_px: float,
    channels: Sequence[int],
    cells_per_field: float,
    field_count: int,
    options: WitnessOptions,
) -> ReadPlan:
    """Fewer channels first, then a square in the middle of the field, then fewer fields.

    ``channels`` come in order of use; ``cells_per_field`` is the median count of linked cells.
    """
    level, step = _choose_level(geometry, radius_px)
    best: ReadPlan | None = None
    bin_px = max(1, int(2 * radius_px / step / WANTED_CELL_PX))
    for count, part in ((options.max_channels, 1.0), (3, 1.0), (3, 0.5), (2, 0.5), (2, 0.25)):
        if part < 1 and cells_per_field * part**2 < MIN_CELLS_IN_PART and best is not None:
            continue
        chosen = tuple(channels[: min(count, options.max_channels)])
        box = _middle(geometry, part)
        # One more opens the array.
        requests, size = count_pieces(geometry, level, box, chosen)
        affordable = min(options.max_requests // (requests + 1), options.max_bytes // max(size, 1))
        plan = ReadPlan(level, step, bin_px, box, chosen, min(field_count, affordable))
        if best is None or plan.field_count > best.field_count:
            best = plan
        if plan.field_count == field_count:
            break
    assert best is not None
    return best


def _choose_level(geometry: ImageGeometry, radius_px: float) -> tuple[int, float]:
    full = geometry.levels[0].shape[geometry.axes.index("y")]
    best = (0, 1.0)
    for number, level in enumerate(geometry.levels):
        size = level.shape[geometry.axes.index("y")]
        step = float(find_level_step(full, size) or full / size)
        if 2 * radius_px / step >= MIN_CELL_PX and step >= best[1]:
            best = (number, step)
    return best


def _middle(geometry: ImageGeometry, part: float) -> PixelBox:
    """The whole field, or a square in its middle, which mirrored and exchanged axes map to itself."""
    height, width = (geometry.levels[0].shape[geometry.axes.index(axis)] for axis in "yx")
    if part == 1:
        return PixelBox(0, height, 0, width)
    side = int(min(height, width) * part)
    return PixelBox((height - side) // 2, (height + side) // 2, (width - side) // 2, (width + side) // 2)


def count_pieces(
    geometry: ImageGeometry,
    level: int,
    box: PixelBox,
    channels: Sequence[int],
    *,
    z_planes: int = MAX_Z_PLANES,
) -> tuple[int, int]:
    """Stored pieces that a box of one field takes, and their bytes before compression; of a stack at most ``z_planes``."""
    shape = geometry.levels[level].shape
    chunk = geometry.levels[level].chunk_shape or tuple(
        size if axis in "yxs" else 1 for axis, size in zip(geometry.axes, shape, strict=True)
    )
    height, width = (geometry.levels[0].shape[geometry.axes.index(axis)] for axis in "yx")
    own = (shape[geometry.axes.index("y")], shape[geometry.axes.index("x")])
    placed = box.clipped(height, width).scaled((height, own[0]), (width, own[1]))
    pieces = 1
    for axis, size, length in zip(geometry.axes, shape, chunk[-len(shape) :], strict=False):
        length = max(1, min(length, size))
        if axis == "y":
            pieces *= -(-placed.y_stop // length) - placed.y_start // length
        elif axis == "x":
            pieces *= -(-placed.x_stop // length) - placed.x_start // length
        elif axis == "c":
            pieces *= len({channel // length for channel in channels})
        elif axis == "z":
            pieces *= -(-min(size, z_planes) // length)
    return pieces, pieces * math.prod(chunk) * _item_size(geometry.dtype)


def _item_size(dtype: str) -> int:
    digits = "".join(character for character in dtype if character.isdigit())
    return max(1, int(digits or 16) // 8)
