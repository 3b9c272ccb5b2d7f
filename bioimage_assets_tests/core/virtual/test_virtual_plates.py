"""Plates of every instrument, file sets and stacks of every vendor read as OME-Zarr to the pixels of their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.virtual.ome_metadata import OmeZarrVersion
from bioimage_assets.core.virtual.plan import plan_virtual_plate
from bioimage_assets_tests.builders import instrument_plates, tiff_plates
from bioimage_assets_tests.builders.every_kind import WRITERS, write_dataset
from bioimage_assets_tests.builders.micro_manager import write_mm_set, write_ndtiff
from bioimage_assets_tests.builders.png_files import write_png, write_png_plate
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_named
from bioimage_assets_tests.builders.vendor_tiffs import (
    write_flex,
    write_lsm,
    write_ndpi,
    write_qptiff,
    write_stk,
    write_svs,
)
from bioimage_assets_tests.core.formats.ome_tiff.test_tiff_file_sets import write_companion, write_set
from bioimage_assets_tests.core.virtual.virtual_oracle import (
    assert_same_pixels,
    find_image,
    make,
    open_plate,
    plan,
    scramble,
)

NAMES = {
    name.removesuffix("_name"): getattr(module, name)
    for module in (tiff_plates, instrument_plates)
    for name in dir(module)
    if name.endswith("_name")
}
EXAMPLE_HUMAN = Path(__file__).resolve().parents[4] / "shared" / "data" / "examplehuman"
DATA = (np.arange(2 * 3 * 2 * 16 * 24) % 60_013).astype("uint16").reshape(2, 3, 2, 16, 24)
COLOUR = (np.arange(64 * 96 * 3) % 251).astype("uint8").reshape(64, 96, 3)


def pages_of(shape: tuple[int, ...]) -> np.ndarray:
    """Planes that differ in every pixel."""
    return (np.arange(int(np.prod(shape))) % 60_013).astype("uint16").reshape(shape)


VENDORS: dict[str, Callable[[Path], object]] = {
    "stk": lambda folder: write_stk(folder / "a.stk", pages_of((5, 16, 24)), z_um=[0, 1, 2, 3, 4]),
    "stk-strips": lambda folder: write_stk(folder / "a.stk", pages_of((4, 16, 24)), strips=3),
    "lsm": lambda folder: write_lsm(folder / "a.lsm", DATA[:, :, :1], 6),
    "lsm-channels": lambda folder: write_lsm(folder / "a.lsm", DATA, 6),
    "svs": lambda folder: write_svs(folder / "a.svs", COLOUR),
    "ndpi": lambda folder: write_ndpi(folder / "a.ndpi", [(COLOUR, 20.0), (COLOUR[::2, ::2], 10.0)]),
    "qptiff": lambda folder: write_qptiff(folder / "a.qptiff", pages_of((3, 64, 96)), ["DAPI", "FITC", "Cy5"]),
    "flex": lambda folder: write_flex(folder / "001001000.flex", pages_of((6, 16, 24)), ["Exp1Cam1", "Exp1Cam2"] * 3),
    "ome-set": lambda folder: write_set(folder),
    "companion": lambda folder: write_companion(folder),
    "micro-manager": lambda folder: write_mm_set(folder),
    "micro-manager-in-all": lambda folder: write_mm_set(folder, in_all=True),
    "ndtiff": lambda folder: write_ndtiff(folder / "run", channels=3, planes=4),
    "ndtiff-files": lambda folder: write_ndtiff(folder / "run", channels=2, planes=4, files=2),
    "scanr": lambda folder: instrument_plates.write_scanr(folder),
    "columbus": lambda folder: instrument_plates.write_columbus(folder, [(1, 1), (2, 1), (1, 2), (2, 2)]),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_plate_of_every_instrument_reads(tmp_path: Path, name: str, version: OmeZarrVersion):
    folder = write_named(tmp_path / "plate", NAMES[name])
    pages = scramble(folder)
    images, plate = make(str(folder), tmp_path / "plate.json", version)
    assert plate.refused == ()
    assert len(plate.sources) == pages
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) == pages


@pytest.mark.parametrize("name", ["imagexpress", "phenix", "cellvoyager"])
def test_every_channel_of_a_field_is_the_file_that_holds_it(tmp_path: Path, name: str):
    folder = write_named(tmp_path / "plate", NAMES[name])
    scramble(folder)
    images, plate = make(str(folder), tmp_path / "plate.json")
    store = open_plate(tmp_path / "plate.json")
    for row in images.to_pylist():
        (image,) = (one for one in plate.images if one.image_id == row["image_id"])
        found = zarr.open_array(store, path=f"{image.path}/0", mode="r")[...]
        for file in (file for file in row["files"] if file["role"] == "image"):
            np.testing.assert_array_equal(found[file["c"]], tifffile.imread(folder / file["path"]))


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_files_of_every_vendor_read(tmp_path: Path, name: str, version: OmeZarrVersion):
    folder = tmp_path / "data"
    folder.mkdir()
    VENDORS[name](folder)
    scramble(folder)
    images, plate = make(str(folder), tmp_path / "plate.json", version)
    assert plate.refused == ()
    assert plate.images
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json"))


@pytest.mark.parametrize("kind", WRITERS)
def test_the_images_of_a_dataset_of_every_kind_of_measurements_read(tmp_path: Path, kind: str):
    folder = write_dataset(tmp_path, kind)
    for number, plate_folder in enumerate(sorted({path.parent for path in folder.rglob("*.TIF")})):
        pages = scramble(plate_folder)
        images, plate = make(str(plate_folder), tmp_path / f"{number}.json")
        assert assert_same_pixels(images, plate, open_plate(tmp_path / f"{number}.json")) == pages


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_plate_of_pngs_reads(tmp_path: Path, version: OmeZarrVersion):
    folder = write_png_plate(tmp_path / "plate")
    images, plate = make(str(folder), tmp_path / "plate.json", version)
    assert plate.refused == ()
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) == 18


def test_an_earlier_index_of_pngs_is_read(tmp_path: Path):
    folder = write_png_plate(tmp_path / "plate")
    images, chunks = scan_image_assets(str(folder)), scan_chunk_index(str(folder)).read_all()
    found, expected = (
        plan_virtual_plate(images, rows.to_batches()) for rows in (chunks.drop_columns(["codec"]), chunks)
    )
    assert len(found.images) == len(expected.images) == 6
    assert found.images[0].arrays[0].metadata_v3 == expected.images[0].arrays[0].metadata_v3


def test_pngs_in_colour_read_as_channels(tmp_path: Path):
    folder = tmp_path / "plate"
    for well in ("A01", "A02"):
        write_png(folder / f"P1_{well}_s1_w1.png", COLOUR // (1 if well == "A01" else 2))
    images, plate = make(str(folder), tmp_path / "plate.json")
    assert plate.refused == ()
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) == 6


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize(("rows", "shape"), [(1, (20, 16)), (3, (60, 16)), (7, (60, 16))])
def test_a_file_of_very_many_compressed_strips_is_one_reference(
    tmp_path: Path, version: OmeZarrVersion, rows: int, shape: tuple[int, int]
):
    folder = tmp_path / "plate"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for site in (1, 2):
        for channel in (1, 2, 3):
            pixels = rng.integers(0, 9_000, shape).astype(np.uint16)
            tifffile.imwrite(
                folder / imagexpress_name("A01", site, channel),
                pixels,
                metadata=None,
                compression="lzw",
                rowsperstrip=rows,
            )
    images, plate = make(str(folder), tmp_path / "plate.json", version)
    assert plate.refused == ()
    strips = -(-shape[0] // rows)
    assert [len(image.arrays[0].refs) for image in plate.images] == [3 * (1 if strips > 16 else strips)] * 2
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) == 6


def test_a_channel_that_a_field_lacks_reads_as_zeros(tmp_path: Path):
    folder = write_named(tmp_path / "plate", imagexpress_name)
    scramble(folder)
    (folder / imagexpress_name("A01", 1, 2)).unlink()
    _, plate = make(str(folder), tmp_path / "plate.json")
    found = zarr.open_array(open_plate(tmp_path / "plate.json"), path="A/1/1/0", mode="r")[...]
    assert [bool(channel.any()) for channel in found] == [True, False, True]
    np.testing.assert_array_equal(found[2], tifffile.imread(folder / imagexpress_name("A01", 1, 3)))
    assert plate.refused == ()


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_field_whose_files_are_stored_in_different_ways_reads_file_by_file(
    tmp_path: Path, version: OmeZarrVersion
):
    folder = write_named(tmp_path / "plate", imagexpress_name)
    scramble(folder)
    for channel, options in ((2, {"compression": "zlib", "predictor": 2}), (3, {"compression": "packbits", "rowsperstrip": 5})):  # fmt: skip
        odd = folder / imagexpress_name("A01", 1, channel)
        tifffile.imwrite(odd, tifffile.imread(odd), metadata=None, byteorder=">", **options)
    images, plate = make(str(folder), tmp_path / "plate.json", version)
    assert plate.refused == ()
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) == images.num_rows * 3
    field = zarr.open_array(open_plate(tmp_path / "plate.json"), path="A/1/1/0", mode="r")
    np.testing.assert_array_equal(field[1], tifffile.imread(folder / imagexpress_name("A01", 1, 2)))


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_colours_stored_together_and_apart_read_as_the_same_channels(tmp_path: Path, version: OmeZarrVersion):
    colour = (np.arange(12 * 16 * 3) % 251).astype("uint8").reshape(12, 16, 3)
    (tmp_path / "plate").mkdir()
    for number, (pixels, config) in enumerate([(colour, "contig"), (colour.transpose(2, 0, 1), "separate")]):
        tifffile.imwrite(
            tmp_path / "plate" / f"P_A01_s1_w{number + 1}.tif", pixels, photometric="rgb", planarconfig=config, metadata=None,
            compression=[None, "lzw"][number],
        )  # fmt: skip
    images, plate = make(str(tmp_path / "plate"), tmp_path / "plate.json", version)
    assert (assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")), plate.refused) == (6, ())


def test_pages_of_one_file_that_are_stored_in_different_ways_are_refused_by_name_and_the_rest_stands(
    tmp_path: Path,
):
    folder = write_named(tmp_path / "plate", imagexpress_name)
    scramble(folder)
    pixels = np.arange(24 * 20, dtype="uint16").reshape(24, 20)
    with tifffile.TiffWriter(tmp_path / "plate" / "P_B01_s1_w1.tif") as tiff:
        tiff.write(pixels, metadata=None)
        tiff.write(pixels, compression="zlib", metadata=None)
    images, plate = make(str(folder), tmp_path / "plate.json")
    (finding,) = plate.refused
    assert "deflate+uint16+24x20 and none+uint16+24x20" in finding.message
    assert finding.location == find_row(images, "B01", "1")
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) > 0


@pytest.mark.external
@pytest.mark.skipif(not EXAMPLE_HUMAN.is_dir(), reason="the CellProfiler example is not beside this checkout")
def test_the_cellprofiler_example_whose_channels_are_stored_in_two_ways_reads(tmp_path: Path):
    images, plate = make(str(EXAMPLE_HUMAN), tmp_path / "plate.json")
    assert (assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")), plate.refused) == (3, ())


@pytest.mark.parametrize("shape", [(12, 17), (11, 16), (12, 16, 3)])
def test_a_field_with_a_file_of_another_size_is_refused(tmp_path: Path, shape: tuple[int, int]):
    folder = write_named(tmp_path / "plate", imagexpress_name)
    tifffile.imwrite(folder / imagexpress_name("A02", 1, 1), np.zeros(shape, np.uint16), metadata=None)
    images, plate = plan(str(folder))
    assert [finding.location for finding in plate.refused] == [find_row(images, "A02", "1")]


def test_a_file_that_was_cut_after_the_scan_is_refused(tmp_path: Path):
    folder = write_named(tmp_path / "plate", imagexpress_name)
    images, chunks = scan_image_assets(str(folder)), scan_chunk_index(str(folder)).read_all()
    cut, gone = folder / imagexpress_name("A01", 1, 1), folder / imagexpress_name("B03", 2, 3)
    cut.write_bytes(cut.read_bytes()[:-100])
    gone.unlink()
    plate = plan_virtual_plate(images, chunks.to_batches())
    assert {finding.location for finding in plate.refused} == {
        find_row(images, "A01", "1"),
        find_row(images, "B03", "2"),
    }
    assert all("changed since it was scanned" in finding.message for finding in plate.refused)
    assert len(plate.images) == 4
    assert len(plate.sources) == 12


def test_rows_in_any_order_give_the_same_plate(tmp_path: Path):
    folder = write_named(tmp_path / "plate", imagexpress_name)
    images, chunks = scan_image_assets(str(folder)), scan_chunk_index(str(folder)).read_all()
    order = np.random.default_rng(3).permutation(len(chunks))
    shuffled = chunks.take(order).to_batches(max_chunksize=4)
    first, second = (plan_virtual_plate(images, batches) for batches in (chunks.to_batches(), shuffled))
    for image in first.images:
        other = find_image(second, image.path).arrays[0]
        refs, others = image.arrays[0].refs, other.refs
        places = {
            tuple(c): first.sources[s].uri
            for c, s in zip(refs.coords.tolist(), refs.source.tolist(), strict=True)
        }
        assert places == {
            tuple(c): second.sources[s].uri
            for c, s in zip(others.coords.tolist(), others.source.tolist(), strict=True)
        }


def find_row(images: object, well: str, site: str) -> str:
    """Id of a field."""
    rows = images.to_pylist()  # type: ignore[attr-defined]
    return next(row["image_id"] for row in rows if (row["well_id"], row["site_id"]) == (well, site))
