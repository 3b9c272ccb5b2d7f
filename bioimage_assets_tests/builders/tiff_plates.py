"""Builders of small plate folders as microscopes write them: file names, folders and sidecars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

WELLS = ("A01", "A02", "B03")
GUID = "3F2504E0-4F89-11D3-9A0C-0305E82C3301"


def write_plane(path: Path, value: int = 7, shape: tuple[int, int] = (12, 16), **options: object) -> Path:
    """Write one small uncompressed plane; files of one shape have one size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.full(shape, value, np.uint16), metadata=None, **options)  # type: ignore[arg-type]
    return path


def write_named(
    folder: Path, name_of: Callable[[str, int, int], str], *, wells: Sequence[str] = WELLS, sites: int = 2, channels: int = 3,
    shape: tuple[int, int] = (12, 16),
) -> Path:  # fmt: skip
    """Write one plane per well, site (from 1) and channel (from 1) under the names a microscope would give."""
    for well in wells:
        for site in range(1, sites + 1):
            for channel in range(1, channels + 1):
                write_plane(folder / name_of(well, site, channel), channel, shape)
    return folder


def imagexpress_name(well: str, site: int, channel: int) -> str:
    """MetaXpress: plate, well, site, wavelength and GUID."""
    return f"Plate7_{well}_s{site}_w{channel}{GUID}.tif"


def phenix_name(well: str, site: int, channel: int) -> str:
    """Harmony: row, column, field, plane, channel, time point."""
    return f"Images/r{ord(well[0]) - 64:02d}c{int(well[1:]):02d}f{site:02d}p01-ch{channel}sk1fk1fl1.tiff"


def cellvoyager_name(well: str, site: int, channel: int) -> str:
    """CV7000/CV8000."""
    return f"Plate7_{well}_T0001F{site:03d}L01A{channel:02d}Z01C{channel:02d}.tif"


def cellomics_name(well: str, site: int, channel: int) -> str:
    """ArrayScan: field and channel count from zero."""
    return f"Plate7_{well}f{site - 1:02d}d{channel - 1}.tif"


def incell_name(well: str, site: int, channel: int) -> str:
    """IN Cell Analyzer 2000/6000."""
    dye = ("DAPI - DAPI", "FITC - FITC", "Cy3 - Cy3")[channel - 1]
    return f"{well[0]} - {int(well[1:])}(fld {site:02d} wv {dye}).tif"


def cytation_name(well: str, site: int, channel: int) -> str:
    """Gen5: well, read step, channel order, field, channel, time point."""
    dye = ("DAPI", "GFP 469,525", "Texas Red")[channel - 1]
    return f"{well[0]}{int(well[1:])}_02_{channel}_{site}_{dye}_001.tif"


def write_htd(
    path: Path, names: Sequence[str], *, wells: Sequence[str] = WELLS, sites: Sequence[bool] = (True, True)
) -> Path:
    """Write a MetaXpress HTD file of an 8 x 12 plate."""
    lines = ['"HTSInfoFile", Version 1.0', '"TimePoints", 1', '"XWells", 12', '"YWells", 8']
    for row in range(8):
        chosen = ["TRUE" if f"{chr(65 + row)}{column:02d}" in wells else "FALSE" for column in range(1, 13)]
        lines.append(f'"WellsSelection{row + 1}", ' + ", ".join(chosen))
    lines += ['"Sites", TRUE', f'"XSites", {len(sites)}', '"YSites", 1']
    lines.append('"SiteSelection1", ' + ", ".join(str(site).upper() for site in sites))
    lines += ['"Waves", TRUE', f'"NWavelengths", {len(names)}']
    lines += [f'"WaveName{number}", "{name}"' for number, name in enumerate(names, 1)]
    path.write_text("\r\n".join([*lines, '"EndFile"']))
    return path


def write_phenix_index(
    path: Path, names: Sequence[str], *, wells: Sequence[str] = WELLS, sites: int = 2
) -> Path:
    """Write an Index.idx.xml as Harmony 4.9 does."""
    images = "".join(
        f"<Image Version='1'><id>{well}K1F{site}P1R{channel}</id><State>Ok</State>"
        f"<URL>{Path(phenix_name(well, site, channel)).name}</URL><Row>{ord(well[0]) - 64}</Row><Col>{int(well[1:])}</Col>"
        f"<FieldID>{site}</FieldID><PlaneID>1</PlaneID><TimepointID>1</TimepointID><ChannelID>{channel}</ChannelID>"
        f"<ChannelName>{name}</ChannelName><ImageResolutionX Unit='m'>2.99E-07</ImageResolutionX>"
        "<ImageResolutionY Unit='m'>2.99E-07</ImageResolutionY></Image>"
        for well in wells
        for site in range(1, sites + 1)
        for channel, name in enumerate(names, 1)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "<?xml version='1.0' encoding='utf-8'?><EvaluationInputData xmlns='http://www.perkinelmer.com/PEHH/HarmonyV5'>"
        "<Plates><Plate><PlateID>HarmonyPlate</PlateID><MeasurementID>m</MeasurementID></Plate></Plates>"
        f"<Images>{images}</Images></EvaluationInputData>"
    )
    return path


def old_operetta_name(well: str, site: int, channel: int) -> str:
    """Harmony 3 on Operetta: row and column, field, then plane, time point and channel; only the index explains it."""
    return f"Images/{ord(well[0]) - 64:03d}{int(well[1:]):03d}-{site}-001001{channel:03d}.tif"


def cq1_name(well: str, site: int, channel: int) -> str:
    """CQ1: wells are numbered along the rows of the plate, only MeasurementData.mlf says of how many columns."""
    number = (ord(well[0]) - 65) * 12 + int(well[1:])
    return f"Image/W{number:04d}F{site:04d}T0001Z001C{channel}.tif"


