"""Names of the images and channels of an OME-XML document, and nothing else of it.

Source of truth: https://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd (Image@Name, Image/Pixels/Channel@Name).
A document type declaration is refused, because entities can expand without bound.
"""

from __future__ import annotations

from typing import NamedTuple
from xml.parsers import expat

from bioimage_assets.core.formats.ome_zarr.limits import MAX_CHANNELS, MAX_IMAGES, MAX_NAME


class SeriesNames(NamedTuple):
    """Name of one image, and those of its channels; None where it has none."""

    name: str | None
    channels: tuple[str | None, ...] | None


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
