"""Channels of file names are called as a LoadData table calls them, where it is of one mind."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.core.discovery.gallery_channels import name_channels
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.plate_folders.load_data import read_load_data
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_image_assets
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, phenix_name, write_named


def names_of(columns: dict[str, list[str]]) -> dict[str, str]:
    """Names by token, of a table with these files by channel."""
    header = ["Metadata_Well", *(f"FileName_{name}" for name in columns)]
    rows = [",".join(["A01", *files]) for files in zip(*columns.values(), strict=True)]
    payload = "\n".join([",".join(header), *rows]).encode()
    return dict(name_channels(read_load_data(payload, "load_data.csv", FindingLog(""))))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"DNA": [phenix_name("A01", 1, 5)], "ER": [phenix_name("A01", 1, 2)]}, {"ch5": "DNA", "ch2": "ER"}),
        ({"DNA": [imagexpress_name("A01", 1, 1)]}, {"w1": "DNA"}),
        ({"DNA": [phenix_name("A01", 1, 1), phenix_name("A01", 2, 2)]}, {}),
        ({"DNA": [phenix_name("A01", 1, 1)], "DNA2": [phenix_name("A01", 1, 1)]}, {}),
        ({"DNA": [phenix_name("A01", 1, 1)], "DNA2": [phenix_name("A01", 1, 1)], "ER": [phenix_name("A01", 1, 3)]}, {"ch3": "ER"}),
        ({"DNA": ["nothing.tif"]}, {}),
    ],
)  # fmt: skip
def test_a_token_has_a_name_where_all_rows_agree_and_none_shares_it(
    columns: dict[str, list[str]], expected: dict[str, str]
) -> None:
    assert names_of(columns) == expected


def test_given_names_stand_at_the_files_of_their_channels(tmp_path: Path) -> None:
    write_named(tmp_path / "P1", phenix_name, wells=("A01",), sites=1, channels=3)
    options = ScanOptions(channel_names=(("ch1", "Z"), ("ch3", "A")))
    [image] = scan_image_assets(str(tmp_path / "P1"), options=options).to_pylist()
    assert image["channel_names"] == ["Z", "ch2", "A"]
    files = {file["path"].partition("-")[2][:3]: file["channel"] for file in image["files"]}
    assert files == {"ch1": "Z", "ch2": "ch2", "ch3": "A"}
