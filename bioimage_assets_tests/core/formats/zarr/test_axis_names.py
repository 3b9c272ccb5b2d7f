"""Axes in capitals or spelled out are ``t c z y x``: the plate is complete, its pixels are found, its channels are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from bioimage_assets.core.model.axes import count_channels, name_axes
from bioimage_assets.core.model.scan import StoreScan
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, locate
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets.core.tables.completeness import build_plate_completeness
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets_tests.builders.zarr_documents import multiscales, write_array, write_image

TYPES = ("time", "channel", "space", "space", "space")
SHAPE = (2, 3, 4, 12, 10)

# What writers call them; None: the axis has no type.
WRITTEN: dict[str, tuple[tuple[str, ...], tuple[str | None, ...]]] = {
    "iohub": (("T", "C", "Z", "Y", "X"), TYPES),
    "spelled out": (("time", "channel", "depth", "row", "col"), TYPES),
    "spelled out in capitals, no types": (("Time", "Channel", "Depth", "Row", "Column"), (None,) * 5),
    "odd name of a typed channel": (("t", "marker", "z", "y", "x"), TYPES),
    "wavelength": (("t", "wavelength", "z", "y", "x"), ("time", None, "space", "space", "space")),
    "space by its order": (("frame", "c", "dim_0", "dim_1", "dim_2"), TYPES),
    "types in capitals": (("T", "C", "Z", "Y", "X"), tuple(kind.capitalize() for kind in TYPES)),
}


def write_plate(root: Path, names: tuple[str, ...], types: tuple[str | None, ...]) -> Path:
    """A plate of two wells as iohub writes one: capital axis names, NGFF 0.4, five dimensions."""
    group = zarr.open_group(str(root), mode="w", zarr_format=2)
    plate = {
        "version": "0.4", "name": "P1", "wells": [{"path": f"A/{n}", "rowIndex": 0, "columnIndex": n - 1} for n in (1, 2)],
        "rows": [{"name": "A"}], "columns": [{"name": "1"}, {"name": "2"}],
    }  # fmt: skip
    group.attrs["plate"] = plate
    axes = []
    for name, kind, place in zip(names, types, range(5), strict=True):
        unit = {} if place == 1 else {"unit": "second" if place == 0 else "micrometer"}
        axes.append({"name": name, **({"type": kind} if kind else {}), **unit})
    transform = {"type": "scale", "scale": [30.0, 1.0, 2.0, 0.5, 0.25]}
    for number in (1, 2):
        well = group.create_group(f"A/{number}")
        well.attrs["well"] = {"version": "0.4", "images": [{"path": "0"}]}
        image = well.create_group("0")
        dataset = {"path": "0", "coordinateTransformations": [transform]}
        image.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [dataset]}]
        image.attrs["omero"] = {"channels": [{"label": label} for label in ("DNA", "ER", "RNA")]}
        array = image.create_array("0", shape=SHAPE, chunks=(1, 1, 2, 6, 5), dtype="uint16")
        array[:] = np.arange(np.prod(SHAPE), dtype="uint16").reshape(SHAPE) + number
    return root


@pytest.mark.parametrize("written", WRITTEN.values(), ids=list(WRITTEN))
def test_a_plate_whose_axes_are_called_otherwise_has_the_rows_of_any_other(
    tmp_path: Path, written: tuple[tuple[str, ...], tuple[str | None, ...]]
) -> None:
    scan = scan_store_records(str(write_plate(tmp_path / "P1.zarr", *written)))
    assert scan.findings == ()
    for image in scan.images:
        assert (image.axes, image.shape) == ("tczyx", SHAPE)
        assert (image.time_increment_s, image.pixel_size_z_um) == (30.0, 2.0)
        assert (image.pixel_size_y_um, image.pixel_size_x_um) == (0.5, 0.25)
    table = build_image_assets(scan.images)
    found = build_plate_completeness(table, scan.plates, plate_key="s/P1", dataset_id="s")
    assert [row["verdict"] for row in found.table.to_pylist()] == ["complete", "complete"]
    assert found.table["channels_found"].to_pylist() == [3, 3]


def test_pixels_of_a_plate_with_capital_axes_are_those_that_zarr_python_reads(tmp_path: Path) -> None:
    root = write_plate(tmp_path / "P1.zarr", *WRITTEN["iohub"])
    table = build_image_assets(scan_store_records(str(root)).images)
    row = {
        **table.to_pylist()[1],
        "Metadata_Cells_Location_Center_Y": 6,
        "Metadata_Cells_Location_Center_X": 5,
    }
    location = locate(row, image_assets=table, choice=CropChoice(channels=("ER",), box_size_px=4, z=3, t=1))
    assert location.slices == ((1, 2), (1, 2), (3, 4), (4, 8), (3, 7))
    theirs = zarr.open_array(str(root), path="A/2/0/0", mode="r")
    assert np.array_equal(read_crop(location), theirs[1:2, 1:2, 3:4, 4:8, 3:7])


def scan_axes(root: Path, axes: object, shape: tuple[int, ...] = (2, 16, 16)) -> StoreScan:
    write_image(
        root,
        shape=shape,
        chunks=shape,
        levels=("0",),
        entries=[multiscales(("0",), axes=axes, scale=[1.0] * len(shape))],
    )
    return scan_store_records(str(root))


def test_axes_of_0_3_are_names_alone_and_may_be_in_capitals(tmp_path: Path) -> None:
    entry = {"version": "0.3", "axes": ["C", "Y", "X"], "datasets": [{"path": "0"}]}
    write_image(tmp_path / "i.zarr", levels=("0",), entries=[entry])
    scan = scan_store_records(str(tmp_path / "i.zarr"))
    assert (scan.images[0].axes, scan.findings) == ("cyx", ())


def test_axes_of_0_6_coordinate_systems_may_be_spelled_out(tmp_path: Path) -> None:
    axes = [
        {"name": name, "type": kind} for name, kind in zip(("Channel", "Row", "Col"), TYPES[1:4], strict=True)
    ]
    transform = [{"type": "scale", "scale": [1.0, 0.5, 0.5], "input": "0", "output": "physical"}]
    entry = {
        "coordinateSystems": [{"name": "physical", "axes": axes}],
        "datasets": [{"path": "0", "coordinateTransformations": transform}],
    }
    write_image(tmp_path / "i.zarr", zarr_format=3, levels=("0",), entries=[entry], channels=("DNA", "ER"))
    (image,) = scan_store_records(str(tmp_path / "i.zarr")).images
    assert (image.axes, image.channel_names) == ("cyx", ("DNA", "ER"))


@pytest.mark.parametrize(
    ("dimension_names", "axes"),
    [
        (["T", "C", "Z", "Y", "X"], "tczyx"),
        (["time", "channel", "depth", "row", "col"], "tczyx"),
        (["time", "level", "station", "lat", "lon"], "time,level,station,lat,lon"),
        (["Y", "y", "x", "z", "c"], "Yyxzc"),
    ],
)
def test_dimension_names_of_a_bare_array_are_axes_where_all_of_them_are(
    tmp_path: Path, dimension_names: list[str], axes: str
) -> None:
    write_array(tmp_path / "a.zarr", "", SHAPE, SHAPE, zarr_format=3, dimension_names=dimension_names)
    assert scan_store_records(str(tmp_path / "a.zarr")).images[0].axes == axes


@pytest.mark.parametrize(
    ("names", "types", "kept", "message"),
    [
        (("time", "y", "x"), ("channel", "space", "space"), "time,y,x", "which its name contradicts"),
        (("c", "p", "x"), ("channel", "space", None), "cpx", "neither its name nor its place"),
        (("marker", "dye", "y"), ("channel", "channel", "space"), "marker,dye,y", "would all be 'c'"),
        (("c", "dye", "y"), ("channel", "channel", "space"), "c,dye,y", "only the one that is called 'c' counts"),
        (("angle", "y", "x"), (None, "space", "space"), "angle,y,x", "none of time, channel, z, y and x"),
        (("t", "time", "x"), ("channel", None, "space"), "t,time,x", "would have one name twice"),
    ],
)  # fmt: skip
def test_an_axis_that_cannot_be_told_keeps_its_name_and_a_finding_says_so(
    tmp_path: Path, names: tuple[str, ...], types: tuple[str | None, ...], kept: str, message: str
) -> None:
    axes = [
        {"name": name, **({"type": kind} if kind else {})} for name, kind in zip(names, types, strict=True)
    ]
    scan = scan_axes(tmp_path / "i.zarr", axes)
    assert scan.images[0].axes == kept
    assert any(finding.code == "unclear-axis" and message in finding.message for finding in scan.findings)


def test_channels_are_counted_in_one_way_and_unknown_axes_have_no_count() -> None:
    assert [count_channels(*image) for image in (("tczyx", SHAPE), ("yx", (4, 5)), ("", (4, 5)), ("cyx", (4, 5)))] == [
        3, 1, None, None,
    ]  # fmt: skip


def test_names_that_were_given_once_stay_what_they_are() -> None:
    for names, types in WRITTEN.values():
        once = name_axes(names, types).names
        assert name_axes(once, types).names == once == tuple("tczyx")
