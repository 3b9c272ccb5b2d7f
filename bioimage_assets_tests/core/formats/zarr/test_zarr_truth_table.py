"""Every Zarr layout of the truth table gives the rows that were written down by hand."""

from __future__ import annotations

import json
from pathlib import Path

import ome_types
import pytest

from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders.zarr_documents import (
    AXES_CYX,
    multiscales,
    write_array,
    write_group,
    write_image,
    write_json,
    write_plate,
)


def codes(scan: StoreScan) -> set[str]:
    return {finding.code for finding in scan.findings}


def test_v2_bare_array_is_one_row_of_kind_array_without_path(tmp_path: Path) -> None:
    write_array(tmp_path / "a.zarr", "", (16, 10), (128, 4), dtype=">u2", separator=None)
    (image,) = scan_store_records(str(tmp_path / "a.zarr")).images
    assert (image.image_id, image.image_kind, image.array_path, image.axes) == ("a", "array", None, None)
    assert (image.dtype, image.byte_order, image.chunk_shape, image.codec) == (
        "uint16",
        "big",
        (128, 4),
        "blosc/lz4",
    )
    assert (image.storage_variant, image.shape) == ("zarr-v2", (16, 10))


def test_v3_bare_array_takes_axes_from_dimension_names_only_when_all_are_named(tmp_path: Path) -> None:
    write_array(tmp_path / "a.zarr", "", (4, 5), (2, 2), zarr_format=3, dimension_names=["y", "x"])
    write_array(tmp_path / "b.zarr", "", (4, 5), (2, 2), zarr_format=3, dimension_names=["y", None])
    assert scan_store_records(str(tmp_path / "a.zarr")).images[0].axes == "yx"
    assert scan_store_records(str(tmp_path / "b.zarr")).images[0].axes is None


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_group_without_ome_metadata_gives_one_row_per_array_at_any_depth(
    tmp_path: Path, zarr_format: int
) -> None:
    root = tmp_path / "g.zarr"
    write_group(root, "", zarr_format=zarr_format)
    write_array(root, "raw", (4, 4), (2, 2), zarr_format=zarr_format)
    write_group(root, "deep", zarr_format=zarr_format)
    write_array(root, "deep/er/mask", (4, 4), (2, 2), zarr_format=zarr_format)
    scan = scan_store_records(str(root))
    assert {(image.image_id, image.image_kind) for image in scan.images} == {
        ("g:raw", "array"),
        ("g:deep/er/mask", "array"),
    }


def test_sharded_array_reports_the_read_unit_as_chunk_and_the_stored_object_as_shard(tmp_path: Path) -> None:
    write_array(tmp_path / "s.zarr", "", (64, 64), (32, 32), zarr_format=3, inner=(8, 16))
    (image,) = scan_store_records(str(tmp_path / "s.zarr")).images
    assert (image.chunk_shape, image.shard_shape, image.codec, image.byte_order) == (
        (8, 16),
        (32, 32),
        "zstd",
        "little",
    )


@pytest.mark.parametrize(
    ("dtype", "name", "order"),
    [("<f4", "float32", "little"), ("|u1", "uint8", None), (">i8", "int64", "big"), ("|b1", "bool", None)],
)
def test_v2_data_types_become_numpy_names(tmp_path: Path, dtype: str, name: str, order: str | None) -> None:
    write_array(tmp_path / "d.zarr", "", (4,), (2,), dtype=dtype)
    (image,) = scan_store_records(str(tmp_path / "d.zarr")).images
    assert (image.dtype, image.byte_order) == (name, order)


@pytest.mark.parametrize(
    "dtype", ["bfloat16", {"name": "numpy.datetime64", "configuration": {"unit": "s"}}, 17]
)
def test_unknown_v3_data_types_keep_their_row_and_say_so(tmp_path: Path, dtype: object) -> None:
    write_array(tmp_path / "d.zarr", "", (4,), (2,), zarr_format=3, dtype=dtype)
    scan = scan_store_records(str(tmp_path / "d.zarr"))
    assert len(scan.images) == 1
    assert codes(scan) == {"unknown-dtype"}


