"""Takes the Channel elements of an OME-XML document, and parses those that are equal from document to document once.

Source of truth: OME schema 2016-06 (Channel); XML 1.0 sections 2.1 and 3.1: ``<`` stands in no attribute's value, so where
there are neither comments, CDATA nor instructions, each begins a tag, and an element of the content may stand for others.

Files of one plate have the same few lists of channels, whatever else their documents say. The text from the first Channel to
the end of the last is such a list where it is well-formed by itself and has no other elements beside its channels. It is
taken out of the document, and an element that no document has marks its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from xml.etree import ElementTree

from bioimage_assets.core.formats.ome_tiff.ome_acquisition import OmeChannel
from bioimage_assets.core.formats.ome_tiff.ome_acquisition_xml import build_channel, local_name

_MAX_INT = 2**31 - 1  # OME's PositiveInt is xsd:int (https://www.openmicroscopy.org/Schemas/OME/2016-06)
_SIGN = "\u00ff"  # a letter of XML's names; to find that a text has none takes no time
PLACE = f"Channels{_SIGN}"
_START, _END, _EMPTY_END = "<Channel ", "</Channel>", "/>"
_MOST_CHARACTERS = 16 * 1024  # of one list; a plate's have some hundred
_KEPT_LISTS = 256
_KEPT_SIGHTINGS = 1024


class TakenChannel(NamedTuple):
    """Name, samples per pixel and facts of one Channel."""

    name: str | None
    samples: int
    facts: OmeChannel


def read_int(attributes: Mapping[str, str], key: str, default: int) -> int:
    """Whole number of an attribute, the default where it is absent; ValueError where it is none of OME's."""
    text = attributes.get(key)
    if text is None:
        return default
    value = int(text)
    if not 0 <= value <= _MAX_INT:
        raise ValueError(f"{key}={text[:30]!r}")
    return value


def take_channel(element: ElementTree.Element) -> TakenChannel:
    """Take one Channel."""
    own = element.attrib
    samples = max(1, read_int(own, "SamplesPerPixel", 1)) if "SamplesPerPixel" in own else 1
    return TakenChannel(own.get("Name"), samples, build_channel(element))


_seen: dict[int, None] = {}


def cut_known_channels(text: str) -> tuple[str, tuple[TakenChannel, ...]] | None:
    """Give a document without its list of channels, and that list; None where it has none that was seen before."""
    start = text.find(_START)
    # A single character is found ten times as fast as two.
    has_other = ("!" in text and "<!" in text) or ("?" in text and "<?" in text)
    if start < 0 or has_other or _SIGN in text:
        return None
    last = text.rfind(_START)
    end = text.find(_END, last)
    end = end + len(_END) if end >= 0 else text.find(_EMPTY_END, last) + len(_EMPTY_END)
    if not 0 < end - start <= _MOST_CHARACTERS:
        return None
    run = text[start:end]
    digest = hash(run)
    if digest not in _seen:
        if len(_seen) >= _KEPT_SIGHTINGS:
            _seen.clear()
        _seen[digest] = None
        return None
    known = _read_list(run)
    return None if known is None else (f"{text[:start]}<{PLACE}/>{text[end:]}", known)


@lru_cache(maxsize=_KEPT_LISTS)
def _read_list(run: str) -> tuple[TakenChannel, ...] | None:
    """Parse a list of channels; None where it is not well-formed, or anything else stands in it."""
    try:
        elements = list(ElementTree.fromstring(f"<OME>{run}</OME>"))
        if any(local_name(element.tag) != "Channel" for element in elements):
            return None
        return tuple([take_channel(element) for element in elements])
    except (ElementTree.ParseError, ValueError):
        return None
