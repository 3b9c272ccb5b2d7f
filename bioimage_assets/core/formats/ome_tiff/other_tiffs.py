"""Reads a TIFF without OME-XML by who wrote it: ImageJ, MetaMorph, MetaXpress, Zeiss, slide scanners, or nobody known.

Writers are told by their tags and texts, never by the name of the file. What a writer says of its pages in a place that is
not read is said, so that pages never pass as all there is.
"""

from __future__ import annotations

import re

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff import ifds as tags
from bioimage_assets.core.formats.ome_tiff.descriptions import (
    build_imagej_plan,
    build_plain_plan,
    read_imagej_lines,
    read_imagej_sizes,
    read_metaxpress,
)
from bioimage_assets.core.formats.ome_tiff.metamorph import count_planes, read_metamorph
from bioimage_assets.core.formats.ome_tiff.other_image import CONVERT, OtherImage
from bioimage_assets.core.formats.ome_tiff.plane_facts import PlaneFacts
from bioimage_assets.core.formats.ome_tiff.planes import PlanePlan
from bioimage_assets.core.formats.ome_tiff.slides import QPTIFF_ROOT, read_ndpi, read_qptiff, read_svs
from bioimage_assets.core.formats.ome_tiff.tag_values import read_text_bytes
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile
from bioimage_assets.core.formats.ome_tiff.zeiss_lsm import read_lsm

# Tags, texts and profiles beside the pixels are smaller than this, or than one plane.
_LEAST_UNCLAIMED = 256 * 1024
_SOFTWARE = {b"SI.": "ScanImage", b"Philips": "Philips", b"ScanOutputManager": "Ventana", b"TVIPS": "TVIPS"}
_FLEX_ARRAY = re.compile(rb"<Array\b[^>]{0,200}?\bName=\"([^\"]{1,100})\"")
_MAX_FLEX_XML = 16 * 1024 * 1024


def read_other_image(tiff: TiffFile, description: bytes, kind: str) -> OtherImage:
    """Planes, sizes and channels of a file by its writer; ``kind`` is that of its description."""
    if kind == "imagej":
        lines = read_imagej_lines(description)
        return OtherImage(build_imagej_plan(tiff, lines), "imagej-tiff", read_imagej_sizes(tiff, lines))
    planes = count_planes(tiff)
    if planes > 1 and planes != len(tiff.ifds):
        return read_metamorph(tiff, planes)
    if kind == "metaxpress":
        return _read_metaxpress(tiff, description)
    first = tiff.ifds[0]
    if first.value_count(tags.CZ_LSMINFO):
        return read_lsm(tiff)
    if first.value_count(tags.NDPI_FORMAT):
        return read_ndpi(tiff)
    if description.startswith(b"Aperio "):
        return read_svs(tiff, description)
    if QPTIFF_ROOT in description[:4096]:
        return read_qptiff(tiff)
    if first.value_count(tags.FLEX_XML):
        return _read_flex(tiff)
    plan = build_plain_plan(tiff)
    _note_foreign(tiff, description)
    return OtherImage(plan, "tiff")


def _read_metaxpress(tiff: TiffFile, description: bytes) -> OtherImage:
    plan = build_plain_plan(tiff)
    try:
        read = read_metaxpress(description, tiff.key)
    except CorruptStoreError as error:
        tiff.findings.append(Finding("description-unreadable", "warning", tiff.key, str(error)))
        return OtherImage(plan, "tiff")
    names = None if read.channel is None else (read.channel,)
    planes = read.planes if plan.declared_count == 1 else ()
    return OtherImage(plan, "metaxpress-tiff", read.sizes, names, read.acquisition, planes)


def _read_flex(tiff: TiffFile) -> OtherImage:
    """Pages of an Opera well are fields by channels; one field is read, several would be mixed and are said."""
    plan = build_plain_plan(tiff)
    pages = plan.declared_count
    tag = tiff.ifds[0].tag(tags.FLEX_XML)
    xml = (
        b""
        if tag is None or tag.value_count > _MAX_FLEX_XML
        else read_text_bytes(tiff.source, tiff.ifds[0], tags.FLEX_XML)
    )
    names = [name.decode("latin-1") for name in _FLEX_ARRAY.findall(xml)]
    if names and len(names) == len(set(names)) == pages:
        return OtherImage(PlanePlan("c", (pages,), plan.runs), "opera-flex", channel_names=tuple(names))
    text = f"The {pages} pages of an Opera well are kept as a plain stack: which are fields and which are channels is not read. {CONVERT}."
    tiff.findings.append(Finding("stack-not-read", "error", tiff.key, text))
    return OtherImage(plan, "opera-flex")


def _note_foreign(tiff: TiffFile, description: bytes) -> None:
    """Say that the pages of a stack are described where nobody looks."""
    if len(tiff.ifds) < 2:
        return
    ifd = tiff.ifds[0]
    software = read_text_bytes(tiff.source, ifd, tags.SOFTWARE)[:64]
    writer = next((name for code, name in tags.FOREIGN_TAGS.items() if ifd.value_count(code)), None)
    writer = writer or next((name for start, name in _SOFTWARE.items() if software.startswith(start)), None)
    if description.rstrip().endswith(b"</scn>"):
        writer = "Leica SCN"
    if writer is None:
        return
    text = f"{writer} wrote this file; what it says of its {len(tiff.ifds)} pages is not read, and those of one size are a plain stack. "
    tiff.findings.append(Finding("vendor-metadata-not-read", "warning", tiff.key, f"{text}{CONVERT}."))


def note_unclaimed_bytes(tiff: TiffFile, plan: PlanePlan, facts: PlaneFacts) -> None:
    """Say that a file holds far more than its pages, as stacks do whose further planes only their writer finds."""
    geometry = facts.geometry
    if geometry is None or geometry.codec != "none" or plan.found_count != len(tiff.ifds):
        return
    unclaimed = tiff.size_bytes - facts.stored_bytes
    if unclaimed < max(_LEAST_UNCLAIMED, geometry.nominal_bytes):
        return
    text = f"{unclaimed:,} of {tiff.size_bytes:,} bytes belong to no page, which is more than a plane: planes may be stored where no tag "
    text += f"leads. {CONVERT}, or ignore this where the rest is no image."
    tiff.findings.append(Finding("bytes-without-page", "warning", tiff.key, text))