def test_structured_v2_type_and_nan_fill_value_keep_their_row(tmp_path: Path) -> None:
    write_array(tmp_path / "d.zarr", "", (4,), (2,), dtype=[["x", "<f4"], ["y", "<i2"]], fill_value="NaN")
    scan = scan_store_records(str(tmp_path / "d.zarr"))
    assert scan.images[0].dtype == json.dumps([["x", "<f4"], ["y", "<i2"]])


def test_a_grid_that_is_not_regular_has_no_chunk_shape_but_a_row(tmp_path: Path) -> None:
    grid = {"name": "rectangular", "configuration": {"chunk_shape": [[2, 2], [4]]}}
    write_array(tmp_path / "r.zarr", "", (4, 4), (2, 2), zarr_format=3, chunk_grid=grid)
    scan = scan_store_records(str(tmp_path / "r.zarr"))
    assert scan.images[0].chunk_shape is None
    assert codes(scan) == {"irregular-chunk-grid"}


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_0_1_and_0_2_have_five_implied_axes_and_no_pixel_size(tmp_path: Path, version: str) -> None:
    entry = {"version": version, "datasets": [{"path": "0"}, {"path": "1"}]}
    write_image(tmp_path / "i.zarr", shape=(1, 2, 1, 16, 16), chunks=(1, 1, 1, 8, 8), entries=[entry])
    (image,) = scan_store_records(str(tmp_path / "i.zarr")).images
    assert (image.axes, image.pixel_size_x_um, image.format_version) == ("tczyx", None, version)
    assert [level.shape for level in image.levels] == [(1, 2, 1, 16, 16), (1, 2, 1, 8, 8)]


def test_0_3_axes_are_a_list_of_names(tmp_path: Path) -> None:
    entry = {"version": "0.3", "axes": ["c", "y", "x"], "datasets": [{"path": "0"}]}
    write_image(tmp_path / "i.zarr", levels=("0",), entries=[entry])
    (image,) = scan_store_records(str(tmp_path / "i.zarr")).images
    assert (image.axes, image.pixel_size_y_um, image.format_version) == ("cyx", None, "0.3")


