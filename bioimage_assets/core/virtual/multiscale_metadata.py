"""One image of the catalogue in, the attributes of its OME-Zarr group out: axes, sizes and places in µm, channels.

https://ngff.openmicroscopy.org/0.5/index.html#multiscale-md, #omero-md and #labels-md; 0.4 has the same content
(https://ngff.openmicroscopy.org/0.4/). Where an image lies is the translation of its levels, counted from the corner of its well's
fields: x to the right, y downwards, as pixels count. A stage counts y upwards, so that its positions are turned over; positions that were
read from OME-Zarr are pixels' already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from bioimage_assets.core.model.display_colours import list_channel_colours
from bioimage_assets.core.virtual.model import VirtualArray, VirtualImage

Row = Mapping[str, object]
Offset = Mapping[str, float]
Json = dict[str, object]

_AXIS_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
_SIZE_COLUMNS = {
    "t": "time_increment_s",
    "z": "pixel_size_z_um",
    "y": "pixel_size_y_um",
    "x": "pixel_size_x_um",
}
_SAMPLE_NAMES = ("red", "green", "blue", "alpha")
_SAMPLE_COLOURS = ("FF0000", "00FF00", "0000FF", "FFFFFF")


class Window(NamedTuple):
    """Black and white point of a channel."""

    start: float
    end: float


def build_multiscale(image: VirtualImage, row: Row, offset: Offset) -> Json:
    """The entry of ``multiscales``, without a version.

    Parameters
    ----------
    image
        The image with its levels, the finest first.
    row
        Its row of ``image_assets``.
    offset
        Where its first pixel lies from the corner of the well's fields, µm by axis; empty where that is not known.
    """
    axes = image.arrays[0].axes
    sizes = {axis: _read_size(row, axis) for axis in axes}
    datasets = [
        {
            "path": array.path.removeprefix(f"{image.path}/"),
            "coordinateTransformations": _build_transformations(image, level, sizes, offset, row),
        }
        for level, array in enumerate(image.arrays)
    ]
    name = str(row.get("image_name") or row["image_id"])
    return {"name": name, "axes": [_build_axis(axis, sizes[axis]) for axis in axes], "datasets": datasets}


def build_scales(image: VirtualImage, row: Row) -> list[list[float]]:
    """Size of a pixel of each level along each axis; a size that is not known counts as one."""
    sizes = {axis: _read_size(row, axis) for axis in image.arrays[0].axes}
    return [_build_scale(image, level, sizes, row) for level in range(len(image.arrays))]


def build_omero(image: VirtualImage, row: Row, windows: Sequence[Window | None] = ()) -> Json | None:
    """Names, colours and limits of the channels; None where the limits of the type of pixels are not known.

    A channel's window is all that the type can hold, unless ``windows`` has the points that its pixels were measured to have.
    Every channel must have a window and a colour, so that images of floating-point numbers without measured ones have no such block.
    """
    array = image.arrays[0]
    count = array.shape[array.axes.index("c")] if "c" in array.axes else 1
    names = name_channels(row, count)
    points = [windows[number] if number < len(windows) else None for number in range(count)]
    limits = _find_limits(array.dtype)
    if limits is None and any(point is None for point in points):
        return None
    return _build_channels(tuple(names), tuple(_choose_colours(row, count)), limits, tuple(points))


@lru_cache(maxsize=256)
def _build_channels(
    names: tuple[str, ...], colours: tuple[str, ...], limits: Window | None, points: tuple[Window | None, ...]
) -> Json:
    """The block, one for all fields of a plate whose channels are the same; nobody changes it."""
    return {
        "channels": [
            {"label": name, "color": colour, "active": True, "window": _build_window(limits, point)}
            for name, colour, point in zip(names, colours, points, strict=True)
        ]
    }


def _read_size(row: Row, axis: str) -> float | None:
    found = row.get(_SIZE_COLUMNS.get(axis, ""))
    return float(found) if isinstance(found, int | float) and 0 < found < float("inf") else None


def _build_axis(axis: str, size: float | None) -> Json:
    """A unit stands only where the size is known: without one, sizes are counted in pixels."""
    unit = {"unit": "second" if axis == "t" else "micrometer"} if size is not None else {}
    return {"name": axis, "type": _AXIS_TYPES[axis], **unit}


def _build_transformations(
    image: VirtualImage, level: int, sizes: Mapping[str, float | None], offset: Offset, row: Row
) -> list[Json]:
    axes = image.arrays[0].axes
    scale = _build_scale(image, level, sizes, row)
    found: list[Json] = [{"type": "scale", "scale": scale}]
    # A place in µm among sizes in pixels would be neither.
    if offset and all(sizes[axis] is not None for axis in offset if axis in axes):
        moved = [float(offset.get(axis, 0.0)) for axis in axes]
        found.append({"type": "translation", "translation": moved})
    return found


def _build_scale(image: VirtualImage, level: int, sizes: Mapping[str, float | None], row: Row) -> list[float]:
    axes = image.arrays[0].axes
    factors = [_find_factor(image.arrays, level, position, row) for position in range(len(axes))]
    return [(sizes[axis] or 1.0) * factor for axis, factor in zip(axes, factors, strict=True)]


def _find_factor(arrays: Sequence[VirtualArray], level: int, position: int, row: Row) -> float:
    """How many pixels of the finest level one of this level covers: as the store says, else by their shapes.

    1081 pixels at half size are 540 or 541: the whole number that gives such a shape is meant.
    """
    axis = arrays[0].axes[position]
    stated = _read_stated_factor(row, level, axis)
    if stated is not None:
        return stated
    full, reduced = arrays[0].shape[position], arrays[level].shape[position]
    if axis == "c" or not reduced or full == reduced:
        return 1.0
    whole = round(full / reduced)
    fits = whole >= 1 and reduced in (full // whole, -(-full // whole))
    return float(whole) if fits else full / reduced


def _read_stated_factor(row: Row, level: int, axis: str) -> float | None:
    axes, levels = str(row.get("axes") or ""), row.get("levels")
    if not isinstance(levels, Sequence) or level >= len(levels) or axis not in axes or "," in axes:
        return None
    first, own = (found.get("scale") for found in (levels[0], levels[level]))
    if not first or not own or len(first) != len(axes) or len(own) != len(axes):
        return None
    fine, coarse = first[axes.index(axis)], own[axes.index(axis)]
    return coarse / fine if fine and coarse and coarse / fine > 0 else None


def name_channels(row: Row, count: int) -> list[str]:
    """Names from the catalogue; the samples of a colour image are red, green and blue, of others their number."""
    found = row.get("channel_names")
    names = [str(name or "") for name in found] if isinstance(found, Sequence) else []
    if len(names) != count and _is_colour(row, count):
        names = list(_SAMPLE_NAMES[:count])
    names += [""] * (count - len(names))
    return [name or f"channel {number}" for number, name in enumerate(names[:count])]


def _choose_colours(row: Row, count: int) -> list[str]:
    return list(_SAMPLE_COLOURS[:count]) if _is_colour(row, count) else list_channel_colours(count)


def _is_colour(row: Row, count: int) -> bool:
    """Whether the channels are the samples of one colour image."""
    axes = str(row.get("axes") or "")
    return count in (3, 4) and "c" not in axes and "s" in axes


@lru_cache(maxsize=64)
def _find_limits(dtype: str) -> Window | None:
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return Window(0, 1)
    if kind.kind not in "iu":
        return None
    found = np.iinfo(kind)
    return Window(int(found.min), int(found.max))


def _build_window(limits: Window | None, point: Window | None) -> Json:
    low, high = limits or point or Window(0, 1)
    start, end = point or (low, high)
    return {"min": low, "max": high, "start": start, "end": end}
