"""Virtual plates without references, of hand-made rows: what is tested with them is names and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import zarr
from zarr.storage import MemoryStore

from bioimage_assets.core.tables.schemas import IMAGE_ASSETS
from bioimage_assets.core.virtual.image_paths import build_image_paths
from bioimage_assets.core.virtual.model import ChunkRefs, VirtualArray, VirtualImage, VirtualPlate

_REQUIRED = {
    "plate_key": "d/P1", "dataset_id": "d", "image_kind": "image", "format_family": "ome-tiff", "storage_variant": "ome-tiff",
    "uri": "/data/a.tif", "shape": [2, 8, 8], "axes": "cyx", "dtype": "uint16", "level_count": 1, "fingerprint": "f",
    "scan_status": "ok",
}  # fmt: skip


def make_rows(*rows: Mapping[str, object]) -> pa.Table:
    """Rows of ``image_assets``; what is not given is that of a two-channel image without a well."""
    return pa.Table.from_pylist([{**_REQUIRED, **row} for row in rows], schema=IMAGE_ASSETS)


def make_field(well: str | None, site: str | None, **more: object) -> dict[str, object]:
    """One field of plate P1."""
    acquisition = more.get("acquisition_id")
    parts = ("P1", well, site, acquisition)
    image_id = ":".join(str(part) for part in parts if part is not None)
    return {"image_id": image_id, "well_id": well, "site_id": site, **more}


def make_levels(shapes: Sequence[Sequence[int]], scales: Sequence[Sequence[float]] | None = None) -> list[dict[str, object]]:  # fmt: skip
    """Levels as the catalogue has them."""
    return [
        {"level": n, "path": str(n), "shape": list(shape), "scale": list(scales[n]) if scales else None}
        for n, shape in enumerate(shapes)
    ]


def build_shell(image_assets: pa.Table) -> VirtualPlate:
    """The plate that these rows would give, each array without a chunk."""
    paths = build_image_paths(image_assets)
    rows = [row for row in image_assets.to_pylist() if row["image_id"] in paths]
    images = (_build_image(paths[row["image_id"]], row) for row in rows)
    return VirtualPlate("P1", tuple(images), ())


def _build_image(path: str, row: Mapping[str, object]) -> VirtualImage:
    levels = row["levels"] or [{"shape": row["shape"]}]
    arrays = (
        _build_array(f"{path}/{number}", str(row["axes"]), level["shape"], str(row["dtype"]))
        for number, level in enumerate(levels)
    )
    return VirtualImage(path, str(row["image_id"]), tuple(arrays))


def _build_array(path: str, axes: str, shape: Sequence[int], dtype: str) -> VirtualArray:
    if "s" in axes:  # samples become channels
        order = [axes.index(axis) for axis in "tszyx" if axis in axes]
        shape, axes = (
            [shape[position] for position in order],
            "".join(axes[p] for p in order).replace("s", "c"),
        )
    none = np.zeros(0, np.int64)
    refs = ChunkRefs(np.zeros((0, len(shape)), np.int32), none.astype(np.int32), none, none)
    return VirtualArray(path, tuple(shape), tuple(shape), dtype, tuple(axes), None, None, refs)


def write_shell(plate: VirtualPlate, groups: Mapping[str, Mapping[str, object]], version: str) -> zarr.Group:
    """The plate in memory, its arrays empty, written by zarr-python: what other libraries then say of the documents."""
    store, zarr_format = MemoryStore(), 3 if version == "0.5" else 2
    for path, attributes in groups.items():
        group = zarr.open_group(store, path=path, mode="a", zarr_format=zarr_format)  # type: ignore[arg-type]
        group.attrs.update(dict(attributes))
    for image in plate.images:
        for array in image.arrays:
            zarr.create_array(
                store, name=array.path, shape=array.shape, chunks=array.chunk_shape, dtype=array.dtype,
                zarr_format=zarr_format, dimension_names=array.axes if version == "0.5" else None,
                chunk_key_encoding=None if version == "0.5" else {"name": "v2", "separator": "/"},
            )  # type: ignore[call-overload]  # fmt: skip
    return zarr.open_group(store, mode="r", zarr_format=zarr_format)  # type: ignore[arg-type]
