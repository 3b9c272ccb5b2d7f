"""Virtual plates of files in buckets and on web servers: pixels, changed objects, and how many requests planning and reading take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import pytest
import tifffile
import zarr

from bioimage_assets.core.errors import StoreChangedError
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.virtual.plan import plan_virtual_plate
from bioimage_assets_tests.builders import s3_server
from bioimage_assets_tests.builders.tiff_files import write_pages, write_pyramid
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_named
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.builders.zarr_server import StandInS3
from bioimage_assets_tests.core.virtual.virtual_oracle import assert_same_pixels, make, open_plate, scramble

FIRST = imagexpress_name("A01", 1, 1)
GREY = (np.arange(50 * 70) ** 2 % 1013).astype("uint16").reshape(50, 70)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[StandInS3]:
    """A bucket that is the folder ``bucket``, and a web server of the same files."""
    (tmp_path / "bucket").mkdir()
    with StandInS3(tmp_path / "bucket").running() as server:
        yield server


def write_plate(server: StandInS3) -> Path:
    folder = write_named(server.root / "plate", imagexpress_name)
    scramble(folder)
    return folder


def test_a_plate_in_a_bucket_is_planned_by_one_listing_and_read_with_one_request_per_chunk(
    bucket: StandInS3, tmp_path: Path
):
    folder = write_plate(bucket)
    options = bucket.options()
    scan_options = ScanOptions(storage_options=options)
    images = scan_image_assets("s3://bucket/plate", options=scan_options)
    chunks = scan_chunk_index("s3://bucket/plate", options=scan_options).read_all()
    bucket.counts.clear()
    plate = plan_virtual_plate(images, chunks.to_batches(), storage_options=options)
    assert dict(bucket.counts) == {"list": 1}
    assert all(source.etag and source.modified_ns is None for source in plate.sources)
    images, plate = make("s3://bucket/plate", tmp_path / "plate.json", options=options)
    store = open_plate(tmp_path / "plate.json", options)
    bucket.counts.clear()
    found = zarr.open_array(store, path="A/1/1/0", mode="r")[...]
    assert dict(bucket.counts) == {"get": 3}
    np.testing.assert_array_equal(found[0], tifffile.imread(folder / FIRST))
    assert assert_same_pixels(images, plate, store, options) == 18


def test_a_plate_on_a_web_server_reads_by_ranges(bucket: StandInS3, tmp_path: Path):
    write_pyramid(bucket.root / "p.ome.tif", np.stack([GREY, GREY[::-1]]), "CYX")
    uri = f"{bucket.endpoint}/bucket/p.ome.tif"
    images, plate = make(uri, tmp_path / "plate.json")
    assert [source.uri for source in plate.sources] == [uri]
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) == 6
    plain = {
        "fo": str(tmp_path / "plate.json"),
        "remote_protocol": "http",
        "remote_options": {"asynchronous": True},
    }
    group = zarr.open_group("reference://", mode="r", storage_options=plain, zarr_format=3)
    np.testing.assert_array_equal(group["0/0"][...], np.stack([GREY, GREY[::-1]]))  # type: ignore[index]


@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_a_changed_object_is_refused_by_name(bucket: StandInS3, tmp_path: Path, scheme: str):
    path = write_pages(bucket.root / "a.tif", [GREY], compression="lzw", rowsperstrip=7)
    uri = "s3://bucket/a.tif" if scheme == "s3" else f"{bucket.endpoint}/bucket/a.tif"
    options = bucket.options() if scheme == "s3" else None
    make(uri, tmp_path / "plate.json", options=options)
    store = open_plate(tmp_path / "plate.json", options)
    zarr.open_array(store, path="0/0", mode="r")[...]
    path.write_bytes(path.read_bytes())  # another version of the same bytes
    with pytest.raises(StoreChangedError, match=r"a\.tif: changed since the virtual plate"):
        zarr.open_array(store, path="0/0", mode="r")[...]
    path.write_bytes(b"short")
    with pytest.raises(StoreChangedError, match="5 bytes"):
        zarr.open_array(store, path="0/0", mode="r")[...]
    path.unlink()
    with pytest.raises(StoreChangedError, match="it is not there"):
        zarr.open_array(store, path="0/0", mode="r")[...]


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_zarr_plate_in_a_bucket_is_planned_by_one_listing_and_its_documents(
    bucket: StandInS3, tmp_path: Path, sharded: bool, version
):
    write_pixel_plate(bucket.root / "P1.zarr", sharded=sharded, levels=2)
    options = bucket.options()
    scan_options = ScanOptions(storage_options=options)
    images = scan_image_assets("s3://bucket/P1.zarr", options=scan_options)
    chunks = scan_chunk_index("s3://bucket/P1.zarr", options=scan_options).read_all()
    bucket.counts.clear()
    plan_virtual_plate(images, chunks.to_batches(), storage_options=options)
    arrays = len(images) * 2
    assert dict(bucket.counts) == {"list": 1, "get": arrays}
    images, plate = make("s3://bucket/P1.zarr", tmp_path / "plate.json", version, options)
    assert plate.refused == ()
    assert (
        assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json", options), options)
        == 2 * 2 * 2 * 2
    )


def test_a_zarr_image_on_a_web_server_reads(bucket: StandInS3, tmp_path: Path):
    root = write_pixel_plate(bucket.root / "P1.zarr", columns=1, fields=1)
    uri = f"{bucket.endpoint}/bucket/P1.zarr/A/1/0"
    images, plate = make(uri, tmp_path / "plate.json")
    found = zarr.open_array(
        open_plate(tmp_path / "plate.json"), path=plate.images[0].arrays[0].path, mode="r"
    )
    np.testing.assert_array_equal(found[...], zarr.open_array(str(root / "A/1/0/0"), mode="r")[...])
    assert images["shape"].to_pylist() == [[2, 16, 16]]


@pytest.fixture(scope="module")
def real_bucket() -> Iterator[tuple[str, str]]:
    with s3_server.run_s3() as endpoint:
        yield endpoint, s3_server.create_bucket(endpoint)


@pytest.mark.slow
def test_the_virtual_plate_lies_in_the_bucket_beside_its_files_and_moves_with_them(
    real_bucket: tuple[str, str], tmp_path: Path
):
    endpoint, name = real_bucket
    options = s3_server.storage_options(endpoint)
    client = s3_server.open_client(endpoint)
    folder = write_named(tmp_path / "plate", imagexpress_name, wells=("A01",), sites=1)
    scramble(folder)
    for path in folder.iterdir():
        client.upload_file(str(path), name, f"screen/plate/{path.name}")
    images, plate = make(
        f"s3://{name}/screen/plate", f"s3://{name}/screen/virtual/plate.json", options=options
    )
    assert (
        assert_same_pixels(
            images, plate, open_plate(f"s3://{name}/screen/virtual/plate.json", options), options
        )
        == 3
    )
    move(client, name, "screen/", "archive/")
    store = open_plate(f"s3://{name}/archive/virtual/plate.json", options)
    np.testing.assert_array_equal(
        zarr.open_array(store, path="A/1/1/0", mode="r")[0], tifffile.imread(folder / FIRST)
    )
    client.put_object(Bucket=name, Key=f"archive/plate/{FIRST}", Body=b"other")
    with pytest.raises(StoreChangedError):
        zarr.open_array(store, path="A/1/1/0", mode="r")[...]


def move(client: boto3.client, bucket: str, start: str, target: str) -> None:
    """Rename all objects below a prefix."""
    for item in client.list_objects_v2(Bucket=bucket, Prefix=start)["Contents"]:
        key = item["Key"]
        client.copy_object(
            Bucket=bucket, Key=target + key.removeprefix(start), CopySource={"Bucket": bucket, "Key": key}
        )
        client.delete_object(Bucket=bucket, Key=key)
