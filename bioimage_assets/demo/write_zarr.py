"""Writes an OME-Zarr HCS plate: version 0.4 on Zarr v2, or 0.5 on Zarr v3 with sharding.

Specifications: https://ngff.openmicroscopy.org/0.4/ and https://ngff.openmicroscopy.org/0.5/. Wells and
fields are separate groups, so that several processes may write one plate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from bioimage_assets.core.model.identity import row_letters
from bioimage_assets.demo.acquisition import FieldTaken, locate_field
from bioimage_assets.demo.plan import FieldImages, PlatePlan, WrittenFiles
from bioimage_assets.demo.pyramid import build_image_pyramid, build_label_pyramid, count_levels
from bioimage_assets.demo.render import CHANNELS, PIXEL_SIZE_UM

CHANNEL_COLORS = ("0000FF", "00FF00", "FFFF00", "FF8000", "FF0000")
CHANNEL_WINDOW_END = 8_000
ACQUISITION_ID = 0


def write_plate_group(store: Path, plan: PlatePlan) -> None:
    """Write the root group with the ``plate`` document."""
    rows, columns = range(plan.size.row_count), range(plan.size.column_count)
    plate = {
        "name": plan.plate,
        "field_count": plan.size.site_count,
        "acquisitions": [{"id": ACQUISITION_ID, "maximumfieldcount": plan.size.site_count}],
        "rows": [{"name": row_letters(row)} for row in rows],
        "columns": [{"name": str(column + 1)} for column in columns],
        "wells": [
            {
                "path": f"{row_letters(well.row)}/{well.column + 1}",
                "rowIndex": well.row,
                "columnIndex": well.column,
            }
            for well in plan.wells
        ],
    }
    # 0.5 also lets the plate repeat the version, and readers warn where it does not
    _write_group(store, plan, {"plate": {"version": "0.4" if _is_v2(plan) else "0.5", **plate}})
    for row in rows:
        _write_group(store / row_letters(row), plan, {})


def write_well_group(store: Path, plan: PlatePlan, well_index: int) -> None:
    """Write the group of one well with the ``well`` document."""
    images = [{"path": str(site), "acquisition": ACQUISITION_ID} for site in range(plan.size.site_count)]
    _write_group(_well_path(store, plan, well_index), plan, {"well": _versioned(plan, {"images": images})})


def write_field(
    store: Path, plan: PlatePlan, well_index: int, site: int, images: FieldImages
) -> WrittenFiles:
    """Write one field with its pyramid and the labels ``cells`` and ``nuclei``."""
    field = _well_path(store, plan, well_index) / str(site)
    level_count = count_levels(plan.size.field_px)
    taken = locate_field(plan, well_index, site)
    name = f"{plan.wells[well_index].well_id}:{site}"
    attributes = {
        "multiscales": [_multiscales(plan, name, "cyx", level_count, taken)],
        "omero": _omero(plan),
    }
    _write_group(field, plan, attributes)
    for level, pixels in enumerate(build_image_pyramid(images.pixels, level_count)):
        _write_array(field / str(level), plan, pixels, "cyx")
    _write_group(field / "labels", plan, {"labels": ["cells", "nuclei"]})
    for name, labels in (("cells", images.cells), ("nuclei", images.nuclei)):
        group = field / "labels" / name
        document = _versioned(plan, {"source": {"image": "../../"}})
        _write_group(
            group,
            plan,
            {"multiscales": [_multiscales(plan, name, "yx", level_count, taken)], "image-label": document},
        )
        for level, level_labels in enumerate(build_label_pyramid(labels, level_count)):
            _write_array(group / str(level), plan, level_labels, "yx")
    file_name = f"{plan.store_name}/{field.relative_to(store).as_posix()}"
    return WrittenFiles((file_name,) * len(CHANNELS))


def _well_path(store: Path, plan: PlatePlan, well_index: int) -> Path:
    well = plan.wells[well_index]
    return store / row_letters(well.row) / str(well.column + 1)


def _is_v2(plan: PlatePlan) -> bool:
    return plan.layout == "ome-zarr-0.4"


def _versioned(plan: PlatePlan, document: Mapping[str, Any]) -> dict[str, Any]:
    """Add the version that 0.4 keeps in each document; 0.5 has it once, under ``ome``."""
    return {"version": "0.4", **document} if _is_v2(plan) else dict(document)


def _write_group(path: Path, plan: PlatePlan, attributes: Mapping[str, Any]) -> None:
    if _is_v2(plan):
        zarr.create_group(path, zarr_format=2, attributes=dict(attributes))
    else:
        document = {"ome": {"version": "0.5", **attributes}} if attributes else {}
        zarr.create_group(path, zarr_format=3, attributes=document)


def _multiscales(
    plan: PlatePlan, name: str, axes: str, level_count: int, taken: FieldTaken
) -> dict[str, Any]:
    """The scale of each level, and as translation the place of the field on the stage."""
    place = {"c": 0.0, "y": taken.y_um, "x": taken.x_um}
    spatial = {"type": "space", "unit": "micrometer"}
    levels = []
    for level in range(level_count):
        scale = [1.0 if axis == "c" else PIXEL_SIZE_UM * 2**level for axis in axes]
        transformations = [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": [place[axis] for axis in axes]},
        ]
        levels.append({"path": str(level), "coordinateTransformations": transformations})
    document = {
        "name": name,
        "axes": [{"name": axis, **({"type": "channel"} if axis == "c" else spatial)} for axis in axes],
        "datasets": levels,
        "type": "mean" if "c" in axes else "nearest",
    }
    return _versioned(plan, document)


def _omero(plan: PlatePlan) -> dict[str, Any]:
    window = {"min": 0, "max": 65_535, "start": 0, "end": CHANNEL_WINDOW_END}
    channels: Sequence[Mapping[str, Any]] = [
        {"label": label, "color": color, "active": True, "window": window}
        for label, color in zip(CHANNELS, CHANNEL_COLORS, strict=True)
    ]
    return _versioned(plan, {"channels": channels})


def _write_array(path: Path, plan: PlatePlan, data: NDArray[np.uint16], axes: str) -> None:
    """Chunks are one channel of `chunk_px` squared; in 0.5 a shard holds all chunks of the image."""
    chunks = tuple(1 if axis == "c" else plan.size.chunk_px for axis in axes)
    if _is_v2(plan):
        array = zarr.create_array(
            path,
            shape=data.shape,
            dtype=data.dtype,
            chunks=chunks,
            zarr_format=2,
            compressors=numcodecs.Blosc("zstd", clevel=5, shuffle=numcodecs.Blosc.SHUFFLE),
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
    else:
        shards = tuple(-(-length // chunk) * chunk for length, chunk in zip(data.shape, chunks, strict=True))
        array = zarr.create_array(
            path,
            shape=data.shape,
            dtype=data.dtype,
            chunks=chunks,
            shards=shards,
            zarr_format=3,
            compressors=BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"),
            dimension_names=list(axes),
        )
    array[...] = data
