"""Parses OME-XML texts of one writer once, where they differ in names, identifiers, dates and sizes only.

Source of truth: XML 1.0 section 2.3 (AttValue): a value in double quotes without ``<``, ``&`` or a quote cannot
change what the text around it means, so two texts that differ in such values only have one structure.

A text is cut at the values of attributes that are kept as they stand or not at all. What is between the values
is the skeleton. The second text of a skeleton is parsed with marks in place of its values; where the marks filled in
give what parsing the text itself gives, later texts of the skeleton are filled in without a parser.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument, OmeImage, OmeQuantity, OmeTiffData

# Attributes kept as text (Name, UUID, FileName, PhysicalSize, facts of the acquisition), as a whole number (SizeX, SizeY)
# or not at all are cut out; those that decide what the others mean stay, as do texts inside elements except for UUIDs,
# dates and descriptions. Values hold no markup, no quote of either kind and nothing that XML forbids or normalises.
_VALUES = re.compile(
    r'( (?!(?:ID|(?:Pixel)?Type|Samples|Size|First|IFD|PlaneC|Dimension|Creator|Metadata|The|Row|Column|Index|\w+Unit=))[A-Z]\w*="'
    r'|">(?=urn:uuid:)|<(?:\w+:)?(?:AcquisitionDate|Description)>| Size[XY]="(?=[0-9]{1,9}"))([ !#-%(-;=?-~\xa0-\ud7ff]*)'
)
_NUMBER_PREFIX = " Size"
_MOST_VALUES = 1024  # attributes that may differ from file to file; more of them are cheaper to parse
_KEPT_TEMPLATES = 8  # a plate has one per channel and kind of file
_KEPT_SKELETONS = 32  # a template is worth making once its skeleton was seen twice
# Where so many texts in a row were no template's, cutting them up is work for nothing; one of some is still tried.
_MOST_MISSES = 48
_TRIED_EVERY = 61

Fill = Callable[[Sequence[str]], OmeDocument]


def _mark(number: int, prefix: str) -> str:
    """Stand-in for a value: of private use, or a number of more digits, so that no value that was cut out is one."""
    return f"{2 * 10**9 + number}" if prefix.startswith(_NUMBER_PREFIX) else f"\ue000{number}\ue001"


class OmeTemplates:
    """The last few skeletons of one process and the documents they stand for; bounded in number and size."""

    def __init__(self, parse: Callable[[str], OmeDocument]) -> None:
        self._parse = parse
        self._templates: dict[str, _Template | None] = {}
        self._misses = 0
        self._seen: deque[int] = deque(maxlen=_KEPT_SKELETONS)

    def read(self, text: str) -> OmeDocument:
        """Give the document of a text; errors are those of ``parse``."""
        if self._misses > _MOST_MISSES and self._misses % _TRIED_EVERY:
            self._misses += 1
            return self._parse(text)
        parts = _VALUES.split(text)
        values = parts[2::3]
        if not values or len(values) > _MOST_VALUES or "<!" in text or "\ue000" in text:
            return self._parse(text)
        skeleton = "\0".join(parts[0::3]) + "\0" + "\0".join(parts[1::3])
        template = self._templates.get(skeleton)
        if template is not None:
            self._misses = 0
            return template.fill(values)
        self._misses += 1
        document = self._parse(text)
        if skeleton not in self._templates:
            self._learn(skeleton, parts, document)
        return document

    def _learn(self, skeleton: str, parts: list[str], document: OmeDocument) -> None:
        digest = hash(skeleton)
        if digest not in self._seen:
            self._seen.append(digest)
            return
        values = parts[2::3]
        marks = [_mark(number, prefix) for number, prefix in enumerate(parts[1::3])]
        marked = parts.copy()
        marked[2::3] = marks
        if len(self._templates) >= _KEPT_TEMPLATES:
            self._templates.clear()
        self._templates[skeleton] = None
        with suppress(CorruptStoreError):  # a mark stands where more than text is wanted
            template = _Template(self._parse("".join(marked)), marks)
            if template.fill(values) == document:
                self._templates[skeleton] = template


class _Template:
    """A document with marks in place of values, and where in it they stand."""

    def __init__(self, document: OmeDocument, marks: Sequence[str]) -> None:
        slots: dict[str | None, int] = {mark: number for number, mark in enumerate(marks)}
        self._document = document
        self._uuid = slots.get(document.uuid)
        self._images = [_ImageTemplate(image, slots) for image in document.images]
        self._instruments = _build_fill(document.instruments, slots)

    def fill(self, values: Sequence[str]) -> OmeDocument:
        """Put values in place of the marks."""
        known = self._document
        return OmeDocument(
            known.uuid if self._uuid is None else values[self._uuid], known.creator, known.schema_version,
            known.binary_only_file, known.binary_only_uuid, tuple([image.fill(values) for image in self._images]),
            known.plates, known.repair,
            known.instruments if self._instruments is None else self._instruments(values),
        )  # fmt: skip


class _ImageTemplate:
    """One image with marks: its name, its channels' names, its TiffData blocks' files, and its quantities."""

    def __init__(self, image: OmeImage, slots: dict[str | None, int]) -> None:
        self._image = image
        self._name = slots.get(image.name)
        self._channels = [(name, slots.get(name)) for name in image.channel_names]
        self._blocks = [
            (block, slots.get(block.file_name), slots.get(block.uuid)) for block in image.tiff_data
        ]
        self._has_files = any(file is not None or uuid is not None for _, file, uuid in self._blocks)
        self._width, self._height = slots.get(str(image.size_x)), slots.get(str(image.size_y))
        quantities = (
            image.physical_size_x,
            image.physical_size_y,
            image.physical_size_z,
            image.time_increment,
        )
        self._quantities = [(known, None if known is None else slots.get(known.text)) for known in quantities]
        self._acquisition = _build_fill(image.acquisition, slots)

    def fill(self, values: Sequence[str]) -> OmeImage:
        """Put values in place of the marks."""
        (id_, name, order, kind, x, y, z, c, t, _, samples, blocks, *_) = self._image
        x_size, y_size, z_size, step = [
            known if known is None or slot is None else OmeQuantity(values[slot], known.unit)
            for known, slot in self._quantities
        ]
        return OmeImage(
            id_, name if self._name is None else values[self._name], order, kind,
            x if self._width is None else int(values[self._width]),
            y if self._height is None else int(values[self._height]), z, c, t,
            tuple([name if slot is None else values[slot] for name, slot in self._channels]), samples,
            tuple([_fill_block(*block, values) for block in self._blocks]) if self._has_files else blocks,
            x_size, y_size, z_size, step,
            self._image.acquisition if self._acquisition is None else self._acquisition(values),
        )  # fmt: skip


def _build_fill(known: object, slots: Mapping[str | None, int]) -> Callable[[Sequence[str]], Any] | None:
    """What puts values into a text, or a tuple of such, and of what kind it is; None where no mark stands in it."""
    if isinstance(known, str):
        slot = slots.get(known)
        return None if slot is None else itemgetter(slot)
    if not isinstance(known, tuple):
        return None
    parts = [(n, fill) for n, item in enumerate(known) if (fill := _build_fill(item, slots)) is not None]
    if not parts:
        return None
    make = getattr(type(known), "_make", tuple)

    def fill_in(values: Sequence[str]) -> tuple[object, ...]:
        items = list(known)
        for number, fill in parts:
            items[number] = fill(values)
        filled: tuple[object, ...] = make(items)
        return filled

    return fill_in


def _fill_block(block: OmeTiffData, file: int | None, uuid: int | None, values: Sequence[str]) -> OmeTiffData:
    if file is None and uuid is None:
        return block
    return OmeTiffData(
        block.ifd, block.c, block.z, block.t, block.plane_count,
        block.file_name if file is None else values[file],
        block.uuid if uuid is None else values[uuid].strip(),
    )  # fmt: skip
