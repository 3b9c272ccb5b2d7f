"""The OME-XML document in the head of a field's OME-TIFF.

Schema: http://www.openmicroscopy.org/Schemas/OME/2016-06. A file holds one field, but lists every field of its
well, so that the rank of the field inside the well follows from the file alone.
"""

from __future__ import annotations

import uuid
from xml.etree import ElementTree as Xml

from bioimage_assets.demo.acquisition import (
    BINNING,
    EXPOSURES_MS,
    FOCUS_UM,
    INSTRUMENT,
    MAGNIFICATION,
    NUMERICAL_APERTURE,
    OBJECTIVE,
    WAVELENGTHS_NM,
    FieldTaken,
    locate_field,
)
from bioimage_assets.demo.plan import PlatePlan
from bioimage_assets.demo.render import CHANNELS, PIXEL_SIZE_UM

OME_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_SCHEMA_LOCATION = f"{OME_NAMESPACE} {OME_NAMESPACE}/ome.xsd"
# RGBA as a signed 32-bit integer: blue, green, yellow, orange, red.
_CHANNEL_COLORS = (0x0000FFFF, 0x00FF00FF, 0xFFFF00FF, 0xFF8000FF, 0xFF0000FF)


def build_field_xml(plan: PlatePlan, well_index: int, site: int, file_name: str) -> str:
    """OME-XML of one field; every channel is one IFD in channel order."""
    root = Xml.Element(
        "OME",
        {
            "xmlns": OME_NAMESPACE,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": _SCHEMA_LOCATION,
            "UUID": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{plan.plate_key}/{file_name}/{plan.seed}')}",
            "Creator": "bioimage_assets demo",
        },
    )
    _add_plate(root, plan, well_index, site)
    _add_instrument(root)
    _add_image(root, plan, well_index, site, file_name)
    return '<?xml version="1.0" encoding="UTF-8"?>' + Xml.tostring(root, encoding="unicode")


def _sample_number(plan: PlatePlan, well_index: int, site: int) -> int:
    """WellSample@Index counts over the whole plate, not within the well (ome.xsd)."""
    return well_index * plan.size.site_count + site


def _add_plate(root: Xml.Element, plan: PlatePlan, well_index: int, site: int) -> None:
    plate = Xml.SubElement(
        root,
        "Plate",
        {
            "ID": f"Plate:{plan.index}",
            "Name": plan.plate,
            "RowNamingConvention": "letter",
            "ColumnNamingConvention": "number",
            "Rows": str(plan.size.row_count),
            "Columns": str(plan.size.column_count),
        },
    )
    well = plan.wells[well_index]
    identity = {"ID": f"Well:{plan.index}:{well_index}", "Row": str(well.row), "Column": str(well.column)}
    element = Xml.SubElement(plate, "Well", identity)
    for sibling in range(plan.size.site_count):
        number = _sample_number(plan, well_index, sibling)
        sample_id = f"WellSample:{plan.index}:{well_index}:{sibling}"
        sample = Xml.SubElement(element, "WellSample", {"ID": sample_id, "Index": str(number)})
        if sibling == site:
            Xml.SubElement(sample, "ImageRef", {"ID": f"Image:{number}"})


def _add_instrument(root: Xml.Element) -> None:
    instrument = Xml.SubElement(root, "Instrument", {"ID": "Instrument:0"})
    maker, model = INSTRUMENT
    Xml.SubElement(instrument, "Microscope", {"Manufacturer": maker, "Model": model})
    Xml.SubElement(instrument, "Detector", {"ID": "Detector:0"})
    objective = {"ID": "Objective:0", "Model": OBJECTIVE, "NominalMagnification": str(MAGNIFICATION)}
    Xml.SubElement(instrument, "Objective", {**objective, "LensNA": str(NUMERICAL_APERTURE)})


def _add_image(root: Xml.Element, plan: PlatePlan, well_index: int, site: int, file_name: str) -> None:
    number, size = _sample_number(plan, well_index, site), str(plan.size.field_px)
    image = Xml.SubElement(root, "Image", {"ID": f"Image:{number}", "Name": file_name})
    taken = locate_field(plan, well_index, site)
    Xml.SubElement(image, "AcquisitionDate").text = taken.began.strftime("%Y-%m-%dT%H:%M:%SZ")
    Xml.SubElement(image, "InstrumentRef", {"ID": "Instrument:0"})
    Xml.SubElement(image, "ObjectiveSettings", {"ID": "Objective:0"})
    pixels = Xml.SubElement(
        image,
        "Pixels",
        {
            "ID": f"Pixels:{number}",
            "DimensionOrder": "XYZCT",
            "Type": "uint16",
            "BigEndian": "false",
            "SizeX": size,
            "SizeY": size,
            "SizeZ": "1",
            "SizeC": str(len(CHANNELS)),
            "SizeT": "1",
            "PhysicalSizeX": str(PIXEL_SIZE_UM),
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": str(PIXEL_SIZE_UM),
            "PhysicalSizeYUnit": "µm",
        },
    )
    lights = zip(CHANNELS, _CHANNEL_COLORS, WAVELENGTHS_NM, strict=True)
    for index, (channel, color, (excitation, emission)) in enumerate(lights):
        signed = color - 2**32 if color >= 2**31 else color
        identity = {
            "ID": f"Channel:{number}:{index}",
            "Name": channel,
            "SamplesPerPixel": "1",
            "Color": str(signed),
            "ContrastMethod": "Fluorescence",
            "ExcitationWavelength": str(excitation),
            "EmissionWavelength": str(emission),
        }
        element = Xml.SubElement(pixels, "Channel", identity)
        settings = {"ID": "Detector:0", "Binning": f"{BINNING}x{BINNING}"}
        Xml.SubElement(element, "DetectorSettings", settings)
    for index in range(len(CHANNELS)):
        Xml.SubElement(pixels, "TiffData", {"IFD": str(index), "FirstC": str(index), "PlaneCount": "1"})
    _add_planes(pixels, taken)


def _add_planes(pixels: Xml.Element, taken: FieldTaken) -> None:
    for index, exposure_ms in enumerate(EXPOSURES_MS):
        plane = {
            "TheC": str(index), "TheZ": "0", "TheT": "0", "DeltaT": str(taken.channel_offset_s(index)),
            "ExposureTime": str(exposure_ms), "ExposureTimeUnit": "ms",
        }  # fmt: skip
        for axis, place_um in (("X", taken.x_um), ("Y", taken.y_um), ("Z", FOCUS_UM)):
            plane |= {f"Position{axis}": str(place_um), f"Position{axis}Unit": "µm"}
        Xml.SubElement(pixels, "Plane", plane)
