"""Tiny image stores for the registration tests."""

from pathlib import Path

import numpy as np
import tifffile
import zarr


def write_zarr_image(path: Path, size: int = 8) -> Path:
    """An OME-Zarr image (NGFF 0.4) of two channels and two levels, four chunks in the first."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    for level in range(2):
        side = size >> level
        array = group.create_array(
            str(level), shape=(2, side, side), chunks=(1, size // 2, side), dtype="uint16"
        )
        array[...] = np.arange(2 * side * side, dtype="uint16").reshape(2, side, side)
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [{"type": "scale", "scale": [1, 2**level, 2**level]}],
        }
        for level in range(2)
    ]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def write_tiff(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.zeros((16, 16), "uint8"), ome=True, metadata={"axes": "YX"})
    return path
