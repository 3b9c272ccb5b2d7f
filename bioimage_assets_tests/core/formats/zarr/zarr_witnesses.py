"""Independent readers of the stores that the tests scan: zarr-python, the OME-Zarr reference models, tensorstore.

zarr-python reads every array of every version. The models know OME-Zarr 0.4 and 0.5; nothing that can be installed
reads 0.1 to 0.3 (their axes are implied, or bare names), 0.6rc or labels in nested groups, so those rest on truth
written down by hand. tensorstore is used where it is installed.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import ome_zarr_models.v04 as models_v04
import ome_zarr_models.v05 as models_v05
import zarr
from pydantic import ValidationError

from bioimage_assets.core.model.image import ImageRecord, LevelRecord
from bioimage_assets.core.model.scan import StoreScan

try:
    import tensorstore
except ImportError:
    tensorstore = None

# What the readers say of a store or type that they do not know; everything else is a failure of the test.
UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    NotImplementedError,
    FileNotFoundError,
    zarr.errors.BaseZarrError,
)


def check_scan(scan: StoreScan) -> Counter[str]:
    """Compare every level of every row with zarr-python and tensorstore, every valid image with the models.

    Says how much each reader saw; AssertionError where one disagrees.
    """
    counts: Counter[str] = Counter()
    for image in scan.images:
        if not Path(image.uri).is_dir() or image.format_family == "ome-tiff":
            continue
        for level in image.levels:
            counts["zarr"] += _check_with_zarr(image, level)
            counts["tensorstore"] += _check_with_tensorstore(image, level)
        counts["models"] += _check_with_models(image)
    return counts


def _check_with_zarr(image: ImageRecord, level: LevelRecord) -> bool:
    try:
        array = zarr.open_array(image.uri, path=level.path, mode="r")
    except UNREADABLE:
        return False
    where = f"{image.uri}/{level.path}"
    assert level.shape == array.shape, where
    if level.chunk_shape is not None:
        assert level.chunk_shape == array.chunks, where
    assert level.shard_shape == array.shards, where
    if level.level == 0 and array.dtype.fields is None and array.dtype.kind in "biufc":
        assert image.dtype == array.dtype.name, where
        if image.byte_order is not None and array.metadata.zarr_format == 2:
            assert (image.byte_order == "big") == (array.dtype.byteorder == ">"), where
    return True


def _check_with_tensorstore(image: ImageRecord, level: LevelRecord) -> bool:
    if tensorstore is None:
        return False
    folder = Path(image.uri) / level.path
    driver = "zarr3" if (folder / "zarr.json").exists() else "zarr"
    try:
        array = tensorstore.open(
            {"driver": driver, "kvstore": {"driver": "file", "path": f"{folder}/"}}, open=True, read=True
        ).result()
    except UNREADABLE:
        return False
    assert level.shape == array.shape
    if level.chunk_shape is not None and 0 not in level.shape:
        assert level.chunk_shape == array.chunk_layout.read_chunk.shape
        assert (level.shard_shape or level.chunk_shape) == array.chunk_layout.write_chunk.shape
    if level.level == 0:
        assert image.dtype == array.dtype.name
    return True


def _check_with_models(image: ImageRecord) -> bool:
    """Compare axes, level paths, scales, units and channels where the models take the image's group as valid."""
    group_path = _group_of(image)
    if group_path is None:
        return False
    try:
        group = zarr.open_group(image.uri, path=group_path, mode="r")
        is_v3 = group.metadata.zarr_format == 3
        model = (models_v05 if is_v3 else models_v04).Image.from_zarr(group)
    except (*UNREADABLE, ValidationError):
        return False
    ome = model.ome_attributes if is_v3 else model.attributes
    number = int(image.image_id.rpartition("#")[2]) if "#" in image.image_id else 0
    check_multiscale(image, ome.multiscales[number], group_path)
    if getattr(ome, "omero", None) is not None:
        # The models leave this block as it is in 0.5.
        channels = (
            ome.omero["channels"] if isinstance(ome.omero, dict) else ome.omero.model_dump()["channels"]
        )
        labels = tuple(channel.get("label") for channel in channels)
        assert image.channel_names == (labels if any(labels) else None)
    return True


def _group_of(image: ImageRecord) -> str | None:
    """The innermost group above the first level that holds a multiscales block."""
    if image.image_kind == "array" or not image.levels:
        return None
    path = image.levels[0].path
    while path:
        path = path.rpartition("/")[0]
        try:
            attributes = zarr.open_group(image.uri, path=path, mode="r").attrs.asdict()
        except UNREADABLE:
            continue
        if "multiscales" in attributes.get("ome", attributes):
            return path
    return None


def check_multiscale(image: ImageRecord, multiscale: Any, group_path: str) -> None:
    """Compare a row with the model of its multiscales entry."""
    names = [axis.name for axis in multiscale.axes]
    assert image.axes == ("" if all(len(name) == 1 for name in names) else ",").join(names)
    start = f"{group_path}/" if group_path else ""
    assert [level.path for level in image.levels] == [start + item.path for item in multiscale.datasets]
    whole = _scale_of(multiscale.coordinateTransformations) or [1.0] * len(names)
    for level, item in zip(image.levels, multiscale.datasets, strict=True):
        own = _scale_of(item.coordinateTransformations)
        assert own is not None
        if min(own) <= 0:  # the models take any number
            assert level.scale is None
            continue
        assert level.scale == tuple(value * factor for value, factor in zip(own, whole, strict=True))
    units = {axis.name: axis.unit for axis in multiscale.axes}
    for axis in set(names) & set("xyz"):
        size = getattr(image, f"pixel_size_{axis}_um")
        assert (size is None) == (units[axis] is None or image.levels[0].scale is None), axis
        if units[axis] == "micrometer" and image.levels[0].scale is not None:
            assert size == image.levels[0].scale[names.index(axis)]


def _scale_of(transforms: Any) -> list[float] | None:
    return next((list(item.scale) for item in transforms or () if item.type == "scale"), None)
