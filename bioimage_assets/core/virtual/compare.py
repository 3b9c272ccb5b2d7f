"""A virtual plate and the rows it was made from in; out comes whether planes of a few fields have the pixels of the original files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import zarr

from bioimage_assets.core.errors import BioimageError, CorruptStoreError
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.pixels.location import read_geometry
from bioimage_assets.core.virtual.few_fields import choose_few_fields
from bioimage_assets.core.virtual.ome_metadata import OWN_KEY
from bioimage_assets.core.virtual.open import open_virtual_plate

# Side of the part of a plane that is compared: 3 fields of 2 bytes per pixel, read twice, are 25 MB at most.
MAX_SIDE_PX = 1_448


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """One field: its image and group, the plane that was compared, and what is wrong, None where its pixels are equal."""

    image_id: str
    path: str
    plane: str
    problem: str | None


def compare_with_originals(
    plate_uri: str, image_assets: pa.Table, storage_options: Mapping[str, object] | None = None
) -> list[FieldComparison]:
    """Compare the middle of one plane of the first, the middle and the last field; empty where the plate has no field.

    The virtual plate is read through Zarr, the original as ``read_crop`` reads it. What cannot be read is a problem of its field.

    Raises
    ------
    StoreError
        The virtual plate itself cannot be opened.
    """
    store = open_virtual_plate(plate_uri, storage_options)
    try:
        root = zarr.open_group(store, mode="r")
        fields = list(_list_fields(root))
    except (ValueError, KeyError, OSError) as error:
        raise CorruptStoreError(f"{plate_uri}: the virtual plate does not open: {error}") from error
    rows = {str(row["image_id"]): row for row in image_assets.to_pylist()}
    return [_compare(root, path, rows, storage_options) for path in choose_few_fields(fields)]


def _list_fields(root: zarr.Group) -> Iterator[str]:
    """Groups of the images that the plate, or the collection, names."""
    wells = _read_ome(root).get("plate", {}).get("wells", [])
    for well in wells:
        images = _read_ome(root[well["path"]])["well"]["images"]
        yield from (f"{well['path']}/{image['path']}" for image in images)
    if not wells:
        yield from _read_ome(root["OME"])["series"]


def _read_ome(node: Any) -> dict[str, Any]:
    attributes = node.attrs.asdict()
    found: dict[str, Any] = attributes.get("ome", attributes)
    return found


def _compare(
    root: zarr.Group,
    path: str,
    rows: Mapping[str, Mapping[str, object]],
    storage_options: Mapping[str, object] | None,
) -> FieldComparison:
    image_id, plane = path, ""
    try:
        group: Any = root[path]
        image_id = str(group.attrs[OWN_KEY]["image_id"])
        row = rows.get(image_id)
        if row is None:
            return FieldComparison(image_id, path, "", "the catalogue has no such image any more")
        array: Any = group[_read_ome(group)["multiscales"][0]["datasets"][0]["path"]]
        axes = [axis["name"] for axis in _read_ome(group)["multiscales"][0]["axes"]]
        place = _choose_plane(axes, array.shape)
        plane = ", ".join(f"{axis}={at}" for axis, at in place.items() if isinstance(at, int))
        own = np.asarray(array[tuple(place[axis] for axis in axes)])
        original = _read_original(row, place, storage_options)
    except BioimageError as error:
        return FieldComparison(image_id, path, plane, str(error))
    except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        return FieldComparison(image_id, path, plane, f"it cannot be read through Zarr: {error}")
    if own.shape != original.shape:
        return FieldComparison(
            image_id, path, plane, f"it has {own.shape} pixels there, the original {original.shape}"
        )
    count = int(np.count_nonzero(~_equal(own, original)))
    problem = f"{count:,} of {own.size:,} pixels differ from the original" if count else None
    return FieldComparison(image_id, path, plane, problem)


def _choose_plane(axes: Sequence[str], shape: Sequence[int]) -> dict[str, int | slice]:
    """The last channel, the middle of the stack, the first time point, and the middle of the plane."""
    sizes = dict(zip(axes, shape, strict=True))
    place: dict[str, int | slice] = {}
    for axis, size in sizes.items():
        if axis in "yx":
            start = max(0, (size - MAX_SIDE_PX) // 2)
            place[axis] = slice(start, min(size, start + MAX_SIDE_PX))
        else:
            place[axis] = {"c": size - 1, "z": size // 2}.get(axis, 0)
    return place


def _read_original(
    row: Mapping[str, object], place: Mapping[str, int | slice], storage_options: Mapping[str, object] | None
) -> np.ndarray:
    """(y, x): the same pixels from the original file; samples of a colour image were made channels."""
    geometry = read_geometry(row)
    y, x = place["y"], place["x"]
    assert isinstance(y, slice)
    assert isinstance(x, slice)
    channel, z, t = (place.get(axis) for axis in "czt")
    channels = (int(channel),) if isinstance(channel, int) and "c" in geometry.axes else None
    choice = CropChoice(
        channels=channels, z=z if isinstance(z, int) else None, t=t if isinstance(t, int) else None
    )
    box = PixelBox(y.start, y.stop, x.start, x.stop)
    found = read_crop(build_location(geometry, box, choice), storage_options=storage_options)
    order = [axis for axis in geometry.axes if axis in "yx"]
    index: list[Any] = [slice(None)] * found.ndim
    for position, axis in enumerate(geometry.axes):
        if axis not in "yx":
            index[position] = channel if axis == "s" and isinstance(channel, int) else 0
    plane = np.asarray(found[tuple(index)])
    return plane if order == ["y", "x"] else plane.T


def _equal(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Not a number equals itself here."""
    if first.dtype.kind in "fc":
        return (first == second) | (np.isnan(first) & np.isnan(second))
    return first == second
