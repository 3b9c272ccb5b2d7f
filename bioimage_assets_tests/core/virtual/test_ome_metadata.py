"""Documents of a virtual plate: valid for ome-zarr-models, and saying what the catalogue says."""

import warnings

import pytest
from ome_zarr_models.exceptions import ValidationWarning
from ome_zarr_models.v04.bioformats2raw import BioFormats2Raw as Collection04
from ome_zarr_models.v04.hcs import HCS as HCS04
from ome_zarr_models.v04.image import Image as Image04
from ome_zarr_models.v04.image_label import ImageLabel as ImageLabel04
from ome_zarr_models.v05.bioformats2raw import BioFormats2Raw as Collection05
from ome_zarr_models.v05.hcs import HCS as HCS05
from ome_zarr_models.v05.image import Image as Image05
from ome_zarr_models.v05.image_label import ImageLabel as ImageLabel05

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.virtual.model import VirtualPlate
from bioimage_assets.core.virtual.multiscale_metadata import Window
from bioimage_assets.core.virtual.ome_metadata import build_group_documents
from bioimage_assets_tests.core.virtual.shells import (
    build_shell,
    make_field,
    make_levels,
    make_rows,
    write_shell,
)

VERSIONS = ("0.5", "0.4")
MODELS = {
    "0.5": (HCS05, Image05, ImageLabel05, Collection05),
    "0.4": (HCS04, Image04, ImageLabel04, Collection04),
}
SIZES = {"pixel_size_x_um": 0.5, "pixel_size_y_um": 0.5}


def describe(*rows, version="0.5", **options):
    """Documents of the plate of these rows, without the wrapping of a version."""
    table = make_rows(*rows)
    groups = build_group_documents(table, build_shell(table), version, **options)
    return {path: found.get("ome", found) for path, found in groups.items()}


def transformations(groups, path, level=0):
    found = groups[path]["multiscales"][0]["datasets"][level]["coordinateTransformations"]
    return {entry["type"]: entry[entry["type"]] for entry in found}


def at(x, y, source="harmony-index", z=None):
    return {"source": source, "stage_x_um": x, "stage_y_um": y, "stage_z_um": z}


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


def test_plate_wells_images_and_labels_satisfy_the_models(version):
    shapes = [(2, 8, 8), (2, 4, 4)]
    label = {
        "image_id": "P1:A01:0:labels/nuclei",
        "image_kind": "label",
        "source_image_id": "P1:A01:0",
        "axes": "yx",
    }
    table = make_rows(
        make_field("A01", "0", levels=make_levels(shapes), channel_names=["DNA", "ER"], **SIZES),
        {**label, "well_id": "A01", "shape": [8, 8], "levels": make_levels([s[1:] for s in shapes]), "dtype": "int32"},
        make_field("B03", "f 1", levels=make_levels(shapes), acquisition_id="day 2"),
        {"image_id": "overview", "shape": [2, 8, 8, 8, 8], "axes": "tczyx", "time_increment_s": 4.0},
    )  # fmt: skip
    plate = build_shell(table)
    root = write_shell(plate, build_group_documents(table, plate, version), version)
    hcs, image, image_label, _ = MODELS[version]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ValidationWarning)
        found = hcs.from_zarr(root)
        assert found.n_wells == 2
        assert len(list(found.well_groups)) == 2
        for one in plate.images:
            model = image_label if "/labels/" in one.path else image
            model.from_zarr(root[one.path])


def test_a_collection_of_images_without_wells_satisfies_the_models(version):
    table = make_rows({"image_id": "a"}, {"image_id": "b"})
    plate = build_shell(table)
    root = write_shell(plate, build_group_documents(table, plate, version), version)
    _, image, _, collection = MODELS[version]
    assert collection.from_zarr(root) is not None
    assert root.attrs["bioimage_assets"] == {"plate": "P1"}
    assert [image.from_zarr(root[name]) is not None for name in ("0", "1")] == [True, True]
    ome = root["OME"].attrs.asdict()
    assert ome.get("ome", ome)["series"] == ["0", "1"]


