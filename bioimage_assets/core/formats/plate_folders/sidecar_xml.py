"""Reads the XML sidecars of Harmony, Columbus, CellVoyager, CQ1 and IN Cell Analyzer.

Sources of truth: ``Index.idx.xml`` / ``Index.xml`` of Harmony 3 to 6 (Operetta, Opera Phenix; since version 6 names
and sizes of channels stand in ``Maps/Map/Entry``), ``ImageIndex.ColumbusIDX.xml`` of Columbus, which is built alike, ``MeasurementData.mlf``, ``MeasurementDetail.mrf`` and ``*.mes`` of
Yokogawa's BTS schema 1.0 (CV7000, CV8000, CQ1), ``*.xdce`` of IN Cell Analyzer, ``experiment_descriptor.xml`` of scanR; as Bio-Formats' readers of these
formats document them. Checked with built files of these structures, not with every version of every instrument.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from xml.etree import ElementTree

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_tiff.image_draft import PixelSizes
from bioimage_assets.core.formats.ome_tiff.ome_acquisition import read_moment
from bioimage_assets.core.formats.ome_tiff.units import length_um
from bioimage_assets.core.formats.ome_tiff.xml_guard import read_xml_text
from bioimage_assets.core.formats.plate_folders.patterns import NameParts, parse_name
from bioimage_assets.core.formats.plate_folders.sidecar_acquisition import (
    ChannelFacts,
    Optics,
    read_binning,
    read_text,
)
from bioimage_assets.core.formats.plate_folders.sidecar_facts import (
    SidecarFacts,
    WellSites,
    declare_wells,
    read_integer,
    read_number,
    well_at,
)
from bioimage_assets.core.formats.plate_folders.vendor_acquisition import (
    read_xdce_wave,
    take_cellvoyager_channel,
    take_harmony,
    take_light_source,
    take_record,
    take_tiles,
    take_xdce_image,
    take_xdce_optics,
)
from bioimage_assets.core.model.identity import normalize_site

# Images, records and channels have some dozens.
_MOST_CHILDREN = 4_096
_MAX_DEPTH = 100  # vendors nest below ten deep


def iterate_xml(payload: bytes, key: str) -> Iterator[ElementTree.Element]:
    """Yield finished elements; CorruptStoreError where the XML is refused or broken.

    An element that is still open forgets its finished children by the thousand, so that memory stays small.
    """
    text, _ = read_xml_text(payload, key)
    path: list[ElementTree.Element] = []
    try:
        for event, element in ElementTree.iterparse(io.StringIO(text), events=("start", "end")):
            if event == "start":
                path.append(element)
                if len(path) > _MAX_DEPTH:
                    raise CorruptStoreError(f"{key}: elements of the XML are more than {_MAX_DEPTH} deep.")
                continue
            path.pop()
            yield element
            if path and len(path[-1]) > _MOST_CHILDREN:
                path[-1][:] = []
    except ElementTree.ParseError as error:
        raise CorruptStoreError(f"{key}: the XML is not well-formed ({error}).") from error


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def read_harmony_index(payload: bytes, key: str, facts: SidecarFacts) -> None:
    """Take channels, sizes, wells and, for names of old versions, the place of each file."""
    sites: WellSites = defaultdict(set)
    seen: dict[str, int | None] = {}
    plate: str | None = None
    for element in iterate_xml(payload, key):
        kind = _local(element.tag)
        if kind == "PlateID" and element.text:
            plate = plate or element.text.strip()
        elif kind in ("Image", "Entry") and len(element):
            children = {_local(child.tag): child for child in element}
            values = {name: (child.text or "").strip() for name, child in children.items()}
            channel = read_integer(values.get("ChannelID") or element.get("ChannelID"))
            if channel is not None and values.get("ChannelName"):
                facts.channel_names.setdefault(f"ch{channel}", values["ChannelName"])
            if "ImageResolutionX" in values and facts.sizes.x_um is None:
                facts.sizes = _harmony_sizes(element)
            if kind == "Image":
                page = read_integer(children["URL"].get("BufferNo")) if "URL" in children else None
                _take_harmony_image(values, channel, page, sites, seen, facts)
            take_harmony(children, None if channel is None else f"ch{channel}", key, facts.acquisition)
            element.clear()
        elif kind == "MeasurementStartTime":
            facts.acquisition.start = facts.acquisition.start or read_moment(element.text)
        elif kind == "InstrumentType":
            facts.acquisition.add_optics(Optics(instrument=read_text(element.text)))
    facts.plate_id = facts.plate_id or plate
    facts.wells = facts.wells or declare_wells(sites)


def _take_harmony_image(
    values: Mapping[str, str], channel: int | None, page: int | None, sites: WellSites, seen: dict[str, int | None], facts: SidecarFacts,
) -> None:  # fmt: skip
    row, column = read_integer(values.get("Row")), read_integer(values.get("Col"))
    well_id, site = well_at(row, column), normalize_site(values.get("FieldID"))
    if well_id is None or row is None or column is None:
        return
    sites[row, column].add(site or "")
    parts = NameParts(
        "opera-phenix", well_id, site, None, None if channel is None else f"ch{channel}",
        read_integer(values.get("PlaneID")), read_integer(values.get("TimepointID")), None,
    )  # fmt: skip
    name = (values.get("URL") or "").strip().replace("\\", "/").rpartition("/")[2]
    if not name:  # a plane that was not taken
        return
    if name in seen:  # Columbus keeps all planes of a field in one file
        pages = facts.pages.setdefault(name, {})
        if not pages and (first := seen[name]) is not None:
            pages[first] = facts.names[name]  # as the plane before said it
        if page is not None:
            pages[page] = parts
        facts.several_planes.add(name)
        parts = replace(parts, channel=None, z=None, t=None)
    seen.setdefault(name, page)
    facts.add_name(name, parts)


def _harmony_sizes(image: ElementTree.Element) -> PixelSizes:
    found: dict[str, float | None] = {}
    for child in image:
        name = _local(child.tag)
        if name in ("ImageResolutionX", "ImageResolutionY"):
            found[name[-1]] = length_um(read_number(child.text), child.get("Unit", "m"))
    return PixelSizes(found.get("X"), found.get("Y"))


def read_cellvoyager(payload: bytes, key: str, facts: SidecarFacts) -> None:
    """Take wells, sizes, channel names (``.mes``) and, for CQ1's numbered wells, the place of each file."""
    sites: WellSites = defaultdict(set)
    for element in iterate_xml(payload, key):
        kind = _local(element.tag)
        values = {_local(name): value for name, value in element.attrib.items()}
        if kind == "MeasurementRecord":
            if values.get("Type", "IMG") == "IMG":
                _take_record(element.text, values, sites, facts)
                take_record(element.text, values, key, facts.acquisition)
            element.clear()
        elif kind == "MeasurementChannel" and facts.sizes.x_um is None:
            facts.sizes = PixelSizes(
                length_um(read_number(values.get("HorizontalPixelDimension")), "µm"),
                length_um(read_number(values.get("VerticalPixelDimension")), "µm"),
            )
        elif kind == "MeasurementSamplePlate":
            facts.plate_id = facts.plate_id or values.get("Name") or None
        elif kind in ("TiledPosition", "PartialTiledPosition"):
            take_tiles(values, facts.acquisition)
        elif kind == "LightSource":
            take_light_source(values, facts.acquisition)
        elif kind == "Channel":
            number = read_integer(values.get("Ch"))
            named = [values.get(name) for name in ("Target", "Fluorophore", "Acquisition")]
            name = next((text.strip() for text in named if text and text.strip()), None)
            if number is not None and name is not None:
                facts.channel_names.setdefault(f"C{number:02d}", name)
            if number is not None:
                take_cellvoyager_channel(f"C{number:02d}", element, values, facts.acquisition)
    facts.wells = facts.wells or declare_wells(sites)


