"""Plates of Zarr and of TIFF are read over HTTP by libraries that know nothing of this project, pixel by pixel."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import ngio
import numpy as np
import pytest
import tifffile
import xarray
import zarr
from ome_zarr_models.v05 import HCS, Image
from zarr.storage import FsspecStore

from bioimage_assets_tests.browse.server.conftest import TIFF_PLATE, ZARR_PLATE, Project
from bioimage_assets_tests.builders.browse_thread import Server, run_in_thread
from bioimage_assets_tests.builders.stored_project import settings_of, store_images
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

# The server's own process says nothing of it.
pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")

# What TIFF writers do: strips of one row, tiles, no or other compressions, predictors, big endian, 8 and 32 bits.
LAYOUTS: dict[str, dict[str, object]] = {
    "one-strip": {"rowsperstrip": 200},
    "rows": {"rowsperstrip": 1},
    "zlib-rows": {"rowsperstrip": 1, "compression": "zlib"},
    "predictor": {"compression": "zlib", "predictor": True},
    "lzw-tiles": {"tile": (64, 48), "compression": "lzw"},
    "plain-tiles": {"tile": (64, 48)},
    "zstd": {"compression": "zstd"},
    "big-endian": {"byteorder": ">"},
    "packbits": {"compression": "packbits"},
}


def url_of(server: Server, plate_key: str) -> str:
    links = server.get("api/plate", plate_key=plate_key).json()["links"]
    return str(links["zarr"])


def open_group(url: str) -> zarr.Group:
    return zarr.open_group(FsspecStore.from_url(url, read_only=True), mode="r")


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A plate for each layout, of two wells with one field of two channels."""
    root = tmp_path_factory.mktemp("layouts")
    settings = settings_of(root / "data")
    draw = np.random.default_rng(3)
    for number, (name, options) in enumerate(LAYOUTS.items()):
        folder = root / "screen" / name
        folder.mkdir(parents=True)
        kind = (
            (np.uint16, np.uint8, np.float32)[number % 3]
            if name in ("lzw-tiles", "rows", "zstd")
            else np.uint16
        )
        for well in ("A01", "B02"):
            for channel in (1, 2):
                pixels = (draw.random((150, 100)) * 200).astype(kind)
                path = folder / imagexpress_name(well, 1, channel)
                tifffile.imwrite(path, pixels, metadata=None, **options)  # type: ignore[arg-type]
        store_images(settings, f"screen/{name}", folder)
    with run_in_thread(settings) as running:
        yield running, root / "screen"


@pytest.mark.parametrize("name", LAYOUTS)
def test_zarr_python_reads_every_layout_as_tifffile_does(layouts: tuple[Server, Path], name: str) -> None:
    server, root = layouts
    group = open_group(url_of(server, f"screen/{name}"))
    for well, path in (("A01", "A/1/1"), ("B02", "B/2/1")):
        array = group[f"{path}/0"]
        assert isinstance(array, zarr.Array)
        assert {codec["name"] for codec in array.metadata.to_dict()["codecs"]} <= {
            "bytes",
            "zstd",
            "transpose",
        }
        found = np.asarray(array[:])
        assert found.shape == (2, 150, 100)
        for channel in (0, 1):
            expected = tifffile.imread(root / name / imagexpress_name(well, 1, channel + 1))
            assert np.array_equal(found[channel], expected)
            assert found.dtype == expected.dtype.newbyteorder("=")


def test_strips_of_one_row_come_many_at_a_time(layouts: tuple[Server, Path]) -> None:
    server, _ = layouts
    group = open_group(url_of(server, "screen/zlib-rows"))
    assert group["A/1/1/0"].chunks == (1, 150, 100)


def test_fsspec_reads_a_chunk_and_a_part_of_it(server: Server, project: Project) -> None:
    url = url_of(server, TIFF_PLATE)
    whole = fsspec.open(f"{url}/A/1/2/0/c/0/0/0").open().read()
    expected = tifffile.imread(project.tiff_folder / imagexpress_name("A01", 2, 1))
    assert whole == expected.astype("<u2").tobytes()
    files = fsspec.filesystem("http")
    assert files.cat_file(f"{url}/A/1/2/0/c/0/0/0", start=100, end=164) == whole[100:164]
    with pytest.raises(FileNotFoundError):
        files.cat_file(f"{url}/A/1/2/0/c/9/0/0")


