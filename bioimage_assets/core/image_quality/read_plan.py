"""Plans which fields of a plate are read, and at which resolution level, so that a budget of bytes is kept. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bioimage_assets.core.image_quality.fields import QualityField
from bioimage_assets.core.model.identity import site_order
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.location import ImageGeometry
from bioimage_assets.core.pixels.witness_plan import count_pieces


@dataclass(frozen=True, slots=True)
class PlannedRead:
    """One field to read: its number in the list of fields, the level, and the bytes of its pieces before compression."""

    number: int
    level: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """Fields to read in their order, and how many more would be beyond the budget."""

    reads: tuple[PlannedRead, ...]
    beyond_budget: int
    budget_bytes: int

    @property
    def bytes(self) -> int:
        """Bytes of all pieces, before compression."""
        return sum(read.bytes for read in self.reads)


def choose_level(geometry: ImageGeometry, min_side_px: int) -> int:
    """The coarsest level whose shorter side has at least so many pixels; full resolution where none has."""
    axes = [geometry.axes.index(axis) for axis in "yx"]
    sides = [min(level.shape[axis] for axis in axes) for level in geometry.levels]
    large = [number for number, side in enumerate(sides) if side >= min_side_px]
    return min(large, key=lambda number: sides[number]) if large else 0


def plan_reads(
    fields: Sequence[QualityField], wanted: Sequence[int], *, budget_bytes: int, min_side_px: int
) -> ReadPlan:
    """Choose fields within the budget, evenly over wells and sites; the same fields for the same plate.

    ``wanted`` are numbers of fields that can be read. Every well has one field read before any has two; where not even
    that can be paid for, wells are taken at equal distances.
    """
    reads = {number: _plan_one(fields[number], number, min_side_px) for number in wanted}
    chosen: list[PlannedRead] = []
    left = budget_bytes
    for numbers in _list_rounds(fields, wanted):
        costs = [reads[number].bytes for number in numbers]
        if sum(costs) > left:
            affordable = left // max(max(costs), 1)
            numbers = [numbers[int((i + 0.5) * len(numbers) / affordable)] for i in range(affordable)]
        chosen += [reads[number] for number in numbers]
        left -= sum(reads[number].bytes for number in numbers)
        if len(numbers) < len(costs):
            break
    chosen.sort(key=lambda read: read.number)
    return ReadPlan(tuple(chosen), len(wanted) - len(chosen), budget_bytes)


def _list_rounds(fields: Sequence[QualityField], wanted: Sequence[int]) -> list[list[int]]:
    """In each round one field of each well; neighbouring wells begin with different sites, so that all sites are seen."""
    wells: dict[str, list[int]] = defaultdict(list)
    for number in wanted:
        wells[fields[number].well_id or ""].append(number)
    ordered = [
        sorted(
            wells[well],
            key=lambda number: (fields[number].acquisition_id or "", site_order(fields[number].site_id)),
        )
        for well in sorted(wells)
    ]
    count = max((len(own) for own in ordered), default=0)
    return [
        [own[(place + turn) % len(own)] for place, own in enumerate(ordered) if turn < len(own)]
        for turn in range(count)
    ]


def _plan_one(field: QualityField, number: int, min_side_px: int) -> PlannedRead:
    geometry = field.geometry
    assert geometry is not None, "only fields that can be read are planned"
    level = choose_level(geometry, min_side_px)
    height, width = (geometry.levels[0].shape[geometry.axes.index(axis)] for axis in "yx")
    box = PixelBox(0, height, 0, width)
    _, size = count_pieces(geometry, level, box, range(geometry.channel_count), z_planes=1)
    return PlannedRead(number, level, size)