def _take_record(text: str | None, values: Mapping[str, str], sites: WellSites, facts: SidecarFacts) -> None:
    row, column = read_integer(values.get("Row")), read_integer(values.get("Column"))
    well_id, site = well_at(row, column), normalize_site(values.get("FieldIndex"))
    if well_id is None or row is None or column is None:
        return
    sites[row, column].add(site or "")
    channel = read_integer(values.get("Ch"))
    parts = NameParts(
        "cellvoyager", well_id, site, None, None if channel is None else f"C{channel:02d}",
        read_integer(values.get("ZIndex")), read_integer(values.get("TimePoint")), values.get("TimelineIndex"),
    )  # fmt: skip
    facts.add_name(text, parts)


def read_scanr(payload: bytes, key: str, facts: SidecarFacts) -> None:
    """Take pixel size and wells of an ``experiment_descriptor.xml``: a Name, and the Val that follows it."""
    name, is_layout, number = "", False, None
    for element in iterate_xml(payload, key):
        kind, text = _local(element.tag), (element.text or "").strip()
        if kind == "Name":
            name = text
            is_layout = is_layout or text == "format typedef"
        elif kind != "Val" or not text:
            continue
        elif name == "conversion factor um/pixel" and facts.sizes.x_um is None:
            size = length_um(read_number(text), "µm")
            facts.sizes = PixelSizes(size, size)
        elif name == "Columns" and is_layout:
            facts.plate_columns, is_layout = read_integer(text), False
        elif name == "well selection table + cDNA":  # the number of a well, then its label
            if text.isdecimal():
                number = read_integer(text)
            elif number is not None:
                facts.well_labels[number], number = text, None


