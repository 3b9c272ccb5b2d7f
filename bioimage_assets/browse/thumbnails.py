"""One field as a small picture: made once of the lowest level that has enough pixels, then a file."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from bioimage_assets.browse.channels import PlateChannels, list_limits
from bioimage_assets.browse.disk_cache import DiskCache
from bioimage_assets.browse.fields import read_small_field
from bioimage_assets.browse.open_images import OpenImages
from bioimage_assets.browse.plates import BrowsedPlate, FieldRow
from bioimage_assets.core.pictures.channel_colours import Crop, compose
from bioimage_assets.core.pixels.location import ImageGeometry

MIN_PX, MAX_PX, DEFAULT_PX = 16, 512, 96
_STEP_PX = 16  # sizes are rounded up to a multiple: a page that is zoomed does not fill the folder
_VERSION = 1
_QUALITY = 88


class Thumbnails:
    """Pictures of fields, kept in a folder by what they were made of."""

    def __init__(self, images: OpenImages, channels: PlateChannels, cache: DiskCache) -> None:
        self._images = images
        self._channels = channels
        self._cache = cache

    def find(self, plate: BrowsedPlate, one: FieldRow, size_px: int) -> bytes | None:
        """A picture that was made before; None where it was not. No store is read where the plate's contrast is known."""
        return self._cache.get(self._key(plate, one, size_px))

    def make(self, plate: BrowsedPlate, one: FieldRow, size_px: int) -> bytes:
        """Read the field and draw it (JPEG); StoreError or UsageError where it cannot be read."""
        size_px = round_size(size_px)
        geometry = plate.geometry(one.image_id)
        crop = read_small_field(self._images, geometry, one.fingerprint, size_px)
        picture = _draw(crop, geometry, list_limits(self._channels.find(plate)))
        payload = _encode(picture, size_px)
        self._cache.put(self._key(plate, one, size_px), payload)
        return payload

    def _key(self, plate: BrowsedPlate, one: FieldRow, size_px: int) -> str:
        limits = list_limits(self._channels.find(plate))
        return f"{_VERSION} {one.uri} {one.image_id} {one.fingerprint} {round_size(size_px)} {limits}"


def bundle_pictures(pictures: Sequence[bytes | None]) -> bytes:
    """Pictures behind each other, each after its length as four bytes, little-endian; 0 for one that was not made yet.

    >>> bundle_pictures([b"jpeg", None])
    b'\\x04\\x00\\x00\\x00jpeg\\x00\\x00\\x00\\x00'
    """
    return b"".join(len(one or b"").to_bytes(4, "little") + (one or b"") for one in pictures)


def round_size(size_px: int) -> int:
    """The size in which a picture is made: within bounds, and one of few.

    >>> round_size(90), round_size(3), round_size(9999)
    (96, 16, 512)
    """
    return max(MIN_PX, min(MAX_PX, -(-size_px // _STEP_PX) * _STEP_PX))


def _draw(crop: Crop, geometry: ImageGeometry, limits: Sequence[tuple[float, float]]) -> np.ndarray:
    """RGB from 0 to 1; samples of a colour image are its colours."""
    if "s" in geometry.axes and crop.pixels.shape[0] >= 3:
        most = 255.0 if geometry.dtype == "uint8" else max(1.0, float(crop.pixels.max()))
        return np.clip(np.moveaxis(crop.pixels[:3], 0, -1) / most, 0, 1)
    return compose(crop, limits[: crop.pixels.shape[0]])


def _encode(picture: np.ndarray, size_px: int) -> bytes:
    image = Image.fromarray(np.round(picture * 255).astype(np.uint8))
    if max(image.size) > size_px:
        image.thumbnail((size_px, size_px), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
