"""Virtual plates of real files, opened by libraries that know nothing of this project: ngio, ome-zarr-models, ome-zarr, xarray, fsspec."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import fsspec
import ngio
import numpy as np
import ome_zarr.utils
import pytest
import tifffile
import xarray
import zarr
from ome_zarr_models.exceptions import ValidationWarning
from ome_zarr_models.v04.hcs import HCS as HCS04
from ome_zarr_models.v04.image import Image as Image04
from ome_zarr_models.v05.hcs import HCS as HCS05
from ome_zarr_models.v05.image import Image as Image05
from zarr.storage import FsspecStore

from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.virtual.compare import compare_with_originals
from bioimage_assets.core.virtual.open import open_virtual_plate
from bioimage_assets.core.virtual.write import VirtualPlateForm, WrittenPlate, write_virtual_plate
from bioimage_assets_tests.builders.served_store import serve_store
from bioimage_assets_tests.builders.tiff_plates import (
    imagexpress_name,
    write_htd,
    write_phenix_index,
    write_plane,
)
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

FORMS = {
    "json-0.5": VirtualPlateForm("json", "0.5"),
    "json-0.4": VirtualPlateForm("json", "0.4"),
    "parquet": VirtualPlateForm("parquet"),
    "icechunk": VirtualPlateForm("icechunk"),
}
CHANNELS = ["DAPI", "GFP", "Cy5"]


@dataclass(frozen=True)
class Case:
    """A plate of files, its virtual plate, and the pixels (c, y, x) of the field ``A/1/<field>``."""

    source: Path
    written: WrittenPlate
    field: str
    pixels: np.ndarray
    channels: list[str]

    def open(self) -> zarr.Group:
        return zarr.open_group(open_virtual_plate(self.written.uri), mode="r")


def make_tiff_plate(folder: Path) -> tuple[Path, str, np.ndarray, list[str]]:
    """ImageXpress: a file per channel, packed by LZW with a predictor, which no codec of Zarr decodes."""
    pixels = np.arange(3 * 12 * 16, dtype=np.uint16).reshape(3, 12, 16)
    for well in ("A01", "A02", "B03"):
        for site in (1, 2):
            for channel in (1, 2, 3):
                path = write_plane(folder / "Plate7" / imagexpress_name(well, site, channel))
                packed = {"compression": "lzw", "predictor": True}
                tifffile.imwrite(path, pixels[channel - 1], metadata=None, **packed)
    write_htd(folder / "Plate7" / "Plate7.HTD", CHANNELS)
    return folder / "Plate7", "1", pixels, CHANNELS


def make_zarr_plate(folder: Path) -> tuple[Path, str, np.ndarray, list[str]]:
    """OME-Zarr 0.4 with three levels."""
    root = write_pixel_plate(folder / "P1.ome.zarr", zarr_format=2, rows=2)
    return root, "0", zarr.open_group(root, mode="r")["A/1/0/0"][:], ["DNA", "ER"]


@pytest.fixture(params=["tiff", "zarr"])
def plate(request, tmp_path):
    return {"tiff": make_tiff_plate, "zarr": make_zarr_plate}[request.param](tmp_path)


@pytest.fixture(params=list(FORMS))
def case(request, plate, tmp_path) -> Case:
    source, field, pixels, channels = plate
    form = FORMS[request.param]
    images, chunks = scan_image_assets(str(source)), scan_chunk_index(str(source))
    written = write_virtual_plate(images, chunks, str(tmp_path / f"virtual.{form.format}"), form)
    assert written.refused == ()
    return Case(source, written, field, pixels, channels)


def test_the_models_of_the_specification_accept_plate_wells_and_images(case):
    plate, image = (HCS05, Image05) if case.written.version == "0.5" else (HCS04, Image04)
    root = case.open()
    with warnings.catch_warnings():
        warnings.simplefilter("error", category=ValidationWarning)
        found = plate.from_zarr(root)
        paths = [entry.path for entry in getattr(found, "ome_attributes", found.attributes).plate.wells]
        images = [image.from_zarr(root[f"{path}/{case.field}"]) for path in paths]
    assert len(images) == len(list(found.well_groups)) == case.written.well_count


def test_ngio_lists_the_plate_and_reads_a_plane(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plate = ngio.open_ome_zarr_plate(case.open(), mode="r")
        assert len(plate.wells_paths()) == case.written.well_count
        assert len(plate.images_paths()) == case.written.image_count
        image = plate.get_image("A", 1, case.field).get_image()
        assert image.channel_labels == case.channels
        plane = image.get_as_numpy(channel_selection=case.channels[1])
    assert np.array_equal(np.squeeze(plane), case.pixels[1])


def test_xarray_reads_every_channel(case):
    levels = xarray.open_zarr(
        case.open().store,
        group=f"A/1/{case.field}",
        consolidated=False,
        drop_variables=["1", "2"],  # levels have other sizes, which one dataset cannot hold
        mask_and_scale=False,
    )
    assert levels["0"].dims[-3:] == ("c", "y", "x")
    assert np.array_equal(np.squeeze(levels["0"].values), case.pixels)


def test_ome_zarr_info_visits_the_plate_at_its_address(case, capsys):
    with serve_store(open_virtual_plate(case.written.uri)) as address:
        nodes = list(ome_zarr.utils.info(address))
    assert nodes
    assert "Plate" in capsys.readouterr().out


def test_planes_are_those_of_the_original_files(case):
    fields = compare_with_originals(case.written.uri, scan_image_assets(str(case.source)))
    assert len(fields) == 3
    assert [field.problem for field in fields] == [None, None, None]


def test_fsspec_alone_opens_the_json_of_files_that_zarr_can_decode(tmp_path):
    source, field, pixels, _ = make_zarr_plate(tmp_path)
    target = tmp_path / "plate.json"
    write_virtual_plate(scan_image_assets(str(source)), scan_chunk_index(str(source)), str(target))
    files = fsspec.filesystem("reference", fo=str(target), remote_protocol="file", asynchronous=True)
    root = zarr.open_group(FsspecStore(files, read_only=True), mode="r")
    assert np.array_equal(root[f"A/1/{field}/0"][:], pixels)


def test_a_field_whose_pixels_are_others_is_told(tmp_path):
    source, _, _, _ = make_tiff_plate(tmp_path)
    target = tmp_path / "plate.json"
    images = scan_image_assets(str(source))
    write_virtual_plate(images, scan_chunk_index(str(source)), str(target))
    document = json.loads(target.read_text())
    key = next(key for key in document["refs"] if key.startswith("A/1/1/0/c/") and key.split("/")[5] == "2")
    other = next(key for key in document["refs"] if key.startswith("A/1/1/0/c/") and key.split("/")[5] == "0")
    document["refs"][key] = document["refs"][other]
    target.write_text(json.dumps(document))
    fields = compare_with_originals(str(target), images)
    assert [bool(field.problem) for field in fields] == [True, False, False]
    assert "192 of 192 pixels differ" in str(fields[0].problem)


def test_pixel_sizes_of_the_catalogue_are_those_that_ngio_reads(tmp_path):
    source = tmp_path / "Harmony"
    for well in ("A01", "A02", "B03"):
        for site in (1, 2):
            for channel in (1, 2):
                name = f"Images/r{ord(well[0]) - 64:02d}c{int(well[1:]):02d}f{site:02d}p01-ch{channel}sk1fk1fl1.tiff"
                write_plane(source / name, channel)
    write_phenix_index(source / "Images" / "Index.idx.xml", ["DNA", "ER"])
    target = str(tmp_path / "plate.json")
    written = write_virtual_plate(scan_image_assets(str(source)), scan_chunk_index(str(source)), target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plate = ngio.open_ome_zarr_plate(zarr.open_group(open_virtual_plate(target), mode="r"), mode="r")
        path = sorted(plate.images_paths())[0]
        size = plate.get_image("A", 1, path.rsplit("/", 1)[-1]).get_image().pixel_size
    assert written.image_count == 6
    assert (size.x, size.y) == pytest.approx((0.299, 0.299))


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_ngio_reads_the_label_image_of_a_field(tmp_path, version):
    root = write_pixel_plate(tmp_path / "P1.ome.zarr", zarr_format=2, levels=1)
    nuclei = np.zeros((16, 16), np.int32)
    nuclei[2:6, 3:9] = 7
    labels = zarr.open_group(root, mode="a")["A/1/0"].create_group("labels")
    labels.attrs["labels"] = ["nuclei"]
    label = labels.create_group("nuclei")
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    scale = {"type": "scale", "scale": [0.65, 0.65]}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    label.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    label.attrs["image-label"] = {"version": "0.4", "source": {"image": "../../"}}
    label.create_array("0", data=nuclei)
    target = str(tmp_path / "plate.json")
    images, chunks = scan_image_assets(str(root)), scan_chunk_index(str(root))
    written = write_virtual_plate(images, chunks, target, VirtualPlateForm("json", version))
    assert (written.label_count, written.refused) == (1, ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plate = ngio.open_ome_zarr_plate(zarr.open_group(open_virtual_plate(target), mode="r"), mode="r")
        field = plate.get_image("A", 1, "0")
        assert field.list_labels() == ["nuclei"]
        found = field.get_label("nuclei").get_as_numpy()
    assert np.array_equal(np.squeeze(found), nuclei)
