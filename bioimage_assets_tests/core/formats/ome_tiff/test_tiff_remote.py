"""TIFFs in buckets and on web servers give the rows of the local copy, within a counted budget of requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from bioimage_assets.core.errors import StoreChangedError, StoreError, StoreNotFoundError
from bioimage_assets.core.formats.ome_tiff import tiff_file
from bioimage_assets.core.formats.plate_folders import png_plate
from bioimage_assets.core.formats.plate_folders.listing import read_listing
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import (
    scan_chunk_index,
    scan_image_assets,
    scan_plate_source,
    scan_store_records,
)
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
    write_ome_tiff,
    write_pages,
    write_pyramid,
)
from bioimage_assets_tests.builders.zarr_server import StandInS3

pytestmark = pytest.mark.slow

PLACE = ["uri", "fingerprint"]  # what is different for a copy: ETags are no modification times


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[StandInS3]:
    (tmp_path / "bucket").mkdir()
    with StandInS3(tmp_path / "bucket").running() as server:
        yield server


def _write_set(folder: Path) -> Path:
    """Three files, one channel each, that repeat the XML of the whole image."""
    names = [f"c{number} µ %.ome.tif" for number in range(3)]
    blocks = "".join(
        build_block(0, c=number, file=name, uuid=UUIDS[number]) for number, name in enumerate(names)
    )
    image = build_ome_image(0, x=24, y=16, c=3, channels=("DNA", "ER", "RNA"), blocks=blocks)
    for number, name in enumerate(names):
        text = build_ome_xml([image], uuid=UUIDS[number], declaration=False)
        write_pages(folder / name, [np.full((16, 24), number, np.uint16)], text)
    return folder / names[0]


def _equal(remote: pa.Table, local: pa.Table) -> bool:
    return remote.drop_columns(PLACE).equals(local.drop_columns(PLACE))


def _as_kind(s3: StandInS3, key: str, kind: str) -> tuple[str, ScanOptions]:
    uri = f"s3://bucket/{key}" if kind == "s3" else f"{s3.endpoint}/bucket/{key}"
    return uri, ScanOptions(storage_options=s3.options() if kind == "s3" else {})


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_one_file_costs_its_head_and_one_block(s3: StandInS3, kind: str):
    path = write_ome_tiff(s3.root / "a.ome.tif", np.zeros((5, 16, 16), np.uint16), "CYX")
    uri, options = _as_kind(s3, "a.ome.tif", kind)
    remote = scan_image_assets(uri, options=options)
    assert s3.counts == {"head": 1, "get": 1}
    assert _equal(remote, scan_image_assets(str(path)))
    assert remote["uri"].to_pylist() == [uri]
    chunks = scan_chunk_index(uri, options=options).read_all()
    assert chunks.equals(scan_chunk_index(str(path)).read_all())


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_a_set_of_files_is_one_image_wherever_it_lies(s3: StandInS3, kind: str):
    path = _write_set(s3.root / "set")
    uri, options = _as_kind(s3, f"set/{path.name}", kind)
    remote, local = scan_store_records(uri, options).images, scan_store_records(str(path)).images
    assert len(remote) == len(local) == 1
    assert remote[0].files == local[0].files
    assert (remote[0].shape, remote[0].channel_names) == ((3, 16, 24), ("DNA", "ER", "RNA"))
    assert s3.counts["list"] == 0
    assert (s3.counts["head"], s3.counts["get"]) == (3, 3)


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_a_file_replaced_by_one_of_equal_size_and_tags_has_another_fingerprint(s3: StandInS3, kind: str):
    path = write_ome_tiff(s3.root / "a.ome.tif", np.zeros((2, 16, 16), np.uint16), "CYX")
    uri, options = _as_kind(s3, "a.ome.tif", kind)
    before = scan_store_records(uri, options)
    assert scan_store_records(uri, options).fingerprint == before.fingerprint
    payload = bytearray(path.read_bytes())
    payload[-1] ^= 255
    path.write_bytes(payload)
    os.utime(path, ns=(1, 1))  # the stand-in's ETag
    after = scan_store_records(uri, options)
    assert after.fingerprint != before.fingerprint
    assert after.images[0].fingerprint != before.images[0].fingerprint


def test_a_plate_folder_costs_two_listings_and_one_request_per_channel(s3: StandInS3):
    folder = plates.write_named(s3.root / "my screen/P 1", plates.imagexpress_name, sites=4)
    plates.write_htd(folder / "P.HTD", ["DNA", "ER", "RNA"])
    options = ScanOptions(storage_options=s3.options())
    remote = scan_image_assets("s3://bucket/my screen/P 1", options=options)
    assert s3.counts["get"] == 4 + 1 + 3  # no Zarr document at the root, the sidecar, one file per channel
    assert s3.counts["list"] <= 4  # for Zarr stores, for files, and for files again at the end
    assert _equal(remote, scan_image_assets(str(folder)))
    s3.counts.clear()
    rows = scan_chunk_index("s3://bucket/my screen/P 1", options=options).read_all()
    assert rows.equals(scan_chunk_index(str(folder)).read_all())
    assert s3.counts["head"] == 0


def test_loose_files_of_a_remote_dataset_are_scanned_without_its_plates(s3: StandInS3):
    folder = plates.write_named(s3.root / "screen", plates.imagexpress_name, wells=("A01",), sites=1)
    plates.write_named(folder / "P1", plates.imagexpress_name, wells=("C05",), sites=1)
    source = PlateSource("screen/screen", "screen", "screen", "s3://bucket/screen", ("s3://bucket/screen",))
    scan = scan_plate_source(source, ScanOptions(storage_options=s3.options()), with_chunks=False)
    assert scan.images["image_id"].to_pylist() == ["Plate7:A01:1"]
    assert s3.counts["list"] == 2


def test_the_levels_of_a_remote_pyramid_are_read_in_few_blocks(s3: StandInS3):
    path = write_pyramid(s3.root / "p.ome.tif", np.zeros((3, 512, 512), np.uint16), "CYX")
    uri, options = _as_kind(s3, "p.ome.tif", "s3")
    assert _equal(scan_image_assets(uri, options=options), scan_image_assets(str(path)))
    assert s3.counts["get"] <= 2 * 3 * 3, "directory and tile offsets of each plane and level"


def test_a_remote_file_that_changes_between_two_blocks_publishes_nothing(
    s3: StandInS3, monkeypatch: pytest.MonkeyPatch
):
    path = write_pyramid(s3.root / "p.ome.tif", np.zeros((3, 512, 512), np.uint16), "CYX")
    original = tiff_file.read_ifd_chain

    def read_and_replace(*args):
        found = original(*args)
        os.utime(path, ns=(1, 1))
        return found

    monkeypatch.setattr(tiff_file, "read_ifd_chain", read_and_replace)
    uri, options = _as_kind(s3, "p.ome.tif", "s3")
    with pytest.raises(StoreChangedError, match="changed while"):
        scan_store_records(uri, options)


def test_a_remote_folder_that_grows_during_the_scan_publishes_nothing(
    s3: StandInS3, monkeypatch: pytest.MonkeyPatch
):
    folder = plates.write_named(s3.root / "P1", plates.imagexpress_name, sites=1)
    looks = []

    def listing(store, **options):
        looks.append(1)
        if len(looks) == 2:
            plates.write_plane(folder / plates.imagexpress_name("C04", 1, 1))
        return read_listing(store, **options)

    monkeypatch.setattr(png_plate, "read_listing", listing)
    with pytest.raises(StoreChangedError):
        scan_store_records("s3://bucket/P1", ScanOptions(storage_options=s3.options()))


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_what_is_not_there_is_said_so(s3: StandInS3, kind: str):
    uri, options = _as_kind(s3, "none.ome.tif", kind)
    with pytest.raises(StoreNotFoundError, match=r"none\.ome\.tif"):
        scan_store_records(uri, options)


def test_a_busy_server_is_asked_again(s3: StandInS3):
    write_ome_tiff(s3.root / "a.ome.tif", np.zeros((2, 16, 16), np.uint16), "CYX")
    s3.fail_next = 2
    uri, options = _as_kind(s3, "a.ome.tif", "s3")
    assert len(scan_store_records(uri, options).images) == 1


def test_tiffs_over_amazons_own_protocol(tmp_path: Path):
    plates.write_named(tmp_path / "P µ1", plates.imagexpress_name, sites=2)
    path = _write_set(tmp_path / "set")
    single = write_ome_tiff(tmp_path / "a b.ome.tif", np.zeros((2, 16, 16), np.uint16), "CYX")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1"}
        options = ScanOptions(storage_options={**keys, "endpoint": f"http://{host}:{port}"})
        client = boto3.client(
            "s3", endpoint_url=f"http://{host}:{port}", aws_access_key_id="key", aws_secret_access_key="secret",
            region_name="us-east-1",
        )  # fmt: skip
        client.create_bucket(Bucket="plates")
        for file in tmp_path.rglob("*"):
            if file.is_file():
                client.upload_file(str(file), "plates", str(file.relative_to(tmp_path)))
        for local in (tmp_path / "P µ1", path, single):
            uri = f"s3://plates/{local.relative_to(tmp_path)}"
            assert _equal(scan_image_assets(uri, options=options), scan_image_assets(str(local)))
            rows = scan_chunk_index(uri, options=options).read_all()
            assert rows.equals(scan_chunk_index(str(local)).read_all())
        before = scan_store_records("s3://plates/a b.ome.tif", options).fingerprint
        payload = bytearray(single.read_bytes())
        payload[-1] ^= 255
        client.put_object(Bucket="plates", Key="a b.ome.tif", Body=bytes(payload))
        assert scan_store_records("s3://plates/a b.ome.tif", options).fingerprint != before
        with pytest.raises(StoreError):
            scan_store_records("s3://nobucket/x.ome.tif", options)
    finally:
        server.stop()
