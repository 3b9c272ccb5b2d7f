"""Builds a column of OME-Arrow values from arrays, without a Python object per pixel or plane.

The types are those of ``ome_arrow.meta`` (https://github.com/WayScience/ome-arrow, version 0.1), written down here so that
crops can be exported where the package is not installed; a test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PixelEncoding = Literal["planes", "bytes"]
# What the column of the package is called; its readers look for it.
OME_COLUMN = "ome_arrow"
_TAG, _VERSION = "ome.arrow", "0.1.0"
# Planes are lists of 16-bit numbers; other pixels go into typed bytes.
PLANE_DTYPES = ("uint8", "uint16")

_CHANNEL = pa.struct(
    {
        "id": pa.string(),
        "name": pa.string(),
        "emission_um": pa.float32(),
        "excitation_um": pa.float32(),
        "illumination": pa.string(),
        "color_rgba": pa.uint32(),
    }
)
_PIXELS = pa.struct(
    {
        "dimension_order": pa.string(),
        "type": pa.string(),
        "size_x": pa.int32(),
        "size_y": pa.int32(),
        "size_z": pa.int32(),
        "size_c": pa.int16(),
        "size_t": pa.int32(),
        "physical_size_x": pa.float32(),
        "physical_size_y": pa.float32(),
        "physical_size_z": pa.float32(),
        "physical_size_x_unit": pa.string(),
        "physical_size_y_unit": pa.string(),
        "physical_size_z_unit": pa.string(),
        "channels": pa.list_(_CHANNEL),
    }
)
_GRID = pa.struct(
    {
        "order": pa.string(),
        "chunk_t": pa.int32(),
        "chunk_c": pa.int16(),
        "chunk_z": pa.int32(),
        "chunk_y": pa.int32(),
        "chunk_x": pa.int32(),
        "chunk_order": pa.string(),
    }
)
_PLACE = {
    "t": pa.int32(),
    "c": pa.int16(),
    "z": pa.int32(),
    "y": pa.int32(),
    "x": pa.int32(),
    "shape_z": pa.int32(),
    "shape_y": pa.int32(),
    "shape_x": pa.int32(),
}
_CHUNK_OF_NUMBERS = pa.struct({**_PLACE, "pixels": pa.list_(pa.uint16())})
_CHUNK_OF_BYTES = pa.struct(
    {**_PLACE, "dtype": pa.string(), "compression": pa.string(), "pixel_bytes": pa.large_binary()}
)
_PLANE = pa.struct({"z": pa.int32(), "t": pa.int32(), "c": pa.int16(), "pixels": pa.list_(pa.uint16())})


def ome_type(encoding: PixelEncoding) -> pa.StructType:
    """Arrow type of a value whose pixels are lists of numbers, or typed bytes."""
    chunk = _CHUNK_OF_NUMBERS if encoding == "planes" else _CHUNK_OF_BYTES
    return pa.struct(
        {
            "type": pa.string(),
            "version": pa.string(),
            "id": pa.string(),
            "name": pa.string(),
            "image_type": pa.string(),
            "acquisition_datetime": pa.timestamp("us"),
            "pixels_meta": _PIXELS,
            "chunk_grid": _GRID,
            "chunks": pa.list_(chunk),
            "planes": pa.list_(_PLANE),
            "masks": pa.null(),
        }
    )


@dataclass(frozen=True, slots=True)
class OmeImage:
    """Pixels (t, c, z, y, x) with what a reader needs to know of them; pixel sizes are (y, x) in µm."""

    name: str
    pixels: npt.NDArray[np.generic]
    channel_names: tuple[str | None, ...]
    pixel_size_um: tuple[float | None, float | None]


def build_ome_values(images: Sequence[OmeImage], encoding: PixelEncoding) -> pa.StructArray:
    """One OME-Arrow value per image; each (t, c, z) is a plane, or a chunk of bytes."""
    names = pa.array([image.name for image in images], pa.string())
    count = len(images)
    planes = _places(images)
    parts: dict[str, pa.Array] = {
        "type": _repeat(_TAG, count),
        "version": _repeat(_VERSION, count),
        "id": names,
        "name": names,
        "image_type": _repeat("image", count),
        "acquisition_datetime": pa.nulls(count, pa.timestamp("us")),
        "pixels_meta": _pixels_meta(images),
    }
    kind = ome_type(encoding)
    if encoding == "planes":
        parts["chunk_grid"] = pa.nulls(count, _GRID)
        parts["chunks"] = pa.nulls(count, kind.field("chunks").type)
        parts["planes"] = planes.lists(_plane_structs(images, planes))
    else:
        parts["chunk_grid"] = _grids(images)
        parts["chunks"] = planes.lists(_byte_chunks(images, planes))
        parts["planes"] = pa.array([[]] * count, kind.field("planes").type)
    parts["masks"] = pa.nulls(count)
    return pa.StructArray.from_arrays([parts[field.name] for field in kind], fields=list(kind))


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the planes of all images stand: one entry per plane, and where each image's begin."""

    offsets: npt.NDArray[np.int32]
    t: npt.NDArray[np.int32]
    c: npt.NDArray[np.int16]
    z: npt.NDArray[np.int32]

    def lists(self, values: pa.Array) -> pa.ListArray:
        return pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), values)


