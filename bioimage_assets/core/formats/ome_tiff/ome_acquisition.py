"""What an OME-XML document says of how an image was taken, as written, and the facts that follow from it.

Source of truth: OME schema 2016-06 (https://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd): Plane, Channel,
DetectorSettings, ObjectiveSettings, Objective, Microscope, StageLabel, Image/AcquisitionDate. A date without a zone is
taken as UTC. The unit of a position that names none is ``reference frame``, which is no length: such a position is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from bioimage_assets.core.formats.ome_tiff.units import (
    position_um,
    read_number,
    seconds_per,
    to_unit,
    um_per,
    wavelength_nm,
)
from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts

SOURCE = "ome-xml"
_MOST_TEXT = 256  # names of objectives and instruments are shorter
REFERENCE_FRAME = "reference frame"
_PLACES: tuple[Callable[[PlaneFacts], float | None], ...] = tuple(attrgetter(f"stage_{a}_um") for a in "xyz")
_NOWHERE: tuple[float | None, float | None, float | None] = (None, None, None)
_SILENT = (None,) * (len(AcquisitionFacts._fields) - 1)
_NO_FACTS = (None,) * (len(PlaneFacts._fields) - 3)

Texts = tuple[str | None, ...]


class OmePlane(NamedTuple):
    """One Plane: ``texts`` are DeltaT, ExposureTime, PositionX, PositionY, PositionZ as written, ``units`` their units."""

    c: int
    z: int
    t: int
    texts: Texts
    units: Texts


class OmeChannel(NamedTuple):
    """One Channel: wavelengths as written with their units, contrast, and the binning of its detector's settings."""

    excitation: str | None
    excitation_unit: str | None
    emission: str | None
    emission_unit: str | None
    contrast: str | None
    binning: str | None


NO_CHANNEL = OmeChannel(None, None, None, None, None, None)
_NO_LABEL: Texts = (None,) * 7


class OmeAcquisition(NamedTuple):
    """Of one Image; ``stage_label`` are X, Y, Z, their units, and the name of the position. Texts are as written."""

    date: str | None
    instrument_id: str | None
    objective_id: str | None
    stage_label: Texts | None
    channels: tuple[OmeChannel, ...]
    planes: tuple[OmePlane, ...]

    @property
    def stage_name(self) -> str | None:
        """Name of the position on the stage."""
        return None if self.stage_label is None else self.stage_label[6]


class OmeObjective(NamedTuple):
    """One Objective of an instrument, as written."""

    ome_id: str
    model: str | None
    nominal: str | None
    calibrated: str | None
    aperture: str | None


class OmeInstrument(NamedTuple):
    """One Instrument: who made its microscope, its model, its objectives."""

    ome_id: str
    manufacturer: str | None
    model: str | None
    objectives: tuple[OmeObjective, ...]


class Instruments(NamedTuple):
    """The instruments of a document by their ids, and by those of their objectives."""

    by_id: Mapping[str, OmeInstrument]
    by_objective: Mapping[str, tuple[OmeInstrument, OmeObjective]]

    def find(self, own: OmeAcquisition) -> tuple[OmeInstrument | None, OmeObjective | None]:
        """What an image refers to; nothing where it names none, even if the document has just one."""
        known = self.by_objective.get(own.objective_id) if own.objective_id else None
        return known or (self.by_id.get(own.instrument_id) if own.instrument_id else None, None)


def index_instruments(instruments: Sequence[OmeInstrument]) -> Instruments:
    """Index the instruments of a document; the first of equal ids counts."""
    by_id = {instrument.ome_id: instrument for instrument in reversed(instruments)}
    return Instruments(
        by_id, {o.ome_id: (i, o) for i in reversed(instruments) for o in reversed(i.objectives)}
    )


class ImageAcquisition(NamedTuple):
    """The facts of one image; ``unknown_unit`` is the unit of positions that are no lengths, None where there are none."""

    facts: AcquisitionFacts | None
    planes: tuple[PlaneFacts, ...]
    unknown_unit: str | None


def read_moment(text: str | None) -> datetime | None:
    """Moment of an ISO 8601 text, in UTC; a text without a zone is UTC. None where it is no date and time."""
    text = (text or "").strip()
    if "T" not in text or len(text) > 64:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def add_seconds(moment: datetime | None, seconds: float | None) -> datetime | None:
    """A later moment; None where one of both is unknown or the sum is no date."""
    if moment is None or seconds is None:
        return None
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return None


