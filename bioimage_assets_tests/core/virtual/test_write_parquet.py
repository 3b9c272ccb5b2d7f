"""Virtual plates as Parquet references: read by fsspec alone, the same bytes each time, replaced whole."""

import multiprocessing
import os
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray
import zarr
from fsspec.implementations.reference import LazyReferenceMapper
from ome_zarr_models.v04.hcs import HCS

from bioimage_assets.core.errors import BioimageError, StoreError, UsageError
from bioimage_assets.core.storage.replace_whole import replace_folder
from bioimage_assets.core.virtual import write_parquet
from bioimage_assets.core.virtual.model import VirtualArray, VirtualImage, VirtualPlate
from bioimage_assets.core.virtual.ome_metadata import build_group_documents
from bioimage_assets.core.virtual.open import open_virtual_plate
from bioimage_assets.core.virtual.write_parquet import write_kerchunk_parquet
from bioimage_assets_tests.core.virtual.raw_plates import make_raw_plate, pixels_of


def write(folder: Path, **options) -> Path:
    rows, plate = make_raw_plate(folder / "screen", whole_files=options.pop("whole_files", False))
    target = folder / "virtual" / "P1.parquet"
    write_kerchunk_parquet(plate, build_group_documents(rows, plate, "0.4"), str(target), **options)
    return target


def open_with_fsspec(target: Path) -> zarr.Group:
    """As docs/virtual-plates.md says: the engine of the mapper is fastparquet unless pyarrow is asked for."""
    refs = LazyReferenceMapper(str(target), fs=fsspec.filesystem("file"), engine="pyarrow")
    files = fsspec.filesystem("reference", fo=refs, remote_protocol="file", asynchronous=True)
    return zarr.open_group(zarr.storage.FsspecStore(files, read_only=True), mode="r", zarr_format=2)


def list_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("whole_files", [False, True])
def test_fsspec_alone_reads_every_pixel(tmp_path, whole_files):
    root = open_with_fsspec(write(tmp_path, absolute=True, whole_files=whole_files))
    assert np.array_equal(root["A/1/0/0"][:], pixels_of(0))
    assert np.array_equal(root["B/3/0/0"][:], pixels_of(1)), "a chunk that is not stored reads as zero"


@pytest.mark.parametrize("absolute", [False, True])
def test_a_plate_that_moved_with_its_files_is_read_unless_they_were_to_stay(tmp_path, absolute):
    target = write(tmp_path / "here", absolute=absolute)
    os.rename(tmp_path / "here", tmp_path / "there")
    moved = str(tmp_path / "there" / target.relative_to(tmp_path / "here"))
    if absolute:
        with pytest.raises(StoreError, match="A01 50%"):
            zarr.open_group(open_virtual_plate(moved), mode="r")["A/1/0/0"][:]
        return
    root = zarr.open_group(open_virtual_plate(moved), mode="r")
    assert np.array_equal(root["A/1/0/0"][:], pixels_of(0))


def test_the_plate_satisfies_the_model_of_ome_zarr_0_4(tmp_path):
    plate = HCS.from_zarr(open_with_fsspec(write(tmp_path, absolute=True)))
    assert [well.attributes.well.images[0].path for well in plate.well_groups] == ["0", "0"]


def test_xarray_opens_an_image_of_it(tmp_path):
    root = open_with_fsspec(write(tmp_path, absolute=True))
    array = xarray.DataArray(root["A/1/0/0"][:], dims=("c", "y", "x"))
    assert int(array.sel(c=1).sum()) == int(pixels_of(0)[1].sum())


def test_the_sources_stand_beside_the_references_as_they_were(tmp_path):
    target = write(tmp_path)
    sources = pq.read_table(target / write_parquet.SOURCES_NAME).to_pylist()
    file = tmp_path / "screen" / "A01 50%.bin"
    stat = file.stat()
    assert sources[0] == {
        "uri": str(file), "size_bytes": stat.st_size, "modified_ns": stat.st_mtime_ns, "etag": None
    }  # fmt: skip


def test_a_second_run_changes_no_byte(tmp_path):
    rows, plate = make_raw_plate(tmp_path / "screen")
    groups, target = build_group_documents(rows, plate, "0.4"), tmp_path / "P1.parquet"
    write_kerchunk_parquet(plate, groups, str(target))
    first = list_bytes(target)
    write_kerchunk_parquet(plate, groups, str(target))
    assert list_bytes(target) == first


def test_references_of_one_array_may_need_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(write_parquet, "RECORD_SIZE", 3)
    target = write(tmp_path, absolute=True)
    assert sorted(path.name for path in (target / "A/1/0/0").iterdir()) == ["refs.0.parq", "refs.1.parq"]
    assert np.array_equal(open_with_fsspec(target)["A/1/0/0"][:], pixels_of(0))


def test_arrays_that_zarr_v2_cannot_say_are_refused(tmp_path):
    rows, plate = make_raw_plate(tmp_path / "screen")
    image = plate.images[0]
    old = image.arrays[0]
    array = VirtualArray(
        old.path, old.shape, old.chunk_shape, old.dtype, old.axes, old.metadata_v3, None, old.refs
    )
    plate = VirtualPlate("P1", (VirtualImage(image.path, image.image_id, (array,)),), plate.sources)
    with pytest.raises(UsageError, match=r"A/1/0/0: Zarr v2 cannot express"):
        write_kerchunk_parquet(plate, build_group_documents(rows, plate, "0.4"), str(tmp_path / "p"))
    assert not (tmp_path / "p").exists()


def test_a_folder_in_a_bucket_is_refused(tmp_path):
    _, plate = make_raw_plate(tmp_path)
    with pytest.raises(UsageError, match="in one step"):
        write_kerchunk_parquet(plate, {}, "s3://bucket/P1.parquet")


def _die_within(target: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_text("half")
        os._exit(9)

    replace_folder(target, fill)


def test_a_writer_that_is_killed_leaves_the_old_plate(tmp_path):
    target = write(tmp_path)
    before = list_bytes(target)
    process = multiprocessing.get_context("fork").Process(target=_die_within, args=(target,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert list_bytes(target) == before
    left = [path for path in target.parent.iterdir() if path != target]
    assert len(left) == 1
    os.utime(left[0], (0, 0))
    replace_folder(target, lambda folder: (folder / "new").write_text("new"))  # type: ignore[arg-type, return-value]
    assert [path.name for path in target.parent.iterdir()] == ["P1.parquet"]
    assert [path.name for path in target.iterdir()] == ["new"]


def test_a_place_that_cannot_be_written_is_an_error_that_says_so(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BioimageError, match="cannot be written"):
        replace_folder(tmp_path / "file" / "P1.parquet", lambda folder: None)
