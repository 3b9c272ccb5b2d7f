"""Takes from the elements of an OME-XML document what they say of how images were taken, as text.

Source of truth: https://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd; schemas before 2010-06 keep times and places of
a plane in ``PlaneTiming`` and ``StagePosition`` below it, and dates in ``CreationDate`` or ``AcquiredDate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from xml.etree import ElementTree

from bioimage_assets.core.formats.ome_tiff.ome_acquisition import (
    NO_CHANNEL,
    OmeAcquisition,
    OmeChannel,
    OmeInstrument,
    OmeObjective,
    OmePlane,
    Texts,
)

# Planes of one document whose facts are kept: those of a set of half a million planes.
MAX_PLANES = 500_000
_DATES = frozenset({"AcquisitionDate", "AcquiredDate", "CreationDate"})
_PLANE_KEYS = ("DeltaT", "ExposureTime", "PositionX", "PositionY", "PositionZ")
_PLANE_UNITS = tuple(f"{key}Unit" for key in _PLANE_KEYS)
_CHANNEL_KEYS = frozenset(
    {"ExcitationWavelength", "EmissionWavelength", "ContrastMethod", "ExWave", "EmWave"}
)
_SILENT: Texts = (None,) * len(_PLANE_KEYS)
_LABEL_KEYS = ("X", "Y", "Z", "XUnit", "YUnit", "ZUnit", "Name")
_UNITS: dict[Texts, Texts] = {_SILENT: _SILENT}  # planes by the thousand share theirs
_MOST_UNITS = 1_000


@lru_cache(maxsize=1024)
def local_name(tag: str) -> str:
    """Name of an element without its namespace."""
    return tag.rpartition("}")[2]


def build_plane(element: ElementTree.Element) -> OmePlane | None:
    """Take one Plane; None where it says nothing, or not of which plane it speaks."""
    own: Mapping[str, str] = element.attrib
    if len(element):
        own = {**own, **{key: value for child in element for key, value in _legacy(child)}}
    get = own.get
    texts = tuple([get(key) for key in _PLANE_KEYS])
    if texts == _SILENT:
        return None
    c, z, t = (_small_index(get(key)) for key in ("TheC", "TheZ", "TheT"))
    if c is None or z is None or t is None:
        return None
    return OmePlane(c, z, t, texts, _share(tuple([get(key) for key in _PLANE_UNITS])))


def _legacy(child: ElementTree.Element) -> Sequence[tuple[str, str]]:
    return list(child.attrib.items()) if local_name(child.tag) in ("PlaneTiming", "StagePosition") else ()


def _share(units: Texts) -> Texts:
    known = _UNITS.get(units)
    if known is None:
        if len(_UNITS) >= _MOST_UNITS:
            _UNITS.clear()
        known = _UNITS.setdefault(units, units)
    return known


def _small_index(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None


def build_channel(element: ElementTree.Element) -> OmeChannel:
    """Take one Channel, or LogicalChannel of schemas before 2010-06."""
    attributes = element.attrib
    if not len(element) and _CHANNEL_KEYS.isdisjoint(attributes):
        return NO_CHANNEL
    get = attributes.get
    binning = None
    for child in element:
        if local_name(child.tag) == "DetectorSettings":
            binning = child.get("Binning")
    channel = OmeChannel(
        get("ExcitationWavelength", get("ExWave")), get("ExcitationWavelengthUnit"),
        get("EmissionWavelength", get("EmWave")), get("EmissionWavelengthUnit"), get("ContrastMethod"), binning,
    )  # fmt: skip
    return NO_CHANNEL if channel == NO_CHANNEL else channel


def build_acquisition(
    image: ElementTree.Element, channels: Sequence[OmeChannel], planes: Sequence[OmePlane]
) -> OmeAcquisition | None:
    """Take what stands beside the Pixels of an image; None where nothing is said of how it was taken."""
    date = instrument = objective = None
    label: Texts | None = None
    for child in image:
        kind = local_name(child.tag)
        if kind in _DATES:
            date = child.text or ""
        elif kind == "InstrumentRef":
            instrument = child.get("ID")
        elif kind in ("ObjectiveSettings", "ObjectiveRef"):
            objective = child.get("ID")
        elif kind == "StageLabel":
            label = tuple([child.get(key) for key in _LABEL_KEYS])
    spoken = () if channels.count(NO_CHANNEL) == len(channels) else tuple(channels)
    is_silent = date is None and instrument is None and objective is None and label is None
    if is_silent and not (spoken or planes):
        return None
    return OmeAcquisition(date, instrument, objective, label, spoken, tuple(planes))


def build_instrument(element: ElementTree.Element) -> OmeInstrument:
    """Take one Instrument with its microscope and objectives."""
    objectives: list[OmeObjective] = []
    maker = model = None
    for child in element:
        kind = local_name(child.tag)
        if kind == "Microscope":
            maker, model = child.get("Manufacturer"), child.get("Model")
        elif kind == "Objective":
            # Attributes, in schemas before 2010-06 elements.
            get = {**{local_name(sub.tag): sub.text or "" for sub in child}, **child.attrib}.get
            objectives.append(
                OmeObjective(
                    get("ID", ""), get("Model"), get("NominalMagnification"), get("CalibratedMagnification"), get("LensNA"),
                )
            )  # fmt: skip
    return OmeInstrument(element.get("ID", ""), maker, model, tuple(objectives))
