"""Takes times, places, exposures, wavelengths and optics from the records of Harmony, CellVoyager, IN Cell and MetaXpress Acquire.

Sources of truth: the documents that ``sidecar_xml`` and ``sidecar_jdce`` name. Harmony gives lengths in m and times in s
where it names no unit, places from the centre of the well; CellVoyager µm from the centre of the well and exposures in ms;
IN Cell µm on the plate and exposures in ms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from xml.etree import ElementTree

from bioimage_assets.core.formats.ome_tiff.ome_acquisition import add_seconds, read_moment
from bioimage_assets.core.formats.ome_tiff.units import (
    position_um,
    read_number,
    seconds_per,
    to_unit,
    wavelength_nm,
)
from bioimage_assets.core.formats.plate_folders.file_pages import join_page
from bioimage_assets.core.formats.plate_folders.sidecar_acquisition import (
    ChannelFacts,
    FilePlane,
    Optics,
    SidecarAcquisition,
    read_binning,
    read_positive,
    read_power,
    read_text,
)
from bioimage_assets.core.formats.plate_folders.sidecar_facts import read_integer

Elements = Mapping[str, ElementTree.Element]
_BAND = re.compile(r"\s*BP\s*(\d{3,4}(?:\.\d)?)\s*/", re.ASCII)  # centre and width of a band-pass filter
_LEAST_EPOCH_S = 1e8  # smaller numbers count from the start of the acquisition
_MOST_PIXELS = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def take_harmony(children: Elements, token: str | None, key: str, facts: SidecarAcquisition) -> None:
    """Take an Image or an Entry of the maps; ``children`` are its elements by name."""
    facts.source = facts.source or "harmony-index"
    values = {name: child.text or "" for name, child in children.items()}
    if token is not None and token not in facts.channels and "MainEmissionWavelength" in values:
        facts.channels[token] = ChannelFacts(
            _duration(children.get("ExposureTime"), "s"),
            wavelength_nm(read_number(values.get("MainExcitationWavelength")), None),
            wavelength_nm(read_number(values["MainEmissionWavelength"]), None),
            read_text(values.get("ChannelType")),
            read_binning(f"{values.get('BinningX', '')}x{values.get('BinningY', '')}"),
        )
    if "ObjectiveMagnification" in values or "ObjectiveNA" in values:
        facts.add_optics(
            Optics(
                None, read_positive(values, "ObjectiveMagnification"), read_positive(values, "ObjectiveNA")
            )
        )
    if "URL" in values:
        offset = _duration(children.get("MeasurementTimeOffset"), "s")
        height = _place(children.get("AbsPositionZ"))
        page = read_integer(children["URL"].get("BufferNo"))
        facts.add_plane(key, join_page(values["URL"], page or None), FilePlane(
            read_moment(values.get("AbsTime")) or add_seconds(facts.start, offset), offset,
            _duration(children.get("ExposureTime"), "s"),
            _place(children.get("PositionX")), _place(children.get("PositionY")),
            height if height is not None else _place(children.get("PositionZ")),
        ))  # fmt: skip


def _place(element: ElementTree.Element | None, unit: str = "m") -> float | None:
    return None if element is None else position_um(read_number(element.text), element.get("Unit") or unit)


def _duration(element: ElementTree.Element | None, unit: str) -> float | None:
    if element is None:
        return None
    return _seconds(element.text, element.get("Unit") or unit)


def _seconds(text: str | None, unit: str) -> float | None:
    factor = seconds_per(unit)
    return None if factor is None else to_unit(read_number(text), factor)


def take_record(text: str | None, values: Mapping[str, str], key: str, facts: SidecarAcquisition) -> None:
    """Take a MeasurementRecord of CellVoyager or CQ1."""
    facts.source = facts.source or "cellvoyager"
    x, y, z = (read_number(values.get(axis)) for axis in "XYZ")
    facts.add_plane(key, text, FilePlane(read_moment(values.get("Time")), None, None, x, y, z))


def take_light_source(values: Mapping[str, str], facts: SidecarAcquisition) -> None:
    """Take a laser or lamp of CellVoyager's settings, that channels refer to by name."""
    wavelength, name = read_positive(values, "WaveLength"), values.get("Name")
    if name and wavelength is not None:
        facts.light_sources[name] = wavelength


