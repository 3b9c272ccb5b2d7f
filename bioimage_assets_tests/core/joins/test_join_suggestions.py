"""Rows that find no image, or several, are told the line to write; written so, it links them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.joins.report import JoinReport
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_image_assets
from bioimage_assets_tests.builders.tiff_plates import write_plane

WELLS = ("A01", "B02")


def _scan(dataset: Path) -> pa.Table:
    """The images of the only plate of a dataset, as the graph scans them."""
    options = ScanOptions(
        dataset_id=dataset.name,
        plate_key=f"{dataset.name}/P1",
        dataset_root_uri=str(dataset),
        file_pattern=read_dataset_settings(str(dataset)).file_pattern,
    )
    return scan_image_assets(str(dataset / "P1"), options=options)


def _join(dataset: Path, cells: pa.Table) -> JoinReport:
    settings = read_dataset_settings(str(dataset))
    result = join_plate(
        _scan(dataset), cells, settings=settings, plate_key=f"{dataset.name}/P1", dataset_id=dataset.name
    )
    return result.report


def _write_settings(dataset: Path, finding: Finding) -> None:
    """Write into dataset.toml what a finding says to write there, as a person would."""
    found = re.search(r"(\[\w+\]) (\w+ = (?:'[^']+'|\[\[.*?\]\]))", finding.message)
    assert found is not None, finding.message
    text = f"{found[1]}\n{found[2]}\n"
    tomllib.loads(text)
    (dataset / "dataset.toml").write_text(text)


def _finding(report: JoinReport, code: str) -> Finding:
    (finding,) = [finding for finding in report.findings if finding.code == code]
    return finding


@pytest.mark.parametrize(
    "name",
    [
        "exp-{well}-{channel}-raw.tif",
        "run 7 {well} {channel} raw.tif",
        "p_{well}_{channel}-x.tiff",
    ],
)
def test_rows_that_name_the_channels_of_one_field_are_told_the_pattern_that_makes_them_one_image(
    tmp_path, name
):
    dataset = tmp_path / "screen"
    rows: dict[str, list[str]] = {"Metadata_Well": list(WELLS)}
    for channel in ("DNA", "DRAQ5", "AGP"):
        paths = [name.format(well=well, channel=channel) for well in WELLS]
        rows[f"FileName_{channel}"] = [path.rpartition("/")[2] for path in paths]
        for path in paths:
            write_plane(dataset / "P1" / path)
    before = _join(dataset, pa.table(rows))
    assert before.matched_rows == 0
    finding = _finding(before, "ambiguous-key")
    assert "the dataset's dataset.toml: [images] file_pattern = '" in finding.message
    _write_settings(dataset, finding)
    after = _join(dataset, pa.table(rows))
    assert (after.matched_rows, after.image_count) == (2, 2)


def test_rows_with_wells_are_told_the_pattern_that_reads_the_wells_from_the_names(tmp_path):
    dataset = tmp_path / "screen"
    for well in WELLS:
        for channel in ("DNA", "ER"):
            write_plane(dataset / "P1" / f"exp.{well}.3.{channel}.tif")
    cells = pa.table({"Metadata_Well": ["A1", "B2"], "Metadata_Site": ["3", "3"]})
    finding = _finding(_join(dataset, cells), "unlinked-rows")
    assert finding.message.startswith("2 row(s) found no image.")
    assert "load_data.csv" in finding.message
    _write_settings(dataset, finding)
    assert _join(dataset, cells).matched_rows == 2


def test_names_without_a_well_get_an_example_and_the_way_without_a_pattern(tmp_path):
    dataset = tmp_path / "screen"
    write_plane(dataset / "P1" / "img001.tif")
    finding = _finding(_join(dataset, pa.table({"Metadata_Well": ["A1"]})), "unlinked-rows")
    assert "adapt it to the names" in finding.message
    assert "load_data.csv beside the images" in finding.message


def test_one_name_in_several_folders_is_told_the_rewrite_of_paths_that_links_it(tmp_path):
    dataset = tmp_path / "screen"
    for folder in ("day1", "day2"):
        write_plane(dataset / "P1" / folder / "x.tif")
    cells = pa.table(
        {"FileName_DNA": ["x.tif", "x.tif"], "PathName_DNA": ["/home/lab/raw/day1", "/home/lab/raw/day2"]}
    )
    finding = _finding(_join(dataset, cells), "ambiguous-key")
    assert f'[join] path_rewrites = [["/home/lab/raw/", "{dataset}/P1/"]]' in finding.message
    _write_settings(dataset, finding)
    assert _join(dataset, cells).matched_rows == 2


def test_rows_without_site_in_a_well_of_several_are_told_the_alias(tmp_path):
    dataset = tmp_path / "screen"
    for site in (1, 2):
        write_plane(dataset / "P1" / f"P1_A01_s{site}_w1.tif")
    finding = _finding(_join(dataset, pa.table({"Metadata_Well": ["A01"]})), "ambiguous-key")
    assert "[microscopy.aliases] site_id" in finding.message


def test_a_plate_whose_images_could_not_be_read_is_not_one_without_images(tmp_path):
    write_plane(tmp_path / "screen/P1/P1_A01_s1_w1.tif")
    none = _scan(tmp_path / "screen").slice(0, 0)
    cells = pa.table({"Metadata_Well": ["A01"]})
    report = join_plate(none, cells, plate_key="screen/P1", dataset_id="screen").report
    assert report.count("profiles-without-image") == 1
    assert _finding(report, "no-image-rows").severity == "warning"
    imageless = join_plate(none, cells, plate_key="screen/P1", dataset_id="screen", is_imageless=True).report
    assert (imageless.count("no-images"), imageless.is_imageless) == (1, True)
    assert [(f.code, f.severity) for f in imageless.findings] == [("no-images", "info")]
    kept = join_plate(
        _scan(tmp_path / "screen"), cells, plate_key="screen/P1", dataset_id="screen", is_imageless=True
    )
    assert (kept.report.matched_rows, kept.report.is_imageless) == (1, False)
