"""Writes generated plates with planted faults as stores: one-channel TIFFs, or an OME-Zarr plate with a pyramid of means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
import zarr

from bioimage_assets_tests.builders.quality_plates import CHANNELS, PlateDesign, make_planes


def write_tiff_fields(folder: Path, design: PlateDesign) -> Path:
    """Files as MetaXpress names them, one strip each."""
    folder.mkdir(parents=True)
    for plane in make_planes(design):
        channel = CHANNELS.index(plane.channel) + 1
        name = f"{folder.name}_{plane.well}_s{plane.field}_w{channel}.tif"
        tifffile.imwrite(folder / name, plane.pixels, rowsperstrip=plane.pixels.shape[0])
    return folder


def write_zarr_plate(store: Path, design: PlateDesign) -> Path:
    """An HCS plate of OME-Zarr 0.4; each plane of each level is one chunk, level 1 has means of 2 x 2 pixels."""
    root = zarr.open_group(store, mode="w", zarr_format=2)
    wells = [(well, f"{well[0]}/{int(well[1:])}") for well in design.wells]
    rows, columns = sorted({path[0] for _, path in wells}), sorted({path[2:] for _, path in wells}, key=int)
    root.attrs["plate"] = {
        "version": "0.4", "name": store.stem, "rows": [{"name": name} for name in rows],
        "columns": [{"name": name} for name in columns], "field_count": design.fields,
        "wells": [{"path": path, "rowIndex": rows.index(path[0]), "columnIndex": columns.index(path[2:])} for _, path in wells],
    }  # fmt: skip
    for _, path in wells:
        group = root.create_group(path)
        group.attrs["well"] = {"version": "0.4", "images": [{"path": str(n)} for n in range(design.fields)]}
    paths = dict(wells)
    pixels: dict[str, list[np.ndarray]] = {}
    for plane in make_planes(design):
        pixels.setdefault(f"{paths[plane.well]}/{plane.field - 1}", []).append(plane.pixels)
    for path, planes in pixels.items():
        _write_field(root.create_group(path), np.stack(planes))
    return store


def _write_field(group: zarr.Group, pixels: np.ndarray) -> None:
    channels, height, width = pixels.shape
    half = pixels.reshape(channels, height // 2, 2, width // 2, 2).mean((2, 4)).round().astype(np.uint16)
    for level, data in enumerate((pixels, half)):
        group.create_array(str(level), data=data, chunks=(1, *data.shape[1:]), compressors=None)
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [{"type": "scale", "scale": [1, 2**level, 2**level]}],
        }
        for level in (0, 1)
    ]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    group.attrs["omero"] = {"channels": [{"label": name} for name in CHANNELS]}
