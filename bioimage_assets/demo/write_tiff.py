"""Writes a plate folder of TIFFs: one file per channel named the ImageXpress way, or one OME-TIFF per field.

Label images are TIFFs of their own below ``segmentation/<plate>/``, outside the plate's folder.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from bioimage_assets.demo.acquisition import (
    BINNING,
    EXPOSURES_MS,
    FOCUS_UM,
    NUMERICAL_APERTURE,
    OBJECTIVE,
    WAVELENGTHS_NM,
    FieldTaken,
    locate_field,
)
from bioimage_assets.demo.ome_xml import build_field_xml
from bioimage_assets.demo.plan import FieldImages, PlatePlan, WrittenFiles
from bioimage_assets.demo.pyramid import build_image_pyramid, count_levels
from bioimage_assets.demo.render import CHANNELS, PIXEL_SIZE_UM

_SOFTWARE = "bioimage_assets demo"
# readers look for MetaXpress XML only behind this name
_METASERIES = "MetaSeries"
# zlib and the horizontal predictor are what every TIFF reader knows without extra codecs
_COMPRESSION: dict[str, Any] = {"compression": "zlib", "predictor": 2}
_UM_PER_CM = 10_000  # TIFF's ResolutionUnit knows inch and centimetre only


def write_plate_sidecar(images_dir: Path, plan: PlatePlan) -> None:
    """Begin the plate's folder; ImageXpress plates get the ``.HTD`` file with the wavelengths' names."""
    images_dir.mkdir(parents=True)
    if plan.layout == "imagexpress":
        path = images_dir / f"{plan.plate}.HTD"
        path.write_text(build_htd(plan), encoding="latin-1", newline="\r\n")


def write_field(
    images_dir: Path, segmentation_dir: Path, plan: PlatePlan, well_index: int, site: int, images: FieldImages
) -> WrittenFiles:
    """Write the images and labels of one field; gives the image file of each channel with its MD5."""
    stem = f"{plan.plate}_{plan.wells[well_index].well_id}_s{site + 1}"
    segmentation_dir.mkdir(parents=True, exist_ok=True)
    for name, labels in (("cells", images.cells), ("nuclei", images.nuclei)):
        tifffile.imwrite(segmentation_dir / f"{stem}_{name}.tif", labels, metadata=None, **_COMPRESSION)
    if plan.layout == "imagexpress":
        taken = locate_field(plan, well_index, site)
        return _write_channel_files(images_dir, stem, images.pixels, taken)
    return _write_ome_tiff(images_dir, f"{stem}.ome.tif", plan, well_index, site, images.pixels)


def build_htd(plan: PlatePlan) -> str:
    """Text of the MetaXpress plate description: which wells, sites and wavelengths were imaged."""
    size = plan.size
    lines = [
        '"HTSInfoFile", Version 1.0',
        '"Description", "synthetic screen"',
        '"TimePoints", 1',
        f'"XWells", {size.column_count}',
        f'"YWells", {size.row_count}',
    ]
    lines += [
        f'"WellsSelection{row + 1}", ' + ", ".join(["TRUE"] * size.column_count)
        for row in range(size.row_count)
    ]
    lines += ['"Sites", TRUE', f'"XSites", {size.site_count}', '"YSites", 1']
    lines += ['"SiteSelection1", ' + ", ".join(["TRUE"] * size.site_count)]
    lines += ['"Waves", TRUE', f'"NWavelengths", {len(CHANNELS)}']
    for number, channel in enumerate(CHANNELS, start=1):
        lines += [f'"WaveName{number}", "{channel}"', f'"WaveCollect{number}", 1']
    lines += [f'"UniquePlateIdentifier", "{plan.plate}"', '"EndFile"']
    return "\n".join(lines) + "\n"


def _write_channel_files(
    images_dir: Path, stem: str, pixels: NDArray[np.uint16], taken: FieldTaken
) -> WrittenFiles:
    """One file per channel with the pixel size as resolution and in MetaXpress's own XML."""
    names = tuple(f"{stem}_w{number}.tif" for number in range(1, len(CHANNELS) + 1))
    for number, (name, plane) in enumerate(zip(names, pixels, strict=True)):
        tifffile.imwrite(
            images_dir / name,
            plane,
            metadata=None,
            description=_metaseries_xml(stem, number, taken),
            resolution=(_UM_PER_CM / PIXEL_SIZE_UM, _UM_PER_CM / PIXEL_SIZE_UM),
            resolutionunit="CENTIMETER",
            software=_METASERIES,
            **_COMPRESSION,
        )
    return WrittenFiles(names, tuple(_md5(images_dir / name) for name in names))


def _metaseries_xml(stem: str, number: int, taken: FieldTaken) -> str:
    """Plane description as MetaXpress writes it; ``stage-label`` reads ``A01 : Site 1``."""
    _, well, site = stem.rsplit("_", 2)
    began = taken.began + timedelta(seconds=taken.channel_offset_s(number))
    properties = [
        ("image-name", "string", CHANNELS[number]),
        ("stage-label", "string", f"{well} : Site {site[1:]}"),
        ("spatial-calibration-state", "bool", "on"),
        ("spatial-calibration-x", "float", str(PIXEL_SIZE_UM)),
        ("spatial-calibration-y", "float", str(PIXEL_SIZE_UM)),
        ("spatial-calibration-units", "string", "um"),
        ("stage-position-x", "float", str(taken.x_um)),
        ("stage-position-y", "float", str(taken.y_um)),
        ("z-position", "float", str(FOCUS_UM)),
        # without leading zeros of the milliseconds, as MetaMorph writes them
        ("acquisition-time-local", "time", f"{began:%Y%m%d %H:%M:%S}.{began.microsecond // 1000}"),
        ("camera-binning-x", "int", str(BINNING)),
        ("camera-binning-y", "int", str(BINNING)),
        ("wavelength", "float", str(WAVELENGTHS_NM[number][1])),
        ("_MagSetting_", "string", OBJECTIVE),
        ("_MagNA_", "float", str(NUMERICAL_APERTURE)),
        ("Exposure Time", "string", f"{EXPOSURES_MS[number]} ms"),
    ]
    info = "".join(f'<prop id="{name}" type="{kind}" value="{value}"/>' for name, kind, value in properties)
    return (
        '<MetaData><prop id="ApplicationName" type="string" value="bioimage_assets demo"/>'
        f"<PlaneInfo>{info}</PlaneInfo></MetaData>"
    )


def _write_ome_tiff(
    images_dir: Path, name: str, plan: PlatePlan, well_index: int, site: int, pixels: NDArray[np.uint16]
) -> WrittenFiles:
    """All channels in one tiled file, pyramid levels as SubIFDs of each channel's IFD."""
    levels = build_image_pyramid(pixels, count_levels(plan.size.field_px))
    tile = {"tile": (plan.size.chunk_px, plan.size.chunk_px), "photometric": "minisblack", **_COMPRESSION}
    path = images_dir / name
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            levels[0],
            metadata=None,
            description=build_field_xml(plan, well_index, site, name).encode(),
            subifds=len(levels) - 1,
            software=_SOFTWARE,
            **tile,
        )
        for level in levels[1:]:
            writer.write(level, metadata=None, subfiletype=1, software=False, **tile)
    return WrittenFiles((name,) * len(CHANNELS), (_md5(path),) * len(CHANNELS))


def _md5(path: Path) -> str:
    """Digest as CellProfiler records it; it identifies a file, it protects nothing."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