def _places(images: Sequence[OmeImage]) -> _Places:
    indexes = [np.indices(image.pixels.shape[:3]).reshape(3, -1) for image in images]
    offsets = np.cumsum([0, *(index.shape[1] for index in indexes)], dtype=np.int32)
    t, c, z = np.concatenate(indexes, axis=1) if indexes else np.zeros((3, 0), int)
    return _Places(offsets, t.astype(np.int32), c.astype(np.int16), z.astype(np.int32))


def _plane_structs(images: Sequence[OmeImage], places: _Places) -> pa.StructArray:
    flat = [np.ascontiguousarray(image.pixels, dtype=np.uint16).reshape(-1) for image in images]
    values = np.concatenate(flat) if flat else np.zeros(0, np.uint16)
    sizes = [
        size
        for image in images
        for size in [image.pixels.shape[3] * image.pixels.shape[4]] * _planes_of(image)
    ]
    offsets = np.cumsum([0, *sizes], dtype=np.int64)
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{offsets[-1]} pixels do not fit into one batch of lists.")
    pixels = pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32), pa.int32()), pa.array(values, pa.uint16())
    )
    arrays = [
        pa.array(places.z, pa.int32()),
        pa.array(places.t, pa.int32()),
        pa.array(places.c, pa.int16()),
        pixels,
    ]
    return pa.StructArray.from_arrays(arrays, fields=list(_PLANE))


def _byte_chunks(images: Sequence[OmeImage], places: _Places) -> pa.StructArray:
    planes = [plane for image in images for plane in image.pixels.reshape(-1, *image.pixels.shape[3:])]
    count = len(planes)
    zeros = pa.array(np.zeros(count, np.int32), pa.int32())
    parts = {
        "t": pa.array(places.t, pa.int32()),
        "c": pa.array(places.c, pa.int16()),
        "z": pa.array(places.z, pa.int32()),
        "y": zeros,
        "x": zeros,
        "shape_z": pa.array(np.ones(count, np.int32), pa.int32()),
        "shape_y": pa.array([plane.shape[0] for plane in planes], pa.int32()),
        "shape_x": pa.array([plane.shape[1] for plane in planes], pa.int32()),
        "dtype": pa.array([plane.dtype.name for plane in planes], pa.string()),
        "compression": pa.nulls(count, pa.string()),
        "pixel_bytes": pa.array([_little_endian(plane) for plane in planes], pa.large_binary()),
    }
    return pa.StructArray.from_arrays(
        [parts[field.name] for field in _CHUNK_OF_BYTES], fields=list(_CHUNK_OF_BYTES)
    )


def _little_endian(plane: npt.NDArray[np.generic]) -> bytes:
    return plane.astype(plane.dtype.newbyteorder("<"), copy=False).tobytes()


def _planes_of(image: OmeImage) -> int:
    return int(np.prod(image.pixels.shape[:3]))


def _pixels_meta(images: Sequence[OmeImage]) -> pa.Array:
    rows = []
    for image in images:
        t, c, z, y, x = image.pixels.shape
        size_y, size_x = image.pixel_size_um
        rows.append(
            {
                "dimension_order": "XYCT" if z == 1 else "XYZCT",
                "type": image.pixels.dtype.name,
                "size_x": x,
                "size_y": y,
                "size_z": z,
                "size_c": c,
                "size_t": t,
                "physical_size_x": size_x,
                "physical_size_y": size_y,
                "physical_size_x_unit": None if size_x is None else "µm",
                "physical_size_y_unit": None if size_y is None else "µm",
                "channels": [_channel(number, name) for number, name in enumerate(image.channel_names)],
            }
        )
    return pa.array(rows, _PIXELS)


def _channel(number: int, name: str | None) -> dict[str, object]:
    return {"id": f"ch-{number}", "name": name or f"C{number}", "illumination": "Unknown"}


def _grids(images: Sequence[OmeImage]) -> pa.Array:
    rows = [
        {
            "order": "TCZYX",
            "chunk_t": 1,
            "chunk_c": 1,
            "chunk_z": 1,
            "chunk_y": image.pixels.shape[3],
            "chunk_x": image.pixels.shape[4],
            "chunk_order": "ZYX",
        }
        for image in images
    ]
    return pa.array(rows, _GRID)


def _repeat(text: str, count: int) -> pa.Array:
    return pa.array([text] * count, pa.string())
