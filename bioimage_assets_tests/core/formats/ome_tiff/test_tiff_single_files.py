"""Single TIFFs: shape, axes, type, levels and chunk offsets as tifffile reads them, facts as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile

from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets_tests.builders.tiff_files import (
    build_block,
    build_ome_image,
    build_ome_xml,
    build_plate_xml,
    write_ome_tiff,
    write_pages,
    write_pyramid,
)
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import (
    assert_chunks_agree,
    read_chunks,
    read_page_chunks,
    read_plane,
    read_series,
)


def make(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return (np.arange(int(np.prod(shape))) % 251).reshape(shape).astype(dtype)


def scan_one(path: Path) -> ImageRecord:
    (image,) = scan_tiff(str(path)).images
    return image


OME_CASES = {
    "single-plane": (make(32, 48), "YX", {}),
    "channels": (make(5, 32, 48), "CYX", {}),
    "hyperstack": (make(2, 3, 4, 16, 24), "TCZYX", {}),
    "z-before-channels": (make(4, 3, 16, 24), "ZCYX", {}),
    "big-endian": (make(3, 32, 48), "CYX", {"byteorder": ">"}),
    "bigtiff": (make(3, 32, 48), "CYX", {"bigtiff": True}),
    "bigtiff-big-endian": (make(3, 32, 48), "CYX", {"bigtiff": True, "byteorder": ">"}),
    "tiled": (make(2, 50, 70), "CYX", {"tile": (16, 32)}),
    "stripped": (make(2, 50, 70), "CYX", {"rowsperstrip": 7}),
    "one-row-strips": (make(2, 50, 70), "CYX", {"rowsperstrip": 1}),
    "deflate": (make(2, 50, 70), "CYX", {"compression": "zlib", "rowsperstrip": 7, "predictor": True}),
    "deflate-tiles": (make(2, 50, 70), "CYX", {"compression": "zlib", "tile": (16, 16)}),
    "float": (make(2, 32, 48, dtype="float32"), "CYX", {}),
    "int8": (make(2, 32, 48, dtype="int8"), "CYX", {}),
    "double": (make(32, 48, dtype="float64"), "YX", {}),
    "complex": (make(32, 48, dtype="complex64"), "YX", {}),
    "rgb": (make(32, 48, 3, dtype="uint8"), "YXS", {"photometric": "rgb"}),
    "rgb-stack": (make(4, 32, 48, 3, dtype="uint8"), "ZYXS", {"photometric": "rgb"}),
    "rgb-planar": (make(3, 32, 48, dtype="uint8"), "SYX", {"photometric": "rgb", "planarconfig": "separate"}),
    "rgb-planar-tiled": (
        make(3, 32, 48, dtype="uint8"), "SYX", {"photometric": "rgb", "planarconfig": "separate", "tile": (16, 16)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OME_CASES)
def test_an_ome_tiff_is_what_tifffile_reads(tmp_path: Path, case: str):
    data, axes, options = OME_CASES[case]
    path = write_ome_tiff(tmp_path / "a.ome.tif", data, axes, **options)
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert [(image.shape, image.axes, image.dtype)] == read_series(path)
    assert image.storage_variant == "ome-tiff"
    assert image.scan_status == "ok"
    assert scan.findings == ()
    assert_chunks_agree(scan, path)


@pytest.mark.parametrize("case", ["tiled", "stripped", "deflate", "rgb", "rgb-planar-tiled"])
def test_the_read_unit_is_the_tile_or_strip(tmp_path: Path, case: str):
    data, axes, options = OME_CASES[case]
    image = scan_one(write_ome_tiff(tmp_path / "a.ome.tif", data, axes, **options))
    expected = {
        "tiled": (1, 16, 32), "stripped": (1, 7, 70), "deflate": (1, 7, 70), "rgb": (32, 48, 3), "rgb-planar-tiled": (1, 16, 16),
    }  # fmt: skip
    assert image.chunk_shape == expected[case]
    assert image.shard_shape is None
    assert image.codec == ("deflate" if case == "deflate" else "none")


def test_byte_order_is_null_for_one_byte_types(tmp_path: Path):
    orders = {
        name: scan_one(
            write_ome_tiff(tmp_path / f"{name}.ome.tif", *OME_CASES[name][:2], **OME_CASES[name][2])
        ).byte_order
        for name in ("channels", "big-endian", "int8")
    }
    assert orders == {"channels": "little", "big-endian": "big", "int8": None}


def test_sub_ifds_are_levels_of_one_row(tmp_path: Path):
    path = write_pyramid(tmp_path / "p.ome.tif", make(3, 64, 96), "CYX")
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert [level.shape for level in image.levels] == [(3, 64, 96), (3, 32, 48), (3, 16, 24)]
    assert [level.path for level in image.levels] == ["0", "0/0", "0/1"]
    assert image.stored_bytes == sum(sum(counts) for _, _, counts in read_page_chunks(path))
    assert_chunks_agree(scan, path)
    assert set(read_chunks(scan)["level"].to_pylist()) == {0, 1, 2}
    assert set(read_chunks(scan, ScanOptions(levels=(0,)))["level"].to_pylist()) == {0}


def test_chunk_coordinates_run_over_all_axes(tmp_path: Path):
    path = write_ome_tiff(tmp_path / "t.ome.tif", make(2, 3, 40, 40), "TCYX", tile=(16, 32))
    rows = read_chunks(scan_tiff(str(path))).to_pylist()
    expected = [[t, c, y, x] for t in range(2) for c in range(3) for y in range(3) for x in range(2)]
    assert [row["chunk_coords"] for row in rows] == expected
    assert {row["nominal_bytes"] for row in rows} == {16 * 32 * 2}
    assert rows[-1]["chunk_key"] == "t.ome.tif#5:5"


def test_contiguous_strips_fold_to_one_row_per_page(tmp_path: Path):
    path = write_ome_tiff(tmp_path / "s.ome.tif", make(3, 50, 70), "CYX", rowsperstrip=1)
    rows = read_chunks(scan_tiff(str(path))).to_pylist()
    assert [(row["chunk_key"], row["strip_count"], row["stored_bytes"]) for row in rows] == [
        (f"s.ome.tif#{page}", 50, 50 * 70 * 2) for page in range(3)
    ]


def test_pixels_are_at_the_stored_offset(tmp_path: Path):
    data = make(3, 20, 30)
    path = write_ome_tiff(tmp_path / "o.ome.tif", data, "CYX")
    raw = path.read_bytes()
    for row in read_chunks(scan_tiff(str(path))).to_pylist():
        start, size = row["stored_offset"], row["stored_bytes"]
        plane = np.frombuffer(raw[start : start + size], "<u2").reshape(20, 30)
        assert (plane == data[row["chunk_coords"][0]]).all()


def test_pixel_sizes_and_channel_names_come_from_ome_xml(tmp_path: Path):
    metadata = {
        "Channel": {"Name": ["DNA", "ER"]}, "PhysicalSizeX": 650, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.65,
        "PhysicalSizeZ": 0.002, "PhysicalSizeZUnit": "mm", "TimeIncrement": 500, "TimeIncrementUnit": "ms",
    }  # fmt: skip
    image = scan_one(write_ome_tiff(tmp_path / "m.ome.tif", make(2, 2, 2, 8, 8), "TCZYX", metadata=metadata))
    assert image.channel_names == ("DNA", "ER")
    assert (image.pixel_size_x_um, image.pixel_size_y_um, image.pixel_size_z_um) == pytest.approx(
        (0.65, 0.65, 2.0)
    )
    assert image.time_increment_s == pytest.approx(0.5)
    assert image.levels[0].scale == pytest.approx((0.5, 1.0, 2.0, 0.65, 0.65))


@pytest.mark.parametrize(("value", "unit", "size"), [("1.3e-4", "mm", 0.13), ("325", "nm", 0.325)])
def test_sizes_are_the_decimal_numbers_that_were_written(tmp_path: Path, value: str, unit: str, size: float):
    sizes = f'PhysicalSizeX="{value}" PhysicalSizeXUnit="{unit}" PhysicalSizeY="{value}" PhysicalSizeYUnit="{unit}"'
    xml = build_ome_xml([build_ome_image(0, x=24, y=16, pixel_attributes=sizes)])
    image = scan_one(write_pages(tmp_path / "u.ome.tif", [make(16, 24)], xml))
    assert (image.pixel_size_x_um, image.pixel_size_y_um) == (size, size)


def test_the_name_of_an_ome_image_is_kept_as_written(tmp_path: Path):
    xml = build_ome_xml([build_ome_image(0, x=24, y=16).replace("image 0", "B03 #2 &lt;after&gt;  wash")])
    path = write_pages(tmp_path / "n.ome.tif", [make(16, 24)], xml)
    assert scan_one(path).image_name == ome_types.from_tiff(path).images[0].name == "B03 #2 <after>  wash"
    assert scan_one(write_pages(tmp_path / "p.tif", [make(16, 24)])).image_name is None


def test_absent_names_and_sizes_stay_null(tmp_path: Path):
    image = scan_one(write_ome_tiff(tmp_path / "n.ome.tif", make(2, 8, 8), "CYX"))
    assert image.channel_names is None
    assert image.pixel_size_x_um is None
    assert image.levels[0].scale is None


def test_several_images_of_one_file_are_rows_in_document_order(tmp_path: Path):
    path = tmp_path / "many.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(make(2, 16, 24), metadata={"axes": "CYX"})
        writer.write(make(3, 8, 12), metadata={"axes": "ZYX"})
    scan = scan_tiff(str(path))
    assert [(image.shape, image.axes, image.dtype) for image in scan.images] == read_series(path)
    assert [image.array_path for image in scan.images] == ["series/0", "series/1"]
    assert [image.image_id for image in scan.images] == ["many:series/0", "many:series/1"]
    assert_chunks_agree(scan, path)


def test_our_ome_xml_facts_equal_those_of_ome_types(tmp_path: Path):
    metadata = {"Channel": {"Name": ["a", "b", "c"]}, "PhysicalSizeX": 0.3, "PhysicalSizeY": 0.4}
    path = write_ome_tiff(tmp_path / "x.ome.tif", make(2, 3, 2, 8, 8), "TCZYX", metadata=metadata)
    image, pixels = scan_one(path), ome_types.from_tiff(path).images[0].pixels
    sizes = {
        "t": pixels.size_t,
        "c": pixels.size_c,
        "z": pixels.size_z,
        "y": pixels.size_y,
        "x": pixels.size_x,
    }
    assert image.shape == tuple(sizes[axis] for axis in image.axes or "")
    assert image.channel_names == tuple(channel.name for channel in pixels.channels)
    assert (image.pixel_size_x_um, image.pixel_size_y_um) == (pixels.physical_size_x, pixels.physical_size_y)


@pytest.mark.parametrize("order", ["XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"])
def test_every_dimension_order_maps_planes_as_tifffile_does(tmp_path: Path, order: str):
    xml = build_ome_xml([build_ome_image(0, x=6, y=4, c=2, z=3, t=4, order=order)])
    path = write_pages(tmp_path / "o.ome.tif", [np.full((4, 6), n, np.uint16) for n in range(24)], xml)
    scan = scan_tiff(str(path))
    assert [(i.shape, i.axes, i.dtype) for i in scan.images] == read_series(path)
    pixels = tifffile.imread(path)
    for row in read_chunks(scan).to_pylist():
        page = int(row["chunk_key"].rpartition("#")[2])
        assert pixels[tuple(row["chunk_coords"][:3])].max() == page


def test_tiff_data_blocks_may_name_planes_in_any_order(tmp_path: Path):
    blocks = build_block(2, c=0) + build_block(0, c=1) + build_block(1, c=2)
    xml = build_ome_xml([build_ome_image(0, x=6, y=4, c=3, blocks=blocks)])
    path = write_pages(tmp_path / "b.ome.tif", [np.full((4, 6), n, np.uint16) for n in range(3)], xml)
    rows = read_chunks(scan_tiff(str(path))).to_pylist()
    assert {row["chunk_coords"][0]: row["chunk_key"] for row in rows} == {
        0: "b.ome.tif#2", 1: "b.ome.tif#0", 2: "b.ome.tif#1",
    }  # fmt: skip


def test_fewer_planes_than_declared_give_a_partial_row_of_the_declared_shape(tmp_path: Path):
    xml = build_ome_xml([build_ome_image(0, x=6, y=4, t=10)])
    path = write_pages(tmp_path / "p.ome.tif", [np.zeros((4, 6), np.uint16)] * 7, xml)
    image = scan_one(path)
    assert (image.shape, image.axes, image.scan_status) == ((10, 4, 6), "tyx", "partial")
    assert any("missing-planes" in finding for finding in image.findings)


def test_a_plate_in_ome_xml_gives_positions_by_rank(tmp_path: Path):
    wells = [(0, 0, [(3, 0), (9, 1)]), (30, 11, [(12, 2)])]
    images = [build_ome_image(n, x=6, y=4, blocks=build_block(n)) for n in range(3)]
    xml = build_ome_xml(images, plates=build_plate_xml(wells, name="0012"))
    path = write_pages(tmp_path / "plate.ome.tif", [np.zeros((4, 6), np.uint16)] * 3, xml)
    scan = scan_tiff(str(path))
    assert [image.image_id for image in scan.images] == ["0012:A01:0", "0012:A01:1", "0012:AE12:0"]
    (plate,) = scan.plates
    assert [(well.well_id, well.sites) for well in plate.wells] == [("A01", ("0", "1")), ("AE12", ("0",))]


def test_acquisitions_are_part_of_the_id_only_where_there_are_several(tmp_path: Path):
    images = [build_ome_image(n, x=6, y=4, blocks=build_block(n)) for n in range(2)]
    wells = [(0, 0, [(0, 0), (1, 1)])]
    pages = [np.zeros((4, 6), np.uint16)] * 2
    for runs, expected in (
        ([["WellSample:0"], ["WellSample:1"]], ["P1:A01:0:0", "P1:A01:0:1"]),
        ([["WellSample:0", "WellSample:1"]], ["P1:A01:0", "P1:A01:1"]),
    ):
        xml = build_ome_xml(images, plates=build_plate_xml(wells, runs=runs))
        scan = scan_tiff(str(write_pages(tmp_path / f"r{len(runs)}.ome.tif", pages, xml)))
        assert [image.image_id for image in scan.images] == expected
        assert {image.acquisition_id for image in scan.images} == {str(n) for n in range(len(runs))}


IMAGEJ_CASES = {
    "hyperstack": (make(2, 3, 4, 16, 24), "TZCYX"),
    "channels": (make(3, 16, 24), "CYX"),
    "z-stack": (make(5, 16, 24), "ZYX"),
    "single": (make(16, 24), "YX"),
    "rgb": (make(2, 16, 24, 3, dtype="uint8"), "ZYXS"),
}


@pytest.mark.parametrize("case", IMAGEJ_CASES)
def test_an_imagej_file_is_what_tifffile_reads(tmp_path: Path, case: str):
    data, axes = IMAGEJ_CASES[case]
    path = tmp_path / "i.tif"
    metadata = {"axes": axes, "unit": "um", "spacing": 2.5, "finterval": 0.5}
    tifffile.imwrite(path, data, imagej=True, metadata=metadata, resolution=(1 / 0.325, 1 / 0.65))
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert [(image.shape, image.axes, image.dtype)] == read_series(path)
    assert image.storage_variant == "imagej-tiff"
    assert (image.pixel_size_x_um, image.pixel_size_y_um) == pytest.approx((0.325, 0.65), rel=1e-4)
    assert image.pixel_size_z_um == pytest.approx(2.5)
    assert image.time_increment_s == pytest.approx(0.5)


def test_each_plane_of_an_imagej_stack_behind_one_page_has_a_row(tmp_path: Path):
    path = tmp_path / "big.tif"
    data = make(6, 16, 24)
    text = "ImageJ=1.53\nimages=6\nslices=6\nloop=false\n"
    with tifffile.TiffWriter(path, byteorder=">") as writer:
        writer.write(data[0], description=text, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    path.write_bytes(path.read_bytes()[:offset] + data.astype(">u2").tobytes())
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert (image.shape, image.axes, image.scan_status) == ((6, 16, 24), "zyx", "ok")
    rows = read_chunks(scan).to_pylist()
    assert [(row["stored_offset"], row["stored_bytes"], row["strip_count"]) for row in rows] == [
        (offset + z * data[0].nbytes, data[0].nbytes, 1) for z in range(6)
    ]
    assert [(row["chunk_key"], row["chunk_coords"]) for row in rows] == [
        (f"big.tif#0:{z}", [z, 0, 0]) for z in range(6)
    ]
    for z in range(6):
        assert (read_plane(image, {"z": z}) == data[z]).all()


def test_plain_pages_are_a_stack_along_i(tmp_path: Path):
    path = write_pages(tmp_path / "plain.tif", [make(16, 24)] * 4)
    image = scan_one(path)
    assert (image.shape, image.axes, image.storage_variant) == ((4, 16, 24), "iyx", "tiff")
    assert image.image_id == "plain"


@pytest.mark.parametrize(
    "pages",
    [[0, 1], [0, 1, 2], [0, 0, 0, 1, 1, 1, 2, 2, 2], [0, 1, 2, 0, 1, 2]],
    ids=["one", "two", "channels", "mixed"],
)
def test_reduced_pages_of_the_main_chain_are_levels(tmp_path: Path, pages: list[int]):
    path = tmp_path / "reduced.tif"
    with tifffile.TiffWriter(path) as writer:
        for level in pages:
            writer.write(make(64 >> level, 96 >> level), metadata=None, subfiletype=int(level > 0))
    scan = scan_tiff(str(path))
    (image,) = scan.images
    lead = (pages.count(0),) if pages.count(0) > 1 else ()
    assert [level.shape for level in image.levels] == [
        (*lead, 64 >> level, 96 >> level) for level in sorted(set(pages))
    ]
    assert_chunks_agree(scan, path)
    rows = read_chunks(scan).to_pylist()
    assert image.stored_bytes == sum(row["stored_bytes"] for row in rows)
    assert [
        (row["chunk_key"], row["level"]) for row in sorted(rows, key=lambda row: row["stored_offset"])
    ] == [(f"reduced.tif#{number}", level) for number, level in enumerate(pages)]


def test_reduced_pages_that_are_not_one_per_plane_or_no_copies_are_left_out_and_said(tmp_path: Path):
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as writer:
        for shape in (
            (64, 96),
            (64, 96),
            (32, 48),
            (40, 32),
            (40, 32),
        ):  # one copy of two planes; labels of a slide
            writer.write(make(*shape), metadata=None, subfiletype=int(shape[0] < 64))
    scan = scan_tiff(str(path))
    assert [level.shape for level in scan.images[0].levels] == [(2, 64, 96)]
    assert [(finding.code, finding.message[:7]) for finding in scan.findings] == [
        ("pages-of-other-size", "3 pages")
    ]


def test_pages_of_another_size_are_left_out_and_said(tmp_path: Path):
    path = write_pages(tmp_path / "mixed.tif", [make(16, 24), make(16, 24), make(8, 8)])
    scan = scan_tiff(str(path))
    assert scan.images[0].shape == (2, 16, 24)
    assert [finding.code for finding in scan.findings] == ["pages-of-other-size"]


def test_bilevel_pages_are_bool(tmp_path: Path):
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, np.zeros((10, 20), bool), photometric="minisblack", metadata=None)
    assert (scan_one(path).dtype, scan_one(path).shape) == ("bool", (10, 20))


def test_metaxpress_xml_gives_pixel_size_and_channel(tmp_path: Path):
    text = (
        '<MetaData><prop id="ApplicationName" type="string" value="MetaMorph"/><PlaneInfo>'
        '<prop id="spatial-calibration-state" type="bool" value="on"/>'
        '<prop id="spatial-calibration-x" type="float" value="1.3672"/>'
        '<prop id="spatial-calibration-y" type="float" value="1.3672"/>'
        '<prop id="spatial-calibration-units" type="string" value="um"/>'
        '<custom-prop id="_IllumSetting_" type="string" value="DAPI"/></PlaneInfo></MetaData>'
    )
    image = scan_one(write_pages(tmp_path / "mx.tif", [make(16, 24)], text))
    assert (image.pixel_size_x_um, image.channel_names) == (1.3672, ("DAPI",))


def test_the_image_id_is_the_path_below_the_dataset_root(tmp_path: Path):
    path = write_ome_tiff(tmp_path / "plates" / "one.ome.tiff", make(8, 8), "YX")
    (image,) = scan_tiff(str(path), ScanOptions(dataset_root_uri=str(tmp_path))).images
    assert image.image_id == "plates/one"
    assert image.uri == str(path)


def test_md5_is_read_only_on_request(tmp_path: Path):
    path = write_pages(tmp_path / "h.tif", [make(8, 8)])
    assert scan_one(path).file_md5 is None
    (image,) = scan_tiff(str(path), ScanOptions(file_md5=True)).images
    import hashlib

    assert image.file_md5 == hashlib.md5(path.read_bytes()).hexdigest()


def test_the_fingerprint_changes_with_the_file_and_only_then(tmp_path: Path):
    path = write_ome_tiff(tmp_path / "f.ome.tif", make(8, 8), "YX")
    first = scan_tiff(str(path))
    assert scan_tiff(str(path)).fingerprint == first.fingerprint
    write_ome_tiff(path, make(8, 9), "YX")
    second = scan_tiff(str(path))
    assert second.fingerprint != first.fingerprint
    assert second.images[0].fingerprint != first.images[0].fingerprint


def test_a_file_uri_and_a_path_give_the_same_image(tmp_path: Path):
    path = write_ome_tiff(tmp_path / "with space.ome.tif", make(8, 8), "YX")
    by_path, by_uri = scan_tiff(str(path)), scan_tiff(path.as_uri())
    assert by_path.images[0].shape == by_uri.images[0].shape == (8, 8)
    assert by_uri.images[0].uri == path.as_uri()
    assert read_chunks(by_uri)["stored_bytes"].to_pylist() == [128]


def test_the_name_of_a_lone_file_gives_its_position(tmp_path: Path):
    field = scan_one(write_ome_tiff(tmp_path / "P_B03_s2.ome.tif", make(2, 8, 8), "CYX"))
    assert (field.image_id, field.plate_id, field.well_id, field.site_id) == ("P:B03:2", "P", "B03", "2")


def test_a_lone_channel_of_a_field_keeps_an_id_of_its_own(tmp_path: Path):
    channel = scan_one(write_pages(tmp_path / "P_B03f00d1.tif", [make(8, 8)]))
    assert (channel.image_id, channel.well_id, channel.site_id) == ("P_B03f00d1", "B03", "0")
