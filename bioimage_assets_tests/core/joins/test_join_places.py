"""Boxes, levels and chunks: the arithmetic between a cell and its stored pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from zarr.storage import LocalStore, ObjectStore

from bioimage_assets.core.errors import (
    ContractError,
    CorruptStoreError,
    StoreError,
    StoreNotFoundError,
    UnsupportedStoreError,
)
from bioimage_assets.core.joins.chunk_fan_out import join_chunks
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.pixels.boxes import (
    BoxColumns,
    PixelBox,
    find_box_columns,
    find_level_step,
    read_box,
)
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import locate
from bioimage_assets.core.pixels.location import box_in_um, read_geometry
from bioimage_assets.core.pixels.planes import read_plane
from bioimage_assets.core.stores.pixel_store import CountedStore, ReadCount, open_pixel_store
from bioimage_assets_tests.core.joins.join_builders import image_row, write_small_plate


@pytest.mark.parametrize(
    ("full", "level", "step"),
    [
        (100, 100, 1),
        (100, 50, 2),
        (101, 51, 2),
        (101, 50, 2),
        (1_080, 68, 16),
        (100, 7, 16),
        (90, 30, 3),
        (100, 34, 3),
        (100, 60, None),
        (10, 20, None),
    ],
)
def test_a_level_was_made_by_a_power_of_two_where_one_fits_and_by_a_whole_number_else(
    full: int, level: int, step: int | None
) -> None:
    assert find_level_step(full, level) == step


def test_a_scaled_box_covers_what_it_covered_and_never_nothing() -> None:
    assert PixelBox(10, 10, 3, 4).scaled((100, 50), (100, 25)) == PixelBox(5, 6, 0, 1)
    assert PixelBox(9, 13, 97, 100).scaled((100, 50), (100, 50)) == PixelBox(4, 7, 48, 50)
    assert PixelBox(0, 100, 99, 100).scaled((100, 60), (100, 60)) == PixelBox(0, 60, 59, 60)
    assert PixelBox(100, 100, 200, 210).scaled((100, 50), (100, 50)) == PixelBox(49, 50, 49, 50)


def test_a_padded_box_is_larger_on_every_side_and_a_clipped_one_ends_at_the_image() -> None:
    box = PixelBox(2, 5, 90, 99).padded(3)
    assert box == PixelBox(-1, 8, 87, 102)
    assert box.clipped(6, 100) == PixelBox(0, 6, 87, 100)
    assert PixelBox(20, 30, -9, -2).clipped(10, 10) == PixelBox(10, 10, 0, 0)


def test_a_centre_lies_in_the_middle_of_a_box_of_whole_pixels() -> None:
    centre = BoxColumns(("y", "x"), True)
    assert read_box({"y": 10, "x": 20.0}, centre, 5) == PixelBox(8, 13, 18, 23)
    assert read_box({"y": 10.5, "x": 0.0}, centre, 4) == PixelBox(9, 13, -2, 2)
    bounds = BoxColumns(("a", "b", "c", "d"), False)
    assert read_box({"a": 1.5, "b": 2.0, "c": 3.2, "d": 4.0}, bounds) == PixelBox(1, 4, 2, 4)
    for odd in (None, "7", float("nan"), float("inf")):
        with pytest.raises(ContractError, match="finite numbers"):
            read_box({"y": 1.0, "x": odd}, centre)


def test_bounds_come_before_centres_and_the_named_compartment_is_the_only_one() -> None:
    bounds = [f"Nuclei_AreaShape_BoundingBox{end}imum_{axis}" for end in ("Min", "Max") for axis in "YX"]
    centres = ["Cells_Location_Center_Y", "Cells_Location_Center_X"]
    assert find_box_columns([*bounds, *centres]) == BoxColumns(tuple(bounds), False)
    assert find_box_columns([*bounds, *centres], "Cells") == BoxColumns(tuple(centres), True)
    with pytest.raises(ContractError, match="Cytoplasm"):
        find_box_columns([*bounds, *centres], "Cytoplasm")
    with pytest.raises(ContractError):
        find_box_columns([*bounds[:3], centres[0]])


def test_joined_rows_are_repeated_for_their_chunks_and_kept_without_any() -> None:
    joined = pa.table(
        {
            "dataset_id": ["d", "d", None],
            "image_id": ["a", "b", "a"],
            "chunk_key": [1, 2, 3],
            "chunk_chunk_key": [0, 0, 0],
        }
    )
    chunks = pa.table(
        {
            "dataset_id": ["d"] * 3,
            "image_id": ["a", "a", "a"],
            "level": [0, 0, 1],
            "chunk_key": ["0/0", "0/1", "0/0"],
        }
    )
    result = join_chunks(joined, chunks)
    assert result.column_names == [*joined.column_names, "chunk_chunk_key_2"]
    assert result["chunk_chunk_key_2"].to_pylist() == ["0/0", "0/1", None, None]
    assert result["chunk_key"].to_pylist() == [1, 1, 2, 3]
    assert result.schema.metadata == {b"bioimage_assets.chunk_fan_out": b"4 rows from 3 profile rows"}


def test_chunks_of_the_seeds_form_are_found_by_array_path_too_where_both_have_one() -> None:
    joined = pa.table({"dataset_id": ["d", "d"], "image_id": ["a", "a"], "array_path": ["0", "1"]})
    chunks = pa.table({"dataset_id": ["d"], "image_id": ["a"], "array_path": ["1"], "chunk_key": ["k"]})
    assert join_chunks(joined, chunks)["chunk_key"].to_pylist() == [None, "k"]
    bare = joined.drop_columns(["array_path"])
    assert join_chunks(bare, chunks)["chunk_key"].to_pylist() == ["k", "k"]
    assert join_chunks(joined.slice(0, 0), chunks).num_rows == 0


@pytest.mark.parametrize(
    ("count", "axes"),
    [(2, ("y", "x")), (3, ("z", "y", "x")), (5, tuple("tczyx")), (6, ("d0", "d1", "d2", "d3", "y", "x"))],
)
def test_a_bare_array_without_axes_has_those_of_its_last_dimensions(
    count: int, axes: tuple[str, ...]
) -> None:
    geometry = read_geometry(image_row(shape=[4] * count, axes=None))
    assert geometry.axes == axes
    assert geometry.axis("y") == count - 2
    assert geometry.axis("q") is None


def test_a_box_in_micrometres_needs_both_pixel_sizes() -> None:
    box = PixelBox(2, 4, 10, 20)
    known = read_geometry(image_row(pixel_size_y_um=0.5, pixel_size_x_um=2.0))
    assert box_in_um(known, box) == (1.0, 2.0, 20.0, 40.0)
    for name in ("pixel_size_y_um", "pixel_size_x_um"):
        half = image_row(**{"pixel_size_y_um": 0.5, "pixel_size_x_um": 2.0} | {name: None})
        assert box_in_um(read_geometry(half), box) is None


def test_a_store_that_was_handed_over_stays_open_and_an_array_that_cannot_be_opened_is_named(
    tmp_path: Path,
) -> None:
    plate = write_small_plate(tmp_path)
    location = locate(join_plate(plate.images, plate.cells).table().to_pylist()[0], image_assets=plate.images)
    closed: list[bool] = []

    class Handed(LocalStore):
        def close(self) -> None:
            closed.append(True)
            super().close()

    store = Handed(plate.store)
    expected = plate.pixels[location.image_id][:, 5:25, 7:25]
    for _ in range(2):
        np.testing.assert_array_equal(read_crop(location, store=store), expected)
    assert closed == []
    document = plate.store / location.array_path / "zarr.json"
    good = document.read_text()
    document.write_text(json.dumps(json.loads(good) | {"data_type": "no such type"}))
    with pytest.raises(CorruptStoreError, match=f"Array '{location.array_path}' of store"):
        read_crop(location)
    document.unlink()
    with pytest.raises(StoreNotFoundError, match="does not exist"):
        read_crop(location)
    document.symlink_to(document)  # a loop
    with pytest.raises(StoreError, match=f"Array '{location.array_path}' of store '.*' cannot be opened"):
        read_crop(location)


def _series(tmp_path: Path) -> dict[str, object]:
    files = [
        {"path": f"T{t}/{well}.tif", "channel": "DNA", "role": "image", "c": 0, "t": t, "ifd": 0}
        for t, well in enumerate(("a", "b", "a"))
    ]
    return image_row(
        uri=str(tmp_path),
        files=files,
        format_family="ome-tiff",
        axes="tcyx",
        shape=[3, 1, 64, 64],
        channel_names=["DNA"],
    )


@pytest.mark.parametrize(
    ("named", "plane"),
    [
        ({"FileName_DNA": "b.tif"}, 1),
        ({"FileName_DNA": "a.tif"}, None),
        ({"FileName_DNA": "a.tif", "PathName_DNA": "/x/T2"}, 2),
        ({"FileName_DNA": "T0/a.tif"}, 0),
        ({"FileName_DNA": "c.tif"}, None),
        ({"FileName_DNA": "a.tif", "PathName_DNA": "/x/T2", "FileName_ER": "T2/a.tif"}, 2),
        ({"FileName_DNA": "b.tif", "FileName_ER": "z.tif"}, 1),
    ],
)
def test_the_files_that_a_row_names_say_its_time_point_where_they_agree(
    tmp_path: Path, named: dict[str, str], plane: int | None
) -> None:
    assert read_plane(named, read_geometry(_series(tmp_path)), "t") == plane


def test_a_store_that_is_not_there_is_named_and_one_in_a_bucket_is_opened_for_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match=f"Store '{tmp_path}/nowhere.zarr' does not exist"):
        open_pixel_store(f"{tmp_path}/nowhere.zarr")
    options = {"skip_signature": "true", "region": "us-east-1"}
    store = open_pixel_store("s3://bucket/a.zarr", options)
    assert store.read_only
    assert isinstance(store, ObjectStore)
    assert store.store.config == {"bucket": "bucket", **options}
    for name in ("a.ozx", "a.ZARR.ZIP"):
        with pytest.raises(UnsupportedStoreError):
            open_pixel_store(f"s3://bucket/{name}", options)


def test_reads_are_counted_through_every_form_of_the_store(tmp_path: Path) -> None:
    count = ReadCount()
    store = CountedStore(LocalStore(tmp_path), count)
    again = store.with_read_only(True)
    assert isinstance(again, CountedStore)
    assert again._count is count
    count.add("c/0", 5)
    count.add("c/1", 7)
    assert (count.pieces, count.stored_bytes, count.keys) == (2, 12, ["c/0", "c/1"])
