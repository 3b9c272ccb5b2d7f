"""Planes and pixel sizes from image descriptions other than OME-XML: ImageJ, MetaXpress, none.

Sources of truth: ImageJ's ``ij.io.TiffEncoder`` (key=value lines; planes in CZT order; resolution tags in
pixels per ``unit``); MetaXpress PlaneInfo XML as tifffile's ``metaseries_metadata`` documents it.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff import ifds as tags
from bioimage_assets.core.formats.ome_tiff.image_draft import PixelSizes
from bioimage_assets.core.formats.ome_tiff.metaxpress_facts import build_metaxpress_facts
from bioimage_assets.core.formats.ome_tiff.other_image import is_copy, is_one_run, list_runs
from bioimage_assets.core.formats.ome_tiff.planes import PlanePlan, PlaneRun
from bioimage_assets.core.formats.ome_tiff.tag_values import read_rational
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile
from bioimage_assets.core.formats.ome_tiff.units import duration_s, length_um
from bioimage_assets.core.formats.ome_tiff.xml_guard import read_xml_text
from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts

_MAX_LINES = 1_000  # ImageJ writes about ten
_MAX_METAXPRESS_BYTES = 1024 * 1024  # MetaXpress writes some kB per plane
_MAX_STRIPS = 2**31 - 1  # strip numbers are int32 in ``chunk_index``
_NDTIFF_MARK = (483729).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class MetaXpressFacts:
    """What MetaXpress writes into each plane: sizes, channel, and how it was taken."""

    sizes: PixelSizes
    channel: str | None
    acquisition: AcquisitionFacts | None
    planes: tuple[PlaneFacts, ...]


def read_imagej_lines(description: bytes) -> dict[str, str]:
    """Key=value lines of an ImageJ description; lines without ``=`` are skipped."""
    try:
        text = description.decode("utf-8")
    except UnicodeDecodeError:  # ImageJ writes its "µm" in the encoding of the machine
        text = description.decode("latin-1")
    lines = text.splitlines()[:_MAX_LINES]
    return {
        key.strip(): value.strip() for key, found, value in (line.partition("=") for line in lines) if found
    }


def build_imagej_plan(tiff: TiffFile, lines: dict[str, str]) -> PlanePlan:
    """Planes of an ImageJ stack; a hyperstack whose numbers do not multiply up becomes a plain stack with a finding."""
    pages = len(tiff.ifds)
    images = _positive(lines.get("images"))
    geometry = tiff.geometry(tiff.ifds[0])
    is_single_page = pages == 1 and images > 1 and is_one_run(tiff)
    most = 2 * max(tiff.size_bytes, 1) * tags.MAX_IFDS
    if is_single_page and (
        images * geometry.nominal_bytes > most or images * geometry.chunk_count > _MAX_STRIPS
    ):
        raise CorruptStoreError(
            f"{tiff.source.name}: its ImageJ text claims {images} images, the file cannot hold them."
        )
    count = images if is_single_page else pages
    sizes = tuple(_positive(lines.get(key)) for key in ("frames", "slices", "channels"))
    run = (PlaneRun(tiff.key, 0, 0, count),)
    if sizes[0] * sizes[1] * sizes[2] == count:
        return PlanePlan("tzc", sizes, run, is_single_page)
    if sizes != (1, 1, 1) or images != count:
        tiff.findings.append(
            Finding(
                "imagej-sizes-differ", "warning", tiff.key,
                f"The ImageJ text claims frames x slices x channels = {sizes} and {images} images, "
                f"the file has {count} pages; they are kept as a plain stack.",
            )
        )  # fmt: skip
    return PlanePlan("i", (count,), run, is_single_page)


def _positive(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and 0 < len(text) < 10 and int(text) > 0 else 1


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def read_imagej_sizes(tiff: TiffFile, lines: dict[str, str]) -> PixelSizes:
    """Pixel size is one over the resolution tags, in ``unit``; ``spacing`` is z, ``finterval`` seconds."""
    unit = lines.get("unit")
    if unit is None or unit in ("pixel", "pixels"):
        return PixelSizes(time_s=duration_s(_number(lines.get("finterval")), lines.get("tunit", "s")))
    ifd = tiff.ifds[0]
    x_resolution = read_rational(tiff.source, tiff.header, ifd, tags.X_RESOLUTION)
    y_resolution = read_rational(tiff.source, tiff.header, ifd, tags.Y_RESOLUTION)
    return PixelSizes(
        x_um=length_um(1 / x_resolution if x_resolution else None, unit),
        y_um=length_um(1 / y_resolution if y_resolution else None, lines.get("yunit", unit)),
        z_um=length_um(_number(lines.get("spacing")), lines.get("zunit", unit)),
        time_s=duration_s(_number(lines.get("finterval")), lines.get("tunit", "s")),
    )


def is_ndtiff(tiff: TiffFile) -> bool:
    """Tell a file of a Micro-Manager NDTiff dataset by the mark behind its TIFF header (NDTiffStorage, version 2 and 3)."""
    return tiff.size_bytes >= 12 and tiff.source.read(8, 4) == _NDTIFF_MARK


def build_plain_plan(tiff: TiffFile) -> PlanePlan:
    """Full-size pages are a stack along ``i``; pages marked as reduced copies are levels, one page per plane each.

    Pages of another size or type than the first (thumbnails, masks, labels of a slide) are left out with a finding.
    """
    first = tiff.geometry(tiff.ifds[0])
    reduced: dict[tuple[int, int], list[int]] = {}
    planes: list[int] = []
    others = 0
    for index, ifd in enumerate(tiff.ifds):
        try:
            geometry = tiff.geometry(ifd)
        except (CorruptStoreError, UnsupportedStoreError):
            planes.append(index)  # kept, so that it is counted as a broken page
            continue
        is_like_first = (geometry.samples, geometry.dtype) == (first.samples, first.dtype)
        if index and geometry.is_reduced and is_like_first and is_copy(geometry, first):
            reduced.setdefault((geometry.width, geometry.height), []).append(index)
        elif is_like_first and (geometry.width, geometry.height) == (first.width, first.height):
            planes.append(index)
        else:
            others += 1
    levels = tuple(tuple(pages) for pages in reduced.values() if len(pages) == len(planes))
    others += sum(len(pages) for pages in reduced.values()) - len(levels) * len(planes)
    if others:
        text = f"{others} pages have another size or type than the first; they are not part of the image."
        tiff.findings.append(Finding("pages-of-other-size", "info", tiff.key, text))
    return PlanePlan("i", (len(planes),), list_runs(tiff.key, planes), level_pages=levels)


def read_metaxpress(description: bytes, name: str) -> MetaXpressFacts:
    """Read calibration, channel and stage label; CorruptStoreError where the XML is broken or refused."""
    text, _ = read_xml_text(description, name, max_bytes=_MAX_METAXPRESS_BYTES)
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise CorruptStoreError(f"{name}: the MetaXpress XML is not well-formed ({error}).") from error
    properties = {
        element.get("id", ""): element.get("value", "")
        for element in root.iter()
        if element.tag.rpartition("}")[2] in ("prop", "custom-prop")
    }
    unit = properties.get("spatial-calibration-units", "um")
    sizes = PixelSizes(
        x_um=length_um(_number(properties.get("spatial-calibration-x")), unit),
        y_um=length_um(_number(properties.get("spatial-calibration-y")), unit),
    )
    if properties.get("spatial-calibration-state", "on").lower() == "off":
        sizes = PixelSizes()
    channel = properties.get("_IllumSetting_") or properties.get("image-name") or None
    return MetaXpressFacts(sizes, channel, *build_metaxpress_facts(properties))
