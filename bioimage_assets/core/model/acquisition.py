"""How an image was taken, as its metadata say: of the whole field, and plane by plane.

Names and meaning follow the OME schema (https://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd: Plane, Channel, Objective,
StageLabel, WellSample). Lengths are µm, wavelengths nm, times s; None where the metadata say nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class AcquisitionFacts(NamedTuple):
    """What is known of one field; lists have one element per channel, in the order of the image's channels.

    ``stage_*_um`` is the position of the field: of its first plane where planes differ. ``acquired_at`` is the time of its first plane,
    in UTC. ``binning`` is written ``2x2``, ``source`` names what said it: ``ome-xml``, ``harmony-index``, ``htd``, ``tiff-tags``, ….
    """

    source: str
    stage_x_um: float | None = None
    stage_y_um: float | None = None
    stage_z_um: float | None = None
    acquired_at: datetime | None = None
    exposures_s: tuple[float | None, ...] | None = None
    excitation_nm: tuple[float | None, ...] | None = None
    emission_nm: tuple[float | None, ...] | None = None
    contrast_methods: tuple[str | None, ...] | None = None
    objective: str | None = None
    magnification: float | None = None
    numerical_aperture: float | None = None
    binning: str | None = None
    instrument: str | None = None


class PlaneFacts(NamedTuple):
    """What is known of one plane; ``c``, ``z`` and ``t`` count from zero along the image's axes.

    ``acquired_at`` is UTC; ``time_offset_s`` counts from the image's first plane, or as the source says (OME: Plane@DeltaT).
    """

    c: int
    z: int
    t: int
    acquired_at: datetime | None = None
    time_offset_s: float | None = None
    exposure_s: float | None = None
    stage_x_um: float | None = None
    stage_y_um: float | None = None
    stage_z_um: float | None = None


def drop_empty(facts: AcquisitionFacts) -> AcquisitionFacts | None:
    """The facts without lists that say nothing; None where nothing is left but their source."""
    silent = {
        name: None
        for name, value in zip(facts._fields, facts, strict=True)
        if isinstance(value, tuple) and all(item is None for item in value)
    }
    kept = facts._replace(**silent)  # type: ignore[arg-type]  # every list may be None
    return kept if any(value is not None for value in kept[1:]) else None
