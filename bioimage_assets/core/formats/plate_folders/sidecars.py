"""Vendor sidecars become channel names, pixel sizes and the plate as the instrument declares it.

Sources of truth: MetaXpress ``.HTD`` (quoted key, values per line), Harmony ``Index.idx.xml`` of Opera Phenix and
Operetta CLS, CellVoyager ``MeasurementData.mlf`` / ``MeasurementDetail.mrf``; checked against files of each.
A sidecar that cannot be read costs its facts, never the images.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

from bioimage_assets.core.errors import CorruptStoreError, StoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_tiff.drafts import PixelSizes
from bioimage_assets.core.formats.ome_tiff.units import length_um
from bioimage_assets.core.formats.ome_tiff.xml_guard import read_xml_text
from bioimage_assets.core.formats.plate_folders.listing import FolderListing
from bioimage_assets.core.model.identity import MAX_WELL_COLUMN, MAX_WELL_ROW, build_well_id, normalize_site
from bioimage_assets.core.model.scan import DeclaredWell
from bioimage_assets.core.stores.base import MAX_XML_BYTES, Store

MAX_HTD_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class SidecarFacts:
    """What the sidecars of a plate folder say; ``channel_names`` by token of the file name (``w1``, ``ch2``, ``C01``)."""

    source: str = ""
    plate_id: str | None = None
    channel_names: dict[str, str] = field(default_factory=dict)
    sizes: PixelSizes = field(default_factory=PixelSizes)
    wells: tuple[DeclaredWell, ...] = ()
    documents: list[tuple[str, bytes]] = field(default_factory=list)


def read_sidecars(store: Store, listing: FolderListing, log: FindingLog) -> SidecarFacts:
    """Read the sidecars of whichever instrument made the folder; one request per file."""
    readers = (
        (listing.htd, "htd", _read_htd, MAX_HTD_BYTES),
        (listing.phenix_index, "index-xml", _read_phenix_index, MAX_XML_BYTES),
        (listing.cellvoyager, "cellvoyager", _read_cellvoyager, MAX_XML_BYTES),
    )
    facts = SidecarFacts()
    for items, source, reader, max_bytes in readers:
        for item in items:
            try:
                payload = store.get(item.key, max_bytes=max_bytes)
                reader(payload, item.key, facts)
            except StoreError as error:
                log.note("sidecar-unreadable", "warning", item.key, f"The sidecar gives nothing: {error}")
                continue
            facts.source = facts.source or source
            facts.documents.append((item.key, payload))
    return facts


def _read_htd(payload: bytes, key: str, facts: SidecarFacts) -> None:
    text = payload.decode("utf-8-sig", "replace")
    try:
        lines = [row for row in csv.reader(io.StringIO(text), skipinitialspace=True) if row]
    except csv.Error as error:
        raise CorruptStoreError(f"{key}: not a text of quoted keys and values ({error}).") from error
    rows = {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}
    if "XWells" not in rows and "NWavelengths" not in rows:
        raise CorruptStoreError(f"{key}: no XWells and no NWavelengths line; not a MetaXpress HTD file.")
    for name, values in rows.items():
        if name.startswith("WaveName") and _integer(name[8:]) is not None and values and values[0]:
            facts.channel_names[f"w{int(name[8:])}"] = values[0]
    field_count = _count_sites(rows)
    wells: list[DeclaredWell] = []
    for row in range(MAX_WELL_ROW):
        for column, chosen in enumerate(rows.get(f"WellsSelection{row + 1}", [])[:MAX_WELL_COLUMN]):
            if chosen.upper() == "TRUE":
                wells.append(DeclaredWell(build_well_id(row, column), "", (), field_count))
    facts.wells = facts.wells or tuple(wells)


def _count_sites(rows: dict[str, list[str]]) -> int | None:
    if rows.get("Sites", ["TRUE"])[:1] == ["FALSE"]:
        return 1
    chosen = [cell for name, values in rows.items() if name.startswith("SiteSelection") for cell in values]
    if chosen:
        return sum(cell.upper() == "TRUE" for cell in chosen)
    sides = [rows.get(name, [""])[0] for name in ("XSites", "YSites")]
    return (
        int(sides[0]) * int(sides[1]) if all(side.isdecimal() and len(side) < 4 for side in sides) else None
    )


def _iterate_xml(payload: bytes, key: str) -> Iterator[ElementTree.Element]:
    """Yield finished elements; CorruptStoreError where the XML is refused or broken."""
    text, _ = read_xml_text(payload, key)
    try:
        for _, element in ElementTree.iterparse(io.StringIO(text), events=("end",)):
            yield element
    except ElementTree.ParseError as error:
        raise CorruptStoreError(f"{key}: the XML is not well-formed ({error}).") from error


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _read_phenix_index(payload: bytes, key: str, facts: SidecarFacts) -> None:
    sites: dict[tuple[int, int], set[str]] = defaultdict(set)
    plate: str | None = None
    for element in _iterate_xml(payload, key):
        kind = _local(element.tag)
        if kind == "PlateID" and element.text:
            plate = plate or element.text.strip()
        elif kind in ("Image", "Entry") and len(element):
            values = {_local(child.tag): (child.text or "").strip() for child in element}
            channel = values.get("ChannelID") or element.get("ChannelID") or ""
            if _integer(channel) is not None and values.get("ChannelName"):
                facts.channel_names.setdefault(f"ch{int(channel)}", values["ChannelName"])
            if "ImageResolutionX" in values and facts.sizes.x_um is None:
                facts.sizes = _phenix_sizes(element)
            row, column = _integer(values.get("Row")), _integer(values.get("Col"))
            if kind == "Image" and row is not None and column is not None:
                sites[row, column].add(normalize_site(values.get("FieldID")) or "")
            element.clear()
    facts.plate_id = facts.plate_id or plate
    facts.wells = facts.wells or _declare_wells(sites)


def _phenix_sizes(image: ElementTree.Element) -> PixelSizes:
    found: dict[str, float | None] = {}
    for child in image:
        name = _local(child.tag)
        if name in ("ImageResolutionX", "ImageResolutionY"):
            try:
                found[name[-1]] = length_um(float(child.text or ""), child.get("Unit", "m"))
            except ValueError:
                found[name[-1]] = None
    return PixelSizes(found.get("X"), found.get("Y"))


def _declare_wells(sites: dict[tuple[int, int], set[str]]) -> tuple[DeclaredWell, ...]:
    return tuple(
        DeclaredWell(
            build_well_id(row - 1, column - 1), "", tuple(sorted(names - {""}, key=lambda n: (len(n), n)))
        )
        for (row, column), names in sorted(sites.items())
        if 1 <= row <= MAX_WELL_ROW and 1 <= column <= MAX_WELL_COLUMN
    )


def _read_cellvoyager(payload: bytes, key: str, facts: SidecarFacts) -> None:
    sites: dict[tuple[int, int], set[str]] = defaultdict(set)
    for element in _iterate_xml(payload, key):
        kind = _local(element.tag)
        attributes = {_local(name): value for name, value in element.attrib.items()}
        if kind == "MeasurementRecord" and attributes.get("Type", "IMG") == "IMG":
            row, column = _integer(attributes.get("Row")), _integer(attributes.get("Column"))
            if row is not None and column is not None:
                sites[row, column].add(normalize_site(attributes.get("FieldIndex")) or "")
            element.clear()
        elif kind == "MeasurementChannel" and facts.sizes.x_um is None:
            facts.sizes = PixelSizes(
                length_um(_number(attributes.get("HorizontalPixelDimension")), "µm"),
                length_um(_number(attributes.get("VerticalPixelDimension")), "µm"),
            )
        elif kind == "MeasurementSamplePlate":
            facts.plate_id = facts.plate_id or attributes.get("Name") or None
    facts.wells = facts.wells or _declare_wells(sites)


def _integer(text: str | None) -> int | None:
    """Small whole number of a text, None where it is none."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