def test_rows_and_columns_reach_the_last_well_so_that_no_well_is_drawn_elsewhere():
    plate = describe(make_field("C05", "0"))[""]["plate"]
    assert [row["name"] for row in plate["rows"]] == ["A", "B", "C"]
    assert [column["name"] for column in plate["columns"]] == ["1", "2", "3", "4", "5"]
    assert plate["wells"] == [{"path": "C/5", "rowIndex": 2, "columnIndex": 4}]


def test_the_plate_says_how_many_fields_its_fullest_well_has():
    plate = describe(make_field("A01", "0"), make_field("A01", "1"), make_field("A02", "0"))[""]["plate"]
    assert plate["field_count"] == 2


def test_named_acquisitions_are_numbered_and_keep_their_names():
    groups = describe(
        make_field("A01", "0", acquisition_id="late"),
        make_field("A01", "0", acquisition_id="early"),
        make_field("A01", "1", acquisition_id="early"),
    )
    assert groups[""]["plate"]["acquisitions"] == [
        {"id": 0, "name": "early", "maximumfieldcount": 2},
        {"id": 1, "name": "late", "maximumfieldcount": 1},
    ]
    assert groups["A/1"]["well"]["images"] == [
        {"path": "0aearly", "acquisition": 0},
        {"path": "0alate", "acquisition": 1},
        {"path": "1aearly", "acquisition": 0},
    ]


def test_acquisitions_with_numbers_keep_them():
    groups = describe(make_field("A01", "0", acquisition_id="10"), make_field("A01", "0", acquisition_id="2"))
    assert [one["id"] for one in groups[""]["plate"]["acquisitions"]] == [2, 10]


def test_sizes_stand_in_micrometers_and_seconds_and_grow_by_level():
    shapes = [(3, 2, 5, 1081, 100), (3, 2, 5, 540, 50)]
    row = make_field(
        "A01", "0", axes="tczyx", shape=shapes[0], levels=make_levels(shapes), time_increment_s=30.0
    )
    groups = describe({**row, **SIZES, "pixel_size_z_um": 2.0})
    assert transformations(groups, "A/1/0") == {"scale": [30.0, 1.0, 2.0, 0.5, 0.5]}
    assert transformations(groups, "A/1/0", 1) == {"scale": [30.0, 1.0, 2.0, 1.0, 1.0]}
    units = [axis.get("unit") for axis in groups["A/1/0"]["multiscales"][0]["axes"]]
    assert units == ["second", None, "micrometer", "micrometer", "micrometer"]


def test_the_scale_that_the_store_states_decides_over_the_shapes():
    levels = make_levels([(2, 10, 10), (2, 3, 3)], [(1, 0.65, 0.65), (1, 1.95, 1.95)])
    groups = describe(make_field("A01", "0", levels=levels, **SIZES))
    assert transformations(groups, "A/1/0", 1)["scale"] == pytest.approx([1.0, 1.5, 1.5])


def test_a_size_that_is_not_known_has_no_unit():
    groups = describe(make_field("A01", "0"))
    axes = groups["A/1/0"]["multiscales"][0]["axes"]
    assert [axis.get("unit") for axis in axes] == [None, None, None]
    assert transformations(groups, "A/1/0")["scale"] == [1.0, 1.0, 1.0]


def test_fields_lie_where_the_stage_was_from_the_corner_of_their_well():
    groups = describe(
        make_field("A01", "0", acquisition=at(100.0, 900.0), **SIZES),
        make_field("A01", "1", acquisition=at(400.0, 900.0), **SIZES),
        make_field("A01", "2", acquisition=at(100.0, 600.0), **SIZES),
        make_field("B01", "0", acquisition=at(5000.0, 5000.0), **SIZES),
    )
    found = [transformations(groups, f"A/1/{field}").get("translation") for field in range(3)]
    assert found == [[0, 0, 0], [0, 0, 300], [0, 300, 0]], "the stage counts upwards, pixels downwards"
    assert "translation" not in transformations(groups, "B/1/0"), "a field alone lies nowhere"


