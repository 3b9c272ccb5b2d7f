"""Plates in buckets and on web servers give the rows of the local copy, within the request budget."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bioimage_assets.core.errors import StoreError, StoreNotFoundError
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import (
    scan_chunk_index,
    scan_image_assets,
    scan_plate_source,
    scan_store_records,
)
from bioimage_assets_tests.builders.s3_server import create_bucket, open_client, run_s3, storage_options
from bioimage_assets_tests.builders.zarr_documents import multiscales, write_group, write_image, write_plate
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.builders.zarr_server import StandInS3

pytestmark = pytest.mark.slow


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[StandInS3]:
    (tmp_path / "bucket").mkdir()
    with StandInS3(tmp_path / "bucket").running() as server:
        yield server


def test_a_plate_in_a_bucket_has_the_rows_and_chunks_of_the_local_one(s3: StandInS3) -> None:
    root = write_pixel_plate(s3.root / "my screen/P 1%.zarr", sharded=True)
    options = ScanOptions(storage_options=s3.options())
    uri = "s3://bucket/my screen/P 1%.zarr"
    remote, local = scan_image_assets(uri, options=options), scan_image_assets(str(root))
    assert remote.drop_columns(["uri"]).equals(local.drop_columns(["uri"]))
    assert set(remote["uri"].to_pylist()) == {uri}
    assert scan_chunk_index(uri, options=options).read_all().equals(scan_chunk_index(str(root)).read_all())


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_requests_are_one_per_document_without_listing(s3: StandInS3, zarr_format: int) -> None:
    wells = {f"{row}/{column}": [str(field) for field in range(9)] for row in "AB" for column in range(1, 13)}
    write_plate(s3.root / "p.zarr", zarr_format=zarr_format, wells=wells, levels=("0", "1", "2"))
    scan = scan_store_records("s3://bucket/p.zarr", ScanOptions(storage_options=s3.options()))
    images = len(scan.images)
    (finding,) = scan.findings
    assert (finding.code, finding.severity) == ("labels-sampled", "info")
    assert "8 of 216" in finding.message
    assert images == 216
    root_and_label_sample = 4 + 3 + 8
    assert s3.counts["get"] <= root_and_label_sample + 24 + 4 * images
    assert s3.counts["get"] / images <= 4.2
    assert set(s3.counts) == {"get"}
    s3.counts.clear()
    scan_store_records(
        "s3://bucket/p.zarr", ScanOptions(storage_options=s3.options(), levels=(0,), include_labels=False)
    )
    assert s3.counts["get"] / images <= 2.2


def test_labels_of_a_large_remote_plate_are_found_through_the_sample(s3: StandInS3) -> None:
    wells = {f"A/{column}": [str(field) for field in range(9)] for column in range(1, 9)}
    root = write_plate(s3.root / "p.zarr", wells=wells, levels=("0",))
    for well, fields in wells.items():
        for field in fields:
            write_group(root, f"{well}/{field}/labels", {"labels": ["cells"]})
            write_image(root, f"{well}/{field}/labels/cells", levels=("0",))
    images = scan_store_records("s3://bucket/p.zarr", ScanOptions(storage_options=s3.options())).images
    assert sorted(image.image_kind for image in images) == ["image"] * 72 + ["label"] * 72


def test_chunks_are_listed_once_per_well(s3: StandInS3) -> None:
    write_pixel_plate(s3.root / "p.zarr", columns=3, fields=2, levels=2)
    options = ScanOptions(storage_options=s3.options())
    rows = scan_chunk_index("s3://bucket/p.zarr", options=options).read_all()
    assert rows.num_rows == 3 * 2 * 2 * 8
    assert all(rows["is_present"].to_pylist())
    assert s3.counts["list"] == 3


def test_keys_that_no_bucket_can_hold_are_not_asked_for(s3: StandInS3) -> None:
    whole, long = "é/" * 300 + "x", "x" * 1020
    root = write_image(s3.root / "i.zarr", levels=("0", whole))
    write_group(root, "", {"multiscales": [multiscales(("0", whole, long))]})
    scan = scan_store_records("s3://bucket/i.zarr", ScanOptions(storage_options=s3.options()))
    assert [level.path for level in scan.images[0].levels] == ["0", whole]
    assert [(finding.code, finding.location) for finding in scan.findings] == [("unreadable-level", long)]
    assert "1,024 bytes" in scan.findings[0].message


@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_a_bucket_that_denies_what_is_absent_has_the_rows_of_the_local_copy(
    s3: StandInS3, scheme: str
) -> None:
    """Who may not list a public bucket is told 403, not 404, of an object that is not there."""
    write_plate(s3.root / "p.zarr", wells={"A/1": ("0", "1")})
    write_plate(s3.root / "q.zarr", zarr_format=3, wells={"A/1": ("0", "1")})
    write_group(s3.root, "b.zarr", {"bioformats2raw.layout": 3})
    for path in ("0", "1", "1/labels/cells"):
        write_image(s3.root / "b.zarr", path)
    write_group(s3.root / "b.zarr", "1/labels", {"labels": ["cells", "lost"]})
    s3.status_of_absent = 403
    for name, expected in (("p", set()), ("q", set()), ("b", {"unreadable-label"})):
        uri = f"s3://bucket/{name}.zarr" if scheme == "s3" else f"{s3.endpoint}/bucket/{name}.zarr"
        options = ScanOptions(storage_options=s3.options() if scheme == "s3" else {})
        scan, local = scan_store_records(uri, options), scan_store_records(str(s3.root / f"{name}.zarr"))
        assert [image.image_id for image in scan.images] == [image.image_id for image in local.images]
        assert {finding.code for finding in scan.findings} == {"absent-is-denied", *expected}
    write_pixel_plate(s3.root / "c.zarr", columns=1, fields=1, levels=1)
    uri = uri.replace("b.zarr", "c.zarr")
    for asked, present, code in ((0, None, "chunks-not-listed"), (8, True, None)):
        source = PlateSource("d/c", "d", "c", uri.removesuffix("/c.zarr"), (uri,))
        plate = scan_plate_source(source, replace(options, max_head_requests=asked))
        assert plate.chunks is not None
        assert plate.chunks.read_all()["is_present"].to_pylist() == [present] * 8
        assert [finding.code for finding in plate.chunk_findings()] == [code] * (code is not None)


def test_a_server_that_is_busy_for_a_moment_is_asked_again(s3: StandInS3) -> None:
    write_pixel_plate(s3.root / "p.zarr", pixels=False)
    s3.fail_next = 3
    scan = scan_store_records("s3://bucket/p.zarr", ScanOptions(storage_options=s3.options()))
    assert len(scan.images) == 4
    assert scan.findings == ()


def test_a_server_that_stays_broken_is_one_error(s3: StandInS3) -> None:
    write_pixel_plate(s3.root / "p.zarr", pixels=False)
    s3.fail_next = 10_000
    with pytest.raises(StoreError, match="after retries"):
        scan_store_records("s3://bucket/p.zarr", ScanOptions(storage_options=s3.options(max_retries=1)))


def test_a_web_server_gives_the_rows_and_the_logical_chunk_grid(s3: StandInS3) -> None:
    root = write_pixel_plate(s3.root / "p.zarr")
    uri = f"{s3.endpoint}/bucket/p.zarr"
    remote, local = scan_image_assets(uri), scan_image_assets(str(root))
    assert remote.drop_columns(["uri"]).equals(local.drop_columns(["uri"]))
    chunks = scan_chunk_index(uri).read_all()
    assert chunks["is_present"].null_count == chunks.num_rows == 4 * 3 * 8
    plate = scan_plate_source(PlateSource("web/p", "web", "p", f"{s3.endpoint}/bucket", (uri,)))
    assert plate.chunks is not None
    assert plate.chunks.read_all()["stored_bytes"].null_count == chunks.num_rows
    assert [finding.code for finding in plate.chunk_findings()] == ["chunks-not-listed"]
    assert plate.images_with_stored_bytes()["stored_bytes"].null_count == 4


@pytest.mark.parametrize("sharded", [True, False])
def test_a_web_server_may_be_asked_for_each_chunk(s3: StandInS3, sharded: bool) -> None:
    root = write_pixel_plate(s3.root / "p.zarr", columns=1, levels=2, sharded=sharded)
    gone = next(path for path in (root / "A/1/0/0/c").rglob("*") if path.is_file())
    gone.unlink()
    uri, objects = f"{s3.endpoint}/bucket/p.zarr", 2 * 2 * (1 if sharded else 8)
    local = scan_chunk_index(str(root)).read_all()
    scan_store_records(uri)
    before = s3.counts["get"]
    s3.counts.clear()
    asked = scan_chunk_index(uri, options=ScanOptions(max_head_requests=objects)).read_all()
    assert asked.equals(local)
    assert (s3.counts["head"], s3.counts["list"]) == (objects, 0)
    s3.status_of_absent = 403
    plate = scan_plate_source(
        PlateSource("web/p", "web", "p", f"{s3.endpoint}/bucket", (uri,)),
        ScanOptions(max_head_requests=objects),
    )
    assert plate.chunks is not None
    assert plate.chunks.read_all()["stored_bytes"].equals(local["stored_bytes"])
    assert [finding.code for finding in plate.chunk_findings()] == ["chunks-denied"]
    s3.status_of_absent = 404
    s3.counts.clear()
    assert scan_chunk_index(uri, options=ScanOptions(max_head_requests=objects)).read_all().equals(local)
    indexes = objects - 1 if sharded else 0
    assert s3.counts["get"] <= before + indexes + 3  # and the root once more at the end
    s3.counts.clear()
    logical = scan_chunk_index(uri, options=ScanOptions(max_head_requests=objects - 1)).read_all()
    assert logical["is_present"].null_count == logical.num_rows == local.num_rows
    assert s3.counts["head"] == 0


def test_a_folder_of_stores_in_a_bucket_is_scanned(s3: StandInS3) -> None:
    write_pixel_plate(s3.root / "screen/p.zarr", pixels=False)
    write_pixel_plate(s3.root / "screen/q.zarr", zarr_format=2, pixels=False)
    options = ScanOptions(storage_options=s3.options())
    scan = scan_store_records("s3://bucket/screen", options)
    assert {image.plate_key for image in scan.images} == {"screen/p"}
    assert {finding.code for finding in scan.findings} == {"duplicate-image-id"}, (
        "both plates call themselves P1"
    )
    with pytest.raises(StoreNotFoundError):
        scan_store_records("s3://bucket/none", options)


def test_chunks_of_an_archive_point_at_their_bytes_in_it_here_and_in_a_bucket(
    s3: StandInS3, tmp_path: Path
) -> None:
    root = write_pixel_plate(tmp_path / "P1.zarr")
    archive = s3.root / "P1.ozx"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                opened.write(path, path.relative_to(root))
    raw = archive.read_bytes()
    rows = scan_chunk_index(str(archive)).read_all()
    for row in rows.to_pylist():
        chunk = (root / row["array_path"] / row["chunk_key"]).read_bytes()
        assert raw[row["stored_offset"] :][: row["stored_bytes"]] == chunk
    remote = scan_chunk_index(
        "s3://bucket/P1.ozx", options=ScanOptions(storage_options=s3.options())
    ).read_all()
    assert remote.equals(rows)
    assert rows.num_rows == 96
    assert s3.counts["get"] < 96, "one read-ahead covers many members"


def test_amazons_own_protocol_as_moto_speaks_it(tmp_path: Path) -> None:
    root = write_pixel_plate(tmp_path / "P µ#1.zarr", columns=1, sharded=True)
    with run_s3() as endpoint:
        client, bucket = open_client(endpoint), create_bucket(endpoint)
        for path in root.rglob("*"):
            if path.is_file():
                client.upload_file(str(path), bucket, f"a b/{root.name}/{path.relative_to(root)}")
        options = ScanOptions(storage_options=storage_options(endpoint))
        uri = f"s3://{bucket}/a b/{root.name}"
        assert scan_image_assets(uri, options=options).num_rows == 2
        remote = scan_chunk_index(uri, dataset_id="d", options=options).read_all().drop_columns(["plate_key"])
        assert remote.equals(
            scan_chunk_index(str(root), dataset_id="d").read_all().drop_columns(["plate_key"])
        )
        with pytest.raises(StoreNotFoundError, match="bucket"):
            scan_store_records("s3://nobucket/x.zarr", options)
