"""Reads one small field of many wells from the stores where they lie, within a budget of requests and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bioimage_assets.core.pictures.channel_colours import Crop
from bioimage_assets.core.pictures.drawing import NotDrawn, try_to_make
from bioimage_assets.core.pixels.locate import CropChoice
from bioimage_assets.core.pixels.location import ImageGeometry, read_geometry
from bioimage_assets.core.pixels.witness_fields import FieldReader
from bioimage_assets.core.pixels.witness_plan import MIN_CELL_PX, ReadPlan, plan_reads
from bioimage_assets.core.pixels.witness_verdict import WitnessOptions

# Ten pieces a well of a plate of 384, and 400 kB.
BUDGET = WitnessOptions(max_requests=4_000, max_bytes=150 * 2**20, max_channels=4)
_TITLE = "pixels"
_SPENT = NotDrawn(_TITLE, "the budget of pixels for this picture is spent")


class StoreThumbnailReader:
    """Reads fields at the coarsest level that has enough pixels, or their middle where a store has no such level."""

    def __init__(
        self, storage_options: Mapping[str, object] | None = None, budget: WitnessOptions = BUDGET
    ) -> None:
        self._storage_options = storage_options
        self._budget = budget

    def __call__(self, fields: Sequence[Mapping[str, object]], *, size_px: int) -> list[Crop | NotDrawn]:
        """One field after the other; nothing beyond the budget is read."""
        with FieldReader(self._budget, self._storage_options) as reader:
            return [self._try_to_read(reader, row, len(fields), size_px) for row in fields]

    def _try_to_read(
        self, reader: FieldReader, row: Mapping[str, object], field_count: int, size_px: int
    ) -> Crop | NotDrawn:
        if reader.is_spent:
            return _SPENT
        return try_to_make(_TITLE, lambda: self._read(reader, row, field_count, size_px))

    def _read(self, reader: FieldReader, row: Mapping[str, object], field_count: int, size_px: int) -> Crop:
        geometry = read_geometry(row)
        plan = plan_reads(
            geometry, _radius(geometry, size_px), range(geometry.channel_count), float("inf"), field_count, self._budget
        )  # fmt: skip
        plan = replace(plan, bin_px=_find_bin(plan, size_px))  # as small as it is shown
        pixels = reader.read(geometry, plan, CropChoice(t=0 if geometry.axis("t") is not None else None))
        names = [
            geometry.channel_names[number] if number < len(geometry.channel_names) else None
            for number in plan.channels
        ]
        return Crop(
            pixels,
            tuple(name or f"channel {number}" for name, number in zip(names, plan.channels, strict=True)),
        )


def _radius(geometry: ImageGeometry, size_px: int) -> float:
    """Radius of the cell for which the planner takes the coarsest level of ``size_px`` pixels or more."""
    side = min(geometry.levels[0].shape[geometry.axes.index(axis)] for axis in "yx")
    return MIN_CELL_PX / 2 * max(1.0, side / size_px)


def _find_bin(plan: ReadPlan, size_px: int) -> int:
    """Pixels of the level that become one pixel of the picture, along each axis."""
    box = plan.box
    side = min(box.y_stop - box.y_start, box.x_stop - box.x_start)
    return max(1, int(side / plan.step) // size_px)
