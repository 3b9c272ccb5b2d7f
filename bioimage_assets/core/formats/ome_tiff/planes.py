"""Planes: which page of which file holds plane (t, c, z) of an image, as runs under a bound.

Source of truth: OME-TIFF specification, section "The TiffData element" (defaults of IFD and PlaneCount,
planes follow DimensionOrder).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

from bioimage_assets.core.formats.ome_tiff.ome_model import OmeImage, OmeTiffData

# Beyond this many declared planes per plane that exists, the declaration is not believed.
MAX_DECLARED_RATIO = 100
# Where files are missing there may be more; beyond this many planes per file named nothing is believed.
MAX_DECLARED_PLANES = 100_000
MAX_NAMED_CHANNELS = 4_096  # hyperspectral images have hundreds
_ORDERS = frozenset({"XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"})


@dataclass(frozen=True, slots=True)
class PlaneRun:
    """``count`` planes from linear index ``first_plane``, on as many pages from ``first_ifd`` of one file."""

    key: str
    first_ifd: int
    first_plane: int
    count: int


class PlanePlan(NamedTuple):
    """The planes of one image: leading axes in array order (slowest first), and where the planes lie.

    The linear index of a plane is its row-major position in ``sizes``. ``single_page_stack`` says that one
    page stands for all planes, stored one after another (ImageJ stacks above 4 GB). ``level_pages`` are the pages of
    each reduced level in the order of the planes, where they lie in the main chain. ``samples_are_channels``: the
    separate sample planes of a page are the image's channels, as in LSM files.
    """

    axes: str
    sizes: tuple[int, ...]
    runs: tuple[PlaneRun, ...]
    single_page_stack: bool = False
    level_pages: tuple[tuple[int, ...], ...] = ()
    samples_are_channels: bool = False

    @property
    def declared_count(self) -> int:
        """Planes that the sizes promise."""
        return prod(self.sizes)

    @property
    def found_count(self) -> int:
        """Planes that have a page; overlapping runs are counted once."""
        if len(self.runs) == 1 and not self.single_page_stack:
            return self.runs[0].count
        covered, end = 0, -1
        for start, stop in sorted((run.first_plane, run.first_plane + run.count) for run in self.runs):
            covered += max(0, stop - max(start, end))
            end = max(end, stop)
        return covered if not self.single_page_stack else self.declared_count

    def size_of(self, axis: str) -> int:
        """Length of a leading axis, 1 where the image has none of that name."""
        return self.sizes[self.axes.index(axis)] if axis in self.axes else 1

    def stride_of(self, axis: str) -> int:
        """Planes between two neighbours along a leading axis."""
        stride = 1
        for size in self.sizes[self.axes.index(axis) + 1 :]:
            stride *= size
        return stride

    def axis_values(self, axis: str, run: PlaneRun) -> set[int]:
        """Indexes along a leading axis that the planes of a run have."""
        if axis not in self.axes:
            return {0}
        size, stride = self.size_of(axis), self.stride_of(axis)
        if run.count >= size * stride:
            return set(range(size))
        first, last = run.first_plane // stride, (run.first_plane + run.count - 1) // stride
        return {value % size for value in range(first, last + 1)}


def leading_axes(image: OmeImage, samples: int) -> tuple[str, tuple[int, ...]]:
    """Axes before y and x in array order with their sizes; SizeC counts samples, so it is divided by them."""
    order = image.dimension_order if image.dimension_order in _ORDERS else "XYCZT"
    return _order_sizes(order, image.size_c // max(1, samples), image.size_z, image.size_t)


@lru_cache(maxsize=256)
def _order_sizes(order: str, c: int, z: int, t: int) -> tuple[str, tuple[int, ...]]:
    sizes = {"c": max(1, c), "z": max(1, z), "t": max(1, t)}
    axes = order[:1:-1].lower()
    return axes, tuple(sizes[axis] for axis in axes)


def build_block_runs(
    blocks: Sequence[OmeTiffData], key: str, page_count: int, axes: str, sizes: tuple[int, ...]
) -> list[PlaneRun]:
    """Turn the TiffData blocks of one file into runs, clipped to the planes and pages that exist.

    Blocks outside the declared sizes give nothing; blocks that together name far more planes than the
    file has pages are cut, so that the work stays bounded.
    """
    if len(blocks) == 1 and not (blocks[0].c or blocks[0].z or blocks[0].t):
        total = prod(sizes)
        wanted = total if blocks[0].plane_count is None else blocks[0].plane_count
        count = min(page_count - blocks[0].ifd, total, wanted, 2 * page_count + 16)
        return [PlaneRun(key, blocks[0].ifd, 0, count)] if count > 0 else []
    strides: dict[str, int] = {}
    total = 1
    for axis, size in zip(reversed(axes), reversed(sizes), strict=True):
        strides[axis] = total
        total *= size
    limits = dict(zip(axes, sizes, strict=True))
    runs: list[PlaneRun] = []
    budget = 2 * page_count + 16
    for block in blocks:
        position = {"c": block.c, "z": block.z, "t": block.t}
        if any(position[axis] >= limits[axis] for axis in axes):
            continue
        first = sum(position[axis] * strides[axis] for axis in axes)
        wanted = total if block.plane_count is None else block.plane_count
        count = min(page_count - block.ifd, total - first, wanted, budget)
        if count > 0:
            runs.append(PlaneRun(key, block.ifd, first, count))
            budget -= count
    return runs


def count_outside(blocks: Sequence[OmeTiffData], plan: PlanePlan) -> int:
    """TiffData blocks with planes beyond the sizes that the image declares."""
    total = plan.declared_count
    if len(blocks) == 1 and not (blocks[0].c or blocks[0].z or blocks[0].t):
        return int((blocks[0].plane_count or 0) > total)
    limits = {axis: (plan.size_of(axis), plan.stride_of(axis) if axis in plan.axes else 0) for axis in "czt"}
    outside = 0
    for block in blocks:
        first = 0
        for axis, index in (("c", block.c), ("z", block.z), ("t", block.t)):
            size, stride = limits[axis]
            if index >= size:
                outside += 1
                break
            first += index * stride
        else:
            outside += first + (block.plane_count or 0) > total
    return outside


def squeeze(axes: str, sizes: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Drop axes of length one, as tifffile does, so that the shape is the one its reader gives."""
    if 1 not in sizes:
        return axes, sizes
    kept = [(axis, size) for axis, size in zip(axes, sizes, strict=True) if size != 1]
    return "".join([axis for axis, _ in kept]), tuple([size for _, size in kept])
