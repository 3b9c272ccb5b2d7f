"""Every store the generator writes opens in the independent reader of its format and holds what the plan says."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import ome_types
import pytest
import tifffile
import zarr
from ome_zarr_models.v04.hcs import HCS as HcsV04
from ome_zarr_models.v04.image_label import ImageLabel as ImageLabelV04
from ome_zarr_models.v05.hcs import HCS as HcsV05
from ome_zarr_models.v05.image_label import ImageLabel as ImageLabelV05

from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.scan.scanner import scan_image_assets, scan_store_records
from bioimage_assets.demo.artefacts import choose_spoilt_fields
from bioimage_assets.demo.make_well import make_well
from bioimage_assets.demo.ome_xml import build_field_xml
from bioimage_assets.demo.render import CHANNELS, PIXEL_SIZE_UM
from bioimage_assets.demo.screens import DemoScreens, build_plans
from bioimage_assets.demo.sizes import SIZES, build_layout
from bioimage_assets_tests.demo.readers import read_cells

pytestmark = pytest.mark.slow

CI = SIZES["ci"]


@pytest.mark.parametrize(
    ("plate_key", "zarr_format", "hcs_model", "label_model"),
    [("screen-a/SA-P1", 2, HcsV04, ImageLabelV04), ("screen-a/SA-P2", 3, HcsV05, ImageLabelV05)],
)
def test_zarr_plates_satisfy_the_specification_models(
    screens: DemoScreens, plate_key, zarr_format, hcs_model, label_model
):
    plate = screens.plate(plate_key)
    group = zarr.open_group(plate.paths.store, mode="r")
    hcs = hcs_model.from_zarr(group)
    assert group.metadata.zarr_format == zarr_format
    assert len(list(hcs.well_groups)) == CI.well_count
    for labels in ("cells", "nuclei"):
        assert label_model.from_zarr(group[f"A/1/0/labels/{labels}"])
    field = group["A/1/0"].attrs.asdict()
    document = field.get("ome", field)
    assert [channel["label"] for channel in document["omero"]["channels"]] == list(CHANNELS)
    multiscales = document["multiscales"][0]
    assert [axis.get("unit") for axis in multiscales["axes"]] == [None, "micrometer", "micrometer"]
    scales = [level["coordinateTransformations"][0]["scale"] for level in multiscales["datasets"]]
    assert scales == [[1.0, PIXEL_SIZE_UM, PIXEL_SIZE_UM], [1.0, 2 * PIXEL_SIZE_UM, 2 * PIXEL_SIZE_UM]]


def test_zarr_v2_uses_slashes_and_zarr_v3_shards(screens: DemoScreens):
    first = screens.plate("screen-a/SA-P1").paths.store
    second = screens.plate("screen-a/SA-P2").paths.store
    assert (first / "A/1/0/0/4/1/1").is_file()
    assert zarr.open_array(second / "A/1/0/0", mode="r").shards == (5, 256, 256)
    assert [path.name for path in (second / "A/1/0/0/c/0/0").iterdir()] == ["0"]


def test_imagexpress_plate_has_one_file_per_channel_and_a_sidecar(screens: DemoScreens):
    plate = screens.plate("screen-b/SB-P1")
    names = {path.name for path in plate.paths.store.iterdir()}
    expected = {f"SB-P1_{w.well_id}_s1_w{c}.tif" for w in build_layout(CI, 0, "x") for c in range(1, 6)}
    assert names == expected | {"SB-P1.HTD"}
    assert '"WaveName5", "Mito"' in (plate.paths.store / "SB-P1.HTD").read_text(encoding="latin-1")
    with tifffile.TiffFile(plate.paths.store / "SB-P1_A01_s1_w1.tif") as tiff:
        plane = tiff.metaseries_metadata["PlaneInfo"]
        assert (plane["spatial-calibration-x"], plane["stage-label"]) == (PIXEL_SIZE_UM, "A01 : Site 1")


def test_ome_tiff_plate_reads_in_ome_types_with_plate_position_and_pyramid(screens: DemoScreens):
    path = screens.plate("screen-b/SB-P2").paths.store / "SB-P2_B03_s1.ome.tif"
    ome = ome_types.from_tiff(path)
    pixels, well = ome.images[0].pixels, ome.plates[0].wells[0]
    assert [channel.name for channel in pixels.channels] == list(CHANNELS)
    assert (pixels.physical_size_x, pixels.physical_size_y) == (PIXEL_SIZE_UM, PIXEL_SIZE_UM)
    assert (ome.plates[0].name, well.row, well.column) == ("SB-P2", 1, 2)
    assert well.well_samples[0].image_ref.id == ome.images[0].id
    with tifffile.TiffFile(path) as tiff:
        assert [level.shape for level in tiff.series[0].levels] == [(5, 192, 192), (5, 96, 96)]
        assert ElementTree.fromstring(tiff.pages[0].description).tag.endswith("OME")


def test_discovery_finds_the_four_plates_with_their_measurements_and_nothing_else(screens: DemoScreens):
    found = discover_plates(str(screens.root))
    assert [source.plate_key for source in found.sources] == [plate.plate_key for plate in screens.plates]
    assert [source.measurement_uris for source in found.sources] == [
        (str(plate.paths.measurements),) for plate in screens.plates
    ]
    assert not found.findings


def test_dataset_settings_are_readable_and_name_measured_features(screens: DemoScreens):
    from pyarrow import parquet

    names = parquet.read_schema(screens.plate("screen-a/SA-P1").paths.measurements).names
    for dataset in ("screen-a", "screen-b"):
        thresholds = read_dataset_settings(str(screens.root / dataset)).qc_thresholds
        assert set(thresholds) == {"blurry_cells", "saturated_nuclei", "debris", "merged_cells"}
        assert {feature for limits in thresholds.values() for feature in limits} <= set(names)


@pytest.mark.parametrize("size", SIZES.values(), ids=lambda size: size.name)
def test_every_size_has_controls_every_dose_and_spares_the_wells_other_fields(size):
    layout = build_layout(size, 1, "screen-a")
    assert len(layout) == size.well_count
    assert sum(well.is_control for well in layout) == size.control_count >= 4
    treatments = {(well.compound, well.concentration_um) for well in layout if not well.is_control}
    assert len(treatments) == 4 * len(size.doses_um)
    plan = build_plans(size, 1)[0]
    spoilt = choose_spoilt_fields(plan.plate_rng(), size)
    positions = [*spoilt.blurred, *spoilt.saturated, *spoilt.with_debris]
    assert len({well for well, _ in positions}) == len(positions)


def test_this_projects_scanner_sees_the_fields_that_the_measurements_name(screens: DemoScreens):
    for plate in screens.plates:
        images = scan_image_assets(str(plate.paths.store)).to_pandas()
        images = images[images["image_kind"] == "image"]
        measured = read_cells(plate)[["Metadata_Plate", "Metadata_Well", "Metadata_Site"]].drop_duplicates()
        scanned = images[["plate_id", "well_id", "site_id"]]
        assert sorted(map(tuple, scanned.to_numpy())) == sorted(map(tuple, measured.to_numpy()))
        assert images["channel_names"].map(tuple).unique().tolist() == [CHANNELS]
        assert set(images["pixel_size_x_um"]) == {PIXEL_SIZE_UM}
        assert not images["findings"].map(len).any()


def test_every_plate_says_how_it_was_taken_and_nothing_odd_is_found(screens: DemoScreens):
    sources = {}
    for plate in screens.plates:
        scan = scan_store_records(str(plate.paths.store))
        assert [finding.code for finding in scan.findings if finding.severity != "info"] == []
        places = {
            (image.acquisition.stage_x_um, image.acquisition.stage_y_um)
            for image in scan.images
            if image.acquisition
        }
        assert len(places) == CI.well_count * CI.site_count
        sources[plate.stamp.layout] = {image.acquisition.source for image in scan.images if image.acquisition}
        if not plate.stamp.layout.startswith("ome-zarr"):
            moments = [image.acquisition.acquired_at for image in scan.images if image.acquisition]
            assert None not in moments
            assert moments == sorted(moments, key=str)
            assert all(len(image.planes) == len(CHANNELS) for image in scan.images)
    assert sources == {
        "ome-zarr-0.4": {"ngff-translation"}, "ome-zarr-0.5": {"ngff-translation"},
        "imagexpress": {"metaxpress-tags"}, "ome-tiff": {"ome-xml"},
    }  # fmt: skip


@pytest.mark.parametrize("index", range(2), ids=["imagexpress", "ome-tiff"])
def test_two_sites_of_a_well_in_files_of_their_own_keep_their_ids(tmp_path, index):
    plan = build_plans(dataclasses.replace(CI, site_count=2), 1, datasets=["screen-b"])[index]
    (tmp_path / "images").mkdir()
    make_well(plan, 5, str(tmp_path))
    scanned = scan_image_assets(str(tmp_path / "images")).to_pandas()
    found = sorted(scanned[["well_id", "site_id"]].itertuples(index=False, name=None))
    assert found == [("B02", plan.site_id(0)), ("B02", plan.site_id(1))]


def test_ome_xml_of_a_second_site_is_valid_and_refers_to_its_own_image_only():
    plan = build_plans(SIZES["demo"], 1, datasets=["screen-b"])[1]
    ome = ome_types.from_xml(build_field_xml(plan, 7, 1, "SB-P2_B02_s2.ome.tif"))
    samples = ome.plates[0].wells[0].well_samples
    assert [(sample.index, sample.image_ref and sample.image_ref.id) for sample in samples] == [
        (14, None),
        (15, "Image:15"),
    ]
