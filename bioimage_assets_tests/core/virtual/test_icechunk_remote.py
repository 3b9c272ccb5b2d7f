"""Icechunk repositories of files in a bucket and on a web server, and repositories that are in a bucket themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.virtual.model import SourceFile, VirtualPlate
from bioimage_assets.core.virtual.ome_metadata import build_group_documents
from bioimage_assets.core.virtual.open import open_virtual_plate
from bioimage_assets.core.virtual.write import VirtualPlateForm, WrittenPlate, write_virtual_plate
from bioimage_assets.core.virtual.write_icechunk import write_icechunk
from bioimage_assets_tests.builders.s3_server import create_bucket, open_client, run_s3, storage_options
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_plane
from bioimage_assets_tests.builders.zarr_server import StandInS3
from bioimage_assets_tests.core.virtual.raw_plates import make_raw_plate

icechunk = pytest.importorskip("icechunk")
PIXELS = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with run_s3() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path) -> str:
    """A bucket with one ImageXpress well of two channels."""
    name = create_bucket(endpoint)
    client = open_client(endpoint)
    for channel in (1, 2):
        path = write_plane(tmp_path / imagexpress_name("A01", 1, channel))
        tifffile.imwrite(path, PIXELS + channel, metadata=None)
        client.upload_file(str(path), name, f"a screen #1 50%41/Plate7/{path.name}")
    return name


def write(source: str, target: str, options: dict[str, str]) -> WrittenPlate:
    scan = ScanOptions(storage_options=options)
    images, chunks = scan_image_assets(source, options=scan), scan_chunk_index(source, options=scan)
    return write_virtual_plate(images, chunks, target, VirtualPlateForm("icechunk"), storage_options=options)


@pytest.mark.parametrize("place", ["local", "bucket"])
def test_files_of_a_bucket_are_read_through_a_repository(bucket, endpoint, tmp_path, place):
    options = storage_options(endpoint)
    target = str(tmp_path / "P.icechunk") if place == "local" else f"s3://{bucket}/virtual/P.icechunk"
    written = write(f"s3://{bucket}/a screen #1 50%41/Plate7", target, options)
    assert (written.image_count, written.source_count) == (1, 2)
    found = zarr.open_group(open_virtual_plate(target, options), mode="r")["A/1/1/0"][:]
    assert np.array_equal(found, np.stack([PIXELS + 1, PIXELS + 2]))


def test_a_web_server_at_a_port_is_refused_since_icechunk_would_forget_the_port(tmp_path):
    (tmp_path / "bucket").mkdir()
    tifffile.imwrite(tmp_path / "bucket" / "p.ome.tif", PIXELS, ome=True)
    with (
        StandInS3(tmp_path / "bucket").running() as server,
        pytest.raises(UsageError, match="forgets the port"),
    ):
        write(f"{server.endpoint}/bucket/p.ome.tif", str(tmp_path / "P.icechunk"), {})
    assert not (tmp_path / "P.icechunk").exists()


def test_files_of_a_web_server_are_referred_to(tmp_path):
    rows, plate = make_raw_plate(tmp_path / "screen")
    sources = tuple(SourceFile(f"https://lab.org/P1/{n}.bin", 300) for n in range(len(plate.sources)))
    target = str(tmp_path / "P.icechunk")
    assert write_icechunk(
        VirtualPlate("P1", plate.images, sources), build_group_documents(rows, plate), target
    )
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(target))
    session = repository.readonly_session("main")
    assert sorted(set(session.all_virtual_chunk_locations())) == [source.uri for source in sources]


def test_an_object_that_was_replaced_is_refused_by_name(bucket, endpoint, tmp_path):
    options, target = storage_options(endpoint), str(tmp_path / "P.icechunk")
    write(f"s3://{bucket}/a screen #1 50%41/Plate7", target, options)
    root = zarr.open_group(open_virtual_plate(target, options), mode="r")
    name = imagexpress_name("A01", 1, 1)
    path = write_plane(tmp_path / name)
    tifffile.imwrite(path, PIXELS[::-1], metadata=None)
    open_client(endpoint).upload_file(str(path), bucket, f"a screen #1 50%41/Plate7/{name}")
    with pytest.raises(icechunk.IcechunkError, match=r"checksum.*Plate7_A01_s1_w1"):
        root["A/1/1/0"][0]