def build_image_acquisition(
    own: OmeAcquisition,
    instruments: Instruments,
    limits: tuple[int, int, int],
    sample_um: tuple[float | None, float | None] = (None, None),
) -> ImageAcquisition:
    """Convert what one Image says; ``limits`` are its channels, z and t: planes beyond them are left out.

    ``sample_um`` is the place of its WellSample, for an image that has no stage position of its own.
    """
    start = read_moment(own.date) if own.date else None
    planes = _build_planes(own.planes, start, limits) if own.planes else ()
    x, y, z = (_first(map(get_place, planes)) for get_place in _PLACES) if planes else _NOWHERE
    label_x, label_y, label_z = _read_label(own.stage_label) if own.stage_label else _NOWHERE
    if x is None and y is None:
        x, y = (label_x, label_y) if label_x is not None or label_y is not None else sample_um
    microscope, objective = instruments.find(own)
    excitation, emission, contrast, binning = _channel_facts(own.channels, limits[0])
    facts = AcquisitionFacts(
        SOURCE, x, y, label_z if z is None else z,
        next((plane.acquired_at for plane in planes if plane.acquired_at is not None), start),
        _exposures(planes, limits[0]) if planes else None, excitation, emission, contrast,
        _text(objective.model) if objective else None, _magnification(objective) if objective else None,
        _positive(read_number(objective.aperture)) if objective else None, binning,
        _text(" ".join(filter(None, (microscope.manufacturer, microscope.model)))) if microscope else None,
    )  # fmt: skip
    return ImageAcquisition(
        None if facts[1:] == _SILENT else facts, planes, None if x is not None else _unknown_unit(own)
    )


@lru_cache(maxsize=256)
def _channel_facts(
    channels: tuple[OmeChannel, ...], count: int
) -> tuple[tuple[float | None, ...] | None, tuple[float | None, ...] | None, Texts | None, str | None]:
    """Excitation, emission and contrast of so many channels, None where none has one, and their binning."""
    own = (channels + (NO_CHANNEL,) * count)[:count]
    excitation = tuple([wavelength_nm(read_number(c.excitation), c.excitation_unit) for c in own])
    emission = tuple([wavelength_nm(read_number(c.emission), c.emission_unit) for c in own])
    contrast = tuple([_text(c.contrast) for c in own])
    lists = [
        values if any(value is not None for value in values) else None for values in (excitation, emission)
    ]
    return lists[0], lists[1], contrast if any(contrast) else None, _binning(own)


def _build_planes(
    planes: Sequence[OmePlane], start: datetime | None, limits: tuple[int, int, int]
) -> tuple[PlaneFacts, ...]:
    """Planes in the order of t, z and c, each once, without those that say nothing that can be read."""
    found: dict[tuple[int, int, int], PlaneFacts] = {}
    c_count, z_count, t_count = limits
    for c, z, t, texts, units in planes:
        if c >= c_count or z >= z_count or t >= t_count or (t, z, c) in found:
            continue
        factors = _plane_factors(units)
        delta, exposure, x, y, stage_z = [
            None if text is None or factor is None else to_unit(read_number(text), factor)
            for text, factor in zip(texts, factors, strict=True)
        ]
        if exposure is not None and exposure < 0:
            exposure = None
        plane = PlaneFacts(c, z, t, add_seconds(start, delta), delta, exposure, x, y, stage_z)
        if plane[3:] != _NO_FACTS:
            found[t, z, c] = plane
    return tuple([found[place] for place in sorted(found)])


@lru_cache(maxsize=256)
def _plane_factors(units: Texts) -> tuple[float | None, ...]:
    delta, exposure, *positions = units
    return (
        seconds_per(delta or "s"),
        seconds_per(exposure or "s"),
        *(None if unit is None else um_per(unit) for unit in positions),
    )


def _first(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)


def _exposures(planes: Sequence[PlaneFacts], count: int) -> tuple[float | None, ...] | None:
    """Exposure of each channel's first plane that has one."""
    found: list[float | None] = [None] * count
    for plane in planes:
        if found[plane.c] is None:
            found[plane.c] = plane.exposure_s
    return tuple(found) if any(value is not None for value in found) else None


def _read_label(label: Texts) -> tuple[float | None, float | None, float | None]:
    x, y, z = [position_um(read_number(text), unit) for text, unit in zip(label[:3], label[3:6], strict=True)]
    return x, y, z


def _magnification(objective: OmeObjective) -> float | None:
    nominal = _positive(read_number(objective.nominal))
    return nominal if nominal is not None else _positive(read_number(objective.calibrated))


def _positive(value: float | None) -> float | None:
    return value if value is not None and 0 < value < math.inf else None


def _binning(channels: Iterable[OmeChannel]) -> str | None:
    """Binning of all channels; those that differ are joined in the order of the channels."""
    names = dict.fromkeys(channel.binning.strip() for channel in channels if channel.binning)
    return _text(", ".join(filter(None, names)))


def _text(text: str | None) -> str | None:
    return (text or "").strip()[:_MOST_TEXT] or None


def _unknown_unit(own: OmeAcquisition) -> str | None:
    """The unit of stage positions that are written and are no lengths."""
    if own.stage_label is None and not own.planes:
        return None
    label = own.stage_label or _NO_LABEL
    written = [(plane.texts[2], plane.units[2]) for plane in own.planes[:1]] + [(label[0], label[3])]
    return next((unit or REFERENCE_FRAME for text, unit in written if text is not None), None)
