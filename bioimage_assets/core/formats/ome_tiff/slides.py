"""Planes and levels of slide scanners' TIFFs: Aperio SVS, Hamamatsu NDPI and PerkinElmer QPTIFF.

Levels are pages of the main chain that no tag marks as such, and labels and overviews stand between them. Sources of truth:
Aperio's "Digital Slides and Third-Party Data Interchange" (SVS), OpenSlide's notes on NDPI (tags 65420 to 65449), PerkinElmer's
"PKI Image Format" (ImageType and Name in the description of each page). tifffile's series are what the tests compare with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff import ifds as tags
from bioimage_assets.core.formats.ome_tiff.image_draft import PixelSizes
from bioimage_assets.core.formats.ome_tiff.other_image import CONVERT, OtherImage, is_copy, list_runs
from bioimage_assets.core.formats.ome_tiff.pages import PageGeometry
from bioimage_assets.core.formats.ome_tiff.planes import PlanePlan
from bioimage_assets.core.formats.ome_tiff.tag_values import (
    read_float,
    read_integer,
    read_rational,
    read_text_bytes,
)
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile
from bioimage_assets.core.formats.ome_tiff.units import length_um
from bioimage_assets.core.formats.ome_tiff.xml_guard import read_xml_text

QPTIFF_ROOT = b"<PerkinElmer-QPI-ImageDescription"
_MAX_QPTIFF_XML = 4 * 1024 * 1024
_LARGEST_NDPI = 2**32
_MPP = re.compile(rb"\|\s*MPP\s*=\s*([0-9.eE+-]{1,32})")


def read_svs(tiff: TiffFile, description: bytes) -> OtherImage:
    """Tiled pages are the image and its levels; the thumbnail, label and overview are stored in strips or marked."""
    pages = []
    for number, ifd in enumerate(tiff.ifds):
        geometry = _geometry(tiff, number)
        if (
            geometry is not None
            and geometry.is_tiled
            and not read_integer(tiff.source, tiff.header, ifd, tags.IFD_NEW_SUBFILE_TYPE)
        ):
            pages.append(number)
    found = _MPP.search(description)
    size = length_um(float(found[1]), "um") if found and _is_number(found[1]) else None
    return OtherImage(_build_plan(tiff, pages, "z"), "aperio-svs", PixelSizes(size, size))


def read_ndpi(tiff: TiffFile) -> OtherImage:
    """Pages with a magnification are the image and its levels; overviews and maps have -1 and -2 for it."""
    if tiff.size_bytes >= _LARGEST_NDPI:
        raise UnsupportedStoreError(
            f"{tiff.source.name}: an NDPI file of more than 4 GB keeps the upper half of its offsets elsewhere. {CONVERT}."
        )
    lenses = [read_float(tiff.source, tiff.header, ifd, tags.NDPI_SOURCE_LENS) for ifd in tiff.ifds]
    pages = [number for number, lens in enumerate(lenses) if lens is None or lens > 0]
    return OtherImage(_build_plan(tiff, pages, "z"), "hamamatsu-ndpi", _read_resolution(tiff))


def read_qptiff(tiff: TiffFile) -> OtherImage:
    """Pages of type FullResolution are channels, those of ReducedResolution their levels; others are left out."""
    pages: list[int] = []
    names: list[str | None] = []
    for number, ifd in enumerate(tiff.ifds):
        kind, name = _read_qptiff_page(tiff, read_text_bytes(tiff.source, ifd, tags.IMAGE_DESCRIPTION))
        if kind in (None, "FullResolution", "ReducedResolution"):
            pages.append(number)
            names.append(name)
    plan = _build_plan(tiff, pages, "c")
    known = [names[pages.index(run.first_ifd + step)] for run in plan.runs for step in range(run.count)]
    is_grey = tiff.geometry(tiff.ifds[0]).samples == 1
    return OtherImage(
        plan, "qptiff", _read_resolution(tiff), tuple(known) if is_grey and any(known) else None
    )


def _read_qptiff_page(tiff: TiffFile, description: bytes) -> tuple[str | None, str | None]:
    """ImageType and Name of a page, None where its description does not say."""
    if QPTIFF_ROOT not in description[:4096]:
        return None, None
    try:
        text, _ = read_xml_text(description, tiff.source.name, max_bytes=_MAX_QPTIFF_XML)
        root = ElementTree.fromstring(text)
    except (CorruptStoreError, ElementTree.ParseError) as error:
        tiff.note_once(Finding("description-unreadable", "warning", tiff.key, str(error)))
        return None, None
    return root.findtext("ImageType"), root.findtext("Name")


def _build_plan(tiff: TiffFile, pages: Sequence[int], axis: str) -> PlanePlan:
    """Pages of the size of the first are planes, smaller ones of its proportions levels; the others are counted and said."""
    first = tiff.geometry(tiff.ifds[0])
    sizes: dict[tuple[int, int], list[int]] = {(first.width, first.height): []}
    for number in pages:
        geometry = _geometry(tiff, number)
        if geometry is not None and (geometry.samples, geometry.dtype) == (first.samples, first.dtype):
            sizes.setdefault((geometry.width, geometry.height), []).append(number)
    planes = sizes.pop((first.width, first.height)) or [0]
    levels = tuple(
        tuple(found)
        for (width, _), found in sizes.items()
        if len(found) == len(planes)
        and width < first.width
        and is_copy(tiff.geometry(tiff.ifds[found[0]]), first)
    )
    others = len(tiff.ifds) - len(planes) * (1 + len(levels))
    if others:
        text = f"{others} pages are thumbnails, labels or overviews of the slide; they are not part of the image."
        tiff.findings.append(Finding("pages-of-other-size", "info", tiff.key, text))
    return PlanePlan(axis, (len(planes),), list_runs(tiff.key, planes), level_pages=levels)


def _geometry(tiff: TiffFile, number: int) -> PageGeometry | None:
    try:
        return tiff.geometry(tiff.ifds[number])
    except (CorruptStoreError, UnsupportedStoreError):
        return None


def _read_resolution(tiff: TiffFile) -> PixelSizes:
    """Pixel sizes of the resolution tags, which scanners mean in earnest; None where their unit is none."""
    ifd = tiff.ifds[0]
    unit = {2: "inch", 3: "cm"}.get(read_integer(tiff.source, tiff.header, ifd, tags.RESOLUTION_UNIT, 2))
    x, y = (
        read_rational(tiff.source, tiff.header, ifd, code) for code in (tags.X_RESOLUTION, tags.Y_RESOLUTION)
    )
    if unit is None or not x or not y:
        return PixelSizes()
    return PixelSizes(length_um(1 / x, unit), length_um(1 / y, unit))


def _is_number(text: bytes) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
