"""How the microscope of the demo took each field: a stage that goes along the rows of the plate, and one light per channel."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bioimage_assets.demo.plan import PlatePlan
from bioimage_assets.demo.render import PIXEL_SIZE_UM

INSTRUMENT = ("bioimage_assets", "Demo Imager")  # who made it, and its model
OBJECTIVE = "20X Plan Apo"
MAGNIFICATION = 20
NUMERICAL_APERTURE = 0.75
BINNING = 2
WAVELENGTHS_NM = ((405, 447), (488, 521), (532, 574), (561, 610), (640, 692))  # excitation, emission
EXPOSURES_MS = (40, 80, 60, 100, 120)
FOCUS_UM = 8_250.5

_WELL_PITCH_UM = 9_000.0  # between the wells of a plate of 96
_OVERLAP = 0.1  # of neighbouring fields
_FIRST_PLATE = datetime(2026, 1, 12, 9, 30, tzinfo=UTC)
_BETWEEN_PLATES = timedelta(hours=2)
_PER_FIELD_S = 4.0
_PER_CHANNEL_S = 0.5


class FieldTaken(NamedTuple):
    """Where and when a field was taken: the place of its first pixel on the stage, and the start of its first channel."""

    x_um: float
    y_um: float
    began: datetime

    def channel_offset_s(self, channel: int) -> float:
        """Seconds from the first channel to another."""
        return channel * _PER_CHANNEL_S


def locate_field(plan: PlatePlan, well_index: int, site: int) -> FieldTaken:
    """Place and time of a field: fields of a well are tiles of a square grid, row after row."""
    well, size = plan.wells[well_index], plan.size
    columns = math.ceil(math.sqrt(size.site_count))
    step_um = size.field_px * PIXEL_SIZE_UM * (1 - _OVERLAP)
    x_um = well.column * _WELL_PITCH_UM + site % columns * step_um
    y_um = well.row * _WELL_PITCH_UM + site // columns * step_um
    seconds = (well_index * size.site_count + site) * _PER_FIELD_S
    began = _FIRST_PLATE + plan.index * _BETWEEN_PLATES + timedelta(seconds=seconds)
    return FieldTaken(round(x_um, 3), round(y_um, 3), began)