def take_tiles(values: Mapping[str, str], facts: SidecarAcquisition) -> None:
    """Take by how many pixels the tiles of a CellVoyager measurement overlap."""
    pixels = read_number(values.get("OverlappingPixels"))
    if pixels is not None and 0 <= pixels < _MOST_PIXELS and facts.overlap_pixels is None:
        facts.overlap_pixels = int(pixels)


def take_cellvoyager_channel(
    token: str, element: ElementTree.Element, values: Mapping[str, str], facts: SidecarAcquisition
) -> None:
    """Take a Channel of CellVoyager's settings; its emission is the centre of its band-pass filter."""
    sources = [child.text for child in element if child.tag.rpartition("}")[2] == "LightSourceName"]
    known = [facts.light_sources.get((name or "").strip()) for name in sources]
    band = _BAND.match(values.get("Acquisition", ""))
    facts.channels.setdefault(token, ChannelFacts(
        _seconds(values.get("ExposureTime"), "ms"), known[0] if len(known) == 1 else None,
        float(band[1]) if band else None, None, read_binning(values.get("Binning")),
    ))  # fmt: skip
    name = read_text(values.get("Objective"))
    facts.add_optics(Optics(name, read_positive(values, "Magnification") or read_power(name)))


def take_xdce_optics(kind: str, own: Mapping[str, str], facts: SidecarAcquisition) -> None:
    """Take the instrument, its objective, and when an IN Cell acquisition began."""
    facts.source = facts.source or "xdce"
    if kind == "Application":
        facts.add_optics(Optics(instrument=read_text(own.get("name"))))
    elif kind == "Creation":
        facts.start = facts.start or read_moment(f"{own.get('date', '')}T{own.get('time', '')}")
    elif kind == "ObjectiveCalibration":
        name = read_text(own.get("objective_name"))
        power = read_positive(own, "magnification") or read_power(name)
        facts.add_optics(Optics(name, power, read_positive(own, "numerical_aperture")))


def read_xdce_wave(children: Elements) -> ChannelFacts:
    """What a Wavelength of IN Cell says: the wavelengths of its filters and its exposure."""
    excitation, emission = children.get("ExcitationFilter"), children.get("EmissionFilter")
    exposure = children.get("Exposure")
    return ChannelFacts(
        None if exposure is None else _seconds(exposure.get("time"), exposure.get("unit") or "ms"),
        None if excitation is None else wavelength_nm(read_number(excitation.get("wavelength")), excitation.get("unit")),
        None if emission is None else wavelength_nm(read_number(emission.get("wavelength")), emission.get("unit")),
    )  # fmt: skip


def take_xdce_image(
    image: ElementTree.Element, children: Elements, key: str, facts: SidecarAcquisition
) -> None:
    """Take an Image of IN Cell: its time in seconds of the epoch or from the start, its place on the plate."""
    place, focus, exposure = (children.get(tag) for tag in ("PlatePosition_um", "FocusPosition", "Exposure"))
    stamp, since_start = (
        read_number(image.get("timestamp_sec")),
        _seconds(image.get("acquisition_time_ms"), "ms"),
    )
    if stamp is not None and stamp >= _LEAST_EPOCH_S:
        moment = add_seconds(_EPOCH, stamp)
    else:
        since_start = stamp if since_start is None else since_start
        moment = add_seconds(facts.start, since_start)
    facts.add_plane(key, image.get("filename"), FilePlane(
        moment, since_start, None if exposure is None else _seconds(exposure.get("time"), exposure.get("unit") or "ms"),
        None if place is None else read_number(place.get("x")), None if place is None else read_number(place.get("y")),
        None if focus is None else position_um(read_number(focus.get("z")), focus.get("unit") or "µm"),
    ))  # fmt: skip
