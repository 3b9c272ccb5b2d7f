"""The reader: a changed file is refused by name, what moved together is found, and nothing leads out of the declared files."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import xarray
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.codecs import TransposeCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from bioimage_assets.core.errors import (
    CorruptStoreError,
    StoreChangedError,
    StoreNotFoundError,
    UnsupportedStoreError,
    UsageError,
)
from bioimage_assets.core.virtual.ome_metadata import OmeZarrVersion, build_group_documents
from bioimage_assets.core.virtual.open import open_virtual_plate
from bioimage_assets.core.virtual.write_json import build_kerchunk_json, write_kerchunk_json
from bioimage_assets.core.virtual.write_parquet import write_kerchunk_parquet
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_named
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.core.virtual.test_virtual_zarrs import write_image
from bioimage_assets_tests.core.virtual.virtual_oracle import (
    assert_same_pixels,
    make,
    open_plate,
    plan,
    scramble,
)

FIRST = imagexpress_name("A01", 1, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plate of eighteen files of their own pixels, and its virtual plate beside it."""
    folder = write_named(tmp_path / "screen" / "plate", imagexpress_name)
    scramble(folder)
    make(str(folder), tmp_path / "screen" / "virtual" / "plate.json")
    return folder


def place_of(folder: Path) -> Path:
    return folder.parent / "virtual" / "plate.json"


def read(store: Store, path: str = "A/1/1/0") -> np.ndarray:
    return np.asarray(zarr.open_array(store, path=path, mode="r")[...])