def test_0_4_multiplies_level_scale_with_the_global_scale_and_converts_units(tmp_path: Path) -> None:
    axes = [
        {"name": "t", "type": "time", "unit": "millisecond"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space"},
    ]
    entry = multiscales(axes=axes, scale=(1.0, 325.0, 325.0))
    entry["coordinateTransformations"] = [{"type": "scale", "scale": [100.0, 2.0, 2.0]}]
    write_image(tmp_path / "i.zarr", entries=[entry])
    (image,) = scan_store_records(str(tmp_path / "i.zarr")).images
    assert image.pixel_size_y_um == pytest.approx(0.65)
    assert image.time_increment_s == pytest.approx(0.1)
    assert image.pixel_size_x_um is None, "a missing unit is not micrometer"
    assert image.levels[1].scale == (100.0, 1300.0, 1300.0)


def test_0_5_reads_everything_below_ome_with_nested_level_paths(tmp_path: Path) -> None:
    write_image(tmp_path / "i.zarr", zarr_format=3, levels=("scales/s0", "scales/s1"), channels=("DNA", "ER"))
    (image,) = scan_store_records(str(tmp_path / "i.zarr")).images
    assert (image.axes, image.array_path, image.format_version) == ("cyx", "scales/s0", "0.5")
    assert image.channel_names == ("DNA", "ER")
    assert (image.pixel_size_x_um, image.pixel_size_y_um) == (0.65, 0.65)
    assert [level.path for level in image.levels] == ["scales/s0", "scales/s1"]


def test_0_6_takes_axes_from_the_coordinate_system_the_datasets_lead_to(tmp_path: Path) -> None:
    def transform(scale: list[float]) -> list[dict[str, object]]:
        inner = [{"type": "translation", "translation": [0, 0, 0]}, {"type": "scale", "scale": scale}]
        return [{"type": "sequence", "input": "0", "output": {"name": "physical"}, "transformations": inner}]

    entry = {
        "coordinateSystems": [
            {"name": "other", "axes": [{"name": "q"}]},
            {"name": "physical", "axes": AXES_CYX},
        ],
        "datasets": [
            {"path": "0", "coordinateTransformations": transform([1.0, 0.5, 0.5])},
            {"path": "1", "coordinateTransformations": transform([1.0, 1.0, 1.0])},
        ],
    }
    root = tmp_path / "i.zarr"
    write_image(root, zarr_format=3)
    write_group(root, "", {"ome": {"version": "0.6.dev3", "multiscales": [entry]}}, zarr_format=3)
    (image,) = scan_store_records(str(root)).images
    assert (image.axes, image.pixel_size_x_um, image.format_version) == ("cyx", 0.5, "0.6.dev3")


def test_each_multiscales_entry_is_an_image_and_a_shared_array_stays_one(tmp_path: Path) -> None:
    write_image(tmp_path / "m.zarr", entries=[multiscales(("0", "1")), multiscales(("1",))])
    scan = scan_store_records(str(tmp_path / "m.zarr"))
    assert [image.image_id for image in scan.images] == ["m", "m#1"]
    assert [len(image.levels) for image in scan.images] == [2, 1]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_labels_are_rows_of_their_own_that_name_their_image(tmp_path: Path, zarr_format: int) -> None:
    root = tmp_path / "l.zarr"
    write_image(root, zarr_format=zarr_format)
    listed = {"labels": ["nuclei", "original/0", "../outside"]}
    write_group(root, "labels", {"ome": listed} if zarr_format == 3 else listed, zarr_format=zarr_format)
    for name in ("nuclei", "original/0", "unlisted"):
        write_image(root, f"labels/{name}", zarr_format=zarr_format, levels=("0",))
    scan = scan_store_records(str(root))
    assert [(image.image_id, image.image_kind, image.source_image_id) for image in scan.images] == [
        ("l", "image", None),
        ("l:labels/nuclei", "label", "l"),
        ("l:labels/original/0", "label", "l"),
    ]
    assert codes(scan) == {"unsafe-path"}
    without = scan_store_records(str(root), ScanOptions(include_labels=False))
    assert len(without.images) == 1


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_plate_is_one_row_per_listed_field_with_canonical_ids(tmp_path: Path, zarr_format: int) -> None:
    root = write_plate(
        tmp_path / "store.zarr", zarr_format=zarr_format, wells={"A/1": ("0", "f1"), "AF/48": ("007",)}
    )
    write_image(root, "A/1/99", zarr_format=zarr_format)
    scan = scan_store_records(str(root))
    assert [image.image_id for image in scan.images] == ["Plate 7:A01:0", "Plate 7:A01:f1", "Plate 7:AF48:7"]
    assert [image.array_path for image in scan.images] == ["A/1/0/0", "A/1/f1/0", "AF/48/007/0"]
    assert {image.plate_key for image in scan.images} == {"store/store"}
    (plate,) = scan.plates
    assert [(well.well_id, well.path, well.sites) for well in plate.wells] == [
        ("A01", "A/1", ("0", "f1")),
        ("AF48", "AF/48", ("7",)),
    ]
    assert scan.findings == ()


def test_a_plate_without_name_takes_the_stores(tmp_path: Path) -> None:
    scan = scan_store_records(str(write_plate(tmp_path / "BR00117035.ome.zarr", name=None)))
    assert {image.plate_id for image in scan.images} == {"BR00117035"}


def test_the_well_comes_from_its_path_when_the_indices_contradict_it(tmp_path: Path) -> None:
    plate = {
        "rows": [{"name": "A"}, {"name": "B"}],
        "columns": [{"name": "1"}, {"name": "2"}],
        "wells": [{"path": "A/2", "rowIndex": 1, "columnIndex": 0}],
    }
    scan = scan_store_records(str(write_plate(tmp_path / "p.zarr", wells={"A/2": ("0",)}, plate=plate)))
    assert scan.images[0].well_id == "A02"
    assert codes(scan) == {"well-index"}


def test_several_acquisitions_go_into_the_id_and_a_single_one_does_not(tmp_path: Path) -> None:
    several = scan_store_records(
        str(write_plate(tmp_path / "p.zarr", wells={"A/1": ("0", "1")}, acquisitions=(0, 7)))
    )
    assert [image.image_id for image in several.images] == ["Plate 7:A01:0:0", "Plate 7:A01:1:7"]
    assert [image.acquisition_id for image in several.images] == ["0", "7"]
    single = scan_store_records(
        str(write_plate(tmp_path / "q.zarr", wells={"A/1": ("0",)}, plate={"acquisitions": [{"id": 3}]}))
    )
    assert [(image.image_id, image.acquisition_id) for image in single.images] == [("Plate 7:A01:0", "3")]


def test_sites_that_padding_would_merge_keep_their_own_spelling(tmp_path: Path) -> None:
    scan = scan_store_records(str(write_plate(tmp_path / "p.zarr", wells={"A/1": ("1", "01")})))
    assert [image.site_id for image in scan.images] == ["1", "01"]
    assert codes(scan) == {"duplicate-site"}


PIXELS = (
    'ID="Pixels:{0}" DimensionOrder="XYZCT" Type="uint16" SizeX="16" SizeY="16" SizeC="2" SizeZ="1" SizeT="1"'
)
XML = f"""<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
 <Image ID="Image:0"><Pixels {PIXELS.format(0)}>
  <Channel ID="Channel:0:0" Name="DAPI"/><Channel ID="Channel:0:1" Name="GFP"/><MetadataOnly/></Pixels></Image>
 <Image ID="Image:1"><Pixels {PIXELS.format(1)}>
  <Channel ID="Channel:1:0"/><Channel ID="Channel:1:1"/><MetadataOnly/></Pixels></Image>
</OME>"""


@pytest.mark.parametrize("with_series", [True, False])
def test_bioformats2raw_series_take_channel_names_from_the_xml_by_order(
    tmp_path: Path, with_series: bool
) -> None:
    root = tmp_path / "b.zarr"
    write_group(root, "", {"bioformats2raw.layout": 3})
    order = ["1", "0"] if with_series else ["0", "1"]
    write_group(root, "OME", {"series": order} if with_series else {})
    (root / "OME/METADATA.ome.xml").write_text(XML)
    for index in ("0", "1", "3"):
        write_image(root, index)
    scan = scan_store_records(str(root))
    assert [(image.image_id, image.channel_names) for image in scan.images] == [
        (f"b:{order[0]}", ("DAPI", "GFP")),
        (f"b:{order[1]}", None),
    ]
    theirs = [[channel.name for channel in image.pixels.channels] for image in ome_types.from_xml(XML).images]
    assert theirs == [["DAPI", "GFP"], [None, None]]
    assert scan.findings == ()


def test_the_store_that_bioformats2raw_writes_from_a_microscope_file(tmp_path: Path) -> None:
    """Zarr v2, blosc, big-endian, five axes, no ``.zmetadata``, sizes with units on every axis but c."""
    root = tmp_path / "LuCa-7color.ome.zarr"
    write_group(root, "", {"bioformats2raw.layout": 3})
    write_group(root, "OME", {"series": ["0"]})
    (root / "OME/METADATA.ome.xml").write_text(XML)
    units = {"t": ("time", "second"), "c": ("channel", None), "z": ("space", "micrometer")}
    axes = [
        {"name": name, "type": kind, **({"unit": unit} if unit else {})}
        for name, (kind, unit) in {
            **units,
            "y": ("space", "micrometer"),
            "x": ("space", "micrometer"),
        }.items()
    ]
    entry = multiscales(("0", "1", "2"), axes=axes, scale=(2.0, 1.0, 1.5, 0.4972, 0.4972), name="wrong name")
    write_group(root, "0", {"multiscales": [entry]})
    for number in range(3):
        size = 1536 >> number
        write_array(root, f"0/{number}", (3, 2, 1, size, size), (1, 1, 1, 1024, 1024), dtype=">u2")
    (image,) = scan_store_records(str(root)).images
    assert (image.image_id, image.array_path, image.format_version) == ("LuCa-7color", "0/0", "0.4")
    assert (image.axes, image.shape, image.dtype, image.byte_order) == (
        "tczyx",
        (3, 2, 1, 1536, 1536),
        "uint16",
        "big",
    )
    assert (image.pixel_size_x_um, image.pixel_size_z_um, image.time_increment_s) == (0.4972, 1.5, 2.0)
    assert (image.channel_names, image.codec) == (("DAPI", "GFP"), "blosc/lz4")
    assert [level.shape[-1] for level in image.levels] == [1536, 768, 384]


def test_a_plate_inside_bioformats2raw_is_read_once_as_a_plate(tmp_path: Path) -> None:
    root = write_plate(tmp_path / "b.zarr", wells={"A/1": ("0", "1")})
    attributes = json.loads((root / ".zattrs").read_text())
    write_json(root / ".zattrs", {**attributes, "bioformats2raw.layout": 3})
    write_group(root, "OME", {"series": ["A/1/0", "A/1/1"]})
    assert [image.image_id for image in scan_store_records(str(root)).images] == [
        "Plate 7:A01:0",
        "Plate 7:A01:1",
    ]


def test_a_document_type_declaration_in_the_xml_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "b.zarr"
    write_group(root, "", {"bioformats2raw.layout": 3})
    write_image(root, "0")
    write_group(root, "OME", {})
    (root / "OME/METADATA.ome.xml").write_text(
        '<!DOCTYPE OME [<!ENTITY a "b">]><OME><Image><Channel Name="&a;"/></Image></OME>'
    )
    scan = scan_store_records(str(root))
    assert [image.channel_names for image in scan.images] == [None]
    assert codes(scan) == {"broken-ome-xml"}


def test_stale_zmetadata_changes_no_row_and_is_named(tmp_path: Path) -> None:
    root = write_plate(tmp_path / "c.zarr", wells={"A/1": ("0",), "A/3": ("0",)})
    listed = {f"B/2/0/{level}/.zarray": {} for level in "01"} | {"A/1/0/0/.zarray": {}}
    write_json(root / ".zmetadata", {"zarr_consolidated_format": 1, "metadata": listed})
    scan = scan_store_records(str(root))
    assert [image.well_id for image in scan.images] == ["A01", "A03"]
    assert codes(scan) == {"stale-consolidated"}


def test_inline_consolidated_metadata_change_no_row(tmp_path: Path) -> None:
    root = write_image(tmp_path / "c.zarr", zarr_format=3)
    document = json.loads((root / "zarr.json").read_text())
    document["consolidated_metadata"] = {"kind": "inline", "metadata": {"7": {"node_type": "array"}}}
    write_json(root / "zarr.json", document)
    scan = scan_store_records(str(root))
    assert [level.path for level in scan.images[0].levels] == ["0", "1"]
    assert codes(scan) == {"stale-consolidated"}


def test_v3_wins_where_both_formats_are_at_the_root(tmp_path: Path) -> None:
    root = write_image(tmp_path / "x.zarr", zarr_format=3)
    write_group(root, "", {})
    scan = scan_store_records(str(root))
    assert [image.storage_variant for image in scan.images] == ["zarr-v3"]
    assert codes(scan) == {"both-zarr-formats"}


def test_a_lost_zgroup_is_said_and_harms_nothing(tmp_path: Path) -> None:
    root = write_image(tmp_path / "x.zarr")
    (root / ".zgroup").unlink()
    scan = scan_store_records(str(root))
    assert len(scan.images) == 1
    assert codes(scan) == {"missing-zgroup"}


def test_a_folder_of_stores_gives_the_rows_of_each_with_ids_below_the_folder(tmp_path: Path) -> None:
    write_image(tmp_path / "screen/a.ome.zarr")
    write_image(tmp_path / "screen/sub/a.zarr", zarr_format=3)
    write_plate(tmp_path / "screen/P1.zarr", name="P1")
    (tmp_path / "screen/._a.zarr").write_text("junk")
    scan = scan_store_records(str(tmp_path / "screen"))
    assert {(image.image_id, image.plate_key) for image in scan.images} == {
        ("a", "screen/screen"),
        ("sub/a", "screen/sub"),
        ("P1:A01:0", "screen/P1"),
        ("P1:A01:1", "screen/P1"),
        ("P1:B12:0", "screen/P1"),
    }
    assert {image.dataset_id for image in scan.images} == {"screen"}


def test_a_well_group_opened_on_its_own_gives_its_fields(tmp_path: Path) -> None:
    root = write_plate(tmp_path / "p.zarr")
    scan = scan_store_records(str(root / "A/1"))
    assert [image.array_path for image in scan.images] == ["0/0", "1/0"]
