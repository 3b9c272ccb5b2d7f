"""OME-Arrow values: made, scanned, and carried through a join with type, values and nulls."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile

from bioimage_assets.core.errors import MissingExtraError
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.pixels.ome_arrow import create_ome_arrow, scan_ome_arrow
from bioimage_assets_tests.core.joins.join_builders import plate_images


def test_a_missing_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ome_arrow", None)
    with pytest.raises(MissingExtraError, match="require the optional ome-arrow extra"):
        create_ome_arrow("x.tif")
    with pytest.raises(MissingExtraError, match=r"bioimage_assets\[ome-arrow\]"):
        scan_ome_arrow("x.tif")


@pytest.mark.slow
def test_an_ome_arrow_column_passes_through_join_and_parquet_unchanged(tmp_path) -> None:
    pytest.importorskip("ome_arrow")
    pixels = np.arange(2 * 8 * 9, dtype=np.uint16).reshape(2, 8, 9)
    tifffile.imwrite(tmp_path / "image.ome.tiff", pixels, metadata={"axes": "CYX"}, photometric="minisblack")
    created = create_ome_arrow(str(tmp_path / "image.ome.tiff"))
    assert scan_ome_arrow(str(tmp_path / "image.ome.tiff")).is_lazy
    value = created.data
    column = pa.array([value.as_py(), None, value.as_py()], value.type)
    profiles = pa.table(
        {"Metadata_Well": ["A01", "B02", "Z9"], "Metadata_Site": ["0"] * 3, "ome_arrow_image": column}
    )
    pq.write_table(profiles, tmp_path / "cells.parquet")
    result = join_plate(plate_images(), tmp_path / "cells.parquet", plate_key="ds/P1", dataset_id="ds")
    result.write_parquet(tmp_path / "joined.parquet")
    before = pq.read_table(tmp_path / "cells.parquet")["ome_arrow_image"]
    after = pq.read_table(tmp_path / "joined.parquet")["ome_arrow_image"]
    assert after.type == before.type == value.type
    assert after.to_pylist() == before.to_pylist() == column.to_pylist()
    assert result.table()["ome_arrow_image"].combine_chunks().equals(before.combine_chunks())
