"""What OME-Zarr and its XML call images and channels, and where they say that pixels lie, is in the rows as it is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import ome_types
import pytest
import zarr

from bioimage_assets.core.model.acquisition import AcquisitionFacts
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders.zarr_documents import (
    AXES_CYX,
    multiscales,
    write_group,
    write_image,
    write_json,
    write_plate,
)
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

# Channel numbers as ome-zarr-py and SpatialData write them, and one odd one.
NUMBERS = ([0, 1], ("0", "1")), ([488.5, "DAPI"], ("488.5", "DAPI")), ([True, 2], (None, "2"))


@pytest.mark.parametrize(("labels", "names"), NUMBERS)
def test_channel_labels_that_are_numbers_are_text(
    tmp_path: Path, labels: list[object], names: tuple[str | None, ...]
) -> None:
    root = write_image(tmp_path / "i.zarr", channels=labels)  # type: ignore[arg-type]
    assert scan_store_records(str(root)).images[0].channel_names == names


def test_a_plate_and_columns_that_are_called_by_numbers_are_text(tmp_path: Path) -> None:
    plate = {
        "name": 2024, "rows": [{"name": "A"}], "columns": [{"name": 1}], "version": 0.4,
        "wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}],
    }  # fmt: skip
    scan = scan_store_records(str(write_plate(tmp_path / "p.zarr", wells={"A/1": ("0",)}, plate=plate)))
    assert (scan.images[0].plate_id, scan.findings) == ("2024", ())


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_each_field_keeps_its_own_image_name(tmp_path: Path, zarr_format: int) -> None:
    root = write_pixel_plate(tmp_path / "P1.zarr", zarr_format=zarr_format, rows=2, pixels=False)
    group = zarr.open_group(str(root), mode="r")
    images = scan_store_records(str(root)).images
    assert len({image.image_name for image in images}) == len(images) == 8
    for image in images:
        attributes = group[str(image.array_path).rpartition("/")[0]].attrs.asdict()
        assert image.image_name == attributes.get("ome", attributes)["multiscales"][0]["name"]


def test_an_image_without_name_has_none_and_one_of_several_its_own(tmp_path: Path) -> None:
    entries = [multiscales(("0",)), multiscales(("1",), name="small")]
    write_image(tmp_path / "i.zarr", entries=entries)
    assert [image.image_name for image in scan_store_records(str(tmp_path / "i.zarr")).images] == [
        None,
        "small",
    ]


def xml_of(names: Sequence[tuple[str, Sequence[str]]]) -> str:
    images = "".join(
        f'<Image ID="Image:{number}" Name="{name}"><Pixels ID="Pixels:{number}" DimensionOrder="XYZCT" Type="uint16" SizeX="16"'
        f' SizeY="16" SizeC="2" SizeZ="1" SizeT="1">'
        + "".join(
            f'<Channel ID="Channel:{number}:{c}" Name="{channel}"/>' for c, channel in enumerate(channels)
        )
        + "<MetadataOnly/></Pixels></Image>"
        for number, (name, channels) in enumerate(names)
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{images}</OME>'


@cache
def read_with_ome_types(xml: str) -> ome_types.OME:
    return ome_types.from_xml(xml)


def check_with_ome_types(image: ImageRecord, xml: str, number: int) -> None:
    theirs = read_with_ome_types(xml).images[number]
    assert image.image_name == theirs.name
    assert image.channel_names == tuple(channel.name for channel in theirs.pixels.channels)


NAMES = [(f"scan {number}", (f"DAPI {number}", f"GFP {number}")) for number in range(12)]


def test_names_of_the_xml_win_over_those_of_bioformats2raw_series(tmp_path: Path) -> None:
    root = tmp_path / "b.zarr"
    write_group(root, "", {"bioformats2raw.layout": 3})
    write_group(root, "OME", {})
    (root / "OME/METADATA.ome.xml").write_text(xml_of(NAMES[:2]))
    for number in range(2):
        write_image(root, str(number), entries=[multiscales(("0", "1"), name="wrong")])
    for number, image in enumerate(scan_store_records(str(root)).images):
        check_with_ome_types(image, xml_of(NAMES), number)


def test_fields_of_a_bioformats2raw_plate_have_the_names_of_their_series(tmp_path: Path) -> None:
    root = write_plate(tmp_path / "b.zarr", wells={"A/1": ("0", "1"), "B/2": ("0",)})
    attributes = json.loads((root / ".zattrs").read_text())
    write_json(root / ".zattrs", {**attributes, "bioformats2raw.layout": 3})
    # The order of the series is that of the XML, not that of the plate.
    series = ["B/2/0", "A/1/0", "A/1/1"]
    write_group(root, "OME", {"series": series})
    (root / "OME/METADATA.ome.xml").write_text(xml_of(NAMES[:3]))
    scan = scan_store_records(str(root))
    for image in scan.images:
        check_with_ome_types(image, xml_of(NAMES), series.index(str(image.array_path).rpartition("/")[0]))
    assert scan.findings == ()


@pytest.mark.parametrize("layout", [None, 1])
@pytest.mark.parametrize(
    "place", ["METADATA.ome.xml", "data.zarr/METADATA.ome.xml", "data.zarr/OME/METADATA.ome.xml"]
)
def test_the_xml_of_old_bioformats2raw_versions_is_read_beside_and_in_the_group(
    tmp_path: Path, layout: int | None, place: str
) -> None:
    """Up to 0.2.6: ``<out>/METADATA.ome.xml`` and ``<out>/data.zarr/<series>/<level>``, axes implied."""
    root = tmp_path / "out/data.zarr"
    write_group(root, "", {} if layout is None else {"bioformats2raw.layout": layout})
    for number in range(12):  # so that "10" comes before "2" in a listing
        entry = {"version": "0.1", "datasets": [{"path": "0"}]}
        write_image(
            root,
            str(number),
            shape=(1, 2, 1, 16, 16),
            chunks=(1, 1, 1, 16, 16),
            levels=("0",),
            entries=[entry],
        )
    (tmp_path / "out" / place).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / place).write_text(xml_of(NAMES))
    for uri in (root, root.parent):
        scan = scan_store_records(str(uri))
        assert len(scan.images) == 12
        for image in scan.images:
            check_with_ome_types(image, xml_of(NAMES), int(str(image.array_path).split("/")[0]))
        assert scan.findings == ()


@pytest.mark.parametrize(
    ("order", "sizes", "shape", "axes", "code"),
    [
        ("XYZCT", (2, 3, 4), (2, 3, 4), "tczyx", None),
        ("XYCZT", (2, 3, 4), (2, 3, 4), "tczyx", None),
        ("XYCZT", (2, 3, 4), (2, 4, 3), "tzcyx", "stored-axis-order"),
        ("XYTZC", (2, 3, 4), (3, 4, 2), "cztyx", "stored-axis-order"),
        ("XYCZT", (2, 1, 1), (2, 1, 1), "tczyx", None),
        ("XYCZT", (2, 3, 3), (2, 3, 3), "tczyx", "unclear-axis"),
        ("XYCZT", (2, 3, 4), (9, 3, 4), "tczyx", "series-shape"),
    ],
)
def test_implied_axes_have_the_order_of_the_xml_where_only_that_fits(
    tmp_path: Path, order: str, sizes: tuple[int, ...], shape: tuple[int, ...], axes: str, code: str | None
) -> None:
    """bioformats2raw before 0.3 kept the order of its input, whatever OME-Zarr 0.1 says; ``sizes`` are those of t, c and z."""
    root = tmp_path / "data.zarr"
    write_group(root, "", {})
    entry = {"version": "0.1", "datasets": [{"path": "0"}]}
    full = (*shape, 16, 16)
    write_image(root, "0", shape=full, chunks=full, levels=("0",), entries=[entry])
    stated = 'SizeT="{}" SizeC="{}" SizeZ="{}"'.format(*sizes)
    xml = xml_of([("scan", ())]).replace("XYZCT", order).replace('SizeC="2" SizeZ="1" SizeT="1"', stated)
    (tmp_path / "METADATA.ome.xml").write_text(xml)
    pixels = ome_types.from_xml(xml).images[0].pixels
    assert (pixels.dimension_order.value, pixels.size_t, pixels.size_c, pixels.size_z) == (order, *sizes)
    scan = scan_store_records(str(root))
    assert scan.images[0].axes == axes
    assert [finding.code for finding in scan.findings] == ([code] if code else [])


def test_an_xml_that_changes_makes_another_fingerprint(tmp_path: Path) -> None:
    root = tmp_path / "data.zarr"
    write_group(root, "", {})
    write_image(root, "0")
    prints = set()
    for number in (0, 1):
        (tmp_path / "METADATA.ome.xml").write_text(xml_of(NAMES[number : number + 1]))
        prints.add(scan_store_records(str(root)).fingerprint)
    assert len(prints) == 2


def test_an_xml_beside_any_other_group_is_not_taken_for_its_own(tmp_path: Path) -> None:
    root = tmp_path / "other.zarr"
    write_group(root, "", {})
    write_image(root, "0")
    (tmp_path / "METADATA.ome.xml").write_text(xml_of(NAMES[:1]))
    assert scan_store_records(str(root)).images[0].image_name is None


def test_an_old_xml_of_more_images_than_the_group_has_is_said(tmp_path: Path) -> None:
    root = tmp_path / "data.zarr"
    write_group(root, "", {})
    write_image(root, "0")
    (tmp_path / "METADATA.ome.xml").write_text(xml_of(NAMES[:3]))
    scan = scan_store_records(str(root))
    assert [finding.code for finding in scan.findings] == ["series-count"]


# Lists of transformations and what numpy makes of them: a matrix from (c, y, x, 1) to coordinates.
SCALED = np.diag([1.0, 0.5, 0.25, 1.0])
MOVED = np.array([[1.0, 0, 0, 0], [0, 1, 0, 7], [0, 0, 1, -3], [0, 0, 0, 1]])
SCALE = {"type": "scale", "scale": [1.0, 0.5, 0.25]}
MOVE = {"type": "translation", "translation": [0.0, 7.0, -3.0]}
TURN = [[1.0, 0.0, 0.0], [0.0, 0.6, -0.8], [0.0, 0.8, 0.6]]
PLACED = {
    "identity": ([{"type": "identity"}], np.eye(4)),
    "translation": ([MOVE], MOVED),
    "scale and translation": ([{"type": "sequence", "transformations": [SCALE, MOVE]}], MOVED @ SCALED),
    "translation and scale": ([{"type": "sequence", "transformations": [MOVE, SCALE]}], SCALED @ MOVED),
    "affine without turn": ([{"type": "affine", "affine": (MOVED @ SCALED)[:3].tolist()}], MOVED @ SCALED),
    "affine and scale": ([{"type": "sequence", "transformations": [{"type": "affine", "affine": MOVED[:3].tolist()}, SCALE]}], SCALED @ MOVED),
    "rotation by nothing": ([{"type": "rotation", "rotation": np.eye(3).tolist()}], np.eye(4)),
    "bijection": ([{"type": "bijection", "forward": SCALE, "inverse": {"type": "identity"}}], SCALED),
}  # fmt: skip


def write_0_6(root: Path, transforms: list[dict[str, object]], axes: object = AXES_CYX) -> ImageRecord:
    named = [{**item, "input": {"path": "0"}, "output": {"name": "physical"}} for item in transforms]
    entry = {
        "coordinateSystems": [{"name": "physical", "axes": axes}],
        "datasets": [{"path": "0", "coordinateTransformations": named}],
    }
    write_image(root, zarr_format=3, levels=("0",))
    write_group(root, "", {"ome": {"version": "0.6", "multiscales": [entry]}}, zarr_format=3)
    (image,) = scan_store_records(str(root)).images
    return image


@pytest.mark.parametrize("case", PLACED.values(), ids=list(PLACED))
def test_pixel_sizes_and_places_of_0_6_are_those_that_matrices_give(
    tmp_path: Path, case: tuple[list[dict[str, object]], np.ndarray]
) -> None:
    transforms, matrix = case
    image = write_0_6(tmp_path / "i.zarr", transforms)
    assert image.levels[0].scale == tuple(np.diag(matrix)[:3])
    assert (image.pixel_size_y_um, image.pixel_size_x_um) == (matrix[1, 1], matrix[2, 2])
    where = None if not matrix[:3, 3].any() else (matrix[2, 3], matrix[1, 3])
    stage = image.acquisition and (image.acquisition.stage_x_um, image.acquisition.stage_y_um)
    assert stage == where
    assert image.findings == ()


def test_axes_that_0_6_maps_are_in_the_order_of_the_array(tmp_path: Path) -> None:
    """``mapAxis: [2, 1, 0]`` makes x the first axis of the coordinate system, and the last of the array."""
    axes = [AXES_CYX[2], AXES_CYX[1], AXES_CYX[0]]
    steps = [SCALE, {"type": "mapAxis", "mapAxis": [2, 1, 0]}]
    image = write_0_6(tmp_path / "i.zarr", [{"type": "sequence", "transformations": steps}], axes)
    assert (image.axes, image.levels[0].scale) == ("cyx", (1.0, 0.5, 0.25))
    assert (image.pixel_size_y_um, image.pixel_size_x_um) == (0.5, 0.25)


@pytest.mark.parametrize(
    "transform",
    [
        {"type": "rotation", "rotation": TURN},
        {"type": "affine", "affine": [[*row, 0.0] for row in TURN]},
        {"type": "affine", "path": "matrix"},
        {"type": "displacements", "path": "field"},
        {"type": "mapAxis", "mapAxis": [0, 0, 1]},
        {"type": "scale", "scale": [1.0, 2.0]},
        {"type": "translation", "translation": "far"},
        {
            "type": "sequence",
            "transformations": [{"type": "sequence", "transformations": [{"type": "bend"}]}],
        },
    ],
    ids=lambda transform: str(transform["type"]),
)
def test_what_has_no_scale_per_axis_leaves_the_pixel_size_unknown_and_says_so(
    tmp_path: Path, transform: dict[str, object]
) -> None:
    image = write_0_6(tmp_path / "i.zarr", [transform])
    assert (image.axes, image.levels[0].scale, image.pixel_size_x_um) == ("cyx", None, None)
    assert any(
        finding.startswith("unusable-scale") and str(transform["type"]) in finding
        for finding in image.findings
    )


@pytest.mark.parametrize(
    ("kind", "scale"), [("identity", (1.0, 1.0, 1.0)), ("translation", None), ("affine", None)]
)
def test_identity_is_scale_1_in_0_4_too_and_a_translation_alone_is_not_enough(
    tmp_path: Path, kind: str, scale: tuple[float, ...] | None
) -> None:
    """iohub writes ``identity`` where it is given no scale; 0.4 demands a scale beside a translation."""
    transform = {"type": kind, **({} if scale else {kind: [0.0, 1.0, 1.0]})}
    entry = {
        "version": "0.4",
        "axes": AXES_CYX,
        "datasets": [{"path": "0", "coordinateTransformations": [transform]}],
    }
    write_image(tmp_path / "i.zarr", levels=("0",), entries=[entry])
    scan = scan_store_records(str(tmp_path / "i.zarr"))
    assert scan.images[0].levels[0].scale == scale
    assert [finding.code for finding in scan.findings] == ([] if scale else ["unusable-scale"])


def write_moved(
    root: Path, offset: Sequence[float], common: Sequence[dict[str, object]] = (), unit: str = "millimeter"
) -> None:
    axes = [{**axis, **({"unit": unit} if axis["name"] == "y" else {})} for axis in AXES_CYX]
    entry = multiscales(("0", "1"), axes=axes, coordinateTransformations=list(common))
    entry["datasets"][0]["coordinateTransformations"].append(  # type: ignore[index]
        {"type": "translation", "translation": list(offset)}
    )
    write_image(root, entries=[entry])


def test_a_translation_of_0_4_is_where_the_field_lies_in_micrometers(tmp_path: Path) -> None:
    common = [
        {"type": "scale", "scale": [1.0, 2.0, 2.0]},
        {"type": "translation", "translation": [0.0, 1.0, 50.0]},
    ]
    write_moved(tmp_path / "i.zarr", [0.0, 3.0, 4.0], common)
    (image,) = scan_store_records(str(tmp_path / "i.zarr")).images
    assert image.acquisition == AcquisitionFacts("ngff-translation", stage_x_um=58.0, stage_y_um=7000.0)
    assert image.levels[0].scale == (1.0, 1.3, 1.3)


def test_translations_by_zero_say_something_only_where_another_image_is_moved(tmp_path: Path) -> None:
    root = write_plate(tmp_path / "p.zarr", wells={"A/1": ("0", "1")})
    write_moved(root / "A/1/0", [0.0, 0.0, 0.0])
    write_moved(root / "A/1/1", [0.0, 0.0, 0.0])
    assert [image.acquisition for image in scan_store_records(str(root)).images] == [None, None]
    write_moved(root / "A/1/1", [0.0, 0.0, 110.5])
    places = [
        image.acquisition and image.acquisition.stage_x_um for image in scan_store_records(str(root)).images
    ]
    assert places == [0.0, 110.5]


def test_images_without_translation_or_unit_lie_nowhere(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr")
    write_moved(tmp_path / "b.zarr", [0.0, 3.0, 1e308], unit="pixel")
    assert scan_store_records(str(tmp_path / "a.zarr")).images[0].acquisition is None
    (image,) = scan_store_records(str(tmp_path / "b.zarr")).images
    assert image.acquisition is not None
    assert image.acquisition.stage_y_um is None
