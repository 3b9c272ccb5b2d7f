"""Valid stores are valid to the reference models too, and rows say what the models and tensorstore read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zarr

from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders.zarr_documents import write_group, write_image, write_plate
from bioimage_assets_tests.builders.zarr_plates import write_pixel_array, write_pixel_plate

CHANNEL = {"color": "FFFFFF", "window": {"min": 0, "max": 65535, "start": 0, "end": 1000}, "active": True}


def write_complete_plate(root: Path, zarr_format: int, **options: Any) -> Path:
    """A plate with everything that the specification demands, not just what the scanner needs."""
    write_pixel_plate(root, zarr_format=zarr_format, rows=2, pixels=False, **options)

    def amend(path: str, name: str, value: Any) -> None:
        group = zarr.open_group(str(root / path), mode="r+")
        ome = dict(group.attrs["ome"]) if zarr_format == 3 else {}
        group.attrs.update({"ome": {**ome, name: value}} if zarr_format == 3 else {name: value})

    version = {"version": "0.5" if zarr_format == 3 else "0.4"}
    names = [(row, column) for row in range(2) for column in range(2)]
    wells = [{"path": f"{'AB'[r]}/{c + 1}", "rowIndex": r, "columnIndex": c} for r, c in names]
    plate = {
        **version, "name": "P1", "field_count": 2, "wells": wells,
        "rows": [{"name": "A"}, {"name": "B"}], "columns": [{"name": "1"}, {"name": "2"}],
    }  # fmt: skip
    amend("", "plate", plate)
    for well in wells:
        amend(str(well["path"]), "well", {**version, "images": [{"path": "0"}, {"path": "1"}]})
        for field in "01":
            channels = [{"label": label, **CHANNEL} for label in ("DNA", "ER")]
            amend(f"{well['path']}/{field}", "omero", {**version, "channels": channels})
    return root


def ome_of(model: Any, zarr_format: int) -> Any:
    return model.ome_attributes if zarr_format == 3 else model.attributes


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plates_wells_and_fields_are_those_of_the_reference_models(tmp_path: Path, zarr_format: int) -> None:
    version = "v05" if zarr_format == 3 else "v04"
    models = pytest.importorskip(f"ome_zarr_models.{version}")
    root = write_complete_plate(tmp_path / "P1.zarr", zarr_format)
    scan = scan_store_records(str(root))
    assert scan.findings == ()
    plate = ome_of(models.HCS.from_zarr(zarr.open_group(str(root), mode="r")), zarr_format).plate
    assert [well.path for well in plate.wells] == [well.path for well in scan.plates[0].wells]
    images = {str(image.array_path).rpartition("/")[0]: image for image in scan.images}
    wanted = {}
    for well in plate.wells:
        group = zarr.open_group(str(root / well.path), mode="r")
        fields = ome_of(models.Well.from_zarr(group), zarr_format).well.images
        wanted.update({f"{well.path}/{field.path}": (plate.name, well.path) for field in fields})
    assert {path: (image.plate_id, path[:3]) for path, image in images.items()} == wanted
    for path, image in images.items():
        model = models.Image.from_zarr(zarr.open_group(str(root / path), mode="r"))
        check_image(image, ome_of(model, zarr_format), path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_models_take_every_image_and_label_that_the_other_tests_build_as_valid(
    tmp_path: Path, zarr_format: int, witnessed: Counter[str]
) -> None:
    labels: dict[str, object] = {"labels": ["nuclei"]}
    if zarr_format == 3:
        labels = {"ome": {"version": "0.5", **labels}}
    plate = write_plate(tmp_path / "P1.zarr", zarr_format=zarr_format, acquisitions=(0, 7))
    write_group(plate, "A/1/0/labels", labels, zarr_format=zarr_format)
    write_image(plate, "A/1/0/labels/nuclei", zarr_format=zarr_format)
    names = ("scales/s0", "scales/s1")
    write_image(tmp_path / "i.zarr", zarr_format=zarr_format, levels=names)
    images = [*scan_store_records(str(plate)).images, *scan_store_records(str(tmp_path / "i.zarr")).images]
    assert len(images) == witnessed["models"] == 5


def check_image(image: ImageRecord, ome: Any, path: str) -> None:
    """Compare a row with the model of its group."""
    (multiscale,) = ome.multiscales
    assert image.axes == "".join(axis.name for axis in multiscale.axes)
    assert [level.path for level in image.levels] == [f"{path}/{item.path}" for item in multiscale.datasets]
    assert [level.scale for level in image.levels] == [
        tuple(item.coordinateTransformations[0].scale) for item in multiscale.datasets
    ]
    # The models leave this block as it is in 0.5.
    channels = ome.omero["channels"] if isinstance(ome.omero, dict) else ome.omero.model_dump()["channels"]
    assert image.channel_names == tuple(channel["label"] for channel in channels)
    units = {axis.name: axis.unit for axis in multiscale.axes}
    assert units["x"] == "micrometer"
    assert image.pixel_size_x_um == multiscale.datasets[0].coordinateTransformations[0].scale[-1]


LAYOUTS = [
    {"zarr_format": 2},
    {"zarr_format": 2, "separator": ".", "dtype": ">u2"},
    {"zarr_format": 3},
    {"zarr_format": 3, "encoding": "v2", "separator": "."},
    {"zarr_format": 3, "shards": (4, 8)},
    {"zarr_format": 3, "shards": (4, 8), "index_location": "start", "dtype": "float32"},
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_are_those_that_tensorstore_opens(tmp_path: Path, layout: dict[str, Any]) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    root = tmp_path / "a.zarr"
    write_pixel_array(root, shape=(9, 20), chunks=(2, 4), **layout)
    driver = "zarr3" if layout["zarr_format"] == 3 else "zarr"
    theirs = tensorstore.open({"driver": driver, "kvstore": f"file://{root}/"}, open=True, read=True).result()
    (image,) = scan_store_records(str(root)).images
    assert image.shape == theirs.shape
    assert image.dtype == theirs.dtype.name
    assert image.chunk_shape == theirs.chunk_layout.read_chunk.shape
    assert (image.shard_shape or image.chunk_shape) == theirs.chunk_layout.write_chunk.shape
