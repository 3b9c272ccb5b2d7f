"""Builders of small plate folders as microscopes write them: file names, folders and sidecars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

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
