"""Channel names per image of an OME-XML document, and nothing else of it.

Source of truth: https://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd (Image/Pixels/Channel@Name).
A document type declaration is refused, because entities can expand without bound.
"""

from __future__ import annotations

from xml.parsers import expat

from bioimage_assets.core.formats.ome_zarr.limits import MAX_CHANNELS, MAX_IMAGES, MAX_NAME


class _ChannelNames:
    def __init__(self) -> None:
        self.images: list[list[str | None]] = []
        self.has_doctype = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2].rpartition(":")[2]
        if tag == "Image":
            if len(self.images) >= MAX_IMAGES:
                raise ValueError(f"more than {MAX_IMAGES:,} images")
            self.images.append([])
        elif tag == "Channel" and self.images and len(self.images[-1]) < MAX_CHANNELS:
            self.images[-1].append((attributes.get("Name") or "")[:MAX_NAME] or None)

    def refuse_doctype(self, *_: object) -> None:
        self.has_doctype = True
        raise expat.ExpatError("document type declaration")


def read_channel_names(raw: bytes) -> tuple[list[tuple[str | None, ...] | None] | None, str | None]:
    """Give the names of each image (None where it names none) and what was wrong with the XML."""
    names = _ChannelNames()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = names.start
    parser.StartDoctypeDeclHandler = names.refuse_doctype
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if names.has_doctype:
            return None, "A document type declaration is not allowed in OME-XML; channel names were not read."
        return None, f"The XML cannot be parsed ({error}); channel names were not read."
    return [tuple(image) if any(image) else None for image in names.images], None
