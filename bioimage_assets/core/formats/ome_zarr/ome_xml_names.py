"""Names of the images and channels of an OME-XML document, and how they were taken.

Source of truth: https://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd (Image@Name, Image/Pixels/Channel@Name). A document
with impossible values still gives its names.
A document type declaration is refused, because entities can expand without bound.
"""

from __future__ import annotations

from typing import NamedTuple
from xml.parsers import expat

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.acquired_images import AcquiredImages
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument
from bioimage_assets.core.formats.ome_tiff.ome_plates import read_ome_plates
from bioimage_assets.core.formats.ome_tiff.ome_xml import parse_ome_xml
from bioimage_assets.core.formats.ome_tiff.planes import leading_axes
from bioimage_assets.core.formats.ome_zarr.limits import MAX_CHANNELS, MAX_IMAGES, MAX_NAME
from bioimage_assets.core.formats.ome_zarr.pixel_order import PixelOrder
from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts


class SeriesNames(NamedTuple):
    """Name of one image, and those of its channels; None where it has none. How it and its planes were taken, the order of its pixels."""

    name: str | None
    channels: tuple[str | None, ...] | None
    acquisition: AcquisitionFacts | None = None
    planes: tuple[PlaneFacts, ...] = ()
    pixels: PixelOrder | None = None


class _Names:
    def __init__(self) -> None:
        self.images: list[tuple[str | None, list[str | None]]] = []
        self.has_doctype = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2].rpartition(":")[2]
        if tag == "Image":
            if len(self.images) >= MAX_IMAGES:
                raise ValueError(f"more than {MAX_IMAGES:,} images")
            self.images.append((_read_name(attributes), []))
        elif tag == "Channel" and self.images and len(self.images[-1][1]) < MAX_CHANNELS:
            self.images[-1][1].append(_read_name(attributes))

    def refuse_doctype(self, *_: object) -> None:
        self.has_doctype = True
        raise expat.ExpatError("document type declaration")


def _read_name(attributes: dict[str, str]) -> str | None:
    return (attributes.get("Name") or "")[:MAX_NAME] or None


def read_series(raw: bytes, key: str) -> tuple[list[SeriesNames] | None, str | None, list[Finding]]:
    """Give names and facts of each image in the order of the document, what was wrong with the XML, and what was left out."""
    try:
        document = parse_ome_xml(raw, key)
    except CorruptStoreError:
        return (*read_series_names(raw), [])
    if len(document.images) > MAX_IMAGES:
        return None, f"The XML has more than {MAX_IMAGES:,} images; its names were not read.", []
    acquired = AcquiredImages(document, key)
    return _build_series(document, acquired, key), None, acquired.findings()


def _build_series(document: OmeDocument, acquired: AcquiredImages, key: str) -> list[SeriesNames]:
    samples = {image: place.sample_um for image, place in read_ome_plates(document, key).positions.items()}
    series: list[SeriesNames] = []
    for image in document.images:
        channels = tuple(
            [name[:MAX_NAME] or None if name else None for name in image.channel_names[:MAX_CHANNELS]]
        )
        per_channel = image.samples_per_channel[0] if image.samples_per_channel else 1
        size_of = dict(zip(*leading_axes(image, per_channel), strict=True))
        limits = (size_of["c"], size_of["z"], size_of["t"])
        facts, planes = acquired.read(image, samples.get(image.ome_id, (None, None)), limits)
        name = (image.name or "")[:MAX_NAME] or None
        # bioformats2raw makes channels of samples: all of SizeC.
        axes, sizes = leading_axes(image, 1)
        pixels = PixelOrder(f"{axes}yx", (*sizes, image.size_y, image.size_x))
        series.append(SeriesNames(name, channels if any(channels) else None, facts, planes, pixels))
    return series


def read_series_names(raw: bytes) -> tuple[list[SeriesNames] | None, str | None]:
    """Give the names of each image in the order of the document, and what was wrong with the XML."""
    names = _Names()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = names.start
    parser.StartDoctypeDeclHandler = names.refuse_doctype
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if names.has_doctype:
            return None, "A document type declaration is not allowed in OME-XML; its names were not read."
        return None, f"The XML cannot be parsed ({error}); its names were not read."
    return [
        SeriesNames(name, tuple(channels) if any(channels) else None) for name, channels in names.images
    ], None
