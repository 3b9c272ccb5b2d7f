"""Small Zarr stores with real chunks, written by zarr-python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zarr

AXES = [
    {"name": "c", "type": "channel"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def write_pixel_array(
    path: Path,
    *,
    shape: Sequence[int],
    chunks: Sequence[int],
    shards: Sequence[int] | None = None,
    zarr_format: int = 3,
    separator: str = "/",
    encoding: str = "default",
    dtype: str = "uint16",
    written: Sequence[slice] | None = None,
    index_location: str = "end",
) -> zarr.Array:
    """Write one array; ``written`` limits which part gets pixels, the rest stays absent."""
    array = zarr.create_array(
        str(path),
        shape=tuple(shape),
        chunks=tuple(chunks),
        shards={"shape": tuple(shards), "index_location": index_location} if shards else None,
        dtype=dtype,
        zarr_format=zarr_format,
        chunk_key_encoding={"name": "v2" if zarr_format == 2 else encoding, "separator": separator},
        overwrite=True,
    )
    part = tuple(written) if written is not None else tuple(slice(None) for _ in shape)
    size = array[part].shape
    array[part] = np.arange(1, 1 + int(np.prod(size)), dtype=np.int64).reshape(size).astype(dtype)
    return array


def write_pixel_plate(
    root: Path,
    *,
    zarr_format: int = 3,
    rows: int = 1,
    columns: int = 2,
    fields: int = 2,
    levels: int = 3,
    size: int = 16,
    sharded: bool = False,
    pixels: bool = True,
) -> Path:
    """Write an HCS plate with two channels, 2 x 2 chunks per plane and the given number of levels."""
    group = zarr.open_group(str(root), mode="w", zarr_format=zarr_format)

    def describe(node: zarr.Group, ome: dict[str, object]) -> None:
        node.attrs.update({"ome": {"version": "0.5", **ome}} if zarr_format == 3 else ome)

    names = [(chr(65 + row), str(column + 1)) for row in range(rows) for column in range(columns)]
    describe(
        group,
        {
            "plate": {
                "name": "P1",
                "version": "0.4",
                "wells": [{"path": f"{row}/{column}"} for row, column in names],
            }
        },
    )
    for row, column in names:
        well = group.create_group(f"{row}/{column}")
        describe(well, {"well": {"images": [{"path": str(field)} for field in range(fields)]}})
        for field in range(fields):
            image = well.create_group(str(field))
            scales = [[1.0, 0.65 * 2**level, 0.65 * 2**level] for level in range(levels)]
            datasets = [
                {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
                for level, scale in enumerate(scales)
            ]
            entry = {"name": f"{row}{column}-{field}", "version": "0.4", "axes": AXES, "datasets": datasets}
            describe(
                image, {"multiscales": [entry], "omero": {"channels": [{"label": "DNA"}, {"label": "ER"}]}}
            )
            for level in range(levels):
                extent = max(2, size >> level)
                array = image.create_array(
                    str(level),
                    shape=(2, extent, extent),
                    chunks=(1, extent // 2, extent // 2),
                    shards=(2, extent, extent) if sharded else None,
                    dtype="uint16",
                    dimension_names=("c", "y", "x") if zarr_format == 3 else None,
                    chunk_key_encoding={"name": "v2" if zarr_format == 2 else "default", "separator": "/"},
                )
                if pixels:
                    array[:] = np.arange(1, 1 + 2 * extent * extent).reshape(2, extent, extent)
    return root
