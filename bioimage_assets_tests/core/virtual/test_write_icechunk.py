"""Virtual plates as Icechunk repositories: commits, checked references, containers no wider than the files."""

import os
import re

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05.hcs import HCS

from bioimage_assets.core.errors import BioimageError, UsageError
from bioimage_assets.core.virtual.icechunk_stores import list_containers
from bioimage_assets.core.virtual.model import SourceFile, VirtualPlate
from bioimage_assets.core.virtual.ome_metadata import build_group_documents
from bioimage_assets.core.virtual.write_icechunk import open_icechunk, write_icechunk
from bioimage_assets_tests.core.virtual.raw_plates import make_raw_plate, pixels_of

icechunk = pytest.importorskip("icechunk")


def write(rows, plate, target) -> bool:
    return write_icechunk(plate, build_group_documents(rows, plate), str(target))


def count_commits(target) -> int:
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(target)))
    return len(list(repository.ancestry(branch="main")))


@pytest.mark.parametrize("whole_files", [False, True])
def test_every_pixel_is_read_through_a_session(tmp_path, whole_files):
    rows, plate = make_raw_plate(tmp_path / "a screen #1", whole_files=whole_files)
    assert write(rows, plate, tmp_path / "P1.icechunk")
    root = zarr.open_group(open_icechunk(str(tmp_path / "P1.icechunk")), mode="r")
    assert np.array_equal(root["A/1/0/0"][:], pixels_of(0))
    assert np.array_equal(root["B/3/0/0"][:], pixels_of(1)), "a chunk that is not stored reads as zero"


def test_the_plate_satisfies_the_model_of_ome_zarr_0_5(tmp_path):
    rows, plate = make_raw_plate(tmp_path / "screen")
    write(rows, plate, tmp_path / "P1.icechunk")
    found = HCS.from_zarr(zarr.open_group(open_icechunk(str(tmp_path / "P1.icechunk")), mode="r"))
    assert len(list(found.well_groups)) == 2


def test_a_plate_that_did_not_change_makes_no_commit(tmp_path):
    rows, plate = make_raw_plate(tmp_path / "screen")
    target = tmp_path / "P1.icechunk"
    assert write(rows, plate, target)
    before = sorted(path for path in target.rglob("*"))
    assert not write(rows, plate, target)
    assert sorted(path for path in target.rglob("*")) == before
    assert count_commits(target) == 2, "the empty repository and the plate"


def test_a_new_state_replaces_the_whole_plate_and_the_old_one_stays_in_the_history(tmp_path):
    rows, plate = make_raw_plate(tmp_path / "screen")
    target = tmp_path / "P1.icechunk"
    write(rows, plate, target)
    write(rows, VirtualPlate("P1", plate.images[:1], plate.sources), target)
    root = zarr.open_group(open_icechunk(str(target)), mode="r")
    assert "A/1/0/0" in root
    assert "B" not in root
    assert count_commits(target) == 3


def test_a_file_that_changed_is_refused_by_name(tmp_path):
    rows, plate = make_raw_plate(tmp_path / "screen")
    write(rows, plate, tmp_path / "P1.icechunk")
    os.utime(plate.sources[0].uri, ns=(2 * 10**18, 2 * 10**18))
    root = zarr.open_group(open_icechunk(str(tmp_path / "P1.icechunk")), mode="r")
    with pytest.raises(icechunk.IcechunkError, match=r"checksum.*A01"):
        root["A/1/0/0"][:]


def test_containers_are_the_deepest_folders_that_hold_the_files_and_need_no_quoting():
    assert list_containers(
        ["/data/a b/P1/1.tif", "/data/a b/P1/sub/2.tif", "/mnt/x/y/3.tif", "/mnt/x/4.tif"]
    ) == {
        "file:///data/": "/data",
        "file:///mnt/x/": "/mnt/x",
    }
    assert list(list_containers(["s3://bucket/a/1.tif", "https://lab.org/a.tif"])) == [
        "https://lab.org/",
        "s3://bucket/",
    ]


def test_files_in_a_place_that_icechunk_does_not_reach_are_refused(tmp_path):
    rows, plate = make_raw_plate(tmp_path / "screen")
    for uri in ("ftp://lab.org/a.tif", "https://lab.org/a.tif?token=1", "http://lab.org:8080/a.tif"):
        sources = (SourceFile(uri, 1), *plate.sources[1:])
        with pytest.raises(UsageError, match=f"^{re.escape(uri)}: Icechunk"):
            write(rows, VirtualPlate("P1", plate.images, sources), tmp_path / "P1.icechunk")
    assert not (tmp_path / "P1.icechunk").exists()


def test_a_place_without_a_repository_is_an_error_that_names_it(tmp_path):
    with pytest.raises(BioimageError, match="no Icechunk repository"):
        open_icechunk(str(tmp_path / "nothing"))
