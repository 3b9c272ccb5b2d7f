"""A LoadData table of a watched dataset is a source of images: elsewhere they are rows unopened, here they are scanned."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.pixels.locate import locate
from bioimage_assets.core.scan.scanner import PlateScan, scan_image_assets, scan_plate_source
from bioimage_assets.core.tables.completeness import build_plate_completeness
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.zarr_server import StandInS3

CHANNELS = ("OrigDNA", "OrigER", "OrigMito")
WELLS = ("A01", "B02")
ARCHIVE = "s3://bucket/cpg0016/images/BR1"

Place = Callable[[str, int, str], dict[str, str]]


def _in_bucket(well: str, site: int, channel: str) -> dict[str, str]:
    return {f"FileName_{channel}": f"{well}-{site}-{channel}.tiff", f"PathName_{channel}": ARCHIVE}


def _at_the_lab(well: str, site: int, channel: str) -> dict[str, str]:
    return {
        f"FileName_{channel}": f"{well}-{site}-{channel}.tiff",
        f"PathName_{channel}": "/home/lab/images/BR1",
    }


def _by_url(well: str, site: int, channel: str) -> dict[str, str]:
    return {f"URL_{channel}": f"{ARCHIVE}/{well}-{site}-{channel}.tiff"}


def write_load_data(path: Path, place: Place = _in_bucket, names: tuple[str, ...] = ("BR1",)) -> Path:
    """A table as of a JUMP plate: orig channels, and illumination functions that are no images."""
    rows: list[dict[str, str]] = []
    for plate in names:
        for well in WELLS:
            for site in (1, 2):
                row = {"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_Site": str(site)}
                for channel in CHANNELS:
                    row |= place(well, site, channel)
                rows.append(row | {"FileName_IllumDNA": "illum.npy", "PathName_IllumDNA": "/illum"})
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    payload = text.getvalue().encode()
    path.write_bytes(gzip.compress(payload) if path.suffix == ".gz" else payload)
    return path


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[StandInS3]:
    """A bucket in which the images really lie, so that whoever asks for them would get them."""
    (tmp_path / "bucket").mkdir()
    for well in WELLS:
        for site in (1, 2):
            for channel in CHANNELS:
                plates.write_plane(tmp_path / "bucket/cpg0016/images/BR1" / f"{well}-{site}-{channel}.tiff")
    with StandInS3(tmp_path / "bucket").running() as server:
        yield server


def _only_source(root: Path) -> PlateSource:
    found = discover_plates(str(root))
    assert [finding for finding in found.findings if finding.severity != "info"] == []
    (source,) = found.sources
    return source


def _scan(source: PlateSource, s3: StandInS3 | None = None) -> PlateScan:
    return scan_plate_source(source, ScanOptions(storage_options={} if s3 is None else s3.options()))


LAYOUTS = [
    ("load_data.csv", "screen"),
    ("load_data/BR1.csv", "BR1"),
    ("load_data/load_data_BR1.csv", "BR1"),
    ("BR1/load_data.csv", "BR1"),
    ("load_data_csv/2020_11_04_Batch/BR1/load_data.csv.gz", "BR1"),
    ("workspace/load_data_csv/2020_11_04_Batch/BR1/load_data.csv", "BR1"),
]


@pytest.mark.parametrize(("layout", "plate"), LAYOUTS)
def test_every_usual_place_of_a_table_is_a_plate(tmp_path: Path, layout: str, plate: str):
    write_load_data(tmp_path / "in/screen" / layout)
    source = _only_source(tmp_path / "in")
    assert source.plate_key == f"screen/{plate}"
    assert _scan(source).images["image_id"].to_pylist() == [f"BR1:{w}:{s}" for w in WELLS for s in (1, 2)]


def test_the_table_with_illumination_functions_names_the_same_images_and_is_not_read_as_well(tmp_path: Path):
    folder = tmp_path / "in/screen/load_data_csv/batch/BR1"
    for name in ("load_data.csv.gz", "load_data_with_illum.csv", "load_data_unprojected.csv"):
        write_load_data(folder / name)
    assert _only_source(tmp_path / "in").store_uris == (str(folder / "load_data.csv.gz"),)
    (folder / "load_data.csv.gz").unlink()
    (folder / "load_data_unprojected.csv").unlink()
    source = _only_source(tmp_path / "in")
    assert set(_scan(source).images["channel_names"].to_pylist()[0]) == set(CHANNELS)


@pytest.mark.parametrize("place", [_in_bucket, _by_url, _at_the_lab])
def test_cells_are_linked_by_place_and_by_name_without_a_request_or_an_open_file(
    tmp_path: Path, s3: StandInS3, place: Place
):
    write_load_data(tmp_path / "in/screen/load_data/BR1.csv", place)
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    scan = _scan(_only_source(tmp_path / "in"), s3)
    assert scan.chunks is not None
    assert scan.chunks.read_all().num_rows == 0
    by_place = pd.DataFrame(
        {
            "Metadata_Plate": "BR1",
            "Metadata_Well": ["A1", "B2"],
            "Metadata_Site": [1, 2],
            "Cells_AreaShape_Area": 1.0,
        }
    )
    by_name = pd.DataFrame(
        {"FileName_OrigER": ["A01-2-OrigER.tiff", "B02-1-OrigER.tiff"], "Cells_AreaShape_Area": 1.0}
    )
    for cells, rule, expected in (
        (by_place, "plate_well_site", ["BR1:A01:1", "BR1:B02:2"]),
        (by_name, "file_name", ["BR1:A01:2", "BR1:B02:1"]),
    ):
        joined = join_plate(
            scan.images, pa.Table.from_pandas(cells), plate_key="screen/BR1", dataset_id="screen",
            storage_options=s3.options(),
        ).table()  # fmt: skip
        assert joined["image_id"].to_pylist() == expected
        assert joined["join_rule"].to_pylist() == [rule, rule]
    assert dict(s3.counts) == {}
    assert [path for path in opened if path.endswith(".tiff")] == []
    if place is not _at_the_lab:  # the images are there: a scan of the table itself does ask for them
        table = str(tmp_path / "in/screen/load_data/BR1.csv")
        scanned = scan_image_assets(table, options=ScanOptions(storage_options=s3.options()))
        assert scanned["image_id"].equals(scan.images["image_id"])
        assert s3.counts.total() > 0


def test_a_listed_image_says_what_is_known_of_it_and_that_it_was_not_opened(tmp_path: Path):
    write_load_data(tmp_path / "in/screen/load_data/BR1.csv")
    scan = _scan(_only_source(tmp_path / "in"))
    row = scan.images.to_pylist()[0]
    assert (row["plate_id"], row["well_id"], row["site_id"]) == ("BR1", "A01", "1")
    assert row["channel_names"] == list(CHANNELS)
    assert [f"{row['uri']}/{file['path']}" for file in row["files"]] == [
        f"{ARCHIVE}/A01-1-{channel}.tiff" for channel in CHANNELS
    ]
    assert (row["scan_status"], row["shape"], row["dtype"], row["axes"], row["stored_bytes"]) == (
        "listed", [], "unknown", None, None,
    )  # fmt: skip
    assert [finding.code for finding in scan.findings] == ["images-listed"]
    with pytest.raises(UsageError, match="not opened"):
        locate(
            {"image_id": row["image_id"], "Cells_Location_Center_X": 5.0, "Cells_Location_Center_Y": 5.0},
            image_assets=scan.images,
        )


def test_listed_wells_are_complete_with_the_channels_of_the_table(tmp_path: Path):
    write_load_data(tmp_path / "in/screen/load_data/BR1.csv")
    scan = _scan(_only_source(tmp_path / "in"))
    found = build_plate_completeness(scan.images, scan.plates, plate_key="screen/BR1", dataset_id="screen")
    assert found.counts == {"complete": 2}
    assert found.table["channels_found"].to_pylist() == [3, 3]


def test_images_below_the_dataset_are_opened_and_have_the_ids_of_listed_ones(tmp_path: Path):
    def here(well: str, site: int, channel: str) -> dict[str, str]:
        name = f"{well}-{site}-{channel}.tiff"
        plates.write_plane(tmp_path / "in/screen/metadata/raw" / name)
        return {f"FileName_{channel}": name, f"PathName_{channel}": "../metadata/raw"}

    table = write_load_data(tmp_path / "in/screen/load_data/BR1.csv", here)
    scan = _scan(_only_source(tmp_path / "in"))
    assert set(scan.images["scan_status"].to_pylist()) == {"ok"}
    assert scan.images["shape"].to_pylist()[0][0] == len(CHANNELS)
    write_load_data(table, _in_bucket)
    assert _scan(_only_source(tmp_path / "in")).images["image_id"].equals(scan.images["image_id"])


def test_images_of_this_disk_outside_of_the_dataset_are_not_opened(tmp_path: Path):
    def outside(well: str, site: int, channel: str) -> dict[str, str]:
        name = f"{well}-{site}-{channel}.tiff"
        plates.write_plane(tmp_path / "elsewhere" / name)
        return {f"FileName_{channel}": name, f"PathName_{channel}": str(tmp_path / "elsewhere")}

    write_load_data(tmp_path / "in/screen/load_data/BR1.csv", outside)
    assert set(_scan(_only_source(tmp_path / "in")).images["scan_status"].to_pylist()) == {"listed"}


def test_a_table_of_the_dataset_gives_each_measured_plate_its_own_images(tmp_path: Path):
    write_load_data(tmp_path / "in/screen/load_data.csv", names=("BR1", "BR2", "BR3"))
    for plate in ("BR1", "BR2", "typo"):
        table = tmp_path / "in/screen/measurements" / f"{plate}.csv"
        table.parent.mkdir(exist_ok=True)
        table.write_text("Metadata_Well,Cells_AreaShape_Area\nA01,1\n")
    sources = {s.plate_name: s for s in discover_plates(str(tmp_path / "in")).sources}
    assert set(sources) == {"BR1", "BR2", "typo"}
    for plate in ("BR1", "BR2"):
        scan = _scan(sources[plate])
        assert set(scan.images["plate_id"].to_pylist()) == {plate}
        assert scan.images.num_rows == 4
    refused = _scan(sources["typo"])
    assert refused.images.num_rows == 0
    (finding,) = refused.findings
    assert finding.severity == "error"
    assert "'BR1', 'BR2', 'BR3'" in finding.message
    assert "load_data/typo.csv" in finding.message


def test_images_that_are_here_win_over_a_table_and_that_is_said(tmp_path: Path):
    plates.write_named(tmp_path / "in/screen/BR1", plates.imagexpress_name, channels=2)
    write_load_data(tmp_path / "in/screen/load_data/BR1.csv")
    found = discover_plates(str(tmp_path / "in"))
    (source,) = found.sources
    assert source.store_uris == (str(tmp_path / "in/screen/BR1"),)
    assert [finding.code for finding in source.findings] == ["load-data-not-used"]


def test_a_packed_table_larger_than_a_document_may_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from bioimage_assets.core.formats.plate_folders import load_data

    monkeypatch.setattr(load_data, "MAX_XML_BYTES", 100)
    write_load_data(tmp_path / "in/screen/load_data/BR1.csv.gz")
    (finding,) = _scan(_only_source(tmp_path / "in")).findings
    assert finding.code == "unreadable-store"
    assert "unpacks to more than" in finding.message
