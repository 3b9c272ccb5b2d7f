"""Names and sidecars of further instruments, for ``tiff_plates.write_named``: wells, sites from 1 and channels from 1."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
    write_pages,
)
from bioimage_assets_tests.builders.tiff_plates import WELLS, write_named

DYES = ("DAPI", "FITC", "Cy5")
SCANR_DYES = ("405 nm #1", "488 nm #2", "TRITC")


def metaxpress_acquire_name(well: str, site: int, channel: int) -> str:
    """ImageXpress Confocal HT.ai: time, site, wavelength and z count from zero."""
    return f"timepoint0/Exp_7_t0_{well}_s{site - 1}_w{channel - 1}_z0.tif"


def scanr_name(well: str, site: int, channel: int) -> str:
    """Evident scanR on a plate of 96."""
    number = (ord(well[0]) - 65) * 12 + int(well[1:])
    dye = SCANR_DYES[channel - 1]
    return f"data/{well[0]}{int(well[1:])}--W{number:05d}--P{site:05d}--Z00000--T00000--{dye}.tif"


def incell_long_name(well: str, site: int, channel: int) -> str:
    """IN Cell Analyzer 7.2 with its complete names."""
    laser, dye = (("UV", "DAPI"), ("Blue", "FITC"), ("Red", "Cy5"))[channel - 1]
    return f"{well[0]}_{well[1:]}_f{site}_c{channel}_x{laser}_m{dye}_z1_t1.tif"


def columbus_name(well: str, site: int, channel: int) -> str:
    """Operetta with Harmony 3, and exports of Columbus."""
    return f"{ord(well[0]) - 64:03d}{int(well[1:]):03d}-{site}-001001{channel:03d}.tif"


def cellvoyager_1536_name(well: str, site: int, channel: int) -> str:
    """CellVoyager with 1536 wells: the sixteen wells in the place of a well of 96."""
    row, column = ord(well[0]) - 65, int(well[1:]) - 1
    place = f"{chr(65 + row // 4)}{column // 4 + 1:02d}.{chr(97 + row % 4)}{column % 4 + 1}"
    return f"P1536_{place}_T0001F{site:03d}L01A{channel:02d}Z01C{channel:02d}.tif"


def bd_pathway_name(well: str, site: int, channel: int) -> str:
    """BD Pathway: a folder per well, images counted; sites are not in the names."""
    return f"Well {well}/{DYES[channel - 1]} - Confocal - n{site - 1:06d}.tif"


def incucyte_name(well: str, site: int, channel: int) -> str:
    """Incucyte: image type, well, site and time since the first scan."""
    kind = ("PhaseOriginal", "Green", "Red")[channel - 1]
    return f"Vessel9-{kind}_{well[0]}{int(well[1:])}_{site}_01d06h00m.tif"


def nikon_name(well: str, site: int, channel: int) -> str:
    """NIS-Elements JOBS: well, point and channel."""
    sequence = site * 10 + channel
    return f"Well{well}_Point{well}_{site - 1:04d}_Channel{DYES[channel - 1]}_Seq{sequence:04d}.tif"


def sbs_name(well: str, site: int, channel: int) -> str:
    """Channel, number of the well, row and column, as in CellProfiler's examples."""
    number = (ord(well[0]) - 65) * 12 + int(well[1:])
    return f"Channel{channel}-{number:02d}-{well[0]}-{well[1:]}.tif"


def well_channel_name(well: str, site: int, channel: int) -> str:
    """What people write: a well and a dye."""
    return f"{well}_{site}_{DYES[channel - 1]}.tif"


def write_jdce(
    folder: Path, names: Sequence[str], name_of: Callable[[str, int, int], str], *, wells: Sequence[str] = WELLS, sites: int = 2
) -> Path:  # fmt: skip
    """Write the ``.jdce`` of MetaXpress Acquire 1.x with its table of images."""
    waves = [{"Index": n, "EmissionFilter": {"Name": name}} for n, name in enumerate(names)]
    protocol = {
        "ObjectiveCalibration": {"Unit": "µm", "PixelWidth": 0.5817, "PixelHeight": 0.5817},
        "Plate": {"Name": "96 Well Black", "Rows": 8, "Columns": 12},
        "Wavelengths": waves,
        "PlateMap": {
            "ZDimensionParameters": {"NumberOfSlices": 1, "Step": 3.0},
            "TimeSchedule": {"NumberOfTimepoints": 1, "Times": [{"Ms": 0}]},
        },
    }
    stack = {
        "ImageFormat": "TIFF", "PlateId": "3500000000", "AutoLeadAcquisitionProtocol": protocol,
        "ImageMetadataFiles": ["image_metadata_1.csv"],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Exp_7.jdce").write_text(json.dumps({"Version": "1.1", "ImageStack": stack}), "utf-8-sig")
    lines = ["Well,Row,Column,Field,Wavelength,Timepoint,ZIndex,ImageSubFolderPath,ImageFileName"]
    for well in wells:
        for site in range(1, sites + 1):
            for channel in range(1, len(names) + 1):
                path = Path(name_of(well, site, channel))
                place = f"{well[0]} - {int(well[1:])},{ord(well[0]) - 64},{int(well[1:])},{site - 1},{channel - 1},0,0"
                lines.append(f"{place},{path.parent},{path.name}")
    (folder / "image_metadata_1.csv").write_text("\r\n".join(lines))
    return folder


def write_scanr(folder: Path, *, sites: int = 2) -> Path:
    """Write a scanR acquisition: an Image per well and position, a TiffData with a file per channel, no Plate."""
    write_named(folder, scanr_name, sites=sites)
    images = []
    for well in WELLS:
        for site in range(1, sites + 1):
            names = [Path(scanr_name(well, site, channel)).name for channel in (1, 2, 3)]
            blocks = "".join(build_block(0, c=c, file=name, uuid=UUIDS[c]) for c, name in enumerate(names))
            images.append(
                build_ome_image(
                    len(images),
                    x=16,
                    y=12,
                    c=3,
                    channels=SCANR_DYES,
                    blocks=blocks,
                    pixel_attributes='PhysicalSizeX="0.325" PhysicalSizeY="0.325"',
                )
            )
    (folder / "data/metadata.ome.xml").write_text(build_ome_xml(images))
    return folder


def write_columbus(folder: Path, order: list[tuple[int, int]]) -> Path:
    """Write a Columbus export: a file per field, its pages (channel, plane) in some order that only the index tells."""
    images = ""
    for well in WELLS:
        row, column = ord(well[0]) - 64, int(well[1:])
        name = f"{row:03d}{column:03d}-1.tif"
        write_pages(folder / name, [np.full((12, 16), 10 * c + z, np.uint16) for c, z in order])
        images += "".join(
            f"<Image><URL BufferNo='{page}'>{name}</URL><Row>{row}</Row><Col>{column}</Col><FieldID>1</FieldID><PlaneID>{z}</PlaneID>"
            f"<TimepointID>1</TimepointID><ChannelID>{c}</ChannelID><ChannelName>{DYES[c - 1]}</ChannelName>"
            f"<PositionZ Unit='m'>{z}E-06</PositionZ><ExposureTime Unit='s'>{c}</ExposureTime></Image>"
            for page, (c, z) in enumerate(order)
        )
    (folder / "ImageIndex.ColumbusIDX.xml").write_text(
        "<EvaluationInputData xmlns='http://www.perkinelmer.com/Columbus' Version='1'><Plates><Plate><PlateID>col-1</PlateID></Plate>"
        f"</Plates><Images>{images}</Images></EvaluationInputData>"
    )
    return folder
