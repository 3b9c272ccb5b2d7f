"""What sidecars say of how the images of a plate were taken, by file and by channel, whoever wrote them.

Lengths are µm, wavelengths nm, times s. A date without a zone is taken as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from bioimage_assets.core.formats.ome_tiff.units import read_number

_POWER = re.compile(r"\s*(\d{1,3}(?:\.\d{1,3})?)\s*[xX×](?![0-9])", re.ASCII)
_BINNING = re.compile(r"\s*(\d{1,2})\s*(?:[xX×]\s*(\d{1,2})\s*)?$", re.ASCII)


class FilePlane(NamedTuple):
    """What is said of the one plane that a file holds."""

    acquired_at: datetime | None = None
    time_offset_s: float | None = None
    exposure_s: float | None = None
    stage_x_um: float | None = None
    stage_y_um: float | None = None
    stage_z_um: float | None = None


class ChannelFacts(NamedTuple):
    """What is said of a channel of all images."""

    exposure_s: float | None = None
    excitation_nm: float | None = None
    emission_nm: float | None = None
    contrast: str | None = None
    binning: str | None = None


class Optics(NamedTuple):
    """What all images of a plate have in common."""

    objective: str | None = None
    magnification: float | None = None
    numerical_aperture: float | None = None
    instrument: str | None = None


_SILENT = FilePlane()


@dataclass(slots=True)
class SidecarAcquisition:
    """Facts by file (folder and name) and by token of the file name (``ch1``, ``C01``); ``start`` is that of the measurement.

    Of two sidecars of one folder the first counts. ``overlap_pixels`` is the stated overlap of neighbouring fields. ``light_sources`` are wavelengths by the name that channels refer to.
    """

    source: str = ""
    planes: dict[tuple[str, str], FilePlane] = field(default_factory=dict)
    channels: dict[str, ChannelFacts] = field(default_factory=dict)
    optics: Optics = field(default_factory=Optics)
    start: datetime | None = None
    overlap_pixels: int | None = None
    light_sources: dict[str, float] = field(default_factory=dict)

    def add_plane(self, sidecar_key: str, path: str | None, plane: FilePlane) -> None:
        """Take what the sidecar says of a file, which it names with or without its folder."""
        name = (path or "").strip().replace("\\", "/").rpartition("/")[2]
        if name and plane != _SILENT:
            self.planes.setdefault((sidecar_key.rpartition("/")[0], name), plane)

    def add_optics(self, optics: Optics) -> None:
        """Take what is not known yet."""
        known = (own if own is not None else other for own, other in zip(self.optics, optics, strict=True))
        self.optics = Optics(*known)  # type: ignore[arg-type]  # as they stood

    def find(self, key: str) -> FilePlane | None:
        """What the nearest sidecar at or above a file says of it."""
        folder, _, name = key.rpartition("/")
        while self.planes:
            plane = self.planes.get((folder, name))
            if plane is not None or not folder:
                return plane
            folder = folder.rpartition("/")[0]
        return None


def read_power(name: str | None) -> float | None:
    """Magnification that the name of an objective begins with (``20X Plan Apo``); None where it does not."""
    found = _POWER.match(name or "")
    return float(found[1]) or None if found else None


def read_binning(text: str | None) -> str | None:
    """Binning as ``2x2``, of ``2``, ``2x2`` or ``2 X 2``; None for other texts."""
    found = _BINNING.match(text or "")
    return f"{int(found[1])}x{int(found[2] or found[1])}" if found and int(found[1]) else None


def read_positive(values: Mapping[str, str], key: str) -> float | None:
    """Positive number among texts by name; None where there is none."""
    value = read_number(values.get(key))
    return value if value is not None and value > 0 else None


def read_text(text: str | None) -> str | None:
    """Short text without blanks around it; None where nothing is left."""
    return (text or "").strip()[:256] or None
