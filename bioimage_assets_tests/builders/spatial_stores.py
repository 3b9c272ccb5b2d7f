"""SpatialData stores as the package ``spatialdata`` writes them, in both of its container formats, with zarr-python only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import zarr


def write_spatial_data(
    root: Path,
    *,
    images: Mapping[str, Sequence[str]],
    labels: Mapping[str, Sequence[str]],
    zarr_format: int = 2,
    size: int = 16,
) -> Path:
    """Write a store; ``images`` and ``labels`` map element names to the coordinate systems that they lie in."""
    group = zarr.open_group(str(root), mode="w", zarr_format=zarr_format)
    group.attrs["spatialdata_attrs"] = {"version": "0.1", "spatialdata_software_version": "0.4.0"}
    for name, systems in images.items():
        _write_raster(group, f"images/{name}", systems, size, is_label=False)
    for name, systems in labels.items():
        _write_raster(group, f"labels/{name}", systems, size, is_label=True)
    if labels:
        _describe(group["labels"], {"labels": list(labels)}, zarr_format)  # type: ignore[arg-type]
    points = group.create_group("points/transcripts")
    points.attrs.update(
        {"encoding-type": "ngff:points", "axes": ["x", "y"], "spatialdata_attrs": {"version": "0.1"}}
    )
    (root / "points/transcripts/points.parquet").mkdir()
    (root / "points/transcripts/points.parquet/part.0.parquet").write_bytes(b"PAR1")
    shapes = group.create_group("shapes/circles")
    shapes.attrs.update(
        {"encoding-type": "ngff:shapes", "axes": ["x", "y"], "spatialdata_attrs": {"version": "0.2"}}
    )
    (root / "shapes/circles/shapes.parquet").write_bytes(b"PAR1")
    table = group.create_group("tables/table")
    table.attrs.update(
        {
            "encoding-type": "anndata",
            "spatialdata-encoding-type": "ngff:regions_table",
            "region": list(labels),
        }
    )
    table.create_array("X", shape=(4, 3), chunks=(4, 3), dtype="float32")[:] = 1
    return root


def _write_raster(root: zarr.Group, path: str, systems: Sequence[str], size: int, *, is_label: bool) -> None:
    group = root.create_group(path)
    names = "yx" if is_label else "cyx"
    axes = [
        {
            "name": name,
            "type": "channel" if name == "c" else "space",
            **({} if name == "c" else {"unit": "unit"}),
        }
        for name in names
    ]
    inner = {"name": names, "axes": axes}
    placed = [
        {
            "type": "affine",
            "affine": np.eye(len(names) + 1)[:-1].tolist(),
            "input": inner,
            "output": {"name": system, "axes": axes},
        }
        if number
        else {
            "type": "scale",
            "scale": [2.0] * len(names),
            "input": inner,
            "output": {"name": system, "axes": axes},
        }
        for number, system in enumerate(systems)
    ]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [{"type": "scale", "scale": [float(2**level)] * len(names)}],
        }
        for level in range(2)
    ]
    entry = {
        "name": f"/{path}",
        "version": "0.4",
        "axes": axes,
        "datasets": datasets,
        "coordinateTransformations": placed,
    }
    ome: dict[str, object] = {"multiscales": [entry]}
    if is_label:
        ome["image-label"] = {"version": "0.4"}
    else:
        ome["omero"] = {"channels": [{"label": 0}, {"label": 1}]}
    zarr_format = root.metadata.zarr_format
    _describe(group, ome, zarr_format)
    group.attrs["spatialdata_attrs"] = {"version": "0.2"}
    for level in range(2):
        shape = (*((2,) if not is_label else ()), size >> level, size >> level)
        array = group.create_array(
            str(level), shape=shape, chunks=shape, dtype="uint16",
            chunk_key_encoding={"name": "v2" if zarr_format == 2 else "default", "separator": "/"},
        )  # fmt: skip
        array[:] = 1


def _describe(group: zarr.Group, ome: dict[str, object], zarr_format: int) -> None:
    group.attrs.update({"ome": {"version": "0.5-dev-spatialdata", **ome}} if zarr_format == 3 else ome)
