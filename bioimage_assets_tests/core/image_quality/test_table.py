"""A row per field and channel, of pixels where they lie or of CellProfiler's measures, within a budget that is kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tifffile

from bioimage_assets.core.image_quality.flags import KINDS
from bioimage_assets.core.image_quality.formulas import measure_power_slope, scale_plane
from bioimage_assets.core.image_quality.table import ImageQuality, build_image_quality
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_plate_source
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.quality_plates import CHANNELS, PlateDesign, design_plate
from bioimage_assets_tests.builders.quality_stores import write_tiff_fields, write_zarr_plate

DESIGN: PlateDesign = design_plate(200, wells=6, fields=3, faults_per_kind=1)
PLANE_BYTES = 256 * 256 * 2
SMALL = DatasetSettings(image_min_side_px=256)


@pytest.fixture(scope="module")
def tiff_images(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    folder = write_tiff_fields(tmp_path_factory.mktemp("tiff") / "P1", DESIGN)
    return _scan(folder)


@pytest.fixture(scope="module")
def zarr_images(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    store = write_zarr_plate(tmp_path_factory.mktemp("zarr") / "P1.zarr", DESIGN)
    return _scan(store)


def _scan(store: Path) -> pa.Table:
    """Images of a plate, as a run stores them."""
    source = PlateSource("s/P1", "s", "P1", str(store.parent), (str(store),))
    return scan_plate_source(source, ScanOptions(dataset_id="s", plate_key="s/P1")).images


def _build(
    images: pa.Table | None, settings: DatasetSettings = SMALL, measured: pa.Table | None = None, offset: int = 0
) -> ImageQuality:  # fmt: skip
    return build_image_quality(
        images, measured, settings, plate_key="s/P1", dataset_id="s", profile_site_offset=offset
    )


def test_planted_faults_of_files_are_flagged_in_their_fields_and_channels(tiff_images):
    rows = _build(tiff_images).table.to_pylist()
    assert len(rows) == 6 * 3 * 2
    found = {
        ((row["well_id"], int(row["site_id"])), kind)
        for row in rows
        for kind in KINDS
        if row[f"flag_{kind}"] and any(text.startswith(f"{kind}: ") for text in row["reasons"])
    }
    assert found == set(DESIGN.faults.items())
    assert all(row["is_flagged"] == bool(row["reasons"]) for row in rows)


def test_each_plane_is_read_once_and_whole(tiff_images):
    quality = _build(tiff_images)
    assert (quality.pieces_read, quality.bytes_read) == (36, 36 * PLANE_BYTES)


def test_measures_are_those_of_the_file(tiff_images):
    row = _build(tiff_images).table.to_pylist()[0]
    image = next(one for one in tiff_images.to_pylist() if one["image_id"] == row["image_id"])
    channel = sorted(image["channel_names"]).index(row["channel"])
    (file,) = (one for one in image["files"] if one["c"] == channel)
    pixels = tifffile.imread(f"{image['uri']}/{file['path']}")
    assert row["power_log_log_slope"] == pytest.approx(measure_power_slope(scale_plane(pixels)))
    assert row["mean_intensity"] == pytest.approx(pixels.mean() / 65535)
    assert (row["level"], row["height_px"], row["width_px"]) == (0, *pixels.shape)


def test_the_coarsest_level_that_serves_is_read_and_named(zarr_images):
    for side, level, share in ((256, 0, 1.0), (128, 1, 0.25), (64, 1, 0.25), (4_000, 0, 1.0)):
        quality = _build(zarr_images, DatasetSettings(image_min_side_px=side))
        assert set(quality.table["level"].to_pylist()) == {level}
        assert (quality.pieces_read, quality.bytes_read) == (36, int(36 * PLANE_BYTES * share))


def test_a_zarr_plate_and_its_files_have_the_same_measures(tiff_images, zarr_images):
    one, two = (
        _build(images).table.to_pandas().sort_values(["well_id", "site_id", "mean_intensity"])
        for images in (tiff_images, zarr_images)
    )
    for name in ("power_log_log_slope", "detail_ratio", "percent_maximal", "bright_place"):
        assert np.allclose(one[name].to_numpy(), two[name].to_numpy(), equal_nan=True)


def test_the_budget_is_kept_evenly_over_wells_and_what_is_left_out_is_said(zarr_images):
    budget = replace(SMALL, image_read_budget_mb=2)  # 7 fields of 262,144 bytes
    quality = _build(zarr_images, budget)
    assert quality.bytes_read == 14 * PLANE_BYTES <= 2_000_000
    rows = quality.table.to_pylist()
    assert Counter(row["source"] for row in rows) == {"pixels": 14, "not_read": 22}
    read = Counter(row["well_id"] for row in rows if row["source"] == "pixels")
    assert set(read) == set(DESIGN.wells)
    assert sorted(read.values()) == [2, 2, 2, 2, 2, 4]
    sites = {row["site_id"] for row in rows if row["source"] == "pixels"}
    assert len(sites) == 3
    assert all(row["is_flagged"] is None for row in rows if row["source"] == "not_read")
    assert [finding.code for finding in quality.findings][:1] == ["image-quality-beyond-budget"]
    assert "11 of 18 fields were not read" in quality.findings[0].message
    assert _build(zarr_images, budget).table.equals(quality.table)


def test_without_measuring_nothing_is_read(zarr_images):
    quality = _build(zarr_images, replace(SMALL, measure_image_quality=False))
    assert (quality.pieces_read, set(quality.table["source"].to_pylist())) == (0, {"not_read"})


def test_a_store_that_is_gone_is_a_finding_and_no_failure(zarr_images):
    uri = pa.array(["/nonexistent/P1.zarr"] * zarr_images.num_rows, pa.string())
    gone = zarr_images.set_column(zarr_images.column_names.index("uri"), "uri", uri)
    quality = _build(gone)
    assert set(quality.table["source"].to_pylist()) == {"not_read"}
    (finding,) = (one for one in quality.findings if one.code == "image-quality-unreadable")
    assert finding.severity == "warning"
    assert finding.message.startswith("18 of 18 fields could not be read")
    assert "does not exist" in finding.message


def _image_table(images: pa.Table, *, offset: int = 0, leave_out: int = 0) -> pa.Table:
    """CellProfiler's image table of a plate: one field is blurred in DNA."""
    rows = [
        {
            "Metadata_ImageNumber": number, "Metadata_Well": image["well_id"], "Metadata_Site": str(int(image["site_id"]) + offset),
            "Image_ImageQuality_PowerLogLogSlope_OrigDNA": -4.0 if number == 3 else -1.5 - 0.01 * (number % 5),
            "Image_ImageQuality_PercentMaximal_OrigDNA": 0.002, "Image_ImageQuality_MeanIntensity_OrigDNA": 0.02,
            "Image_ImageQuality_StdIntensity_OrigDNA": 0.01, "Image_ImageQuality_LocalFocusScore_OrigDNA_20": 1.0,
            "Image_ImageQuality_MeanIntensity_Other": 0.5,
        }
        for number, image in enumerate(images.to_pylist()[leave_out:], 1)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("offset", [0, 1])
def test_measured_fields_are_taken_as_they_are_and_not_read(zarr_images, offset):
    quality = _build(zarr_images, measured=_image_table(zarr_images, offset=offset), offset=offset)
    rows = quality.table.to_pylist()
    assert (quality.pieces_read, {row["source"] for row in rows}) == (0, {"measured"})
    assert {row["channel"] for row in rows} == {"OrigDNA"}  # of "Other" nothing tells the quality
    third = zarr_images.to_pylist()[2]["image_id"]
    assert [row["image_id"] for row in rows if row["flag_blurred"]] == [third]
    assert {row["flag_debris"] for row in rows} == {row["flag_uneven"] for row in rows} == {None}
    assert "image-quality-as-measured" in [finding.code for finding in quality.findings]


def test_fields_that_were_not_measured_are_read(zarr_images):
    quality = _build(zarr_images, measured=_image_table(zarr_images, leave_out=4))
    sources = Counter(row["source"] for row in quality.table.to_pylist())
    assert sources == {"measured": 14, "pixels": 4 * len(CHANNELS)}
    assert quality.pieces_read == 4 * len(CHANNELS)


def test_rows_of_other_sites_are_counted_as_unlinked(zarr_images):
    quality = _build(zarr_images, measured=_image_table(zarr_images, offset=40))
    assert set(quality.table["source"].to_pylist()) == {"pixels"}
    (finding,) = (one for one in quality.findings if one.code == "image-quality-unlinked")
    assert finding.message.startswith("18 rows of the image table")


def test_measures_without_images_are_fields_of_their_own(zarr_images):
    rows = _build(None, measured=_image_table(zarr_images)).table.to_pylist()
    assert len(rows) == 18
    assert {row["image_id"] for row in rows} == {None}
    assert sum(bool(row["flag_blurred"]) for row in rows) == 1


def test_a_plate_without_images_and_measures_has_no_row():
    assert _build(None).table.num_rows == 0


def test_a_file_that_is_cut_off_is_left_out_alone(tmp_path: Path):
    folder = write_tiff_fields(tmp_path / "P2", replace(DESIGN, wells=("A01", "A02"), faults={}))
    images = _scan(folder)
    broken = next(folder.glob("*A01_s1_w1.tif"))
    broken.write_bytes(broken.read_bytes()[:-70_000])
    rows = _build(images).table.to_pylist()
    unread = {(row["well_id"], row["site_id"]) for row in rows if row["source"] == "not_read"}
    assert unread == {("A01", "1")}
    assert sum(row["source"] == "pixels" for row in rows) == 10
