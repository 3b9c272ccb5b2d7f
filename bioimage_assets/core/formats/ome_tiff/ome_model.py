"""What this project takes of an OME-XML document, as declared; the pages may contradict it.

Source of truth: OME schema 2016-06 (https://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from bioimage_assets.core.formats.ome_tiff.ome_acquisition import OmeAcquisition, OmeInstrument
from bioimage_assets.core.formats.ome_tiff.units import duration_s, length_um, position_um
from bioimage_assets.core.formats.ome_tiff.xml_guard import Repair


class OmeTiffData(NamedTuple):
    """One TiffData block: ``plane_count`` planes from page ``ifd`` of a file, the first being (c, z, t).

    ``file_name`` and ``uuid`` are None where the block means the file that carries the XML.
    ``plane_count`` is None where the block stands for all planes that follow.
    """

    ifd: int
    c: int
    z: int
    t: int
    plane_count: int | None
    file_name: str | None = None
    uuid: str | None = None


class OmeQuantity(NamedTuple):
    """A length or a time as it is written; ``unit`` is None where the schema's default holds (µm, s)."""

    text: str
    unit: str | None

    @property
    def number(self) -> float | None:
        """The number written, None where it is none."""
        try:
            return float(self.text)
        except ValueError:
            return None


class OmeImage(NamedTuple):
    """One Image element; sizes are as declared and may lie, ``size_c`` counts samples as OME does."""

    ome_id: str
    name: str | None
    dimension_order: str
    pixel_type: str
    size_x: int
    size_y: int
    size_z: int
    size_c: int
    size_t: int
    channel_names: tuple[str | None, ...]
    samples_per_channel: tuple[int, ...]
    tiff_data: tuple[OmeTiffData, ...]
    physical_size_x: OmeQuantity | None
    physical_size_y: OmeQuantity | None
    physical_size_z: OmeQuantity | None
    time_increment: OmeQuantity | None
    acquisition: OmeAcquisition | None = None

    @property
    def pixel_sizes_um(self) -> tuple[float | None, float | None, float | None]:
        """Pixel sizes x, y, z in µm; None where none is given or the unit is not a length."""
        x, y, z = self.physical_size_x, self.physical_size_y, self.physical_size_z
        return (
            None if x is None else _read_length_um(x),
            None if y is None else _read_length_um(y),
            None if z is None else _read_length_um(z),
        )

    @property
    def time_increment_s(self) -> float | None:
        """Seconds between time points; None where none is given or the unit is not a time."""
        step = self.time_increment
        return None if step is None else duration_s(step.number, step.unit)


@lru_cache(maxsize=256)
def _read_length_um(quantity: OmeQuantity) -> float | None:
    return length_um(quantity.number, quantity.unit)


@dataclass(frozen=True, slots=True)
class OmeWellSample:
    """A field of a well: ``index`` is unique per plate, the acquisition None where no run lists the sample.

    ``position`` is its x and y from the origin of the well.
    """

    ome_id: str
    index: int | None
    image_ref: str | None
    position: tuple[OmeQuantity | None, OmeQuantity | None] = (None, None)

    @property
    def position_um(self) -> tuple[float | None, float | None]:
        """Its x and y in µm; None where none is given or the unit is missing or no length."""
        x, y = (None if place is None else position_um(place.number, place.unit) for place in self.position)
        return x, y


@dataclass(frozen=True, slots=True)
class OmeWell:
    """A well by zero-based row and column."""

    row: int
    column: int
    samples: tuple[OmeWellSample, ...]


@dataclass(frozen=True, slots=True)
class OmePlate:
    """A Plate element; ``acquisitions`` maps a run's ID to the WellSample IDs it lists."""

    ome_id: str
    name: str | None
    wells: tuple[OmeWell, ...]
    acquisitions: tuple[tuple[str, tuple[str, ...]], ...]


class OmeDocument(NamedTuple):
    """Everything this project reads of one OME-XML document.

    ``repair`` says how the text had to be repaired to be read, None where it was clean. ``planes_left_out`` counts
    Plane elements whose facts were not kept, because there are too many.
    """

    uuid: str | None
    creator: str | None
    schema_version: str | None
    binary_only_file: str | None
    binary_only_uuid: str | None
    images: tuple[OmeImage, ...]
    plates: tuple[OmePlate, ...]
    repair: Repair | None = None
    instruments: tuple[OmeInstrument, ...] = ()
    planes_left_out: int = 0