def test_positions_that_were_pixels_already_are_not_turned_over():
    source = "ngff-translation"
    groups = describe(
        make_field("A01", "0", acquisition=at(0.0, 0.0, source), **SIZES),
        make_field("A01", "1", acquisition=at(0.0, 300.0, source), **SIZES),
    )
    assert transformations(groups, "A/1/1")["translation"] == [0, 300, 0]


def test_a_place_in_micrometers_is_not_mixed_with_sizes_in_pixels():
    groups = describe(
        make_field("A01", "0", acquisition=at(0.0, 0.0)), make_field("A01", "1", acquisition=at(9.0, 0.0))
    )
    assert "translation" not in transformations(groups, "A/1/1")


def test_labels_lie_where_their_image_lies():
    label = {
        "image_id": "mask",
        "image_kind": "label",
        "source_image_id": "P1:A01:1",
        "axes": "yx",
        "shape": [8, 8],
    }
    groups = describe(
        make_field("A01", "0", acquisition=at(0.0, 0.0), **SIZES),
        make_field("A01", "1", acquisition=at(9.0, 0.0), **SIZES),
        {**label, **SIZES},
    )
    assert transformations(groups, "A/1/1/labels/mask")["translation"] == [0, 9]
    assert groups["A/1/1/labels"]["labels"] == ["mask"]
    assert groups["A/1/1/labels/mask"]["image-label"]["source"] == {"image": "../../"}


def test_channels_have_names_colours_and_what_their_type_can_hold():
    channels = describe(make_field("A01", "0", channel_names=["DNA", None]))["A/1/0"]["omero"]["channels"]
    assert [channel["label"] for channel in channels] == ["DNA", "channel 1"]
    assert len({channel["color"] for channel in channels}) == 2
    assert channels[0]["window"] == {"min": 0, "max": 65535, "start": 0, "end": 65535}


def test_measured_points_are_the_window_that_is_shown_first():
    windows = {"P1:A01:0": [Window(100, 900), None]}
    channels = describe(make_field("A01", "0"), windows=windows)["A/1/0"]["omero"]["channels"]
    assert channels[0]["window"] == {"min": 0, "max": 65535, "start": 100, "end": 900}
    assert channels[1]["window"]["end"] == 65535


def test_floating_point_numbers_have_no_limits_so_that_none_are_claimed():
    assert "omero" not in describe(make_field("A01", "0", dtype="float32"))["A/1/0"]


def test_samples_of_a_colour_image_are_red_green_and_blue():
    row = make_field("A01", "0", axes="yxs", shape=[8, 8, 3], dtype="uint8")
    channels = describe(row)["A/1/0"]["omero"]["channels"]
    assert [(c["label"], c["color"]) for c in channels] == [
        ("red", "FF0000"),
        ("green", "00FF00"),
        ("blue", "0000FF"),
    ]


def test_what_the_catalogue_calls_an_image_stands_beside_its_name():
    table = make_rows(make_field("A01", "f 1", acquisition=at(100.0, 900.0)))
    own = build_group_documents(table, build_shell(table))["A/1/f1"]["bioimage_assets"]
    assert own == {
        "image_id": "P1:A01:f 1", "site_id": "f 1", "well_id": "A01", "stage_x_um": 100.0, "stage_y_um": 900.0
    }  # fmt: skip


def test_images_that_cannot_be_expressed_are_listed_in_the_root():
    table = make_rows(make_field("A01", "0"))
    shell = build_shell(table)
    refused = (Finding("virtual-axes", "warning", "P1:A02:0", "Its axes q, r are none of OME-Zarr."),)
    plate = VirtualPlate(shell.name, shell.images, (), refused)
    own = build_group_documents(table, plate)[""]["bioimage_assets"]
    assert own["refused_count"] == 1
    assert own["refused"][0]["location"] == "P1:A02:0"


def test_a_plate_of_which_nothing_can_be_expressed_has_a_root(version):
    table = make_rows()
    groups = build_group_documents(table, build_shell(table), version)
    root = groups[""]
    assert root.get("ome", root)["bioformats2raw.layout"] == 3