def read_xdce(payload: bytes, key: str, facts: SidecarFacts) -> None:
    """Take the emission filters as channel names, the objective's pixel size and the wells of an IN Cell plate."""
    sites: WellSites = defaultdict(set)
    filters: dict[int, str] = {}
    waves: dict[int, ChannelFacts] = {}
    tokens: dict[str, int] = {}
    binning: str | None = None
    for element in iterate_xml(payload, key):
        kind = _local(element.tag)
        if kind == "Wavelength":
            number = read_integer(element.get("index"))
            children = {_local(child.tag): child for child in element}
            emission = children.get("EmissionFilter")
            if number is not None:
                waves[number] = read_xdce_wave(children)
            if number is not None and emission is not None and emission.get("name"):
                filters[number] = emission.get("name", "")
        elif kind in ("Application", "Creation"):
            take_xdce_optics(kind, element.attrib, facts.acquisition)
        elif kind == "Binning":
            binning = read_binning(element.get("value"))
        elif kind == "ObjectiveCalibration" and facts.sizes.x_um is None:
            take_xdce_optics(kind, element.attrib, facts.acquisition)
            unit = element.get("unit", "µm")
            unit = unit if length_um(1.0, unit) is not None else "µm"
            facts.sizes = PixelSizes(
                length_um(read_number(element.get("pixel_width")), unit),
                length_um(read_number(element.get("pixel_height")), unit),
            )
        elif kind == "Image" and element.get("filename"):
            _take_xdce_image(element, key, sites, tokens, facts)
            element.clear()
        elif kind == "ImageStack":
            facts.plate_id = facts.plate_id or element.get("PlateID") or None
    if len(set(filters.values())) == len(filters):  # two wavelengths behind one filter keep their tokens
        names = {token: filters[number] for token, number in tokens.items() if number in filters}
        facts.channel_names = names | facts.channel_names
    for token, number in tokens.items():
        if number in waves:
            facts.acquisition.channels.setdefault(token, waves[number]._replace(binning=binning))
    facts.wells = facts.wells or declare_wells(sites)


def _take_xdce_image(
    image: ElementTree.Element, key: str, sites: WellSites, tokens: dict[str, int], facts: SidecarFacts
) -> None:
    found = {_local(child.tag): child for child in image.iter()}
    take_xdce_image(image, found, key, facts.acquisition)
    numbers = [found[tag].get("number") if tag in found else None for tag in ("Row", "Column")]
    row, column = (read_integer(number) for number in numbers)
    index = found["Identifier"].attrib if "Identifier" in found else {}
    wave, field_index = read_integer(index.get("wave_index")), read_integer(index.get("field_index"))
    name = image.get("filename", "").replace("\\", "/").rpartition("/")[2]
    parts = parse_name(name)
    site = None if field_index is None else str(field_index + 1)
    well_id = well_at(row, column)
    if well_id is None or row is None or column is None:
        return
    sites[row, column].add((site if parts is None else parts.site_id) or "")
    if parts is not None and parts.channel is not None and wave is not None:
        tokens[parts.channel] = wave
    token = None if wave is None else f"wv{wave}"
    if token is not None and wave is not None:
        tokens[token] = wave
    z, t = read_integer(index.get("z_index")), read_integer(index.get("time_index"))
    facts.add_name(name, NameParts("incell", well_id, site, None, token, z, t, None))
