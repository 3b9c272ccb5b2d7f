"""Pixels are cut from regular files: nothing that a handed-over store holds keeps a reader waiting."""

import os

import numpy as np
import pytest
import zarr

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.stores.pixel_store import open_pixel_store, open_tiff


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shards", [None, (4, 4)])
def test_a_pipe_in_place_of_a_chunk_does_not_block_who_cuts_pixels(tmp_path, shards):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(8, 8), chunks=(2, 2), shards=shards, dtype="u1")
    array[:] = np.arange(64).reshape(8, 8)
    chunk = tmp_path / "a.zarr/c/0/0"
    chunk.unlink()
    os.mkfifo(chunk)
    found = zarr.open_array(open_pixel_store(str(tmp_path / "a.zarr")), mode="r")
    with pytest.raises(CorruptStoreError, match="not a regular file"):
        found[:2, :2]
    assert found[4:6, 4:6].tolist() == [[36, 37], [44, 45]]


@pytest.mark.timeout(60)
def test_a_pipe_in_place_of_a_tiff_does_not_block_who_cuts_pixels(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(CorruptStoreError, match="no regular file"):
        open_tiff(str(tmp_path / "a.tif"))