def write_maps_index(
    path: Path, names: Sequence[str], name_of: Callable[[str, int, int], str], *, version: int
) -> Path:
    """Write an Index.xml as Harmony 3 (names with each image) or 6 (names in maps) does."""
    fields = [(w, s, c) for w in WELLS for s in (1, 2) for c in range(1, len(names) + 1)]
    sizes = "<ImageResolutionX Unit='m'>6.5E-07</ImageResolutionX><ImageResolutionY Unit='m'>6.5E-07</ImageResolutionY>"

    def own(channel: int) -> str:
        return f"<ChannelName>{names[channel - 1]}</ChannelName>{sizes}"

    images = "".join(
        f"<Image Version='1'><id>i</id><URL>{Path(name_of(w, s, c)).name}</URL><Row>{ord(w[0]) - 64}</Row>"
        f"<Col>{int(w[1:])}</Col><FieldID>{s}</FieldID><PlaneID>1</PlaneID><TimepointID>0</TimepointID>"
        f"<ChannelID>{c}</ChannelID>{own(c) if version < 6 else ''}</Image>"
        for w, s, c in fields
    )
    entries = "".join(f"<Entry ChannelID='{c}'>{own(c)}</Entry>" for c in range(1, len(names) + 1))
    maps = f"<Maps><Map><Entry ChannelID='1'/></Map><Map>{entries}</Map></Maps>" if version >= 6 else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<EvaluationInputData xmlns='http://www.perkinelmer.com/PEHH/HarmonyV{version}'><Plates><Plate>"
        f"<PlateID>HarmonyPlate</PlateID></Plate></Plates>{maps}<Images>{images}</Images></EvaluationInputData>"
    )
    return path


def write_bts(folder: Path, names: Sequence[str], name_of: Callable[[str, int, int], str]) -> Path:
    """Write the three files of a Yokogawa measurement: records, detail and settings."""
    schema = "xmlns:bts='http://www.yokogawa.co.jp/BTS/BTSSchema/1.0'"
    records = "".join(
        f"<bts:MeasurementRecord bts:Type='IMG' bts:Row='{ord(w[0]) - 64}' bts:Column='{int(w[1:])}' bts:FieldIndex='{s}' "
        f"bts:TimePoint='1' bts:ZIndex='1' bts:TimelineIndex='1' bts:Ch='{c}'>{name_of(w, s, c)}</bts:MeasurementRecord>"
        for w in WELLS
        for s in (1, 2)
        for c in range(1, len(names) + 1)
    )
    channels = "".join(
        f"<bts:Channel bts:Ch='{c}' bts:Target='{name}' bts:Acquisition='BP445/45'/>"
        for c, name in enumerate(names, 1)
    )
    pixels = "<bts:MeasurementChannel bts:Ch='1' bts:HorizontalPixelDimension='0.65' bts:VerticalPixelDimension='0.65'/>"
    plate = "<bts:MeasurementSamplePlate bts:Name='PL1'/>"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MeasurementData.mlf").write_text(
        f"<bts:MeasurementData {schema}>{records}</bts:MeasurementData>"
    )
    (folder / "MeasurementDetail.mrf").write_text(
        f"<bts:MeasurementDetail {schema}>{plate}{pixels}</bts:MeasurementDetail>"
    )
    (folder / "S.mes").write_text(
        f"<bts:MeasurementSetting {schema}><bts:ChannelList>{channels}</bts:ChannelList></bts:MeasurementSetting>"
    )
    return folder


def write_xdce(path: Path, filters: Sequence[str], *, plate_id: str = "") -> Path:
    """Write an IN Cell XDCE for the names of ``incell_name``."""
    images = [
        XdceImage(incell_name(w, s, c), w, s - 1, c - 1)
        for w in WELLS
        for s in (1, 2)
        for c in range(1, len(filters) + 1)
    ]
    return write_xdce_images(path, filters, images, plate_id=plate_id)


class XdceImage(NamedTuple):
    """One image of an XDCE: name, well, and field, wave, z and time from zero."""

    name: str
    well: str
    field: int
    wave: int
    z: int = 0
    t: int = 0


def write_xdce_images(
    path: Path, filters: Sequence[str], images: Sequence[XdceImage], *, plate_id: str = ""
) -> Path:
    """Write an IN Cell XDCE in Latin-1 with a bare µ, as the instrument does."""
    waves = "".join(
        f'<Wavelength index="{n}"><ExcitationFilter name="ex{n}"/><EmissionFilter name="{name}"/></Wavelength>'
        for n, name in enumerate(filters)
    )
    listed = "".join(
        f'<Image filename="{name}"><Well label="x"><Row number="{ord(well[0]) - 64}"/><Column number="{int(well[1:])}"/></Well>'
        f'<Identifier field_index="{field}" time_index="{t}" wave_index="{wave}" z_index="{z}"/></Image>'
        for name, well, field, wave, z, t in images
    )
    attribute = f' PlateID="{plate_id}"' if plate_id else ""
    text = (
        f'<?xml version="1.0" encoding="ISO-8859-1" standalone="no"?><ImageStack{attribute}><AutoLeadAcquisitionProtocol>'
        f'<ObjectiveCalibration pixel_width="0.325" pixel_height="0.325" unit="µm"/><Wavelengths>{waves}</Wavelengths>'
        f'<Plate name="96 well" rows="8" columns="12"/></AutoLeadAcquisitionProtocol><Images>{listed}</Images></ImageStack>'
    )
    path.write_bytes(text.encode("latin-1"))
    return path