def change_size(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def change_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\7")


def change_time(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


@pytest.mark.parametrize("change", [change_size, change_bytes, change_time, Path.unlink])
@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_changed_file_is_refused_by_name_and_the_others_read(folder: Path, change, form: str):
    images, plate = plan(str(folder), "0.4")
    target = folder.parent / ("again.json" if form == "json" else "again.parquet")
    write = write_kerchunk_json if form == "json" else write_kerchunk_parquet
    options = {"version": "0.4"} if form == "json" else {}
    write(plate, build_group_documents(images, plate, "0.4"), str(target), **options)  # type: ignore[operator]
    change(folder / FIRST)
    store = open_virtual_plate(str(target))
    with pytest.raises(StoreChangedError) as caught:
        read(store)
    text = str(caught.value)
    assert str(folder / FIRST) in text
    assert str(target) in text
    assert "expected" in text
    assert "found" in text
    assert "make the virtual plate again" in text
    np.testing.assert_array_equal(
        read(store, "A/1/2/0")[0], tifffile.imread(folder / imagexpress_name("A01", 2, 1))
    )


def test_a_file_that_changes_while_the_plate_is_open_is_refused(folder: Path):
    store = open_plate(place_of(folder))
    read(store)
    change_bytes(folder / FIRST)
    with pytest.raises(StoreChangedError, match="plate"):
        read(store)


def test_a_plate_reads_where_it_was_moved_together_with_its_virtual_plate(folder: Path, tmp_path: Path):
    expected = read(open_plate(place_of(folder)))
    shutil.move(folder.parent, tmp_path / "elsewhere")
    np.testing.assert_array_equal(
        read(open_plate(tmp_path / "elsewhere" / "virtual" / "plate.json")), expected
    )


def test_the_plate_that_lies_beside_is_read_and_not_the_one_from_which_it_was_copied(
    folder: Path, tmp_path: Path
):
    shutil.copytree(folder.parent, tmp_path / "copy")
    change_bytes(folder / FIRST)
    store = open_plate(tmp_path / "copy" / "virtual" / "plate.json")
    np.testing.assert_array_equal(read(store)[0], tifffile.imread(tmp_path / "copy" / "plate" / FIRST))


def test_an_absolute_virtual_plate_reads_from_anywhere(folder: Path, tmp_path: Path):
    make(str(folder), tmp_path / "plate.json", absolute=True)
    (tmp_path / "far" / "away").mkdir(parents=True)
    moved = shutil.move(tmp_path / "plate.json", tmp_path / "far" / "away" / "plate.json")
    np.testing.assert_array_equal(read(open_plate(moved)), read(open_plate(place_of(folder))))


def test_a_copy_that_lost_its_times_says_how_to_read_it(folder: Path, tmp_path: Path):
    shutil.copytree(folder.parent, tmp_path / "copy", copy_function=shutil.copyfile)
    target = str(tmp_path / "copy" / "virtual" / "plate.json")
    with pytest.raises(StoreChangedError, match="compare_times=False"):
        read(open_virtual_plate(target))
    np.testing.assert_array_equal(
        read(open_virtual_plate(target, compare_times=False)), read(open_plate(place_of(folder)))
    )
    change_size(tmp_path / "copy" / "plate" / FIRST)
    with pytest.raises(StoreChangedError):
        read(open_virtual_plate(target, compare_times=False))


def test_times_that_a_disk_keeps_to_the_second_are_the_same(folder: Path):
    path = folder / FIRST
    os.utime(path, ns=(0, path.stat().st_mtime_ns // 10**9 * 10**9))
    read(open_plate(place_of(folder)))
    os.utime(path, ns=(0, (path.stat().st_mtime_ns // 10**9 + 1) * 10**9))
    with pytest.raises(StoreChangedError):
        read(open_plate(place_of(folder)))


@pytest.mark.parametrize("place", ["/etc/passwd", "../../secret", "file:///etc/passwd"])
def test_a_reference_out_of_the_declared_files_is_not_followed(folder: Path, place: str):
    document = json.loads(place_of(folder).read_text())
    document["refs"]["A/1/1/0/c/0/0/0"] = [place, 0, 10]
    place_of(folder).write_text(json.dumps(document))
    with pytest.raises(CorruptStoreError, match="none of the 18 files"):
        read(open_plate(place_of(folder)))


@pytest.mark.parametrize(
    "reference", [["FILE", -1, 10], ["FILE", 0, "10"], ["FILE", 0], [], ["FILE", None, None]]
)
def test_a_reference_without_a_range_is_refused(folder: Path, reference: list[object]):
    document = json.loads(place_of(folder).read_text())
    document["refs"]["A/1/1/0/c/0/0/0"] = [
        str(folder / FIRST) if part == "FILE" else part for part in reference
    ]
    place_of(folder).write_text(json.dumps(document))
    with pytest.raises(CorruptStoreError):
        read(open_plate(place_of(folder)))


def test_a_pipe_in_the_place_of_a_file_does_not_keep_its_reader_waiting(folder: Path):
    (folder / FIRST).unlink()
    os.mkfifo(folder / FIRST)
    with pytest.raises(CorruptStoreError, match="not a regular file"):
        read(open_plate(place_of(folder)))


def test_references_of_others_are_refused(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"version": 1, "refs": {"a/0": ["/etc/passwd", 0, 10]}}')
    with pytest.raises(UnsupportedStoreError, match="reference://"):
        open_virtual_plate(str(tmp_path / "a.json"))
    (tmp_path / "b.json").write_text("not json")
    with pytest.raises(CorruptStoreError):
        open_virtual_plate(str(tmp_path / "b.json"))
    with pytest.raises(StoreNotFoundError):
        open_virtual_plate(str(tmp_path / "c.json"))


@pytest.mark.parametrize(("form", "version"), [("json", "0.5"), ("json", "0.4"), ("parquet", "0.4")])
def test_groups_and_arrays_are_listed(folder: Path, version: OmeZarrVersion, form: str):
    images, plate = plan(str(folder), version)
    groups = build_group_documents(images, plate, version)
    target = str(folder.parent / "listed")
    if form == "json":
        write_kerchunk_json(plate, groups, target, version)
    else:
        write_kerchunk_parquet(plate, groups, target)
    store = open_virtual_plate(target)
    group = zarr.open_group(store, mode="r", use_consolidated=False)
    assert sorted(name for name, _ in group.groups()) == ["A", "B"]
    assert sorted(name for name, _ in group["A"].groups()) == ["1", "2"]
    assert sorted(name for name, _ in group["A/1/1"].arrays()) == ["0"]
    keys = sorted(sync(_collect(store, "list")))
    assert keys == sorted(set(keys))
    assert sorted(sync(_collect(store, "list_prefix", "A/1/1/"))) == [
        key for key in keys if key.startswith("A/1/1/")
    ]
    assert all(sync(store.exists(key)) for key in keys)
    assert assert_same_pixels(images, plate, store) == 18


async def _collect(store: Store, name: str, *arguments: str) -> list[str]:
    return [key async for key in getattr(store, name)(*arguments)]


def test_ranges_of_chunks_and_documents_are_those_of_the_file(folder: Path):
    store = open_plate(place_of(folder))
    whole = sync(store.get("A/1/1/0/c/0/0/0", default_buffer_prototype()))
    assert whole is not None
    raw = whole.to_bytes()
    document = place_of(folder).read_text()
    text = json.loads(document)["refs"]["zarr.json"].encode()
    for key, expected in (("A/1/1/0/c/0/0/0", raw), ("zarr.json", text)):
        for wanted, part in (
            (RangeByteRequest(3, 9), slice(3, 9)),
            (OffsetByteRequest(5), slice(5, None)),
            (SuffixByteRequest(4), slice(-4, None)),
            (RangeByteRequest(10, 10**9), slice(10, None)),
        ):
            found = sync(store.get(key, default_buffer_prototype(), wanted))
            assert found is not None
            assert found.to_bytes() == expected[part]
    assert sync(store.get("A/1/1/0/c/9/9/9", default_buffer_prototype())) is None


def test_the_store_is_read_only_and_goes_to_other_processes(folder: Path):
    store = open_plate(place_of(folder))
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(read(again), read(store))
    with pytest.raises(UnsupportedStoreError):
        sync(store.set("zarr.json", default_buffer_prototype().buffer.from_bytes(b"")))
    with pytest.raises(UnsupportedStoreError):
        sync(store.delete("zarr.json"))


def test_the_same_plate_gives_the_same_bytes(folder: Path):
    images, plate = plan(str(folder))
    groups = build_group_documents(images, plate)
    texts = {build_kerchunk_json(plate, groups, str(place_of(folder))) for _ in range(2)}
    assert texts == {place_of(folder).read_text()}
    assert set(json.loads(texts.pop())) == {"version", "refs", "bioimage_assets"}


def test_an_array_without_a_document_of_the_version_is_not_written(tmp_path: Path):
    images, plate = plan(str(write_image(tmp_path / "a.zarr", 3, filters=TransposeCodec(order=(1, 2, 0)))))
    with pytest.raises(UsageError, match="0/0"):
        write_kerchunk_json(
            plate, build_group_documents(images, plate, "0.4"), str(tmp_path / "a.json"), "0.4"
        )
    assert not (tmp_path / "a.json").exists()


def test_file_names_that_json_and_templates_have_other_uses_for_read(tmp_path: Path):
    folder = write_named(tmp_path / "plate {{1}} # 50% ü 'a' \"b\"", imagexpress_name)
    scramble(folder)
    images, plate = make(str(folder), tmp_path / "plate.json")
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) == 18
    group = zarr.open_group(
        "reference://", mode="r", storage_options={"fo": str(tmp_path / "plate.json")}, zarr_format=3
    )
    np.testing.assert_array_equal(group["A/1/1/0"][0], tifffile.imread(folder / FIRST))  # type: ignore[index]


def test_a_changed_chunk_of_a_zarr_store_is_refused(tmp_path: Path):
    root = write_pixel_plate(tmp_path / "P1.zarr")
    make(str(root), tmp_path / "plate.json")
    change_time(root / "A/1/0/0/c/0/0/0")
    with pytest.raises(StoreChangedError, match="A/1/0/0/c/0/0/0"):
        read(open_plate(tmp_path / "plate.json"), "A/1/0/0")
    read(open_plate(tmp_path / "plate.json"), "A/2/0/0")


@pytest.mark.slow
def test_xarray_opens_the_plate_in_processes_of_dask(folder: Path):
    dataset = xarray.open_zarr(open_plate(place_of(folder)), group="A/1/1", consolidated=False, chunks={})
    found = dataset["0"].compute(scheduler="processes", num_workers=1).values
    np.testing.assert_array_equal(found, read(open_plate(place_of(folder))))
