"""What vendor sidecars say: channel names, pixel sizes, and the plate as the instrument declares it.

Source of truth for MetaXpress ``.HTD``: quoted key and values per line, as Bio-Formats' CellWorxReader documents it,
checked with built files; for the XML ones see ``sidecar_xml``. A sidecar that cannot be read costs its facts, never the images.
"""

from __future__ import annotations

import csv
import io

from bioimage_assets.core.errors import CorruptStoreError, StoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.formats.plate_folders.listing import FolderListing
from bioimage_assets.core.formats.plate_folders.sidecar_facts import SidecarFacts, read_integer
from bioimage_assets.core.formats.plate_folders.sidecar_jdce import read_image_table, read_jdce, read_xyz
from bioimage_assets.core.formats.plate_folders.sidecar_xml import (
    read_cellvoyager,
    read_harmony_index,
    read_scanr,
    read_xdce,
)
from bioimage_assets.core.model.identity import MAX_WELL_COLUMN, MAX_WELL_ROW, build_well_id
from bioimage_assets.core.model.scan import DeclaredWell
from bioimage_assets.core.stores.base import MAX_DOCUMENT_BYTES, MAX_XML_BYTES, Store

MAX_HTD_BYTES = 4 * 1024 * 1024  # a text of some hundred lines


def read_sidecars(store: Store, listing: FolderListing, log: FindingLog) -> SidecarFacts:
    """Read the sidecars of whichever instrument made the folder; one request per file."""
    readers = (
        (listing.htd, "htd", _read_htd, MAX_HTD_BYTES),
        (listing.phenix_index, "index-xml", read_harmony_index, MAX_XML_BYTES),
        (listing.cellvoyager, "cellvoyager", read_cellvoyager, MAX_XML_BYTES),
        (listing.xdce, "xdce", read_xdce, MAX_XML_BYTES),
        (listing.jdce, "jdce", read_jdce, MAX_DOCUMENT_BYTES),
        (listing.image_tables if listing.jdce else [], "jdce", read_image_table, MAX_XML_BYTES),
        (listing.scanr, "scanr", read_scanr, MAX_XML_BYTES),
        (listing.bd_steps, "xyz", read_xyz, MAX_HTD_BYTES),
    )
    facts = SidecarFacts()
    for items, source, reader, max_bytes in readers:
        for item in items:
            try:
                payload = store.get(item.key, max_bytes=max_bytes)
                with foreign_file(f"{store.uri}/{item.key}"):
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
        if name.startswith("WaveName") and read_integer(name[8:]) is not None and values and values[0]:
            # The token that file names have: WaveName1 is w1.
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
    # Sites that were ticked; XSites and YSites are the grid that they were ticked in.
    chosen = [cell for name, values in rows.items() if name.startswith("SiteSelection") for cell in values]
    if chosen:
        return sum(cell.upper() == "TRUE" for cell in chosen)
    sides = [rows.get(name, [""])[0] for name in ("XSites", "YSites")]
    return (
        int(sides[0]) * int(sides[1]) if all(side.isdecimal() and len(side) < 4 for side in sides) else None
    )