def test_ngio_opens_a_plate_of_files_and_its_images(server: Server, project: Project) -> None:
    store = FsspecStore.from_url(url_of(server, TIFF_PLATE), read_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a store that cannot be listed
        plate = ngio.open_ome_zarr_plate(store, mode="r")
        assert plate.wells_paths() == ["A/1", "B/3"]
        image = plate.get_images()["B/3/1"].get_image()
        found = np.squeeze(image.get_as_numpy())
    for channel in (0, 1):
        expected = tifffile.imread(project.tiff_folder / imagexpress_name("B03", 1, channel + 1))
        assert np.array_equal(found[channel], expected)


def test_the_models_of_the_specification_accept_a_plate_of_files(server: Server) -> None:
    url = url_of(server, TIFF_PLATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a store that cannot be listed
        plate = HCS.from_zarr(open_group(url))
        image = Image.from_zarr(open_group(f"{url}/B/3/2"))
    assert [well.path for well in plate.attributes.ome.plate.wells] == ["A/1", "B/3"]
    assert [axis.name for axis in image.attributes.ome.multiscales[0].axes] == ["c", "y", "x"]


def test_a_plate_of_zarr_is_read_as_it_lies_there(server: Server, project: Project) -> None:
    group = open_group(url_of(server, ZARR_PLATE))
    own = zarr.open_group(project.zarr_store, mode="r")
    assert dict(group.attrs) == dict(own.attrs)
    for level in "012":
        assert np.array_equal(group[f"A/2/1/{level}"][:], own[f"A/2/1/{level}"][:])


def test_xarray_reads_an_image_with_its_axes(server: Server, project: Project) -> None:
    store = FsspecStore.from_url(f"{url_of(server, TIFF_PLATE)}/B/3/1", read_only=True)
    with xarray.open_dataset(store, engine="zarr", chunks=None) as opened:  # type: ignore[arg-type]
        found = opened["0"]
        assert found.dims == ("c", "y", "x")
        expected = tifffile.imread(project.tiff_folder / imagexpress_name("B03", 1, 2))
        assert np.array_equal(found[1], expected)


def test_a_chunk_that_a_zarr_store_lacks_is_absent(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    store = write_pixel_plate(tmp_path / "P1.zarr", size=32)
    store_images(settings, ZARR_PLATE, store)
    (store / "A" / "1" / "0" / "0" / "c" / "1" / "0" / "0").unlink()
    expected = np.asarray(zarr.open_array(store / "A" / "1" / "0" / "0", mode="r")[:])
    with run_in_thread(settings) as running:
        assert running.get(f"zarr/{ZARR_PLATE}.zarr/A/1/0/0/c/1/0/0").status == 404
        found = np.asarray(open_group(url_of(running, ZARR_PLATE))["A/1/0/0"][:])
    assert np.array_equal(found, expected)
    assert (found[1, :16, :16] == 0).all()


def test_a_file_that_changed_since_its_scan_is_refused_by_name(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    folder = tmp_path / "Plate7"
    folder.mkdir()
    path = folder / imagexpress_name("A01", 1, 1)
    tifffile.imwrite(path, np.full((40, 48), 7, np.uint16), metadata=None)
    store_images(settings, TIFF_PLATE, folder)
    with run_in_thread(settings) as running:
        url = url_of(running, TIFF_PLATE)
        assert np.asarray(open_group(url)["A/1/1/0"][:]).max() == 7
        tifffile.imwrite(path, np.full((40, 60), 9, np.uint16), metadata=None)
        key = url.partition(f":{running.port}")[2] + "/A/1/1/0/c/0/0/0"
        answer = running.ask(key)
        assert answer.status == 422
        assert path.name in str(answer.json()["error"])


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_plate_in_an_archive_is_read_as_it_lies_there(tmp_path: Path, packing: int) -> None:
    store = write_pixel_plate(tmp_path / "P1.zarr", size=32)
    archive = tmp_path / "P1.zarr.zip"
    with zipfile.ZipFile(archive, "w", packing) as target:
        for path in sorted(store.rglob("*")):
            if path.is_file():
                target.write(path, path.relative_to(store).as_posix())
    settings = settings_of(tmp_path / "data")
    images = store_images(settings, ZARR_PLATE, archive)
    with run_in_thread(settings) as running:
        group = open_group(url_of(running, ZARR_PLATE))
        own = zarr.open_group(store, mode="r")
        assert np.array_equal(group["A/2/1/0"][:], own["A/2/1/0"][:])
        given = {
            "plate_key": ZARR_PLATE,
            "image_id": images["image_id"][0].as_py(),
            "y0": 0,
            "y1": 32,
            "x0": 0,
            "x1": 32,
        }
        answer = running.get("pixels", **given)
        assert np.array_equal(np.frombuffer(answer.body, "<u2").reshape(32, 32), own["A/1/0/0"][0])
        for key in ("../secret", "/etc/passwd", "A", "A/1/0/0/c/9/9/9"):
            assert running.get(f"zarr/{ZARR_PLATE}.zarr/{key}").status == 404


def test_a_plate_of_several_stores_is_one_plate(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    folder = tmp_path / "screen" / "P1"
    write_pixel_plate(folder / "one.zarr", columns=1, size=32)
    write_pixel_plate(folder / "two.zarr", columns=2, size=32, zarr_format=2)  # its A01 is that of the first
    images = store_images(settings, ZARR_PLATE, folder)
    assert len(set(images["uri"].to_pylist())) == 2
    with run_in_thread(settings) as running:
        url = url_of(running, ZARR_PLATE)
        for row in images.to_pylist():
            links = running.get("api/image", plate_key=ZARR_PLATE, image_id=row["image_id"]).json()["links"]
            assert str(links["zarr"]).startswith(url)
            found = open_group(str(links["zarr"]))["0"][:]
            expected = zarr.open_array(Path(row["uri"]) / row["array_path"], mode="r")[:]
            assert np.array_equal(found, expected)
