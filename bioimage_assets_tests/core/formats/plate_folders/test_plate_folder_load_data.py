"""A LoadData CSV is a source of its own: its images lie where its columns say, here, in a bucket or on a server."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bioimage_assets.core.errors import (
    CorruptStoreError,
    StoreChangedError,
    StoreNotFoundError,
    UnsupportedStoreError,
)
from bioimage_assets.core.formats.plate_folders import load_data_source
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.zarr_server import StandInS3
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

CHANNELS = ("OrigDNA", "OrigER")


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[StandInS3]:
    (tmp_path / "bucket").mkdir()
    with StandInS3(tmp_path / "bucket").running() as server:
        yield server


def _name(well: str, site: int, channel: int) -> str:
    return f"batch {channel}/{well}-{site}.tif"  # says nothing of its channel


def _write_table(
    path: Path, place_of: Callable[[str], dict[str, str]], *, plate: str | None = "BR1", wells: tuple[str, ...] = plates.WELLS
) -> Path:  # fmt: skip
    """Write a table whose columns for one image come from ``place_of(name)`` with ``*`` for the channel's name."""
    rows = []
    for well in wells:
        for site in (1, 2):
            row = {"Metadata_Well": well, "Metadata_Site": str(site)} | (
                {"Metadata_Plate": plate} if plate else {}
            )
            for number, channel in enumerate(CHANNELS, 1):
                place = place_of(_name(well, site, number))
                row |= {column.replace("*", channel): value for column, value in place.items()}
            rows.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _by_path(folder: Path | str) -> Callable[[str], dict[str, str]]:
    return lambda name: {
        "PathName_*": f"{folder}/{name.rpartition('/')[0]}", "FileName_*": name.rpartition("/")[2]
    }  # fmt: skip


IDS = [f"BR1:{well}:{site}" for well in plates.WELLS for site in (1, 2)]


def test_images_lie_where_the_table_says_not_where_it_lies(tmp_path: Path):
    images = plates.write_named(tmp_path / "raw", _name, channels=2)
    plates.write_plane(images / "batch 1/unlisted.tif")
    table = _write_table(tmp_path / "analysis/load_data.csv", _by_path(images))
    scan = scan_plate_folder(str(table))
    assert [image.image_id for image in scan.images] == IDS
    assert {image.uri for image in scan.images} == {str(images)}
    assert {image.channel_names for image in scan.images} == {CHANNELS}
    assert [file.path for file in scan.images[0].files] == [_name("A01", 1, 1), _name("A01", 1, 2)]
    assert scan.plate_key == "load_data/load_data"
    assert scan.findings == ()
    rows = read_chunks(scan).to_pylist()
    assert len(rows) == 12
    assert all(row["is_present"] for row in rows)
    assert scan_image_assets(str(table)).num_rows == 6


@pytest.mark.parametrize("folder", ["./raw", "raw", "../p/raw"])
def test_relative_paths_start_at_the_folder_of_the_table(tmp_path: Path, folder: str):
    plates.write_named(tmp_path / "p/raw", _name, channels=2)
    table = _write_table(tmp_path / "p/BR7.csv", _by_path(folder), plate=None)
    scan = scan_plate_folder(str(table))
    assert [image.image_id for image in scan.images] == [name.replace("BR1", "BR7") for name in IDS]


def test_paths_of_another_machine_are_found_below_the_table(tmp_path: Path):
    plates.write_named(tmp_path / "p/raw", _name, channels=2)
    table = _write_table(tmp_path / "p/load_data.csv", _by_path("C:\\scope\\raw"))
    assert [image.image_id for image in scan_plate_folder(str(table)).images] == IDS


@pytest.mark.parametrize("kind", ["s3", "http", "file"])
def test_url_columns_point_into_a_bucket_a_server_or_this_disk(s3: StandInS3, tmp_path: Path, kind: str):
    images = plates.write_named(s3.root / "cpg/raw", _name, channels=2)
    prefix = {
        "s3": "s3://bucket/cpg/raw",
        "http": f"{s3.endpoint}/bucket/cpg/raw",
        "file": f"file://{images}",
    }[kind]
    table = _write_table(
        tmp_path / "load_data.csv", lambda name: {"URL_*": f"{prefix}/{name.replace(' ', '%20')}"}
    )
    options = ScanOptions(storage_options=s3.options() if kind == "s3" else {})
    scan = scan_plate_folder(str(table), options)
    assert [image.image_id for image in scan.images] == IDS
    assert {image.uri for image in scan.images} == {str(images) if kind == "file" else prefix}
    assert s3.counts["list"] == (4 if kind == "s3" else 0), "each of two folders, and again at the end"
    # a web server lists nothing: each image at the start and the end, and the two whose header is read
    assert s3.counts["head"] == (26 if kind == "http" else 0)
    rows = scan_chunk_index(str(table), options=options).read_all()
    assert rows.num_rows == 12
    assert all(rows["is_present"].to_pylist())


def test_a_table_in_a_bucket_names_images_of_the_bucket(s3: StandInS3):
    plates.write_named(s3.root / "cpg/raw", _name, channels=2)
    _write_table(s3.root / "meta/BR1.csv", lambda name: {"URL_*": f"s3://bucket/cpg/raw/{name}"})
    table = scan_image_assets("s3://bucket/meta/BR1.csv", options=ScanOptions(storage_options=s3.options()))
    assert table["image_id"].to_pylist() == IDS


def test_missing_images_are_said_and_leave_gaps(tmp_path: Path):
    images = plates.write_named(tmp_path / "raw", _name, channels=2)
    (images / _name("A01", 1, 2)).unlink()
    scan = scan_plate_folder(str(_write_table(tmp_path / "t.csv", _by_path(images))))
    assert [image.scan_status for image in scan.images] == ["partial"] + ["ok"] * 5
    assert "file-missing" in {finding.code for finding in scan.findings}


def test_a_table_that_names_nothing_that_exists_is_an_error(tmp_path: Path):
    with pytest.raises(UnsupportedStoreError, match="none of the images"):
        scan_plate_folder(str(_write_table(tmp_path / "t.csv", _by_path("/nowhere/raw"))))
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CorruptStoreError, match="not a LoadData table"):
        scan_plate_folder(str(tmp_path / "other.csv"))
    with pytest.raises(StoreNotFoundError):
        scan_plate_folder(str(tmp_path / "none.csv"))


def test_the_fingerprint_is_of_the_table_and_its_images(tmp_path: Path):
    images = plates.write_named(tmp_path / "raw", _name, channels=2)
    table = _write_table(tmp_path / "t.csv", _by_path(images))
    before = scan_plate_folder(str(table)).fingerprint
    plates.write_plane(images / "batch 1/unlisted.tif")
    assert scan_plate_folder(str(table)).fingerprint == before
    _write_table(table, _by_path(images), plate="BR2")
    assert scan_plate_folder(str(table)).fingerprint != before


def test_images_that_change_during_the_scan_publish_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images = plates.write_named(tmp_path / "raw", _name, channels=2)
    table = _write_table(tmp_path / "t.csv", _by_path(images))
    original, looks = load_data_source._list_keys, []

    def list_keys(*args):
        looks.append(1)
        if len(looks) == 2:
            (images / _name("B03", 2, 1)).unlink()
        return original(*args)

    monkeypatch.setattr(load_data_source, "_list_keys", list_keys)
    with pytest.raises(StoreChangedError):
        scan_plate_folder(str(table))
