"""Parse OME-XML text into images, their planes and plates.

Source of truth: OME schema 2016-06 (https://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd) and the
OME-TIFF specification (https://ome-model.readthedocs.io/en/stable/ome-tiff/specification.html). Older
namespaces (2008-02 to 2015-01) parse with the same rules, since elements are matched by local name.

Untrusted text: a DOCTYPE is refused whatever the parser would do with it, sizes are capped, nothing is fetched.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from xml.etree import ElementTree

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_tiff.ome_acquisition import OmeInstrument, OmePlane
from bioimage_assets.core.formats.ome_tiff.ome_acquisition_xml import (
    MAX_PLANES,
    build_acquisition,
    build_channel,
    build_instrument,
    build_plane,
    local_name,
)
from bioimage_assets.core.formats.ome_tiff.ome_channels import (
    PLACE,
    TakenChannel,
    cut_known_channels,
    read_int,
    take_channel,
)
from bioimage_assets.core.formats.ome_tiff.ome_model import (
    OmeDocument,
    OmeImage,
    OmePlate,
    OmeQuantity,
    OmeTiffData,
    OmeWell,
    OmeWellSample,
)
from bioimage_assets.core.formats.ome_tiff.ome_xml_templates import OmeTemplates
from bioimage_assets.core.formats.ome_tiff.xml_guard import Repair, read_xml_text

_SMALL_DOCUMENT = 1_000_000  # characters; parsed at once, longer ones element by element
# Documents of a plate's files are a few kB and differ in names and ids only.
_REMEMBERED_CHARACTERS = 64 * 1024
_ROOT_BYTES = 64 * 1024  # the root element with its namespaces is below 1 kB
# Of one Image or Plate, without its Plane elements: what an image of half a million planes has.
MAX_ELEMENTS = 2_000_000
_MAX_DEPTH = 100  # the schema nests about ten deep
_IMAGE_CHILD_DEPTH = 3  # elements below Pixels
_MOST_UNREAD = 4_096  # children that are freed in one go: freeing each by itself is quadratic
_KEPT_BELOW_PIXELS = frozenset({"TiffData", "Channel"})


def looks_like_ome_xml(payload: bytes) -> bool:
    """Tell whether an image description claims to be OME-XML."""
    # XML declarations and comments of writers ("do not edit") are shorter.
    start = payload[:4096]
    return b"<OME" in start or b"<ome:OME" in start or b":OME " in start


def parse_ome_xml(payload: bytes, name: str) -> OmeDocument:
    """Parse one document; CorruptStoreError where it is not well-formed OME-XML or carries a DOCTYPE.

    Small documents of one structure are parsed twice and filled in from then on (see ``ome_xml_templates``).
    """
    text, repair = read_xml_text(payload, name)
    if repair is not None or len(text) > _REMEMBERED_CHARACTERS:
        return _parse(text, name, repair)
    try:
        return _TEMPLATES.read(text)
    except CorruptStoreError:
        return _parse(text, name)  # says the same, with the name of the file


def read_root_uuid(payload: bytes, name: str) -> str | None:
    """UUID of the root element, without parsing the rest; CorruptStoreError where the start is not XML."""
    text, _ = read_xml_text(payload[:_ROOT_BYTES], name)
    try:
        for _, root in ElementTree.iterparse(io.StringIO(text), events=("start",)):
            uuid: str | None = root.get("UUID")
            return uuid
    except ElementTree.ParseError as error:
        raise CorruptStoreError(f"{name}: the OME-XML is not well-formed ({error}).") from error
    return None


def _parse(text: str, name: str = "", repair: Repair | None = None) -> OmeDocument:
    if len(text) <= _SMALL_DOCUMENT and (cut := cut_known_channels(text)) is not None:
        with suppress(CorruptStoreError):  # the whole document says what is wrong with it
            return _collect(cut[0], _Collector(name, repair, cut[1]))
    return _collect(text, _Collector(name, repair))


def _collect(text: str, state: _Collector) -> OmeDocument:
    try:
        if len(text) <= _SMALL_DOCUMENT:
            root = ElementTree.fromstring(text)
            state.open(root)
            for element in root:
                state.take(element)
        else:
            state.stream(text)
    except ElementTree.ParseError as error:
        raise CorruptStoreError(f"{state.name}: the OME-XML is not well-formed ({error}).") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise CorruptStoreError(f"{state.name}: the OME-XML holds an impossible value ({error}).") from error
    return state.build()


_TEMPLATES = OmeTemplates(_parse)


class _Collector:
    """Takes the elements below the root and keeps only what becomes of Image and Plate elements.

    ``known`` are the channels that were taken out of the text.
    """

    def __init__(self, name: str, repair: Repair | None, known: Sequence[TakenChannel] | None = None) -> None:
        self.name = name
        self._known = known
        self._repair = repair
        self._root: ElementTree.Element | None = None
        self._binary_only: tuple[str | None, str | None] = (None, None)
        self._images: list[OmeImage] = []
        self._plates: list[OmePlate] = []
        self._instruments: list[OmeInstrument] = []
        self._planes: list[OmePlane] | None = (
            None  # of the image that is read; None where elements are not forgotten
        )
        self._plane_count = 0

    def open(self, root: ElementTree.Element) -> None:
        """Take the root element; CorruptStoreError where it is not OME."""
        self._root = root
        if local_name(root.tag) != "OME":
            raise CorruptStoreError(f"{self.name}: the root element is {root.tag!r}, expected OME.")

    def stream(self, text: str) -> None:
        """Parse a large document in pieces and forget each element once it was taken, so memory stays small."""
        path: list[ElementTree.Element] = []
        live = unread = 0
        self._planes = []
        for event, element in ElementTree.iterparse(io.StringIO(text), events=("start", "end")):
            if event == "start":
                path.append(element)
                live += 1
                if len(path) == 1:
                    self.open(element)
                elif live > MAX_ELEMENTS or len(path) > _MAX_DEPTH:
                    raise CorruptStoreError(
                        f"{self.name}: one image or plate of the OME-XML has more than {MAX_ELEMENTS:,} elements, or they "
                        f"are more than {_MAX_DEPTH} deep."
                    )
                continue
            path.pop()
            if len(path) == 1:
                self.take(element)
                element.clear()
                live = 0
                if self._root is not None and len(self._root) > 64:
                    self._root[:] = []
                unread = 0
            elif len(path) == _IMAGE_CHILD_DEPTH and local_name(element.tag) not in _KEPT_BELOW_PIXELS:
                live -= 1 + len(element)  # planes by the thousand, of which only the facts are kept
                unread += 1
                self._take_plane(element)
                if unread > max(_MOST_UNREAD, len(path[-1]) // 2):
                    path[-1][:] = [child for child in path[-1] if local_name(child.tag) in _KEPT_BELOW_PIXELS]
                    unread = 0

    def take(self, element: ElementTree.Element) -> None:
        """Handle one finished element below the root."""
        kind = local_name(element.tag)
        if kind == "Image":
            self._images.append(_build_image(element, self._planes, self._known))
            if self._planes is not None:
                self._planes = []
        elif kind == "Instrument":
            self._instruments.append(build_instrument(element))
        elif kind == "Plate":
            self._plates.append(_build_plate(element))
        elif kind == "BinaryOnly":
            self._binary_only = (element.get("MetadataFile"), element.get("UUID"))

    def _take_plane(self, element: ElementTree.Element) -> None:
        """Keep the facts of one Plane of a large document, up to a limit."""
        plane = build_plane(element) if local_name(element.tag) == "Plane" else None
        if plane is None or self._planes is None:
            return
        self._plane_count += 1
        if self._plane_count <= MAX_PLANES:
            self._planes.append(plane)

    def build(self) -> OmeDocument:
        """Give the finished document."""
        root = self._root
        if root is None:
            raise CorruptStoreError(f"{self.name}: the OME-XML is empty.")
        namespace = root.tag.rpartition("}")[0]
        version = namespace.rstrip("/").rpartition("/")[2] if namespace else None
        return OmeDocument(
            root.get("UUID"), root.get("Creator"), version or None, *self._binary_only, tuple(self._images),
            tuple(self._plates), self._repair, tuple(self._instruments), max(0, self._plane_count - MAX_PLANES),
        )  # fmt: skip


def _quantity(attributes: Mapping[str, str], key: str) -> OmeQuantity | None:
    text = attributes.get(key)
    return None if text is None else OmeQuantity(text, attributes.get(f"{key}Unit"))


def _build_image(
    element: ElementTree.Element, planes: list[OmePlane] | None, known: Sequence[TakenChannel] | None
) -> OmeImage:
    """Take one Image; ``planes`` are those that were taken before, None where they still stand in it."""
    for pixels in element:
        if local_name(pixels.tag) == "Pixels":
            break
    else:
        pixels = ElementTree.Element("Pixels")
    channels: list[TakenChannel] = []
    found = [] if planes is None else planes
    blocks: list[OmeTiffData] = []
    for child in pixels:
        kind = local_name(child.tag)
        if kind == "Channel":
            channels.append(take_channel(child))
        elif kind == PLACE and known is not None:
            channels.extend(known)
        elif kind == "TiffData":
            blocks.append(_build_tiff_data(child))
        elif kind == "Plane" and planes is None and (plane := build_plane(child)) is not None:
            found.append(plane)
    if not channels:
        channels = [
            TakenChannel(child.get("Name"), 1, build_channel(child)) for child in _legacy_channels(element)
        ]
    own = pixels.attrib
    return OmeImage(
        element.get("ID", ""), element.get("Name"), own.get("DimensionOrder", "XYCZT"),
        own.get("Type", own.get("PixelType", "")),
        read_int(own, "SizeX", 0), read_int(own, "SizeY", 0), read_int(own, "SizeZ", 1), read_int(own, "SizeC", 1), read_int(own, "SizeT", 1),
        tuple([channel.name for channel in channels]), tuple([channel.samples for channel in channels]), tuple(blocks),
        _quantity(own, "PhysicalSizeX"), _quantity(own, "PhysicalSizeY"), _quantity(own, "PhysicalSizeZ"),
        _quantity(own, "TimeIncrement"), build_acquisition(element, [channel.facts for channel in channels], found),
    )  # fmt: skip


def _legacy_channels(image: ElementTree.Element) -> list[ElementTree.Element]:
    """Channels of schemas before 2010-06, where LogicalChannel stood beside Pixels."""
    return [child for child in image if local_name(child.tag) == "LogicalChannel"]


def _build_tiff_data(element: ElementTree.Element) -> OmeTiffData:
    uuid = None
    for child in element:
        if local_name(child.tag) == "UUID":
            uuid = child
            break
    own = element.attrib
    return OmeTiffData(
        read_int(own, "IFD", 0), read_int(own, "FirstC", 0), read_int(own, "FirstZ", 0), read_int(own, "FirstT", 0),
        read_int(own, "PlaneCount", 1) if "IFD" in own or own.get("PlaneCount") else None,
        None if uuid is None else uuid.get("FileName"),
        None if uuid is None or not uuid.text else uuid.text.strip(),
    )  # fmt: skip


def _build_plate(element: ElementTree.Element) -> OmePlate:
    wells: list[OmeWell] = []
    runs: list[tuple[str, tuple[str, ...]]] = []
    for child in element:
        kind = local_name(child.tag)
        if kind == "Well":
            samples = tuple(
                _build_sample(sample) for sample in child if local_name(sample.tag) == "WellSample"
            )
            wells.append(
                OmeWell(read_int(child.attrib, "Row", 0), read_int(child.attrib, "Column", 0), samples)
            )
        elif kind in ("PlateAcquisition", "ScreenAcquisition"):
            refs = tuple(ref.get("ID", "") for ref in child if local_name(ref.tag) == "WellSampleRef")
            runs.append((child.get("ID", ""), refs))
    return OmePlate(element.get("ID", ""), element.get("Name"), tuple(wells), tuple(runs))


def _build_sample(element: ElementTree.Element) -> OmeWellSample:
    ref = next((child for child in element if local_name(child.tag) == "ImageRef"), None)
    index = element.get("Index")
    return OmeWellSample(
        element.get("ID", ""),
        int(index) if index is not None and index.strip().isdecimal() and len(index) < 12 else None,
        None if ref is None else ref.get("ID"),
        (_quantity(element.attrib, "PositionX"), _quantity(element.attrib, "PositionY")),
    )
