"""Rows agree with what independent readers say about the same stores."""

from __future__ import annotations

from pathlib import Path

import pytest
import zarr

from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders.zarr_plates import write_pixel_array, write_pixel_plate


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("sharded", [True, False])
def test_a_walk_by_metadata_finds_the_arrays_of_a_walk_by_listing(
    tmp_path: Path, zarr_format: int, sharded: bool
) -> None:
    if zarr_format == 2 and sharded:
        pytest.skip("Zarr v2 has no shards")
    root = write_pixel_plate(
        tmp_path / "P1.zarr", zarr_format=zarr_format, sharded=sharded, rows=2, pixels=False
    )
    listed = {
        path: node
        for path, node in zarr.open_group(str(root), mode="r").members(max_depth=None)
        if isinstance(node, zarr.Array)
    }
    scan = scan_store_records(str(root))
    levels = {level.path: level for image in scan.images for level in image.levels}
    assert levels.keys() == listed.keys()
    for path, array in listed.items():
        assert (levels[path].shape, levels[path].chunk_shape) == (array.shape, array.chunks)
        assert levels[path].shard_shape == array.shards


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", ">u2", "float32", "complex64"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_data_types_are_those_of_zarr_python(tmp_path: Path, dtype: str, zarr_format: int) -> None:
    array = write_pixel_array(
        tmp_path / "a.zarr", shape=(4,), chunks=(2,), dtype=dtype, zarr_format=zarr_format
    )
    (image,) = scan_store_records(str(tmp_path / "a.zarr")).images
    assert image.dtype == array.dtype.name


@pytest.mark.slow
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_fields_read_as_bioio_reads_them(tmp_path: Path, zarr_format: int) -> None:
    reader = pytest.importorskip("bioio_ome_zarr").Reader
    root = write_pixel_plate(tmp_path / "P1.zarr", zarr_format=zarr_format, pixels=False)
    image = scan_store_records(str(root)).images[0]
    theirs = reader(str(root / "A/1/0"))
    assert tuple(theirs.shape) == image.shape
    assert tuple(theirs.channel_names) == image.channel_names
    assert image.pixel_size_x_um == theirs.physical_pixel_sizes.X
    assert theirs.dims.order.lower() == image.axes
