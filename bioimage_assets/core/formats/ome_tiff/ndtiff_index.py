"""Parses ``NDTiff.index``: which plane of an NDTiff dataset lies at which offset of which file.

Source of truth: https://github.com/micro-manager/NDStorage, section "NDTiff.index": per image the length of its axes as JSON and
the JSON, the length of its file's name and the name, then eight 32-bit numbers: offset of the pixels, width, height, pixel type,
compression, offset, length and compression of its metadata.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import NamedTuple

from bioimage_assets.core.errors import CorruptStoreError

INDEX_NAME = "NDTiff.index"
MAX_INDEX_BYTES = 256 * 1024 * 1024
_MAX_ENTRIES = 2_000_000
_MAX_TEXT = 64 * 1024  # of the axes of one image, or a file's name
_NUMBERS = struct.Struct("<I4iIii")
# Axes that together are the position of an image; all others must be known too.
POSITION_AXES = ("position", "row", "column")
_KNOWN_AXES = frozenset({*POSITION_AXES, "time", "channel", "z"})

AxisValue = int | str


class NdtiffEntry(NamedTuple):
    """One image: its place on the axes, its file, and where in it the pixels and its metadata are."""

    position: tuple[AxisValue, ...]
    channel: AxisValue
    z: int
    t: int
    file_name: str
    pixels_at: int
    metadata_at: int
    metadata_bytes: int


def parse_ndtiff_index(payload: bytes, name: str) -> list[NdtiffEntry]:
    """Give all images in stored order, the last of several at one place; CorruptStoreError where the index is broken."""
    entries: dict[tuple[object, ...], NdtiffEntry] = {}
    for entry in _iterate(payload, name):
        entries[entry[:4]] = entry
    if not entries:
        raise CorruptStoreError(f"{name}: the index names no image.")
    return list(entries.values())


def _iterate(payload: bytes, name: str) -> Iterator[NdtiffEntry]:
    at = 0
    for _ in range(_MAX_ENTRIES):
        if at == len(payload):
            return
        axes_text, at = _take_text(payload, at, name)
        file_name, at = _take_text(payload, at, name)
        if at + _NUMBERS.size > len(payload):
            raise CorruptStoreError(f"{name}: the index ends within an entry.")
        pixels_at, *_, metadata_at, metadata_bytes, _ = _NUMBERS.unpack_from(payload, at)
        at += _NUMBERS.size
        axes = _read_axes(axes_text, name)
        position = tuple(axes[axis] for axis in POSITION_AXES if axis in axes)
        z, t = axes.get("z", 0), axes.get("time", 0)
        if not isinstance(z, int) or not isinstance(t, int):
            raise CorruptStoreError(f"{name}: z and time are numbers, found {axes_text[:80]!r}.")
        yield NdtiffEntry(
            position, axes.get("channel", 0), z, t, file_name, pixels_at, metadata_at, metadata_bytes
        )
    raise CorruptStoreError(f"{name}: the index names more than {_MAX_ENTRIES:,} images.")


def _take_text(payload: bytes, at: int, name: str) -> tuple[str, int]:
    size = int.from_bytes(payload[at : at + 4], "little")
    end = at + 4 + size
    if size > _MAX_TEXT or end > len(payload):
        raise CorruptStoreError(f"{name}: the index ends within an entry, or is none.")
    return payload[at + 4 : end].decode("utf-8", "replace"), end


def _read_axes(text: str, name: str) -> dict[str, AxisValue]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptStoreError(f"{name}: the axes of an image are no JSON ({error}).") from error
    if not isinstance(found, dict):
        raise CorruptStoreError(f"{name}: the axes of an image are no object: {text[:80]!r}.")
    axes: dict[str, AxisValue] = {}
    for axis, value in found.items():
        if axis not in _KNOWN_AXES:
            raise CorruptStoreError(
                f"{name}: an axis {axis!r} is not read, only {', '.join(sorted(_KNOWN_AXES))}."
            )
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, str))
            or (isinstance(value, int) and abs(value) > 2**31)
        ):
            raise CorruptStoreError(f"{name}: the place on axis {axis!r} is {value!r:.40}.")
        axes[axis] = value
    return axes
