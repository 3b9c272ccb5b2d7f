"""How the channels of a plate are shown: names, colours, and one black and white point each for all of its wells."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import orjson

from bioimage_assets.browse.disk_cache import DiskCache
from bioimage_assets.browse.fields import read_small_field
from bioimage_assets.browse.open_images import OpenImages
from bioimage_assets.browse.plates import BrowsedPlate, FieldRow
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.core.errors import BioimageError, UsageError
from bioimage_assets.core.model.display_colours import list_channel_colours
from bioimage_assets.core.pictures.channel_colours import Crop, share_limits
from bioimage_assets.core.pixels.location import ImageGeometry

SAMPLED_WELLS = 6
MAX_WAIT_S = 1.0
_SAMPLE_PX = 96
_VERSION = "limits 1"


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel: its colour as RRGGBB, the values that are shown black and white, and the largest that its type has."""

    name: str
    color: str
    min: float
    max: float
    limit: float


class PlateChannels:
    """Channels of plates; contrast from one field of some wells, which is read once and then kept in a file."""

    def __init__(self, project: BrowsedProject, images: OpenImages, cache: DiskCache) -> None:
        self._project = project
        self._images = images
        self._cache = cache

    def find(self, plate: BrowsedPlate) -> tuple[Channel, ...]:
        """Channels of one plate; none where it has no image that was opened."""
        return self._project.keep(("channels", plate.plate_key), lambda: self._build(plate))

    def find_soon(self, plate: BrowsedPlate) -> tuple[Channel, ...]:
        """The same within a second: where pixels take longer to read, with all that their type can hold as contrast.

        The page of a plate does not wait for the pixels of its wells; they are read on meanwhile.
        """
        if self._project.recall(("channels", plate.plate_key)) is None:
            reading = threading.Thread(target=self._try_to_find, args=(plate,), daemon=True)
            reading.start()
            reading.join(MAX_WAIT_S)
            if self._project.recall(("channels", plate.plate_key)) is None:
                return self._describe(plate, _sample_fields(plate), lambda _: [])
        return self.find(plate)

    def _try_to_find(self, plate: BrowsedPlate) -> None:
        with suppress(BioimageError):  # whoever needs them meets it, too
            self.find(plate)

    def _build(self, plate: BrowsedPlate) -> tuple[Channel, ...]:
        sample = _sample_fields(plate)
        return self._describe(plate, sample, partial(self._find_limits, plate))

    def _describe(
        self,
        plate: BrowsedPlate,
        sample: Sequence[FieldRow],
        find_limits: Callable[[Sequence[FieldRow]], list[tuple[float, float]]],
    ) -> tuple[Channel, ...]:
        geometry = next((found for found in map(partial(_try_geometry, plate), sample) if found), None)
        if geometry is None:
            return ()
        names, limit = plate.channel_names(), find_limit(geometry.dtype)
        limits = find_limits(sample)
        count = max(len(names), len(limits))
        names += [None] * (count - len(names))
        limits += [(0.0, limit)] * (count - len(limits))
        shown = zip(names, list_channel_colours(count), limits, strict=True)
        return tuple(
            Channel(name or f"channel {number}", color, low, high, limit)
            for number, (name, color, (low, high)) in enumerate(shown)
        )

    def _find_limits(self, plate: BrowsedPlate, sample: Sequence[FieldRow]) -> list[tuple[float, float]]:
        key = " ".join([_VERSION, *(f"{one.uri} {one.image_id} {one.fingerprint}" for one in sample)])
        kept = self._cache.get(key)
        if kept is not None:
            return [(float(low), float(high)) for low, high in orjson.loads(kept)]
        crops = list(self._read_some(plate, sample))
        limits = share_limits(crops) if crops else []
        if len(crops) == len(sample):  # what cannot be read now may be there later
            self._cache.put(key, orjson.dumps(limits))
        return limits

    def _read_some(self, plate: BrowsedPlate, sample: Sequence[FieldRow]) -> Iterator[Crop]:
        """Fields that can be read; one that cannot costs itself alone."""
        for one in sample:
            with suppress(BioimageError):
                yield read_small_field(
                    self._images, plate.geometry(one.image_id), one.fingerprint, _SAMPLE_PX
                )


def list_limits(channels: Sequence[Channel]) -> list[tuple[float, float]]:
    """Black and white point of each channel."""
    return [(channel.min, channel.max) for channel in channels]


def _try_geometry(plate: BrowsedPlate, one: FieldRow) -> ImageGeometry | None:
    try:
        return plate.geometry(one.image_id)
    except UsageError:
        return None


def _sample_fields(plate: BrowsedPlate) -> list[FieldRow]:
    """The first field of a few wells, spread over the plate."""
    first = [fields[0] for fields in plate.wells.values()]
    if len(first) <= SAMPLED_WELLS:
        return first
    places = np.linspace(0, len(first) - 1, SAMPLED_WELLS + 2)[1:-1].round().astype(int)
    return [first[place] for place in places]


def find_limit(dtype: str) -> float:
    """Largest value of a type; of floating numbers 1, as normalised images have it.

    >>> find_limit("uint16"), find_limit("float32")
    (65535.0, 1.0)
    """
    try:
        kind = np.dtype(dtype)
    except TypeError:
        return 1.0
    return float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0
